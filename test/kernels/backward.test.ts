// A unit's backward under back-propagation: `depthwiseBackward` that leaves the pre-activation's gradient for dx, that
// makes its own gradient from a pointwise convolution's or adds to what dx is summed with, and batchNormGradInput with
// a sum folded in. Against the
// oracle's graph of single ops, on each ISA. What no dx follows is fused.test.ts's business.
// The rule they most easily break: the activation is undone once, by the joined launch, and not again on the way to dx.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { expectOracle, expectSameBits, oracle, randomFeeds, stepped } from './against';
import { availableIsas } from './isas';
import { build, CONFIGS, type Config } from './joined/backward';
import { firstMismatch } from './tolerance';

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
