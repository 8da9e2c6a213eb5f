// Products in bfloat16 (`precision: 'bf16'`) on each tier: rounded factors everywhere, the processor's own instruction
// where it has one. Whole numbers up to 256 are bfloat16 numbers, so integer cases must be exact; random ones are
// compared with the oracle on rounded factors, or where those are results themselves, within what eight significant bits
// can give. The rule easy to break: what is rounded is a factor of a product and nothing else.
import { describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { ArgumentError } from '../../src/errors';
import { ReferenceSession } from '../reference/interpreter';
import { type Built, feedsOf, finished, products, roundedFeeds, separable } from './bf16Graphs';
import { availableIsas } from './isas';
import { firstDifference, firstMismatch } from './tolerance';

type Feeds = Record<string, Float32Array>;

/** @param factors what the oracle is fed, when not the same */
async function check(
  built: Built,
  feeds: Feeds,
  isa: ReturnType<typeof availableIsas>[number],
  relative: number,
  factors = feeds,
) {
  const values = new ReferenceSession(built.graph).step(factors);
  let first: Record<string, ArrayLike<number>> | undefined;
  for (const threads of [1, 3]) {
    using plan = compile(built.graph, { outputs: built.outputs, device: 'cpu', isa, threads, precision: 'bf16' });
    const results: Record<string, ArrayLike<number>> = await plan.step(feeds);
    for (const [name, { id, shape }] of Object.entries(built.outputs)) {
      const mismatch = firstMismatch(results[name]!, values.get(id)!.data, { shape, relative });
      expect(mismatch, name).toBeUndefined();
      if (first) expect(firstDifference(first[name]!, results[name]!, shape), name).toBeUndefined();
    }
    first ??= results;
  }
}

describe.each(availableIsas())('products in bfloat16 on %s', (isa) => {
  it('are exact for small whole numbers', () => check(products(), feedsOf(products(), true), isa, 0));
  it('are float32 sums of rounded factors', async () => {
    for (const [built, factors] of [
      [products(), undefined],
      [finished(), ['x', 'w', 'a', 'b']],
    ] as const) {
      const feeds = feedsOf(built, false);
      await check(built, feeds, isa, 1e-5, roundedFeeds(feeds, factors));
    }
  });
  it('serve the joined convolutions', () => check(separable(), feedsOf(separable(), false), isa, 2e-2));

  it('differ from float32', async () => {
    const built = products();
    const feeds = feedsOf(built, false);
    const results = [];
    for (const precision of ['float32', 'bf16'] as const) {
      using plan = compile(built.graph, { outputs: built.outputs, device: 'cpu', isa, precision });
      results.push(await plan.step(feeds));
    }
    for (const name of Object.keys(built.outputs)) expect(results[0]![name], name).not.toEqual(results[1]![name]);
  });
});

describe('precision', () => {
  it('is part of the description', () => {
    const { graph, outputs } = separable();
    expect(analyze(graph, { outputs }).precision).toBe('float32');
    expect(analyze(graph, { outputs, precision: 'bf16' }).precision).toBe('bf16');
  });

  it('is float32 or bf16', () => {
    const { graph, outputs } = separable();
    expect(() => compile(graph, { outputs, precision: 'half' as never })).toThrow(ArgumentError);
    expect(() => compile(graph, { outputs, precision: 'half' as never })).toThrow(
      '[compile] precision is float32 or bf16, got "half"',
    );
  });
});
