// What the tests of the planner's own kernels share: feeds for a whole graph, and a plan of it compared with the
// float64 oracle's run of the graph as appended. Used by fused.test.ts, separable.test.ts and backward.test.ts.
// The rule easy to break: variances are fed above zero; every other input is in [-1, 1).
import { expect } from 'vitest';
import { compile } from '../../src/compile';
import { type Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import { ReferenceSession } from '../reference/interpreter';
import { generator } from './fills';
import type { Isa } from './isas';
import { firstDifference, firstMismatch } from './tolerance';

export type Tensors = Record<string, Tensor>;
export type Arrays = Record<string, Float32Array>;

/** Seeded values of ordinary size for every input of the graph. */
export function randomFeeds(graph: Graph, seed: number): Arrays {
  const random = generator(seed);
  const feeds: Arrays = {};
  for (const { kind, name, shape } of graph.tensors) {
    if (kind !== 'input') continue;
    const low = name.startsWith('variance') ? 0.3 : -1;
    feeds[name] = Float32Array.from({ length: sizeOf(shape) }, () => low + random() * (1 - low));
  }
  return feeds;
}

/** A step of a fresh plan whose memory a step of NaN has filled: what was not written for this one shows. */
export async function stepped(graph: Graph, outputs: Tensors, feeds: Arrays, isa: Isa, threads = 2): Promise<Arrays> {
  using plan = compile(graph, { outputs, device: 'cpu', isa, threads });
  const poison = Object.entries(feeds).map(([name, { length }]) => [name, new Float32Array(length).fill(Number.NaN)]);
  await plan.step(Object.fromEntries(poison));
  return (await plan.step(feeds)) as Arrays;
}

/** Throws at the first output of `want` whose bits differ. */
export function expectSameBits(got: Arrays, want: Arrays, outputs: Tensors, about: string): void {
  for (const name of Object.keys(want)) {
    const difference = firstDifference(want[name]!, got[name]!, outputs[name]!.shape);
    expect(difference, `${name}, ${about}`).toBeUndefined();
  }
}

/** The oracle's values of the outputs, by name. */
export function oracle(graph: Graph, outputs: Tensors, feeds: Arrays): Record<string, Float64Array> {
  const values = new ReferenceSession(graph).step(feeds);
  return Object.fromEntries(Object.entries(outputs).map(([name, { id }]) => [name, values.get(id)!.data]));
}

/** One to three threads make the oracle's values, and the same bits, which come back. */
export async function expectOracle(
  graph: Graph,
  outputs: Tensors,
  feeds: Arrays,
  want: Record<string, Float64Array>,
  isa: Isa,
): Promise<Arrays> {
  const first = await stepped(graph, outputs, feeds, isa, 1);
  for (const [name, { shape }] of Object.entries(outputs)) {
    const mismatch = firstMismatch(first[name]!, want[name]!, { shape, relative: 1e-5 });
    expect(mismatch, name).toBeUndefined();
  }
  for (const threads of [2, 3])
    expectSameBits(await stepped(graph, outputs, feeds, isa, threads), first, outputs, `${threads} threads`);
  return first;
}
