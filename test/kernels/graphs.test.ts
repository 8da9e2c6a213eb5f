// Whole random graphs against the oracle: three training steps each, every kept tensor and every parameter compared,
// and the same bits on one, two and three threads. What single-op tests cannot see: the planner.
import { describe, expect, it } from 'vitest';
import { analyze, compile, type Plan } from '../../src/compile';
import { ReferenceSession } from '../reference/interpreter';
import { placeRow } from './case';
import { randomGraph } from './graphs';
import { table } from './table';
import { firstDifference, firstMismatch } from './tolerance';

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed + 1);
const STEPS = 3;
/** Rounding of a dozen layers forward and back; a wrong buffer is off by the size of the values. */
const TOLERANCE = 2e-4;
/** Gradients that are zero in exact arithmetic, as before a normalisation, are the rounding of their terms. */
const FLOOR = 1e-7;

type Trace = Record<string, ArrayLike<number>>[];

async function trace(plan: Plan, feeds: Record<string, Float32Array>): Promise<Trace> {
  const steps: Trace = [];
  for (let step = 0; step < STEPS; step++) {
    const values: Record<string, ArrayLike<number>> = { ...(await plan.step(feeds)) };
    for (const { name } of plan.tensors()) values[name] = await plan.read(name);
    steps.push(values);
  }
  return steps;
}

describe('random graphs', () => {
  it.each(SEEDS)('seed %d', async (seed) => {
    const { graph, outputs, feeds } = randomGraph(seed);
    const session = new ReferenceSession(graph);
    const expected = Array.from({ length: STEPS }, () => {
      const values = session.step(feeds);
      const step: Record<string, Float64Array> = {};
      for (const [name, tensor] of Object.entries(outputs)) step[name] = values.get(tensor.id)!.data;
      for (const info of graph.tensors) {
        if (info.kind === 'param' || info.kind === 'state') step[info.name] = session.read(info.name);
      }
      return step;
    });
    let first: Trace | undefined;
    for (const threads of [1, 2, 3]) {
      using plan = compile(graph, { outputs, device: 'cpu', threads });
      const actual = await trace(plan, feeds);
      expected.forEach((values, step) => {
        for (const [name, want] of Object.entries(values)) {
          const how = { shape: [want.length], relative: TOLERANCE, floor: FLOOR };
          expect(firstMismatch(actual[step]![name]!, want, how), `step ${step}, ${name}`).toBeUndefined();
          const before = first?.[step]?.[name];
          if (!before) continue;
          const difference = firstDifference(before, actual[step]![name]!, [want.length]);
          expect(difference, `step ${step}, ${name}, ${threads} threads`).toBeUndefined();
        }
      });
      first ??= actual;
    }
  });
});

describe('what the tests above rest on', () => {
  it('some graphs fold a batchNorm into depthwise convolutions and place concatenations', () => {
    const fused = SEEDS.flatMap((seed) => {
      const { graph, outputs } = randomGraph(seed);
      return [...analyze(graph, { outputs, device: 'cpu' }).fused];
    });
    expect(fused.filter((line) => line.startsWith('batchNorm')).length).toBeGreaterThan(10);
    expect(fused.filter((line) => line.includes('placed in concat')).length).toBeGreaterThan(10);
  });

  it.each(['relu', 'matmul', 'conv2d', 'moments', 'gram'])('pitched cases of %s need no concat launch', (op) => {
    const { graph, placed } = placeRow(table.find((row) => row.op === op)!, 'integer');
    const outputs = Object.assign({}, ...placed.map((item) => item.outputs));
    const { launches } = analyze(graph, { outputs, device: 'cpu' });
    expect(launches.length).toBeGreaterThan(0);
    expect(launches.filter((launch) => launch.op === 'concat')).toEqual([]);
  });
});
