// Graphs of a unit's backward, for the tests of `depthwiseBackward` on each device.
// The rule easy to break: an output is named after its part and its configuration.
import { Graph, type Tensor } from '../../../src/graph/graph';
import * as ops from '../../../src/graph/ops';
import type { Padding } from '../../../src/graph/ops/window';
import type { Tensors } from '../against';

export interface Config {
  readonly x: [number, number, number, number];
  readonly activation: string;
  readonly stride?: number | [number, number];
  readonly padding?: Padding;
  /** Where the depthwise result's gradient comes from: a pointwise convolution to so many channels, ... */
  readonly pointwise?: number;
  /** ... its average over tiles, or else it is fed. */
  readonly pool?: { kernel: [number, number]; padding?: Padding };
  /** dx is the first or the second operand of a sum. */
  readonly sum?: 'left' | 'right';
  /** The path of dx through mean and variance is left out. */
  readonly inference?: boolean;
  /** Nothing follows: no dx. */
  readonly last?: boolean;
  /** What is fed is a part of wider rows, and so is what is read. */
  readonly wide?: boolean;
}

const ACTIVATIONS = ['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'];
const around = (cells: number) => ({ top: cells, bottom: cells, left: cells, right: cells });

export const CONFIGS: Config[] = [
  ...ACTIVATIONS.map((activation): Config => ({ x: [2, 7, 6, 20], activation })),
  ...ACTIVATIONS.map((activation): Config => ({ x: [2, 6, 9, 17], activation, pointwise: 12, sum: 'left' })),
  ...ACTIVATIONS.map(
    (activation): Config => ({ x: [1, 9, 8, 33], stride: 2, activation, pool: { kernel: [2, 3], padding: 'same' } }),
  ),
  ...[2, 3, 8, 15, 16, 31, 48].map(
    (c, index): Config => ({ x: [1, 5, 7, c], activation: 'elu', pointwise: [1, 16, 23][index % 3]! }),
  ),
  // Sums of more than one block, and a filter as large as may be.
  { x: [1, 4, 5, 300], activation: 'tanh', pointwise: 70, sum: 'right' },
  { x: [1, 4, 5, 35], activation: 'sigmoid', pointwise: 260 },
  { x: [1, 2, 3, 256], activation: 'sigmoid', pointwise: 512 },
  // Strides and paddings: rows of x that meet no row of dy, rows of dy that see only padding.
  { x: [2, 9, 8, 18], stride: 2, activation: 'elu', pointwise: 9 },
  { x: [1, 11, 10, 6], stride: 3, activation: 'sigmoid', sum: 'left' },
  { x: [1, 11, 10, 6], stride: 4, activation: 'sigmoid', pointwise: 5, sum: 'right' },
  { x: [1, 7, 12, 17], stride: [1, 2], activation: 'leakyRelu', pointwise: 8 },
  { x: [2, 7, 6, 20], padding: 'valid', activation: 'sigmoid', pointwise: 12 },
  { x: [2, 6, 5, 11], padding: { top: 2, bottom: 0, left: 0, right: 2 }, activation: 'sigmoid', pointwise: 4 },
  { x: [2, 3, 2, 5], padding: around(4), activation: 'sigmoid', pointwise: 6 },
  { x: [2, 3, 2, 5], padding: around(3), activation: 'elu', sum: 'left' },
  { x: [3, 1, 1, 5], activation: 'sigmoid', pointwise: 4, inference: true },
  // Tiles of the product: several images share one (more images than chunks), an image has several, one row is more.
  { x: [7, 3, 3, 20], activation: 'relu', pointwise: 24, sum: 'right' },
  { x: [70, 3, 3, 20], activation: 'relu', pointwise: 7 },
  { x: [67, 5, 4, 9], stride: 2, padding: around(3), activation: 'sigmoid', pointwise: 11, sum: 'left' },
  { x: [1, 31, 30, 24], activation: 'relu', pointwise: 17 },
  { x: [33, 7, 30, 5], activation: 'elu', pointwise: 3 },
  { x: [1, 4, 150, 4], activation: 'tanh', pointwise: 3 },
  // Pooled.
  { x: [2, 8, 8, 16], activation: 'relu', pool: { kernel: [4, 4] }, sum: 'left' },
  {
    x: [1, 24, 23, 20],
    activation: 'tanh',
    pool: { kernel: [5, 5], padding: { top: 2, bottom: 4, left: 1, right: 2 } },
  },
  { x: [35, 4, 4, 3], activation: 'sigmoid', pool: { kernel: [4, 4] }, sum: 'right', inference: true },
  // Parts of wider rows.
  { x: [2, 7, 6, 16], activation: 'relu', sum: 'left', wide: true },
  { x: [2, 7, 6, 20], activation: 'elu', pointwise: 12, wide: true },
  { x: [1, 9, 7, 33], activation: 'tanh', pool: { kernel: [2, 3], padding: 'same' }, sum: 'right', wide: true },
  // Nothing but the filter, gain and offset is wanted.
  { x: [2, 7, 6, 20], activation: 'relu', pointwise: 12, last: true },
  { x: [36, 3, 4, 33], activation: 'elu', pointwise: 40, last: true },
];

