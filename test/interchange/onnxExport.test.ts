// Single ops as ONNX and back: every op that the exporter writes, also those that no model has, in both layouts; what it refuses;
// and that no change to a file gets past the importer's own errors.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ArgumentError, GramianError, InterchangeError } from '../../src/errors';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { exportOnnx, type Layout } from '../../src/interchange/onnx/export';
import { exporters } from '../../src/interchange/onnx/exportOps';
import { loadOnnx, parseOnnx } from '../../src/interchange/onnx/model';
import { onnxFunction } from '../../src/interchange/onnx/modelFunction';
import { initializerRecord, modelRecord, nodeRecord, valueRecord } from '../../src/interchange/onnx/write';
import { compileModel } from '../../src/train/compileModel';
import { Trainer } from '../../src/train/trainer';
import { objective, stripeDataset } from '../train/fixtures';

type Build = (x: Tensor) => Tensor;
const IMAGE = [2, 5, 6, 4];
const weight = (x: Tensor, shape: readonly number[]): Tensor =>
  x.graph.param(
    `w${x.graph.tensors.length}`,
    shape,
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i + 1)),
  );

/** Positive numbers, so that logarithms and roots are finite. */
const valuesOf = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => 0.2 + ((i * 37) % 101) / 50);

/** What a graph says, and what its file says through the importer. */
async function both(build: Build, shape: readonly number[], layout: Layout) {
  const graph = new Graph({ training: false });
  const x = graph.input('x', shape);
  const y = build(x);
  const bytes = exportOnnx(graph, { inputs: { x }, outputs: { y }, layout: layout });
  const again = new Graph({ training: false });
  const image = shape.length === 4 && layout === 'channelsFirst';
  const given = again.input('x', shape);
  const [result] = parseOnnx(bytes).apply(again, {
    x: { tensor: given, layout: image ? 'channelsLast' : 'plain' },
  });
  const turned = y.shape.length === 4 && layout === 'channelsFirst';
  const back = turned ? ops.transpose(result!.tensor!, [0, 2, 3, 1]) : result!.tensor!;
  using first = compile(graph, { outputs: { y } });
  using second = compile(again, { outputs: { y: back } });
  const feeds = { x: valuesOf(sizeOf(shape)) };
  return { ours: (await first.step(feeds)).y!, theirs: (await second.step(feeds)).y! };
}

