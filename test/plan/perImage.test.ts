// In a graph for inference an image's results have the same bits whatever it is batched with, also where a product is
// so deep that its sum is cut into chunks, or so small that bf16 leaves it alone. The rule easy to break: the shapes
// here are such that a choice by the whole batch would differ from the choice by one image.
import { describe, expect, it } from 'vitest';
import { analyze, type CompileOptions, compile } from '../../src/compile';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { generator } from '../train/fixtures';

const BATCH = 48;

function noise(count: number, seed: number): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: count }, () => 2 * next() - 1);
}

/** A product over a batch of images of `shape`. */
interface Case {
  readonly shape: readonly number[];
  readonly product: (graph: Graph, x: Tensor) => Tensor;
}

const cases: Record<string, Case> = {
  'a deep convolution': {
    shape: [8, 8, 128],
    product: (graph, x) => ops.conv2d(x, graph.param('w', [3, 3, 128, 16], noise(9 * 128 * 16, 2))),
  },
  'a deep pointwise convolution': {
    shape: [8, 8, 1100],
    product: (graph, x) => ops.conv2d(x, graph.param('w', [1, 1, 1100, 4], noise(1100 * 4, 2))),
  },
  'a deep dense layer': {
    shape: [2048],
    product: (graph, x) => ops.dense(x, graph.param('w', [2048, 300], noise(2048 * 300, 2))),
  },
  'a convolution of a tiny map': {
    shape: [2, 2, 64],
    product: (graph, x) => ops.conv2d(x, graph.param('w', [3, 3, 64, 150], noise(9 * 64 * 150, 2))),
  },
  'a wide dense layer': {
    shape: [301],
    product: (graph, x) => ops.dense(x, graph.param('w', [301, 1190], noise(301 * 1190, 2))),
  },
  'a small dense layer': {
    shape: [96],
    product: (graph, x) => ops.dense(x, graph.param('w', [96, 24], noise(96 * 24, 2))),
  },
};

function results({ shape, product }: Case, batch: number, training: boolean, options: Partial<CompileOptions>) {
  const graph = new Graph({ training });
  const y = product(graph, graph.input('x', [batch, ...shape]));
  using plan = compile(graph, { outputs: { y }, device: 'cpu', threads: 2, ...options });
  const size = shape.reduce((all, extent) => all * extent, 1);
  return plan.runSync(BATCH / batch, { feeds: { x: noise(BATCH * size, 1) } }).y as Float32Array;
}

describe.each(['float32', 'bf16'] as const)('in %s', (precision) => {
  it.each(Object.keys(cases))('%s gives an image the same bits in any batch', (name) => {
    const alone = results(cases[name]!, 1, false, { precision });
    for (const batch of [2, 3, 6, 16, BATCH]) expect(results(cases[name]!, batch, false, { precision })).toEqual(alone);
    expect(results(cases[name]!, 16, false, { precision, threads: 1 })).toEqual(alone);
  });
});

describe('in a graph for training', () => {
  // So the tests above see what they are meant to see.
  it.each(['a deep convolution', 'a deep pointwise convolution'])('%s cuts its sums by the whole batch', (name) => {
    expect(results(cases[name]!, 1, true, {})).not.toEqual(results(cases[name]!, BATCH, true, {}));
  });

  it('a small dense layer is rounded to bf16 in a large batch alone', () => {
    const small = cases['a small dense layer']!;
    const exact = results(small, 1, true, {});
    expect(results(small, 1, true, { precision: 'bf16' })).toEqual(exact);
    expect(results(small, BATCH, true, { precision: 'bf16' })).not.toEqual(exact);
  });
});

it('the plan is the same in shape, whatever the graph is for', () => {
  const kernels = [true, false].map((training) => {
    const graph = new Graph({ training });
    const y = ops.relu(cases['a deep convolution']!.product(graph, graph.input('x', [2, 8, 8, 128])));
    return analyze(graph, { outputs: { y }, device: 'cpu' }).launches.map(({ kernel }) => kernel);
  });
  expect(kernels[0]).toEqual(kernels[1]);
});
