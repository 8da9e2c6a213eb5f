// Where two operands are equal a difference quotient says nothing: what maximum, minimum and sign do there, on the engine.
import { expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { grad } from '../../src/graph/gradients';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const A = Float32Array.of(1, 2, 3, -4);
const B = Float32Array.of(2, 2, 2, -4);

it.each([
  ['maximum', ops.maximum, [2, 2, 3, -4], [0, 0.5, 1, 0.5]],
  ['minimum', ops.minimum, [1, 2, 2, -4], [1, 0.5, 0, 0.5]],
] as const)('%s shares the gradient of equals', async (_, op, value, share) => {
  const graph = new Graph();
  const [a, b] = [graph.input('a', [4]), graph.input('b', [4])];
  const y = op(a, b);
  const [da, db] = grad(y, [a, b]) as [typeof a, typeof b];
  using plan = compile(graph, { outputs: { y, da, db } });
  const result = await plan.step({ a: A, b: B });
  expect([...(result.y as Float32Array)]).toEqual(value);
  expect([...(result.da as Float32Array)]).toEqual(share);
  expect([...(result.db as Float32Array)]).toEqual(share.map((one) => 1 - one));
});

it('sign is 1, -1 or 0, and a constant to the gradient', async () => {
  const graph = new Graph();
  const x = graph.input('x', [4]);
  const y = ops.mul(ops.sign(x), x);
  const [dx] = grad(y, [x]) as [typeof x];
  using plan = compile(graph, { outputs: { y, dx } });
  const result = await plan.step({ x: Float32Array.of(3, -2, 0, 1e-30) });
  expect([...(result.dx as Float32Array)]).toEqual([1, -1, 0, 1]);
  expect([...(result.y as Float32Array)]).toEqual([3, 2, 0, Math.fround(1e-30)]);
});
