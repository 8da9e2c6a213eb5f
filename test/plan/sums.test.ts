// What is added to a product, and an activation of the sum (native/plan/fuse_sums.cpp), and an activation in front of a depthwise
// convolution (native/plan/fuse.cpp): when they are joined, when they must not be, and that a joined one has the bits of launches
// of their own, on each ISA, and the oracle's values.
// The rule easy to break: what runs alone is kept so by returning what is in between too, and by nothing else.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { expectOracle, expectSameBits, oracle, randomFeeds, stepped, type Tensors } from '../kernels/against';
import { availableIsas } from '../kernels/isas';

function kernels(graph: Graph, outputs: Tensors): string[] {
  return analyze(graph, { outputs, device: 'cpu' }).launches.map(({ kernel }) => kernel);
}

const input = (graph: Graph, name: string, shape: readonly number[]): Tensor => graph.input(name, shape);
const conv =
  (x: number[], w: number[], options: ops.ConvOptions = {}) =>
  (graph: Graph): Tensor =>
    ops.conv2d(input(graph, 'x', x), input(graph, 'w', w), options);
const dense =
  (a: number[], b: number[], options: { transA?: boolean; transB?: boolean } = {}) =>
  (graph: Graph): Tensor =>
    ops.matmul(input(graph, 'a', a), input(graph, 'b', b), options);
/** A separable convolution of act(x). */
const separable =
  (x: [number, number, number, number], to: number, front: (x: Tensor) => Tensor, stride = 1) =>
  (graph: Graph): Tensor => {
    const c = x[3];
    const u = ops.depthwiseConv2d(front(input(graph, 'x', x)), input(graph, 'd', [3, 3, 1, c]), { stride });
    return ops.conv2d(u, input(graph, 'v', [1, 1, c, to]));
  };
