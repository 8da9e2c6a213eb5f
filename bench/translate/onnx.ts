// A program of an inference as an ONNX model, written as protobuf by hand: the format is a few nested records. Called by
// bench/peers/node.ts. The rule easy to break: inside the model images are NCHW, so the input is transposed once and every
// axis of rank 4 is converted.
import { ArgumentError } from '../../src/errors';
import type { Program, ProgramNode } from './program';

const FLOAT = 1;
const OPSET = 17;
const IR_VERSION = 8;

function varint(value: number): number[] {
  // Sizes and extents only: never negative, below 2^53.
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

const integer = (field: number, value: number): Buffer => Buffer.from([...varint(field * 8), ...varint(value)]);

function record(field: number, ...parts: (Uint8Array | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(body.length)]), body]);
}

function real(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([Buffer.from(varint(field * 8 + 5)), bytes]);
}

type Attribute = { readonly i: number } | { readonly f: number } | { readonly ints: readonly number[] };

function attribute(name: string, value: Attribute): Buffer {
  if ('f' in value) return record(5, record(1, name), real(2, value.f), integer(20, 1));
  if ('i' in value) return record(5, record(1, name), integer(3, value.i), integer(20, 2));
  return record(5, record(1, name), ...value.ints.map((one) => integer(8, one)), integer(20, 7));
}

function node(
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Record<string, Attribute> = {},
): Buffer {
  return record(
    1,
    ...inputs.map((input) => record(1, input)),
    record(2, output),
    record(3, `${op}_${output}`),
    record(4, op),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  );
}

function initializer(name: string, shape: readonly number[], values: Float32Array): Buffer {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return record(5, ...shape.map((extent) => integer(1, extent)), integer(2, FLOAT), record(8, name), record(9, raw));
}

function valueInfo(field: number, name: string, shape: readonly number[]): Buffer {
  const extents = shape.map((extent) => record(1, integer(1, extent)));
  const tensor = record(1, integer(1, FLOAT), record(2, ...extents));
  return record(field, record(1, name), record(2, tensor));
}

/** HWIO -> OIHW. */
export function filterToOihw(values: Float32Array, [height, width, inputs, outputs]: readonly number[]): Float32Array {
  const turned = new Float32Array(values.length);
  let index = 0;
  for (let o = 0; o < outputs!; o += 1)
    for (let i = 0; i < inputs!; i += 1)
      for (let y = 0; y < height!; y += 1)
        for (let x = 0; x < width!; x += 1) {
          turned[index] = values[((y * width! + x) * inputs! + i) * outputs! + o]!;
          index += 1;
        }
  return turned;
}

function unsupported(op: string, what: string): ArgumentError {
  return new ArgumentError(`[bench] ONNX expects ops it has a translation for, got "${op}" with ${what}`);
}

function window(attrs: Record<string, number>): Record<string, Attribute> {
  return {
    strides: { ints: [attrs.strideH!, attrs.strideW!] },
    pads: { ints: [attrs.padTop!, attrs.padLeft!, attrs.padBottom!, attrs.padRight!] },
  };
}

function batchNorm(one: ProgramNode, inputs: readonly string[], output: string): Buffer[] {
  const { training, eps, activation } = one.attrs;
  if (training) throw unsupported('batchNorm', 'training');
  if (activation !== 'none' && activation !== 'relu') throw unsupported('batchNorm', `activation ${activation}`);
  const [x, mean, variance, gamma, beta] = inputs as [string, string, string, string, string];
  const made = activation === 'none' ? output : `${output}_normal`;
  const normal = node('BatchNormalization', [x, gamma, beta, mean, variance], made, { epsilon: { f: Number(eps) } });
  return activation === 'none' ? [normal] : [normal, node('Relu', [made], output)];
}

function nodesOf(program: Program, one: ProgramNode, name: (id: number) => string): Buffer[] {
  const inputs = one.inputs.map(name);
  const output = name(one.outputs[0]!);
  const shape = (id: number): readonly number[] => program.tensors[id]!.shape;
  const rank = shape(one.inputs[0]!).length;
  const a = one.attrs as Record<string, number>;
  switch (one.op) {
    case 'batchNorm':
      return batchNorm(one, inputs, output);
    case 'conv2d':
      return [
        node('Conv', inputs, output, {
          ...window(a),
          dilations: { ints: [a.dilationH!, a.dilationW!] },
          group: { i: a.groups! },
        }),
      ];
    case 'maxPool':
      return [node('MaxPool', inputs, output, { ...window(a), kernel_shape: { ints: [a.kernelH!, a.kernelW!] } })];
    case 'concat':
      return [node('Concat', inputs, output, { axis: { i: rank === 4 ? [0, 2, 3, 1][a.axis!]! : a.axis! } })];
    case 'reduceMean': {
      const axes = one.attrs.axes as readonly number[];
      if (rank !== 4 || axes.join() !== '1,2' || one.attrs.keepDims) throw unsupported('reduceMean', `axes ${axes}`);
      const pooled = `${output}_pooled`;
      return [node('GlobalAveragePool', inputs, pooled), node('Flatten', [pooled], output, { axis: { i: 1 } })];
    }
    case 'matmul':
      if (one.attrs.transA || one.attrs.transB) throw unsupported('matmul', 'a transposed operand');
      return [node('MatMul', inputs, output)];
    case 'add':
    case 'mul':
      if (shape(one.outputs[0]!).length === 4) throw unsupported(one.op, 'rank 4');
      return [node(one.op === 'add' ? 'Add' : 'Mul', inputs, output)];
    case 'softmax':
      return [node('Softmax', inputs, output, { axis: { i: rank - 1 } })];
    default:
      throw unsupported(one.op, 'the op');
  }
}

/** The file of the model; its inputs are `given0`.., its outputs `result0`... @param value values of a weight. */
export function onnxOf(program: Program, value: (id: number) => Float32Array): Buffer {
  const filters = new Set(program.nodes.filter(({ op }) => op === 'conv2d').map(({ inputs }) => inputs[1]!));
  const shape = (id: number): readonly number[] => program.tensors[id]!.shape;
  const name = (id: number): string => `t${id}`;
  const turned = program.given.map((id, index) =>
    shape(id).length === 4
      ? node('Transpose', [`given${index}`], name(id), { perm: { ints: [0, 3, 1, 2] } })
      : node('Identity', [`given${index}`], name(id)),
  );
  const weights = program.weights.map((id) => {
    const extents = shape(id);
    if (!filters.has(id)) return initializer(name(id), extents, value(id));
    const [height, width, inputs, outputs] = extents;
    return initializer(name(id), [outputs!, inputs!, height!, width!], filterToOihw(value(id), extents));
  });
  const results = program.results.map((id, index) => node('Identity', [name(id)], `result${index}`));
  const graph = record(
    7,
    ...turned,
    ...program.nodes.flatMap((one) => nodesOf(program, one, name)),
    ...results,
    record(2, 'row'),
    ...weights,
    ...program.given.map((id, index) => valueInfo(11, `given${index}`, shape(id))),
    ...program.results.map((id, index) => valueInfo(12, `result${index}`, shape(id))),
  );
  return Buffer.concat([
    integer(1, IR_VERSION),
    record(2, 'gramian'),
    graph,
    record(8, record(1, ''), integer(2, OPSET)),
  ]);
}
