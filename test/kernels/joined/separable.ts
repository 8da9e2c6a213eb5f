// Graphs of separable convolutions with everything that may be read off them, for the tests of `separable` on each device.
// The rule easy to break: an output is named after its part and its configuration.
import { Graph, type Tensor } from '../../../src/graph/graph';
import * as ops from '../../../src/graph/ops';
import type { Padding } from '../../../src/graph/ops/window';
import type { Tensors } from '../against';

export interface Config {
  readonly x: [number, number, number, number];
  /** Channels of the pointwise result. */
  readonly to: number;
  readonly kernel?: [number, number];
  readonly stride?: number | [number, number];
  readonly dilation?: number;
  readonly padding?: Padding;
  /** Of a batchNorm in front; none when absent. */
  readonly activation?: string;
  /** What else is read: the depthwise result itself, its average over tiles, moments of the pointwise result. */
  readonly store?: boolean;
  readonly pool?: { kernel: [number, number]; padding?: Padding };
  readonly moments?: boolean;
  /** x is a part of wider rows, and so are the maps that are read. */
  readonly wide?: boolean;
}

const ACTIVATIONS = ['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'];

export const CONFIGS: Config[] = [
  // Channels and outputs: parts of a vector, and more terms than one block of the product's sum holds.
  ...[2, 3, 15, 16, 17, 33, 64, 100].map((c, index): Config => ({ x: [2, 7, 6, c], to: [1, 5, 16, 23][index % 4]! })),
  ...[1, 2, 7, 15, 17, 31, 33, 48, 70].map((to): Config => ({ x: [1, 5, 7, 9], to, moments: to % 2 > 0 })),
  { x: [1, 5, 4, 256], to: 33, store: true },
  { x: [1, 6, 5, 257], to: 16, activation: 'relu', moments: true },
  { x: [2, 5, 5, 260], to: 37, activation: 'elu', store: true, pool: { kernel: [2, 3], padding: 'same' } },
  { x: [1, 4, 5, 300], to: 70, activation: 'tanh', moments: true },
  // Activations, strides and windows.
  ...ACTIVATIONS.map((activation): Config => ({ x: [2, 6, 9, 20], to: 12, activation, moments: true })),
  ...ACTIVATIONS.map((activation): Config => ({ x: [1, 9, 8, 18], to: 20, stride: 2, activation, store: true })),
  { x: [2, 9, 8, 12], to: 9, kernel: [5, 5], activation: 'sigmoid' },
  { x: [1, 9, 11, 7], to: 18, kernel: [5, 5], stride: 2, moments: true },
  { x: [1, 9, 8, 7], to: 4, dilation: 2, activation: 'elu', store: true },
  { x: [1, 13, 12, 21], to: 6, kernel: [5, 5], dilation: 2, activation: 'sigmoid' },
  { x: [2, 8, 7, 10], to: 5, kernel: [2, 4], activation: 'sigmoid', moments: true },
  { x: [2, 5, 4, 9], to: 7, kernel: [1, 1], activation: 'relu' },
  { x: [1, 11, 10, 6], to: 8, stride: 4, activation: 'sigmoid', store: true },
  { x: [1, 7, 12, 17], to: 8, stride: [1, 2], activation: 'leakyRelu', moments: true },
  { x: [1, 7, 6, 20], to: 12, padding: 'valid', activation: 'sigmoid' },
  { x: [2, 6, 5, 11], to: 10, padding: { top: 2, bottom: 0, left: 0, right: 2 }, activation: 'sigmoid', store: true },
  // Windows that see nothing but padding.
  { x: [1, 3, 2, 5], to: 6, padding: { top: 4, bottom: 5, left: 3, right: 4 }, activation: 'sigmoid', moments: true },
  { x: [3, 1, 1, 5], to: 4, activation: 'sigmoid', store: true, moments: true },
  // Tiles: many images in one, many tiles in an image, one row longer than a tile, more tiles than pieces.
  { x: [7, 3, 3, 20], to: 24, activation: 'relu', store: true, moments: true },
  { x: [50, 2, 3, 6], to: 5, activation: 'sigmoid', moments: true },
  { x: [1, 31, 30, 24], to: 17, activation: 'relu', moments: true },
  { x: [1, 40, 150, 4], to: 3, store: true, moments: true },
  { x: [35, 13, 12, 3], to: 2, activation: 'elu', moments: true },
  // Pooling: whole tiles, smaller ones at the edges, cells that two tiles share, many images a piece.
  { x: [2, 8, 8, 16], to: 20, activation: 'relu', pool: { kernel: [4, 4] } },
  { x: [2, 8, 6, 16], to: 20, activation: 'relu', pool: { kernel: [4, 3] }, store: true, moments: true },
  { x: [1, 9, 7, 5], to: 6, activation: 'tanh', pool: { kernel: [2, 3], padding: 'same' } },
  {
    x: [2, 24, 23, 20],
    to: 9,
    pool: { kernel: [5, 5], padding: { top: 2, bottom: 4, left: 1, right: 2 } },
    moments: true,
  },
  { x: [2, 11, 12, 33], to: 8, stride: 2, activation: 'elu', pool: { kernel: [4, 2], padding: 'same' }, store: true },
  { x: [9, 3, 3, 17], to: 12, activation: 'sigmoid', pool: { kernel: [2, 2], padding: 'same' }, moments: true },
  { x: [40, 4, 4, 3], to: 5, pool: { kernel: [4, 4] }, moments: true },
  { x: [2, 5, 5, 8], to: 5, pool: { kernel: [9, 9], padding: { top: 3, bottom: 1, left: 4, right: 4 } }, store: true },
  { x: [1, 40, 20, 4], to: 6, pool: { kernel: [1, 1] } },
  // Parts of wider rows.
  { x: [2, 7, 6, 16], to: 16, store: true, moments: true, wide: true },
  { x: [2, 7, 6, 20], to: 7, activation: 'relu', pool: { kernel: [3, 3], padding: 'same' }, wide: true },
];