const normalized = (y: Tensor): Tensor => {
  const [mean, variance, gamma, beta] = ['mean', 'variance', 'gamma', 'beta'].map((name) =>
    input(y.graph, name, [y.shape.at(-1)!]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  return ops.batchNorm(y, { mean, variance, gamma, beta, activation: 'elu', alpha: 0.3, eps: 1e-3, training: false });
};

interface Product {
  readonly kernel: string;
  readonly make: (graph: Graph) => Tensor;
}
const products: Record<string, Product> = {
  'a window': { kernel: 'conv2d:window', make: conv([2, 9, 8, 5], [3, 3, 5, 37]) },
  'a strided window': { kernel: 'conv2d:window', make: conv([1, 12, 13, 3], [3, 3, 3, 32], { stride: 2 }) },
  'a pointwise one': { kernel: 'conv2d:pointwise', make: conv([2, 7, 6, 33], [1, 1, 33, 50]) },
  groups: { kernel: 'conv2d:grouped', make: conv([2, 6, 6, 12], [3, 3, 4, 33], { groups: 3 }) },
  'more outputs than a block': { kernel: 'conv2d:pointwise', make: conv([1, 5, 5, 40], [1, 1, 40, 530]) },
  'a matrix product': { kernel: 'matmul:blocked', make: dense([19, 70], [70, 45]) },
  'transposed factors': { kernel: 'matmul:blocked', make: dense([70, 19], [45, 70], { transA: true, transB: true }) },
  'a deep matrix product': { kernel: 'matmul:splitK', make: dense([19, 2100], [2100, 30]) },
  'a product of few rows': { kernel: 'matmul:thin', make: dense([7, 300], [300, 570]) },
  'a deep one of few rows': { kernel: 'matmul:thinSplitK', make: dense([5, 2100], [2100, 30]) },
  'a joined batchNorm': {
    kernel: 'conv2d:window',
    make: (graph) => normalized(conv([2, 9, 8, 5], [3, 3, 5, 37])(graph)),
  },
  'a separable one': { kernel: 'separable', make: separable([2, 9, 7, 17], 33, (x) => x) },
  'a separable one of an activation': { kernel: 'separable', make: separable([2, 14, 14, 32], 40, ops.relu) },
  'a strided separable one': { kernel: 'separable', make: separable([1, 13, 15, 20], 16, ops.tanh, 2) },
  'a separable one of a batchNorm': { kernel: 'separable', make: separable([2, 9, 7, 12], 5, normalized) },
};

interface Sum {
  readonly bias?: boolean;
  readonly other?: boolean;
  readonly act?: (x: Tensor) => Tensor;
}
const sums: Record<string, Sum> = {
  'a bias': { bias: true },
  'a bias and a rectifier': { bias: true, act: ops.relu },
  'a sum': { other: true },
  'a bias, a sum and an activation': { bias: true, other: true, act: (x) => ops.elu(x, { alpha: 0.4 }) },
  'a sigmoid': { act: ops.sigmoid },
};

/** The steps behind y, the last one at the end. */
function behind(y: Tensor, { bias, other, act }: Sum): Tensor[] {
  const steps: Tensor[] = [];
  const push = (made: Tensor): Tensor => steps[steps.push(made) - 1]!;
  let z = y;
  if (bias) z = push(ops.add(z, input(y.graph, 'bias', [y.shape.at(-1)!])));
  if (other) z = push(ops.add(input(y.graph, 'other', y.shape), z));
  if (act) push(act(z));
  return steps;
}

describe.each(Object.entries(products))('behind %s', (_, { make, kernel }) => {
  it.each(Object.entries(sums))('%s has the bits of launches of its own', async (__, sum) => {
    const graph = new Graph();
    const y = make(graph);
    const steps = behind(y, sum);
    const z = steps.at(-1)!;
    expect(kernels(graph, { z })).toEqual([kernel]);
    const apart = Object.fromEntries([y, ...steps].map((tensor, index) => [`t${index}`, tensor]));
    expect(kernels(graph, apart)).toHaveLength(1 + steps.length);
    const feeds = randomFeeds(graph, 3);
    const wanted = oracle(graph, { z }, feeds);
    for (const isa of availableIsas()) {
      const joined = await expectOracle(graph, { z }, feeds, wanted, isa);
      const alone = await stepped(graph, apart, feeds, isa);
      expectSameBits(joined, { z: alone[`t${steps.length}`]! }, { z }, isa);
    }
  });
});

describe('sums run alone', () => {
  const make = conv([2, 7, 6, 5], [3, 3, 5, 8]);
  it('when another step reads what is in between', () => {
    const graph = new Graph();
    const y = make(graph);
    const a = ops.add(y, input(graph, 'bias', [8]));
    expect(kernels(graph, { z: ops.relu(a), r: ops.square(a) })).toEqual(['conv2d:window', 'relu', 'square']);
  });

  it('when they come in another order', () => {
    const graph = new Graph();
    const y = ops.relu(make(graph));
    expect(kernels(graph, { z: ops.add(y, input(graph, 'bias', [8])) })).toEqual(['conv2d:window', 'add']);
  });

  it('when the product is added to itself, or what is added has another shape', () => {
    const graph = new Graph();
    const y = make(graph);
    expect(kernels(graph, { z: ops.add(y, y) })).toEqual(['conv2d:window', 'add']);
    const other = new Graph();
    const rows = input(other, 'rows', [6, 1]);
    expect(kernels(other, { z: ops.add(make(other), rows) })).toEqual(['conv2d:window', 'add']);
  });

  it('when the filter is written in between', () => {
    const graph = new Graph();
    const w = graph.param('w', [3, 3, 5, 8], 0.5);
    const y = ops.conv2d(input(graph, 'x', [2, 7, 6, 5]), w);
    graph.appendUpdate('ema', [w, w], [w], { momentum: 0.5, scale: 3 });
    expect(kernels(graph, { z: ops.relu(y) })).toContain('relu');
  });

  it('behind a separable one whose depthwise result or moments are read', () => {
    const graph = new Graph();
    const u = ops.depthwiseConv2d(input(graph, 'x', [2, 7, 6, 5]), input(graph, 'd', [3, 3, 1, 5]));
    const y = ops.conv2d(u, input(graph, 'v', [1, 1, 5, 8]));
    expect(kernels(graph, { z: ops.relu(y), u })).toEqual(['separable', 'relu']);
  });

  it('one of two products that are added takes the other as what is added', async () => {
    const graph = new Graph();
    const [x, v] = [input(graph, 'x', [2, 7, 6, 5]), input(graph, 'v', [1, 1, 5, 8])];
    const first = ops.conv2d(x, input(graph, 'w', [3, 3, 5, 8]));
    const z = ops.relu(ops.add(first, ops.conv2d(x, v)));
    expect(kernels(graph, { z }).sort()).toEqual(['conv2d:pointwise', 'conv2d:window']);
    const feeds = randomFeeds(graph, 5);
    const wanted = oracle(graph, { z }, feeds);
    for (const isa of availableIsas()) await expectOracle(graph, { z }, feeds, wanted, isa);
  });
});

describe('an activation in front of a depthwise convolution', () => {
  const acts: Record<string, (x: Tensor) => Tensor> = {
    relu: ops.relu,
    leakyRelu: (x) => ops.leakyRelu(x, { alpha: 0.2 }),
    elu: (x) => ops.elu(x, { alpha: 0.7 }),
    tanh: ops.tanh,
    sigmoid: ops.sigmoid,
  };
  const shapes: { x: number[]; kernel: [number, number]; stride?: number }[] = [
    { x: [2, 9, 8, 20], kernel: [3, 3] },
    { x: [2, 9, 8, 3], kernel: [3, 3] },
    { x: [1, 9, 8, 33], kernel: [3, 3], stride: 2 },
    { x: [1, 6, 9, 16], kernel: [5, 5] },
  ];

  it.each(Object.entries(acts))('%s is computed as it loads, its padding zero', async (_, act) => {
    for (const { x, kernel, stride = 1 } of shapes) {
      const graph = new Graph();
      const y = act(input(graph, 'x', x));
      const u = ops.depthwiseConv2d(y, input(graph, 'd', [...kernel, 1, x[3]!]), { stride });
      expect(kernels(graph, { u })).toHaveLength(1);
      expect(kernels(graph, { y, u })).toHaveLength(2);
      const feeds = randomFeeds(graph, 9);
      const wanted = oracle(graph, { u }, feeds);
      for (const isa of availableIsas()) {
        const joined = await expectOracle(graph, { u }, feeds, wanted, isa);
        const alone = await stepped(graph, { y, u }, feeds, isa);
        expectSameBits(joined, { u: alone.u! }, { u }, isa);
      }
    }
  });

  it('runs alone when something else reads it', () => {
    const graph = new Graph();
    const y = ops.relu(input(graph, 'x', [2, 7, 6, 5]));
    const u = ops.depthwiseConv2d(y, input(graph, 'd', [3, 3, 1, 5]));
    expect(kernels(graph, { u, s: ops.square(y) })).toContain('relu');
  });
});
