// Products in bfloat16 on device cuda: the graphs of the CPU's tests and rows of the op table on kernels for sm_80 and sm_120,
// training against the CPU's, and what an older card is told. Products by tensor cores round the same factors as the CPU's.
// The rule easy to break: Gram matrices stay float32 here, because cuBLAS takes no factors that it would have to round.
import { afterEach, describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { DeviceError } from '../../src/errors';
import * as ops from '../../src/graph/ops';
import { type Built, feedsOf, finished, products, roundedFeeds, separable } from '../kernels/bf16Graphs';
import { compareRuns, compareWithOracle, outputsOf, runOnce } from '../kernels/checkRow';
import { expectRow } from '../kernels/expected';
import { linearRows } from '../kernels/rows/linear';
import { firstDifference, firstMismatch } from '../kernels/tolerance';
import { ReferenceSession } from '../reference/interpreter';
import { furthest, mnistSteps } from './compare';
import { findings, forget, images, useImage } from './device';

type Feeds = Record<string, Float32Array>;

const precision = 'bf16';
/** Images whose instruction sets multiply bfloat16. */
const able = images.filter((image) => image !== 'ptx75');

/** @param factors what the oracle is fed, when not the same */
async function check({ graph, outputs }: Built, feeds: Feeds, relative: number, factors = feeds): Promise<void> {
  const values = new ReferenceSession(graph).step(factors);
  using plan = compile(graph, { outputs, device: 'cuda', precision });
  const results = (await plan.step(feeds)) as Feeds;
  const again = (await plan.step(feeds)) as Feeds;
  for (const [name, { id, shape }] of Object.entries(outputs)) {
    expect(firstMismatch(results[name]!, values.get(id)!.data, { shape, relative }), name).toBeUndefined();
    expect(firstDifference(results[name]!, again[name]!, shape), name).toBeUndefined();
  }
  expect(findings()).toEqual([]);
}

function withoutGram(): Built {
  const { graph, outputs } = products();
  const { gram: _, ...rest } = outputs;
  return { graph, outputs: rest };
}

if (images.length > 0) afterEach(forget);

describe.skipIf(images.length === 0)('bf16 on cuda', () => {
  describe.each(able)('%s', (image) => {
    it('makes float32 sums of rounded factors', async () => {
      useImage(image);
      const feeds = feedsOf(withoutGram(), false);
      await check(withoutGram(), feeds, 1e-5, roundedFeeds(feeds));
    });

    it('rounds no batchNorm behind a product', async () => {
      useImage(image);
      const built = finished();
      const feeds = feedsOf(built, false);
      await check(built, feeds, 1e-5, roundedFeeds(feeds, ['x', 'w', 'a', 'b']));
      const { launches } = analyze(built.graph, { outputs: built.outputs, device: 'cuda', precision });
      expect(launches.map(({ op }) => op)).not.toContain('batchNorm');
    });

    it('serves the joined convolutions', async () => {
      useImage(image);
      await check(separable(), feedsOf(separable(), false), 2e-2);
    });

    it.each(linearRows)('keeps the op table exact: $op', async (row) => {
      useImage(image);
      const expected = expectRow(row, 'integer');
      using plan = compile(expected.graph, { outputs: outputsOf(expected), device: 'cuda', precision });
      const results = await runOnce(plan, expected);
      expect(compareWithOracle(results, expected, 'integer')).toEqual([]);
      expect(compareRuns('a second run', results, await runOnce(plan, expected), expected)).toEqual([]);
      expect(findings()).toEqual([]);
    });
  });

  it('leaves Gram matrices and small products as they are', async () => {
    useImage('ptx80');
    const { graph, outputs } = products();
    const small = ops.matmul(graph.input('few', [40, 40]), graph.input('weights', [40, 40]));
    const feeds = { ...feedsOf({ graph, outputs }, false) };
    const results = [];
    for (const one of ['float32', 'bf16'] as const) {
      using plan = compile(graph, { outputs: { ...outputs, small }, device: 'cuda', precision: one });
      results.push((await plan.step(feeds)) as Feeds);
    }
    const [exact, low] = results as [Feeds, Feeds];
    for (const name of ['gram', 'small']) expect(low[name], name).toEqual(exact[name]);
    for (const name of Object.keys(outputs)) if (name !== 'gram') expect(low[name], name).not.toEqual(exact[name]);
  });

  it('trains a small net on MNIST to about the losses of float32 and of the cpu', async () => {
    useImage('ptx80');
    const [low, full] = [await mnistSteps('bp', 20, precision), await mnistSteps('bp', 20)];
    expect(low.cuda).not.toEqual(full.cuda);
    const [fromCpu, fromFull] = [furthest(low), furthest({ ...low, cpu: full.cuda })];
    process.stdout.write(
      `gates: MNIST, bf16, 20 steps: losses within ${fromCpu.toExponential(1)} of the cpu's in bf16 (at most 1e-4), ` +
        `${fromFull.toExponential(1)} of float32's (at most 1e-2)\n`,
    );
    expect(fromCpu).toBeLessThan(1e-4);
    expect(fromFull).toBeLessThan(1e-2);
    expect(findings()).toEqual([]);
  });

  it('is refused where the kernels are for an older card', () => {
    useImage('ptx75');
    const { graph, outputs } = separable();
    const compiled = () => compile(graph, { outputs, device: 'cuda', precision });
    expect(compiled).toThrow(DeviceError);
    expect(compiled).toThrow(/precision bf16 is not available: .* sm_75.* expected sm_80 .* or precision float32/);
  });
});
