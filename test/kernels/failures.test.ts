// Kernels that meet data they cannot work with: a typed error at run time, the plan still usable afterwards.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ExecutionError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';

interface Failure {
  readonly name: string;
  readonly build: (graph: Graph, x: Tensor, index: Tensor) => Tensor;
  readonly x: number[];
  readonly good: Int32Array;
  readonly bad: Int32Array[];
}

const FAILURES: Failure[] = [
  {
    name: 'crossEntropy with a label out of range',
    build: (graph, x, labels) =>
      graph.append('crossEntropy', [x, labels], [{ shape: [1] }, { shape: x.shape }], { labelSmoothing: 0 })[0]!,
    x: [4, 3],
    good: Int32Array.of(0, 2, 1, 0),
    bad: [Int32Array.of(0, 3, 1, 0), Int32Array.of(0, 2, 1, -1), Int32Array.of(2 ** 31 - 1, 0, 0, 0)],
  },
  {
    name: 'gather with an index out of range',
    build: (graph, x, index) => graph.append('gather', [x, index], [{ shape: [2, 2, 5] }])[0]!,
    x: [2, 3, 5],
    good: Int32Array.of(0, 2, 1, 1),
    bad: [Int32Array.of(0, 3, 1, 1), Int32Array.of(0, 2, 1, -1), Int32Array.of(0, -(2 ** 31), 1, 1)],
  },
  {
    name: 'gatherGrad with an index out of range',
    build: (graph, x, index) => graph.append('gatherGrad', [x, index], [{ shape: [2, 3, 5] }])[0]!,
    x: [2, 2, 5],
    good: Int32Array.of(0, 2, 1, 1),
    bad: [Int32Array.of(0, 3, 1, 1), Int32Array.of(0, 2, 1, -1)],
  },
];

describe.each(FAILURES)('$name', ({ build, x: shape, good, bad }) => {
  it.each([1, 2])('fails the step and nothing else, on %d threads', async (threads) => {
    const graph = new Graph();
    const x = graph.input('x', shape);
    const indexShape = good.length === 4 && shape.length === 3 ? [2, 2] : [4];
    const index = graph.input('index', indexShape, 'i32');
    const y = build(graph, x, index);
    using plan = compile(graph, { outputs: { y }, device: 'cpu', threads });
    const feed = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 4);
    const before = await plan.step({ x: feed, index: good });
    for (const wrong of bad) await expect(plan.step({ x: feed, index: wrong })).rejects.toThrow(ExecutionError);
    expect(await plan.step({ x: feed, index: good })).toEqual(before);
  });
});
