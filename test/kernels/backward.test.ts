// A unit's backward under back-propagation: `depthwiseBackward` that leaves the pre-activation's gradient for dx, that
// makes its own gradient from a pointwise convolution's or adds to what dx is summed with, and batchNormGradInput with
// a sum folded in. Against the
// oracle's graph of single ops, on each ISA. What no dx follows is fused.test.ts's business.
// The rule they most easily break: the activation is undone once, by the joined launch, and not again on the way to dx.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import type { Padding } from '../../src/graph/ops/window';
import { expectOracle, expectSameBits, oracle, randomFeeds, stepped, type Tensors } from './against';
import { availableIsas } from './isas';
import { firstMismatch } from './tolerance';

interface Config {
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

const CONFIGS: Config[] = [
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

function build(configs: readonly Config[], separate = false) {
  const graph = new Graph();
  const outputs: Tensors = {};
  configs.forEach((config, index) => {
    const { read, da } = append(graph, config, `${index}`);
    for (const [part, tensor] of Object.entries({ ...read, ...(separate && { da }) }))
      outputs[`${part} of ${JSON.stringify(config)}`] = tensor;
  });
  return { graph, outputs };
}

describe('the joined backward', () => {
  it.each(CONFIGS.map((config) => [JSON.stringify(config), config] as const))('is what is left of %s', (_, config) => {
    const { graph, outputs } = build([config]);
    // Wider rows take a copy beside the result.
    const { launches } = analyze(graph, { outputs, device: 'cpu' });
    const left = launches.filter(({ op }) => op !== 'copy');
    const variant = config.pool ? 'pooled' : config.pointwise ? 'pointwise' : 'dense';
    const deferred = config.inference ? [] : ['batchNormGradTerms', 'batchNormGradCorrect'];
    // A part of wider rows is cut out when the sum is appended, too late to be added to.
    const added = config.sum && !config.wide;
    const onward = config.last ? [] : added ? deferred : ['batchNormGradInput'];
    expect(left.map(({ kernel }) => kernel)).toEqual([`depthwiseBackward:${variant}`, ...onward]);
    if (onward.length === 0) return;
    // da, x and dx, and the other operand where it is not added to before; six vectors, or the three subtracted.
    const [cells, row] = [sizeOf(config.x), config.x[3]];
    expect(left.at(-1)!.bytes).toBe(4 * ((config.sum && !added ? 4 : 3) * cells + (added ? 3 : 6) * row));
  });

  const { graph, outputs } = build(CONFIGS);
  const feeds = randomFeeds(graph, 21);
  const want = oracle(graph, outputs, feeds);

  it.each(availableIsas())('on %s', async (isa) => {
    await expectOracle(graph, outputs, feeds, want, isa);
  });
});

describe('a gradient past the caches', () => {
  // 8 MiB and more in whole vectors is streamed where the ISA can. Returning da keeps the parts apart.
  const large: Config[] = [
    { x: [8, 96, 96, 32], activation: 'leakyRelu', pointwise: 5 },
    { x: [3, 110, 111, 64], activation: 'elu', sum: 'right' },
  ];

  it.each(large.map((config) => [JSON.stringify(config), config] as const))('of %s', async (_, config) => {
    const { graph, outputs } = build([config]);
    const feeds = randomFeeds(graph, 22);
    const isa = availableIsas().at(-1)!;
    const apart = build([config], true);
    expect(analyze(apart.graph, { outputs: apart.outputs }).launches.map(({ op }) => op)).not.toContain(
      'depthwiseBackward',
    );
    const want = await stepped(apart.graph, apart.outputs, feeds, isa);
    const got = await stepped(graph, outputs, feeds, isa, 1);
    for (const [name, { shape }] of Object.entries(outputs)) {
      const mismatch = firstMismatch(got[name]!, Float64Array.from(want[name]!), { shape, relative: 2e-5 });
      expect(mismatch, name).toBeUndefined();
    }
    expectSameBits(await stepped(graph, outputs, feeds, isa, 3), got, outputs, '3 threads');
  });
});

describe('batchNormGradInput with a sum', () => {
  const shape = [3, 5, 4, 19];
  const vectors = ['mean', 'variance', 'gamma', 'beta', 'dgamma', 'dbeta'];
  const double = (x: Tensor) => ops.affine(x, { scale: 2, offset: 0 });
  const same = (x: Tensor) => x;
  const fed = (dy: Tensor) => dy.graph.input('other', shape);

  /** dx + other, where `source` makes dy of what is fed, and `rest` the other operand. */
  function summed(source: (x: Tensor) => Tensor, rest: (dy: Tensor) => Tensor, swapped = false) {
    const graph = new Graph();
    const dy = source(graph.input('dy', shape));
    const inputs = [dy, graph.input('x', shape), ...vectors.map((name) => graph.input(name, [19]))];
    const attrs = { eps: 1e-3, activation: 'tanh', alpha: 0, training: true };
    const dx = graph.append('batchNormGradInput', inputs, [{ shape }], attrs)[0]!;
    const other = rest(dy);
    return { graph, outputs: { sum: swapped ? ops.add(other, dx) : ops.add(dx, other) } };
  }

  // The launches in front, and how many maps are in memory at once.
  const cases: [string, string[], number, ReturnType<typeof summed>][] = [
    ['of what is fed, which is not overwritten', [], 1, summed(same, fed)],
    ['in the place of dy', ['affine'], 1, summed(double, fed)],
    ['in the place of dy, dx being the second operand', ['affine'], 1, summed(double, fed, true)],
    ['in the place of dy, not of the other', ['affine', 'square'], 2, summed(double, (dy) => ops.square(fed(dy)))],
    ['with dy itself, in its place', ['affine'], 1, summed(double, same)],
    [
      'with a part of wider rows',
      ['affine'],
      1,
      summed(double, ({ graph }) => ops.slice(graph.input('wide', [3, 5, 4, 23]), [0, 0, 0, 3], shape)),
    ],
  ];

  it.each(cases)('%s', async (_, front, maps, { graph, outputs }) => {
    const { launches, arenaBytes } = analyze(graph, { outputs, device: 'cpu' });
    expect(launches.map(({ op }) => op)).toEqual([...front, 'batchNormGradInput']);
    expect(Math.floor(arenaBytes / (4 * sizeOf(shape)))).toBe(maps);
    const feeds = randomFeeds(graph, 23);
    const want = oracle(graph, outputs, feeds);
    for (const isa of availableIsas()) await expectOracle(graph, outputs, feeds, want, isa);
  });
});