/** A fed map, perhaps as columns of a wider one. */
function map(graph: Graph, name: string, shape: readonly number[], wide?: boolean): Tensor {
  if (!wide) return graph.input(name, shape);
  const [n, h, w, c] = shape as [number, number, number, number];
  return ops.slice(graph.input(name, [n, h, w, c + 5]), [0, 0, 0, 3], shape);
}

/** The depthwise result's gradient as the configuration has it made; feeds are named after `suffix`. */
function gradientOf(u: Tensor, { pointwise, pool, wide }: Config, suffix: string): Tensor {
  const { graph, shape } = u;
  if (pool) {
    const cells = ops.avgPool(u, pool);
    const { attrs } = graph.producer(cells)!;
    return graph.append('avgPoolGrad', [map(graph, `dy${suffix}`, cells.shape, wide)], [{ shape }], attrs)[0]!;
  }
  if (!pointwise) return map(graph, `dy${suffix}`, shape, wide);
  const v = graph.input(`v${suffix}`, [1, 1, shape[3]!, pointwise]);
  const y = ops.conv2d(u, v);
  const { attrs } = graph.producer(y)!;
  return graph.append('conv2dGradInput', [map(graph, `dy${suffix}`, y.shape, wide), v], [{ shape }], attrs)[0]!;
}

/** Appends one configuration; returns what stays readable, and the activation's gradient, which should not. */
function append(graph: Graph, config: Config, suffix: string): { read: Tensors; da: Tensor } {
  const { x: shape, activation, stride = 1, padding = 'same', sum, inference = false, wide } = config;
  const vector = { shape: [shape[3]] };
  const x = map(graph, `x${suffix}`, shape, wide);
  const vectors = ['mean', 'variance', 'gamma', 'beta'].map((name) => graph.input(`${name}${suffix}`, vector.shape));
  const norm = { eps: 1e-3, activation, alpha: 0.3 };
  const training = { ...norm, training: !inference };
  const a = graph.append('batchNorm', [x, ...vectors], [{ shape }], training)[0]!;
  const w = graph.input(`w${suffix}`, [3, 3, 1, shape[3]]);
  const u = ops.depthwiseConv2d(a, w, { stride, padding });
  const { attrs } = graph.producer(u)!;
  const du = gradientOf(u, config, suffix);
  const da = graph.append('conv2dGradInput', [du, w], [{ shape }], attrs)[0]!;
  const dw = graph.append('conv2dGradFilter', [a, du], [{ shape: w.shape }], attrs)[0]!;
  const [dgamma, dbeta] = graph.append('batchNormGradParams', [da, x, ...vectors], [vector, vector], norm);
  const read: Tensors = { dw, dgamma: dgamma!, dbeta: dbeta! };
  if (config.last) return { read, da };
  const dx = graph.append('batchNormGradInput', [da, x, ...vectors, dgamma!, dbeta!], [{ shape }], training)[0]!;
  const other = sum && map(graph, `other${suffix}`, shape, wide);
  const result = !other ? dx : sum === 'left' ? ops.add(dx, other) : ops.add(other, dx);
  return { read: { ...read, dx: wide ? ops.concat([x, result]) : result }, da };
}

export function build(configs: readonly Config[], separate = false) {
  const graph = new Graph();
  const outputs: Tensors = {};
  configs.forEach((config, index) => {
    const { read, da } = append(graph, config, `${index}`);
    for (const [part, tensor] of Object.entries({ ...read, ...(separate && { da }) }))
      outputs[`${part} of ${JSON.stringify(config)}`] = tensor;
  });
  return { graph, outputs };
}
