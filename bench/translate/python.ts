// A program as Python source over PyTorch: `prepare(w)` for what an inference computes once and `forward(w, k, g, r)` for
// a step. Called by bench/peers/torch.ts. The rule easy to break: tensors of rank 4 are NCHW (channels_last in memory)
// there and NHWC here, so every axis and every reshape of one is converted.
import { ArgumentError } from '../../src/errors';
import type { Program, ProgramNode } from './program';

export interface PythonProgram {
  readonly source: string;
  /** How each weight, then each given tensor, is laid out: as it is, HWIO -> OIHW, or NHWC -> NCHW. */
  readonly layouts: Readonly<Record<number, Layout>>;
  /** Channels of each pair of running statistics. */
  readonly running: readonly number[];
}

export type Layout = 'plain' | 'filter' | 'image';

/** Axis of NHWC as one of NCHW. */
const IMAGE_AXES = [0, 2, 3, 1];

class Translator {
  readonly #program: Program;
  readonly running: number[] = [];

  constructor(program: Program) {
    this.#program = program;
  }

  shape(id: number): readonly number[] {
    return this.#program.tensors[id]!.shape;
  }

  rank(id: number): number {
    return this.shape(id).length;
  }

  name(id: number): string {
    const { weights, given } = this.#program;
    const weight = weights.indexOf(id);
    if (weight >= 0) return `w[${weight}]`;
    const place = given.indexOf(id);
    return place >= 0 ? `g[${place}]` : `t${id}`;
  }

  axis(rank: number, axis: number): number {
    return rank === 4 ? IMAGE_AXES[axis]! : axis;
  }

  /** Operands of an elementwise op, a vector against an image turned into [1,C,1,1]. */
  broadcast(node: ProgramNode, operands: readonly string[]): readonly string[] {
    const rank = this.rank(node.outputs[0]!);
    return node.inputs.map((id, index) => {
      if (rank !== 4 || this.rank(id) === 4) return operands[index]!;
      if (this.rank(id) === 1) return `${operands[index]}.view(1, -1, 1, 1)`;
      throw unsupported(node.op, `an operand of rank ${this.rank(id)} against rank 4`);
    });
  }

  batchNorm(node: ProgramNode, args: readonly string[]): string {
    const { training, eps, activation } = node.attrs;
    let call: string;
    if (training) {
      const index = this.running.push(this.shape(node.inputs[0]!).at(-1)!) - 1;
      const [x, gamma, beta] = args;
      call = `F.batch_norm(${x}, r[${2 * index}], r[${2 * index + 1}], ${gamma}, ${beta}, True, 0.1, ${eps})`;
    } else {
      const [x, mean, variance, gamma, beta] = args;
      call = `F.batch_norm(${x}, ${mean}, ${variance}, ${gamma}, ${beta}, False, 0.0, ${eps})`;
    }
    if (activation === 'none') return call;
    if (activation === 'relu') return `F.relu(${call}, inplace=True)`;
    throw unsupported('batchNorm', `activation ${activation}`);
  }

  conv2d(node: ProgramNode, [x, w]: readonly string[]): string {
    const a = node.attrs as Record<string, number>;
    const symmetric = a.padTop === a.padBottom && a.padLeft === a.padRight;
    const padded = symmetric ? x : `F.pad(${x}, (${a.padLeft}, ${a.padRight}, ${a.padTop}, ${a.padBottom}))`;
    const padding = symmetric ? `(${a.padTop}, ${a.padLeft})` : '0';
    const window = `(${a.strideH}, ${a.strideW}), ${padding}, (${a.dilationH}, ${a.dilationW}), ${a.groups}`;
    const call = `F.conv2d(${padded}, ${w}, None, ${window})`;
    // One channel has both layouts at once, so the layout is named where the channels begin.
    const widens = this.shape(node.inputs[0]!)[3] === 1 && this.shape(node.outputs[0]!)[3]! > 1;
    return widens ? `${call}.contiguous(memory_format=torch.channels_last)` : call;
  }

  pool(node: ProgramNode, x: string): string {
    const a = node.attrs as Record<string, number>;
    const symmetric = a.padTop === a.padBottom && a.padLeft === a.padRight;
    if (!symmetric && (a.padTop !== 0 || a.padLeft !== 0)) throw unsupported(node.op, 'padding of unequal sides');
    const padding = symmetric ? `(${a.padTop}, ${a.padLeft})` : '0';
    const window = `(${a.kernelH}, ${a.kernelW}), (${a.strideH}, ${a.strideW}), ${padding}`;
    // A window over the end counts only its cells inside.
    const ceil = symmetric ? 'False' : 'True';
    return node.op === 'avgPool'
      ? `F.avg_pool2d(${x}, ${window}, ${ceil}, False)`
      : `F.max_pool2d(${x}, ${window}, 1, ${ceil})`;
  }

  reshape(node: ProgramNode, x: string): string {
    const to = this.shape(node.outputs[0]!);
    const from = this.rank(node.inputs[0]!) === 4 ? `${x}.permute(0, 2, 3, 1)` : x;
    const reshaped = `${from}.reshape(${to.join(', ')})`;
    return to.length === 4 ? `${reshaped}.permute(0, 3, 1, 2)` : reshaped;
  }

  reduceMean(node: ProgramNode, x: string): string {
    const rank = this.rank(node.inputs[0]!);
    const axes = (node.attrs.axes as readonly number[]).map((axis) => this.axis(rank, axis));
    return `${x}.mean((${axes.join(', ')},), keepdim=${node.attrs.keepDims ? 'True' : 'False'})`;
  }

