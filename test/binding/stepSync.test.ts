// plan.stepSync(): a step on the caller's thread, in the order of what was queued, with the errors of step().
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ArgumentError, DisposedError, ExecutionError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

/** y = a + x, and a grows by x in each step. */
function growing() {
  const graph = new Graph();
  const x = graph.input('x', [4]);
  const a = graph.state('a', [4]);
  const y = ops.add(a, x);
  graph.appendUpdate('ema', [a, y], [a], { momentum: 1, scale: 1 });
  return compile(graph, { outputs: { y }, device: 'cpu', threads: 2 });
}

const ones = Float32Array.of(1, 1, 1, 1);

describe('stepSync', () => {
  it('gives what step gives', async () => {
    using plan = growing();
    expect(plan.stepSync({ x: ones }).y).toEqual(Float32Array.of(1, 1, 1, 1));
    expect((await plan.step({ x: ones })).y).toEqual(Float32Array.of(2, 2, 2, 2));
    expect(plan.stepSync({ x: ones }).y).toEqual(Float32Array.of(3, 3, 3, 3));
  });

  it('waits for what was queued before it', async () => {
    using plan = growing();
    const queued = Array.from({ length: 50 }, () => plan.step({ x: ones }));
    expect(plan.stepSync({ x: ones }).y?.[0]).toBe(51);
    const last = plan.step({ x: ones });
    expect((await Promise.all(queued)).map(({ y }) => y?.[0])).toEqual(queued.map((_, index) => index + 1));
    expect((await last).y?.[0]).toBe(52);
    expect(await plan.read('a')).toEqual(Float32Array.of(52, 52, 52, 52));
  });

  it('works when no thread was ever started, and again after dispose of another plan', () => {
    const first = growing();
    expect(first.stepSync({ x: ones }).y?.[0]).toBe(1);
    first.dispose();
    using second = growing();
    for (let index = 1; index <= 100; index += 1) expect(second.stepSync({ x: ones }).y?.[0]).toBe(index);
  });

  it('refuses wrong feeds and a disposed plan, with the caller on the stack', () => {
    const plan = growing();
    expect(() => plan.stepSync({})).toThrow(ArgumentError);
    expect(() => plan.stepSync({ x: new Float32Array(3) })).toThrow('[stepSync] "x" of shape 4 needs 4 values, got 3');
    expect(() => plan.stepSync({ y: ones })).toThrow('[stepSync] there is no input "y"');
    plan.dispose();
    expect(() => plan.stepSync({ x: ones })).toThrow(DisposedError);
  });

  it('throws for a label out of range and goes on', () => {
    const graph = new Graph();
    const labels = graph.input('labels', [2], 'i32');
    const loss = ops.crossEntropy(graph.state('z', [2, 3]), labels);
    using plan = compile(graph, { outputs: { loss }, device: 'cpu' });
    const callingHere = () => plan.stepSync({ labels: Int32Array.of(0, 3) });
    expect(callingHere).toThrow(ExecutionError);
    try {
      callingHere();
    } catch (error) {
      expect((error as Error).stack).toContain('callingHere');
    }
    expect(plan.stepSync({ labels: Int32Array.of(0, 2) }).loss?.[0]).toBeCloseTo(Math.log(3), 5);
  });
});
