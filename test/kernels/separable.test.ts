// `separable`, a whole separable convolution in one launch: against the oracle's graph of batchNorm, depthwise and
// pointwise convolution, pooling and moments, on each ISA, and bit for bit against the launches that it replaces.
// The rule they most easily break: what is read off a tile on the way (u, p) must not depend on where tiles end.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { Graph, sizeOf } from '../../src/graph/graph';
import { type Arrays, expectOracle, expectSameBits, oracle, randomFeeds, stepped, type Tensors } from './against';
import { availableIsas } from './isas';
import { appendDepthwise, appendReaders, build, CONFIGS, type Config } from './joined/separable';
import { firstMismatch } from './tolerance';

/** The same results without moments, of two plans: depthwise convolutions in one, what reads their results in another. */
async function unfused(configs: readonly Config[], feeds: Arrays, isa: ReturnType<typeof availableIsas>[number]) {
  const [first, second] = [new Graph(), new Graph()];
  const made: Tensors = {};
  const read: Tensors = {};
  configs.forEach((config, index) => {
    if (config.wide) return;
    const about = JSON.stringify(config);
    const u = appendDepthwise(first, config, `${index}`);
    made[`u of ${about}`] = u;
    const { y, p } = appendReaders(second.input(`u of ${about}`, u.shape), config, `${index}`);
    read[`y of ${about}`] = y;
    if (p) read[`p of ${about}`] = p;
  });
  const inputs = (graph: Graph, from: Arrays) =>
    Object.fromEntries(graph.tensors.flatMap(({ kind, name }) => (kind === 'input' ? [[name, from[name]!]] : [])));
  expect(analyze(first, { outputs: made }).launches.map(({ op }) => op)).not.toContain('separable');
  const us = await stepped(first, made, inputs(first, feeds), isa);
  const rest = await stepped(second, read, inputs(second, { ...feeds, ...us }), isa);
  const stored = configs.flatMap((config) => (config.store && !config.wide ? [`u of ${JSON.stringify(config)}`] : []));
  return { ...rest, ...Object.fromEntries(stored.map((name) => [name, us[name]!])) };
}

describe('separable', () => {
  it.each(CONFIGS.map((config) => [JSON.stringify(config), config] as const))(
    'is all that is left of %s',
    (_, config) => {
      const { graph, outputs } = build([config]);
      const { launches } = analyze(graph, { outputs, device: 'cpu' });
      expect(launches.map(({ op }) => op).filter((op) => op !== 'copy')).toEqual(['separable']);
      if (config.wide) return;
      // It reads every input and writes every output once, and nothing else: u only when asked for.
      const inputs = graph.tensors.filter(({ kind }) => kind === 'input');
      const sizes = [...inputs, ...Object.values(outputs)].map(({ shape }) => 4 * sizeOf(shape));
      expect(launches[0]!.bytes).toBe(sizes.reduce((sum, bytes) => sum + bytes, 0));
    },
  );

  const { graph, outputs } = build(CONFIGS);
  const feeds = randomFeeds(graph, 11);
  const want = oracle(graph, outputs, feeds);

  it.each(availableIsas())('on %s, with the bits of what it replaces', async (isa) => {
    const got = await expectOracle(graph, outputs, feeds, want, isa);
    expectSameBits(got, await unfused(CONFIGS, feeds, isa), outputs, 'in two plans');
  });
});

describe('a stored depthwise result past the caches', () => {
  // 8 MiB and more in whole vectors is streamed where the ISA can; 130 wide leaves tiles that end inside a row of cells.
  const large: Config[] = [
    { x: [8, 96, 96, 32], to: 8, activation: 'relu', store: true, moments: true },
    { x: [4, 130, 130, 48], to: 5, store: true, pool: { kernel: [7, 7], padding: 'same' } },
  ];

  it.each(large.map((config) => [JSON.stringify(config), config] as const))('of %s', async (_, config) => {
    const { graph, outputs } = build([config]);
    const feeds = randomFeeds(graph, 12);
    const isa = availableIsas().at(-1)!;
    const want = await unfused([config], feeds, isa);
    for (const threads of [1, 3]) {
      const got = await stepped(graph, outputs, feeds, isa, threads);
      expectSameBits(got, want, outputs, `${threads} threads`);
      for (const [name, { shape }] of Object.entries(outputs)) {
        if (!/^(mean|variance)/.test(name)) continue;
        const exact = momentsOf(want[`y of ${JSON.stringify(config)}`]!, shape[0]!);
        const mismatch = firstMismatch(got[name]!, name.startsWith('mean') ? exact.mean : exact.variance, {
          shape,
          relative: 1e-5,
        });
        expect(mismatch, name).toBeUndefined();
      }
    }
  });
});

/** Mean and variance of every column of `cols`. */
function momentsOf(values: ArrayLike<number>, cols: number) {
  const [mean, variance] = [new Float64Array(cols), new Float64Array(cols)];
  const rows = values.length / cols;
  for (let i = 0; i < values.length; i++) mean[i % cols]! += values[i]! / rows;
  for (let i = 0; i < values.length; i++) variance[i % cols]! += (values[i]! - mean[i % cols]!) ** 2 / rows;
  return { mean, variance };
}