  resize(node: ProgramNode, x: string): string {
    const { mode, coordinates } = node.attrs;
    if (mode !== 'nearest' || coordinates !== 'asymmetric') throw unsupported('resize', `${mode} ${coordinates}`);
    const [, height, width] = this.shape(node.outputs[0]!);
    return `F.interpolate(${x}, size=(${height}, ${width}), mode="nearest")`;
  }

  dependence(node: ProgramNode, args: readonly string[]): string {
    const { kernel, kind, sigma, features, beta, power, center } = node.attrs;
    if (kernel !== undefined && kernel !== 'gaussian') throw unsupported(node.op, `kernel ${kernel}`);
    switch (node.op) {
      case 'gram': {
        // Distances do not see the mean, so only a Gram matrix that is asked for itself is centred.
        const asked = this.#program.results.includes(node.outputs[0]!);
        return `ops.gram(${args[0]}, ${asked && center ? 'True' : 'False'})`;
      }
      case 'gramGrad':
        return `ops.gram_grad(${args.join(', ')})`;
      case 'kernelMatrix':
        return `ops.kernel_matrix(${args[0]}, ${sigma}, ${features})`;
      default:
        if (kind !== 'cka' && kind !== 'hsic') throw unsupported(node.op, `kind ${kind}`);
        return `ops.hsic(${args.join(', ')}, "${kind}", ${sigma}, ${features}, ${beta}, ${power})`;
    }
  }

  expression(node: ProgramNode): string {
    const args = node.inputs.map((id, index) => (node.detached[index] ? `${this.name(id)}.detach()` : this.name(id)));
    const x = args[0]!;
    switch (node.op) {
      case 'batchNorm':
        return this.batchNorm(node, args);
      case 'conv2d':
        return this.conv2d(node, args);
      case 'avgPool':
      case 'maxPool':
        return this.pool(node, x);
      case 'reshape':
        return this.reshape(node, x);
      case 'reduceMean':
        return this.reduceMean(node, x);
      case 'resize':
        return this.resize(node, x);
      case 'concat':
        return `torch.cat((${args.join(', ')},), ${this.axis(this.rank(node.inputs[0]!), node.attrs.axis as number)})`;
      case 'add':
        return this.broadcast(node, args).join(' + ');
      case 'mul':
        return this.broadcast(node, args).join(' * ');
      case 'matmul':
        return `torch.mm(${node.attrs.transA ? `${x}.t()` : x}, ${node.attrs.transB ? `${args[1]}.t()` : args[1]})`;
      case 'softmax':
        return `F.softmax(${x}, ${this.axis(this.rank(node.inputs[0]!), this.rank(node.inputs[0]!) - 1)})`;
      case 'crossEntropy':
        if (args.length > 2) throw unsupported('crossEntropy', 'class weights');
        return `F.cross_entropy(${x}, ${args[1]}, label_smoothing=${node.attrs.labelSmoothing}).reshape(1)`;
      case 'labelKernel':
        return `ops.label_kernel(${x})`;
      case 'gram':
      case 'gramGrad':
      case 'kernelMatrix':
      case 'hsicObjective':
        return this.dependence(node, args);
      default:
        throw unsupported(node.op, 'the op');
    }
  }

  /** `t12 = ...`, or all outputs where later nodes read more than the first. */
  line(node: ProgramNode, readers: ReadonlySet<number>): string {
    if (node.op === 'hsicObjective' && readers.has(node.outputs[2]!)) {
      return `t${node.outputs[0]}, t${node.outputs[2]} = ops.hsic_and_gradient(${this.expression(node).slice('ops.hsic('.length)}`;
    }
    return `t${node.outputs[0]} = ${this.expression(node)}`;
  }
}

function unsupported(op: string, what: string): ArgumentError {
  return new ArgumentError(`[bench] PyTorch source expects ops it has a translation for, got "${op}" with ${what}`);
}

function layoutsOf(program: Program): Record<number, Layout> {
  const layouts: Record<number, Layout> = {};
  const filters = new Set(program.nodes.filter(({ op }) => op === 'conv2d').map(({ inputs }) => inputs[1]!));
  for (const id of [...program.weights, ...program.given]) {
    const image = program.tensors[id]!.shape.length === 4;
    layouts[id] = filters.has(id) ? 'filter' : image ? 'image' : 'plain';
  }
  return layouts;
}

export function pythonOf(program: Program): PythonProgram {
  const translator = new Translator(program);
  const readers = new Set([...program.nodes.flatMap(({ inputs }) => inputs), ...program.results]);
  const fixed: string[] = [];
  const kept: number[] = [];
  const body: string[] = [];
  for (const node of program.nodes) {
    const line = `    ${translator.line(node, readers)}`;
    if (!node.fixed) body.push(line);
    else {
      fixed.push(line);
      kept.push(node.outputs[0]!);
    }
  }
  const names = kept.map((id) => `t${id}`).join(', ');
  const results = program.results.map((id) => translator.name(id)).join(', ');
  const source = [
    '# Written by bench/translate/python.ts from the graph of a benchmark row.',
    'import torch',
    'import torch.nn.functional as F',
    'import torch_ops as ops',
    '',
    '',
    'def prepare(w):',
    ...fixed,
    `    return (${names}${kept.length > 0 ? ',' : ''})`,
    '',
    '',
    'def forward(w, k, g, r):',
    ...(kept.length > 0 ? [`    (${names},) = k`] : []),
    ...body,
    `    return (${results},)`,
    '',
  ].join('\n');
  return { source, layouts: layoutsOf(program), running: translator.running };
}