const image: Readonly<Record<string, Build>> = {
  relu: (x) => ops.relu(ops.affine(x, { offset: -1 })),
  tanh: ops.tanh,
  sigmoid: ops.sigmoid,
  exp: ops.exp,
  log: ops.log,
  sqrt: ops.sqrt,
  square: ops.square,
  abs: (x) => ops.abs(ops.affine(x, { offset: -1 })),
  leakyRelu: (x) => ops.leakyRelu(ops.affine(x, { offset: -1 }), { alpha: 0.2 }),
  elu: (x) => ops.elu(ops.affine(x, { offset: -1 }), { alpha: 0.7 }),
  affine: (x) => ops.affine(x, { scale: -2, offset: 0.5 }),
  stopGradient: ops.stopGradient,
  add: (x) => ops.add(x, weight(x, [4])),
  sub: (x) => ops.sub(weight(x, [1]), x),
  mul: (x) => ops.mul(x, weight(x, [2, 1, 1, 4])),
  div: (x) => ops.div(x, ops.affine(weight(x, [6, 4]), { offset: 3 })),
  maximum: (x) => ops.maximum(x, weight(x, [5, 1, 1])),
  minimum: (x) => ops.minimum(ops.relu(x), weight(x, [2, 5, 6, 4])),
  fill: (x) => ops.add(x, ops.fill(x.graph, [4], 0.75)),
  reshape: (x) => ops.reshape(ops.relu(x), [2, 10, 12]),
  transpose: (x) => ops.transpose(x, [0, 2, 1, 3]),
  concat: (x) => ops.concat([x, ops.relu(x)], { axis: 1 }),
  slice: (x) => ops.slice(x, [0, 1, 2, 1], [2, 3, 4, 2]),
  pad: (x) => ops.pad(x, [0, 1, 0, 2], [0, 0, 3, 1], { value: 0.5 }),
  broadcastTo: (x) => ops.broadcastTo(ops.slice(x, [0, 0, 0, 0], [2, 1, 6, 4]), [2, 5, 6, 4]),
  reduceSum: (x) => ops.reduceSum(x, { axes: [1, 3] }),
  reduceMean: (x) => ops.reduceMean(x, { axes: [1, 2], keepDims: true }),
  reduceMax: (x) => ops.reduceMax(x, { axes: [2] }),
  matmul: (x) => ops.matmul(ops.reshape(x, [20, 12]), weight(x, [7, 12]), { transB: true }),
  conv2d: (x) => ops.conv2d(x, weight(x, [3, 2, 2, 6]), { groups: 2, stride: [2, 1], dilation: [1, 2] }),
  conv2dGradInput: (x) =>
    ops.convTranspose2d(x, weight(x, [3, 3, 1, 4]), { groups: 2, stride: [2, 3], outputPadding: [1, 2] }),
  batchNorm: (x) => {
    const vectors = {
      mean: weight(x, [4]),
      variance: ops.square(weight(x, [4])),
      gamma: weight(x, [4]),
      beta: weight(x, [4]),
    };
    return ops.batchNorm(x, { ...vectors, eps: 0.1, activation: 'leakyRelu', alpha: 0.3 });
  },
  rowNormalize: (x) => ops.rowNormalize(ops.reshape(x, [10, 24])),
  maxPool: (x) => ops.maxPool(x, { kernel: [3, 2], stride: 2, padding: 'same' }),
  avgPool: (x) => ops.avgPool(x, { kernel: 3, stride: [2, 1], padding: 'same' }),
  resize: (x) => ops.resize(x, [7, 9], { mode: 'bilinear', coordinates: 'aligned' }),
  softmax: ops.softmax,
  logSoftmax: ops.logSoftmax,
  topK: (x) => {
    const rows = ops.reshape(x, [2, 30, 4]);
    return ops.gather(rows, ops.topK(rows, { k: 7 }));
  },
};

/** The last is written by the row above it. */
const named = [...Object.keys(image), 'gather'].sort();

it('has a case for every op that is exported', () => {
  expect(Object.keys(exporters).sort()).toEqual(named);
});

describe.each(['channelsFirst', 'plain'] as const)('images %s', (layout) => {
  it.each(Object.entries(image))('%s', async (_, build) => {
    const { ours, theirs } = await both(build, IMAGE, layout);
    expect(theirs.length).toBe(ours.length);
    const most = Math.max(...Array.from(ours, Math.abs));
    ours.forEach((value, index) => {
      expect(Math.abs(theirs[index]! - value)).toBeLessThanOrEqual(2e-6 * Math.max(1, most));
    });
  });
});

describe('sizes and modes that take another way', () => {
  it.each<[string, Build, readonly number[]]>([
    ['all axes of a matrix', (x) => ops.reduceMean(x), [3, 4]],
    ['a matrix normalised', (x) => image.batchNorm!(x), [3, 4]],
    ['nearest, half pixel', (x) => ops.resize(x, [8, 9], { mode: 'nearest' }), IMAGE],
    ['nearest, aligned', (x) => ops.resize(x, [8, 9], { mode: 'nearest', coordinates: 'aligned' }), IMAGE],
    ['nearest, asymmetric', (x) => ops.resize(x, [8, 9], { mode: 'nearest', coordinates: 'asymmetric' }), IMAGE],
    ['one pixel flattened', (x) => ops.flatten(ops.relu(x)), [3, 1, 1, 5]],
    ['a slice of everything', (x) => ops.slice(x, [0, 0], [3, 4]), [3, 4]],
    ['nothing scaled', (x) => ops.affine(x), [3, 4]],
  ])('%s', async (_, build, shape) => {
    const { ours, theirs } = await both(build, shape, 'channelsFirst');
    ours.forEach((value, index) => {
      expect(theirs[index]).toBeCloseTo(value, 5);
    });
  });
});

