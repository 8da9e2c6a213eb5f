// A graph of batchNorms in front of depthwise convolutions with their gradients, for the tests of what the planner makes of
// them on each device. The rule easy to break: an output is named after its position and its configuration.
import { Graph, type Tensor } from '../../../src/graph/graph';
import { randomFeeds, type Tensors } from '../against';

interface Config {
  readonly x: [number, number, number, number];
  readonly kernel: [number, number];
  readonly stride?: number;
  readonly dilation?: number;
  readonly multiplier?: number;
  readonly activation: string;
  /** Pools the convolution's output with tiles of this size: its gradient is read through the pooling. */
  readonly pool?: [number, number];
  /** The tiles leave out the last cells, as padding 'valid' does, instead of reaching over the edge. */
  readonly valid?: boolean;
}

const ACTIVATIONS = ['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'];

const CONFIGS: Config[] = [
  ...[3, 5, 16, 17, 33, 64, 100].map(
    (c, index): Config => ({ x: [2, 7, 6, c], kernel: [3, 3], activation: ACTIVATIONS[index % 6]! }),
  ),
  ...ACTIVATIONS.map((activation): Config => ({ x: [1, 6, 9, 20], kernel: [3, 3], stride: 2, activation })),
  { x: [1, 9, 8, 12], kernel: [5, 5], activation: 'relu' },
  { x: [1, 9, 8, 7], kernel: [3, 3], dilation: 2, activation: 'sigmoid' },
  { x: [2, 5, 5, 6], kernel: [3, 3], multiplier: 2, activation: 'relu' },
  { x: [2, 5, 4, 9], kernel: [1, 1], activation: 'elu' },
  { x: [1, 2, 2, 8], kernel: [5, 5], activation: 'sigmoid' },
  { x: [3, 20, 21, 24], kernel: [3, 3], activation: 'relu' },
  { x: [2, 8, 8, 16], kernel: [3, 3], activation: 'relu', pool: [4, 4] },
  { x: [1, 9, 7, 5], kernel: [3, 3], activation: 'tanh', pool: [2, 3] },
  { x: [2, 11, 12, 33], kernel: [3, 3], stride: 2, activation: 'elu', pool: [4, 2] },
  { x: [1, 24, 24, 20], kernel: [3, 3], activation: 'none', pool: [5, 5] },
  { x: [2, 7, 7, 5], kernel: [3, 3], activation: 'relu', pool: [2, 2], valid: true },
];

/** What a backward pass of pooling, or none, makes of a fed gradient: the gradient of the convolution's output. */
function outputGradient(graph: Graph, y: number[], { pool, valid }: Config, name: string): Tensor {
  if (!pool) return graph.append('affine', [graph.input(name, y)], [{ shape: y }], { scale: 2, offset: 0 })[0]!;
  const [kernelH, kernelW] = pool;
  const count = valid ? Math.floor : Math.ceil;
  const tiles = [y[0]!, count(y[1]! / kernelH), count(y[2]! / kernelW), y[3]!];
  const padBottom = Math.max(0, tiles[1]! * kernelH - y[1]!);
  const padRight = Math.max(0, tiles[2]! * kernelW - y[2]!);
  const attrs = { kernelH, kernelW, strideH: kernelH, strideW: kernelW, padTop: 0, padBottom, padLeft: 0, padRight };
  return graph.append('avgPoolGrad', [graph.input(name, tiles)], [{ shape: y }], attrs)[0]!;
}

/** Appends batchNorm, depthwise convolution and their gradients; returns everything that stays readable. */
function appendConfig(graph: Graph, config: Config, index: number): Tensor[] {
  const { x: shape, kernel, stride = 1, dilation = 1, multiplier = 1, activation } = config;
  const [n, h, w, c] = shape;
  const outs = c * multiplier;
  const before = kernel.map((extent) => Math.floor(((extent - 1) * dilation) / 2));
  const outExtent = (size: number, axis: number) =>
    Math.floor((size + 2 * before[axis]! - dilation * (kernel[axis]! - 1) - 1) / stride) + 1;
  const y = [n, outExtent(h, 0), outExtent(w, 1), outs];
  const feed = (name: string, of: number[]) => graph.input(`${name}${index}`, of);
  const filter = [kernel[0], kernel[1], 1, outs];
  const x = feed('x', shape);
  const stats = ['mean', 'variance', 'gamma', 'beta'].map((name) => feed(name, [c]));
  const normAttrs = { eps: 1e-3, activation, alpha: 0.3 };
  const [normal] = graph.append('batchNorm', [x, ...stats], [{ shape }], { ...normAttrs, training: true });
  const attrs = {
    ...{ strideH: stride, strideW: stride, dilationH: dilation, dilationW: dilation, groups: c },
    ...{ padTop: before[0]!, padBottom: before[0]!, padLeft: before[1]!, padRight: before[1]! },
  };
  const weights = feed('w', filter);
  const [forward] = graph.append('conv2d', [normal!, weights], [{ shape: y }], attrs);
  const dy = outputGradient(graph, y, config, `dy${index}`);
  const [dInput] = graph.append('conv2dGradInput', [dy, weights], [{ shape }], attrs);
  const [dFilter] = graph.append('conv2dGradFilter', [normal!, dy], [{ shape: filter }], attrs);
  // Read before the last part of the backward is appended, as the sum over two uses of one filter would be: not joined.
  const read = index % 3 === 0 ? graph.append('square', [dFilter!], [{ shape: filter }]) : [];
  const params = graph.append(
    'batchNormGradParams',
    [dInput!, x, ...stats],
    [{ shape: [c] }, { shape: [c] }],
    normAttrs,
  );
  return [forward!, dFilter!, ...read, ...params];
}

export function build() {
  const graph = new Graph();
  const outputs: Tensors = {};
  CONFIGS.forEach((config, index) => {
    appendConfig(graph, config, index).forEach((tensor, position) => {
      outputs[`output ${position} of ${JSON.stringify(config)}`] = tensor;
    });
  });
  return { graph, outputs, feeds: randomFeeds(graph, 3) };
}
