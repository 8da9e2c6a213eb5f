// One call of every op builder, on small tensors. Called by catalogue.test.ts (does a builder write what docs/ops.md
// says?) and gradients.test.ts (does every differentiable one have a gradient of the right shape?).
// The rule easy to break: a new builder gets a row here, or the catalogue test fails.
import { Graph, type Shape, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

export interface Source {
  readonly graph: Graph;
  /** A fresh f32 input that the sample may be differentiated by. */
  f32(shape: Shape): Tensor;
  /** A fresh i32 input. */
  i32(shape: Shape): Tensor;
  /** A fresh state. */
  state(shape: Shape, dtype?: 'f32' | 'i32'): Tensor;
}

/** Calls builders and returns the tensor to differentiate; undefined when there is none. */
export type Sample = (source: Source) => Tensor | undefined;

export interface Built {
  readonly graph: Graph;
  readonly leaves: readonly Tensor[];
  readonly output: Tensor | undefined;
}

/** A sample in a graph of its own. */
export function build(sample: Sample): Built {
  const graph = new Graph();
  const leaves: Tensor[] = [];
  let count = 0;
  const fresh = (): string => `source${count++}`;
  const output = sample({
    graph,
    f32(shape) {
      const leaf = graph.input(fresh(), shape);
      leaves.push(leaf);
      return leaf;
    },
    i32: (shape) => graph.input(fresh(), shape, 'i32'),
    state: (shape, dtype = 'f32') => graph.state(fresh(), shape, dtype),
  });
  return { graph, leaves, output };
}

const objective =
  (kind: ops.ObjectiveKind): Sample =>
  (s) => {
    const Ex = s.state([6, 6]);
    const Ey = ops.labelKernel(s.i32([6]));
    const normalized = kind === 'nhsic' ? { Rx: ops.hsicNormalize(Ex), Ry: ops.hsicNormalize(Ey) } : {};
    return ops.hsicObjective({ G: s.f32([6, 6]), Ex, Ey, ...normalized }, { kind, features: 3 }).loss;
  };

/** By builder. */
export const samples: Readonly<Record<string, readonly Sample[]>> = {
  relu: [(s) => ops.relu(s.f32([3, 4]))],
  tanh: [(s) => ops.tanh(s.f32([3, 4]))],
  sigmoid: [(s) => ops.sigmoid(s.f32([3, 4]))],
  exp: [(s) => ops.exp(s.f32([3, 4]))],
  log: [(s) => ops.log(s.f32([3, 4]))],
  sqrt: [(s) => ops.sqrt(s.f32([3, 4]))],
  square: [(s) => ops.square(s.f32([3, 4]))],
  abs: [(s) => ops.abs(s.f32([3, 4]))],
  leakyRelu: [(s) => ops.leakyRelu(s.f32([3, 4]))],
  elu: [(s) => ops.elu(s.f32([3, 4]), { alpha: 0.5 })],
  activation: ops.ACTIVATIONS.map((kind) => (s) => ops.activation(s.f32([3, 4]), kind)),
  affine: [(s) => ops.affine(s.f32([3, 4]), { scale: 2, offset: -1 })],
  add: [(s) => ops.add(s.f32([2, 1, 4]), s.f32([3, 1]))],
  sub: [(s) => ops.sub(s.f32([4]), s.f32([3, 4]))],
  mul: [(s) => ops.mul(s.f32([2, 3, 4]), s.f32([1]))],
  div: [(s) => ops.div(s.f32([3, 1]), s.f32([2, 3, 4]))],
  maximum: [(s) => ops.maximum(s.f32([3, 1]), s.f32([2, 3, 4]))],
  minimum: [(s) => ops.minimum(s.f32([2, 3, 4]), s.f32([4]))],
  sign: [(s) => void ops.sign(s.f32([2, 3]))],
  bias: [(s) => ops.bias(s.f32([2, 3]), s.f32([3]))],
  channelScale: [
    (s) => ops.channelScale(s.f32([2, 5, 5, 3]), s.f32([3])),
    (s) => ops.channelScale(s.f32([2, 5, 5, 3]), s.f32([2, 3])),
    (s) => ops.channelScale(s.f32([2, 5, 5, 3]), s.f32([2, 1, 1, 3])),
    (s) => ops.channelScale(s.f32([2, 3]), s.f32([2, 3])),
  ],
  fill: [(s) => void ops.fill(s.graph, [2, 3], 0.5)],
  stopGradient: [(s) => void ops.stopGradient(s.f32([2]))],
  dropout: [(s) => ops.dropout(s.f32([2, 3]), s.state([1], 'i32'), { rate: 0.5, seed: 7 })],
  reshape: [(s) => ops.reshape(s.f32([3, 4]), [2, -1])],
  flatten: [(s) => ops.flatten(s.f32([2, 3, 4, 5]))],
  transpose: [(s) => ops.transpose(s.f32([2, 3, 4]), [2, 0, 1])],
  concat: [
    (s) => ops.concat([s.f32([2, 3]), s.f32([2, 1]), s.f32([2, 2])]),
    (s) => ops.concat([s.f32([1, 3]), s.f32([4, 3])], { axis: 0 }),
    (s) => ops.concat([s.f32([2, 3])]),
  ],
  slice: [(s) => ops.slice(s.f32([3, 4]), [1, 1], [-1, 2])],
  pad: [(s) => ops.pad(s.f32([2, 3]), [1, 0], [0, 2])],
  broadcastTo: [(s) => ops.broadcastTo(s.f32([3, 1]), [2, 3, 4])],
  gather: [(s) => ops.gather(s.f32([2, 5, 3]), s.i32([2, 4]))],
  topK: [(s) => void ops.topK(s.f32([2, 5, 3]), { k: 2 })],
  reduceSum: [(s) => ops.reduceSum(s.f32([2, 3, 4]), { axes: [2, 0] }), (s) => ops.reduceSum(s.f32([2, 3]))],
  reduceMean: [(s) => ops.reduceMean(s.f32([2, 3, 4]), { axes: -1, keepDims: true })],
  reduceMax: [(s) => ops.reduceMax(s.f32([2, 3, 4]), { axes: [1] })],
  globalAvgPool: [(s) => ops.globalAvgPool(s.f32([2, 3, 3, 4]))],
  moments: [
    (s) => ops.moments(s.f32([2, 3, 4])).mean,
    (s) => ops.moments(s.f32([2, 3, 4])).variance,
    (s) => ops.moments(ops.concat([s.f32([3, 4]), s.f32([3, 2])])).variance,
  ],
  matmul: [true, false].flatMap((transA) =>
    [true, false].map(
      (transB): Sample =>
        (s) =>
          ops.matmul(s.f32(transA ? [3, 2] : [2, 3]), s.f32(transB ? [4, 3] : [3, 4]), { transA, transB }),
    ),
  ),
  dense: [(s) => ops.dense(s.f32([2, 3]), s.f32([3, 4]), s.f32([4]))],
  convTranspose2d: [
    (s) => ops.convTranspose2d(s.f32([2, 5, 6, 4]), s.f32([3, 2, 3, 4]), { stride: [2, 1], groups: 2 }),
  ],
  conv2d: [
    (s) => ops.conv2d(s.f32([2, 5, 6, 4]), s.f32([3, 2, 2, 6]), { stride: [2, 1], dilation: [1, 2], groups: 2 }),
  ],
  depthwiseConv2d: [(s) => ops.depthwiseConv2d(s.f32([2, 5, 6, 4]), s.f32([3, 3, 1, 8]))],
  batchNorm: [
    (s) => {
      const x = s.f32([2, 3, 3, 4]);
      return ops.batchNorm(x, { ...ops.moments(x), gamma: s.f32([4]), beta: s.f32([4]) });
    },
    (s) => {
      const running = { mean: s.state([4]), variance: s.state([4]) };
      const learned = { gamma: s.f32([4]), beta: s.f32([4]) };
      return ops.batchNorm(s.f32([5, 4]), { ...running, ...learned, activation: 'elu', training: false });
    },
  ],
  rowNormalize: [(s) => ops.rowNormalize(s.f32([3, 4]))],
  maxPool: [(s) => ops.maxPool(s.f32([2, 5, 5, 3]), { kernel: 3, stride: 2, padding: 'same' })],
  avgPool: [(s) => ops.avgPool(s.f32([2, 5, 5, 3]), { kernel: [2, 3] })],
  resize: [(s) => ops.resize(s.f32([2, 3, 3, 4]), [6, 5])],
  softmax: [(s) => ops.softmax(s.f32([3, 4]))],
  logSoftmax: [(s) => ops.logSoftmax(s.f32([3, 4]))],
  crossEntropy: [
    (s) => ops.crossEntropy(s.f32([3, 4]), s.i32([3])),
    (s) => ops.crossEntropy(s.f32([3, 4]), s.i32([3]), { classWeights: s.state([4]), labelSmoothing: 0.1 }),
  ],
  accuracy: [(s) => void ops.accuracy(s.f32([3, 4]), s.i32([3]))],
  gram: [(s) => ops.gram(s.f32([4, 3]))],
  kernelMatrix: [(s) => void ops.kernelMatrix(s.f32([4, 4]), { features: 3 })],
  labelKernel: [(s) => void ops.labelKernel(s.i32([4]))],
  hsicNormalize: [(s) => void ops.hsicNormalize(s.f32([4, 4]))],
  hsicObjective: (['hsic', 'nhsic', 'cka', 'phsic'] as const).map(objective),
  adam: [
    (s) => {
      const state = { m: s.state([2, 3]), v: s.state([2, 3]), lr: s.f32([1]), step: s.state([1], 'i32') };
      ops.adam(s.graph.param('p', [2, 3], 0), s.f32([2, 3]), state);
      return undefined;
    },
  ],
  sgd: [
    (s) => {
      ops.sgd(s.graph.param('p', [3], 0), s.f32([3]), { velocity: s.state([3]), lr: s.f32([1]) });
      return undefined;
    },
  ],
  ema: [(s) => void ops.ema(s.state([3]), s.f32([3]), { momentum: 0.1 })],
  increment: [(s) => void ops.increment(s.state([1], 'i32'))],
  schedule: [(s) => void ops.schedule(s.state([1], 'i32'), { base: 0.1 })],
  datasetBatch: [
    (s) => {
      const images = s.graph.input('images', [10, 4, 4, 3], 'u8');
      ops.datasetBatch(images, s.i32([10]), s.state([1], 'i32'), { batch: 2, variants: ['identity', 'flip'] });
      return undefined;
    },
  ],
};