describe('what is refused', () => {
  const made = (training = false) => {
    const graph = new Graph({ training });
    const x = graph.input('x', [2, 3]);
    return { graph, x, y: ops.relu(x) };
  };
  it('a graph in training, other inputs, ops without a counterpart', () => {
    const training = made(true);
    const write = ({ graph, x, y }: ReturnType<typeof made>) => exportOnnx(graph, { inputs: { x }, outputs: { y } });
    expect(() => write(training)).toThrow('expected a graph for inference');
    const one = made();
    expect(() => exportOnnx(one.graph, { inputs: { x: one.graph.param('p', [1], 0) }, outputs: { y: one.y } })).toThrow(
      'input "x" is a param of the graph',
    );
    expect(() => exportOnnx(one.graph, { inputs: {}, outputs: { y: one.y } })).toThrow('nothing makes it');
    const labels = one.graph.input('labels', [2], 'i32');
    expect(() => exportOnnx(one.graph, { inputs: { labels }, outputs: { y: one.y } })).toThrow(
      'is i32, expected float32',
    );
    const accuracy = ops.accuracy(one.x, labels);
    expect(() => exportOnnx(one.graph, { inputs: { x: one.x }, outputs: { accuracy } })).toThrow(
      'the op accuracy has no',
    );
    const short = { weights: () => new Float32Array(1), inputs: { x: one.x } };
    const biased = ops.add(one.x, one.graph.param('b', [3], 1));
    expect(() => exportOnnx(one.graph, { ...short, outputs: { biased } })).toThrow(ArgumentError);
  });

  it('inputs and outputs that a file has not', () => {
    const { graph, x, y } = made();
    const model = parseOnnx(exportOnnx(graph, { inputs: { x }, outputs: { y } }), 'm.onnx');
    const other = new Graph({ training: false });
    const given = { x: { tensor: other.input('x', [2, 3]) } };
    expect(() => model.apply(other, {})).toThrow('[onnx] m.onnx: its input "x" is not given');
    expect(() => model.apply(other, { z: given.x })).toThrow('it has no input "z"; its inputs are x');
    expect(() => model.apply(other, given, { outputs: ['z'] })).toThrow('it has no output "z"');
    const wide = { x: { tensor: other.input('wide', [2, 4]) } };
    expect(() => model.apply(other, wide)).toThrow('its input "x" is [N, 3], got [2, 4]');
    expect(() => model.apply(other, given, { constants: { x: { shape: [2, 3], data: [1] } } })).toThrow(
      'was given 1 values',
    );
  });

  it('a file that is not there or is no model', async () => {
    await expect(loadOnnx('/no/such/file.onnx')).rejects.toThrow(/\[onnx\] .*cannot be read/);
    expect(() => parseOnnx(new Uint8Array(0), 'empty.onnx')).toThrow('[onnx] empty.onnx: it is no ONNX model');
  });
});

/** A small convolutional classifier of names that collide with nothing. */
function network(x: Tensor): Tensor {
  const y = ops.relu(ops.conv2d(x, weight(x, [3, 3, x.shape[3]!, 8]), { stride: 2 }));
  return ops.dense(ops.globalAvgPool(ops.maxPool(y, { kernel: 2 })), weight(x, [8, 2]), weight(x, [2]));
}

function fileOf(channels = 1): Uint8Array {
  const graph = new Graph({ training: false });
  const image = graph.input('image', [1, 8, 8, channels]);
  return exportOnnx(graph, { inputs: { image }, outputs: { logits: network(image) } });
}