/** The results of a configuration by the names of native/cpu/kernels/separable.cpp; u only when it is to be stored. */
type Parts = { y: Tensor; u?: Tensor; p?: Tensor; mean?: Tensor; variance?: Tensor };

export function appendDepthwise(graph: Graph, config: Config, suffix: string): Tensor {
  const { x: shape, kernel = [3, 3], stride = 1, dilation = 1, padding = 'same', activation } = config;
  const c = shape[3];
  const [n, h, w] = shape;
  let x = graph.input(`x${suffix}`, config.wide ? [n, h, w, c + 5] : shape);
  if (config.wide) x = ops.slice(x, [0, 0, 0, 3], shape);
  if (activation) {
    const vectors = ['mean', 'variance', 'gamma', 'beta'].map((name) => graph.input(`${name}${suffix}`, [c]));
    const attrs = { eps: 1e-3, activation, alpha: 0.3, training: true };
    x = graph.append('batchNorm', [x, ...vectors], [{ shape }], attrs)[0]!;
  }
  return ops.depthwiseConv2d(x, graph.input(`w${suffix}`, [...kernel, 1, c]), { stride, dilation, padding });
}

export function appendReaders(u: Tensor, { x, to, pool, moments }: Config, suffix: string): Parts {
  const y = ops.conv2d(u, u.graph.input(`v${suffix}`, [1, 1, x[3], to]));
  return { y, ...(pool && { p: ops.avgPool(u, pool) }), ...(moments && ops.moments(y)) };
}

/** The graph of one configuration or of all; outputs are named after their part and configuration. */
export function build(configs: readonly Config[]) {
  const graph = new Graph();
  const outputs: Tensors = {};
  configs.forEach((config, index) => {
    const u = appendDepthwise(graph, config, `${index}`);
    const parts = { ...appendReaders(u, config, `${index}`), ...(config.store && { u }) };
    for (const [part, tensor] of Object.entries(parts)) {
      const beside = config.wide && tensor.shape.length > 1 && graph.input(`beside ${part}${index}`, tensor.shape);
      outputs[`${part} of ${JSON.stringify(config)}`] = beside ? ops.concat([beside, tensor]) : tensor;
    }
  });
  return { graph, outputs };
}