describe('onnxFunction', () => {
  it('compiles like a model, for one image and many', async () => {
    const file = parseOnnx(fileOf(3));
    using compiled = await compileModel(onnxFunction(file), { input: [8, 8, 3], classes: 2 });
    using plain = await compileModel(network, { input: [8, 8, 3], classes: 2 });
    const images = valuesOf(37 * 8 * 8 * 3);
    const [a, b] = [compiled.runSync(images).probabilities!, plain.runSync(images).probabilities!];
    expect(a.length).toBe(37 * 2);
    a.forEach((value, index) => {
      expect(value).toBeCloseTo(b[index]!, 6);
    });
    expect(compiled.plan.tensors().map(({ name }) => name.slice(0, 6))).toEqual(['onnx/w', 'onnx/w', 'onnx/w']);
  });

  it('is fine-tuned by back-propagation', async () => {
    const data = stripeDataset(16, 8, 2);
    using trainer = new Trainer({
      model: onnxFunction(parseOnnx(fileOf())),
      spec: { classes: 2, input: [8, 8, 1], mean: [0.35], std: [0.25] },
      data,
      objective: objective('bp'),
      batch: 16,
      seed: 1,
      lr: 0.02,
      threads: 1,
    });
    const { losses } = await trainer.run(20);
    expect(losses.at(-1)!).toBeLessThan(0.7 * losses[0]!);
  });

  it('refuses another number of classes', async () => {
    const compile3 = compileModel(onnxFunction(parseOnnx(fileOf())), { input: [8, 8, 1], classes: 3 });
    await expect(compile3).rejects.toThrow('expected scores [N, 3], the file gives [1, 2]');
  });
});

describe('changed files', () => {
  const good = fileOf();
  const read = (bytes: Uint8Array): void => {
    const model = parseOnnx(bytes);
    const graph = new Graph({ training: false });
    model.apply(graph, { image: { tensor: graph.input('image', [1, 8, 8, 1]), layout: 'channelsLast' } });
  };
  it('the file itself is read', () => {
    expect(() => read(good)).not.toThrow();
  });

  it('cut anywhere, it is refused', () => {
    for (let length = 0; length < good.length; length += 3) {
      // The records that follow the graph hold the version alone; without it a file is one of version 1.
      try {
        read(good.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(InterchangeError);
        continue;
      }
      expect(good.length - length).toBeLessThan(16);
    }
  });

  it('with other bytes, it is read or refused', () => {
    const change = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(change, (changes) => {
        const bytes = Uint8Array.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(GramianError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('operators of known values that lack an input', () => {
  const two = ['Add', 'Div', 'Mod', 'Less', 'Xor', 'Gather', 'Expand', 'Tile', 'Where', 'Range'];
  const rest = ['Min', 'Concat', 'Clip', 'Reshape', 'Squeeze', 'Unsqueeze', 'Slice', 'Split', 'Pad', 'Not'];
  /** A model of one node that reads an initializer of two numbers, or nothing. */
  const read = (op: string, inputs: readonly string[]): void => {
    const node = nodeRecord(op, inputs, ['y'], {});
    const graph = [node, initializerRecord('w', [2], Float32Array.of(1, 2)), valueRecord(12, 'y', [2])];
    const about = { producer: 'test', version: '1', opset: 18, metadata: {} };
    parseOnnx(modelRecord(graph, about)).apply(new Graph({ training: false }), {});
  };

  it.each(two)('%s is refused', (op) => {
    expect(() => read(op, ['w'])).toThrow(/its input 1 is missing/);
    expect(() => read(op, ['w', ''])).toThrow(/its input 1 is missing/);
    expect(() => read(op, ['', 'w'])).toThrow(/its input 0 is missing/);
    expect(() => read(op, [])).toThrow(InterchangeError);
  });

  it.each(rest)('%s is read or refused', (op) => {
    for (const inputs of [['w'], ['w', ''], ['', 'w'], ['w', '', 'w'], []]) {
      try {
        read(op, inputs);
      } catch (error) {
        expect(error, inputs.join()).toBeInstanceOf(InterchangeError);
      }
    }
  });
});
