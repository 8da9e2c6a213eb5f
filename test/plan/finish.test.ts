// A batchNorm behind a product (native/plan/fuse_finish.cpp): when it is joined, when it must not be, and that a joined
// one has the bits of one that runs alone, on each ISA, and the oracle's values.
// The rule easy to break: what runs alone is kept so by returning the product too, and by nothing else.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { layers } from '../../src/index';
import { expectOracle, expectSameBits, oracle, randomFeeds, stepped, type Tensors } from '../kernels/against';
import { availableIsas } from '../kernels/isas';

type Activation = 'none' | 'relu' | 'leakyRelu' | 'elu' | 'tanh' | 'sigmoid';

function kernels(graph: Graph, outputs: Tensors): string[] {
  return analyze(graph, { outputs, device: 'cpu' }).launches.map(({ kernel }) => kernel);
}

/** act(BN(y)) with fed statistics, gain and offset. */
function normalized(y: Tensor, activation: Activation = 'relu'): Tensor {
  const [mean, variance, gamma, beta] = ['mean', 'variance', 'gamma', 'beta'].map((name) =>
    y.graph.input(name, [y.shape.at(-1)!]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  return ops.batchNorm(y, { mean, variance, gamma, beta, activation, alpha: 0.3, eps: 1e-3, training: false });
}

interface Product {
  readonly activation: Activation;
  /** The product's kernel. */
  readonly kernel: string;
  readonly training?: boolean;
  readonly make: (graph: Graph) => Tensor;
}

const conv =
  (x: number[], w: number[], options: ops.ConvOptions = {}) =>
  (graph: Graph): Tensor =>
    ops.conv2d(graph.input('x', x), graph.input('w', w), options);
const dense =
  (a: number[], b: number[], options: { transA?: boolean; transB?: boolean } = {}) =>
  (graph: Graph): Tensor =>
    ops.matmul(graph.input('a', a), graph.input('b', b), options);

const products: Record<string, Product> = {
  'a window': { activation: 'relu', kernel: 'conv2d:window', make: conv([2, 9, 8, 5], [3, 3, 5, 37]) },
  'a first layer': { activation: 'none', kernel: 'conv2d:window', make: conv([3, 11, 11, 1], [3, 3, 1, 24]) },
  'strides and dilation': {
    activation: 'elu',
    kernel: 'conv2d:window',
    make: conv([1, 12, 13, 20], [3, 3, 20, 16], { stride: 2, dilation: 2 }),
  },
  'a pointwise one': { activation: 'sigmoid', kernel: 'conv2d:pointwise', make: conv([2, 7, 6, 33], [1, 1, 33, 50]) },
  groups: {
    activation: 'leakyRelu',
    kernel: 'conv2d:grouped',
    make: conv([2, 6, 6, 12], [3, 3, 4, 33], { groups: 3 }),
  },
  'more outputs than a block': {
    activation: 'tanh',
    kernel: 'conv2d:pointwise',
    make: conv([1, 5, 5, 40], [1, 1, 40, 530]),
  },
  'sums of several blocks': {
    activation: 'relu',
    kernel: 'conv2d:window',
    make: conv([1, 6, 6, 64], [3, 3, 64, 20]),
  },
  'sums of several chunks': {
    activation: 'relu',
    kernel: 'conv2d:window',
    make: conv([1, 6, 6, 128], [3, 3, 128, 20]),
    training: false,
  },
  'a matrix product': { activation: 'elu', kernel: 'matmul:blocked', make: dense([19, 70], [70, 45]) },
  'transposed factors': {
    activation: 'relu',
    kernel: 'matmul:blocked',
    make: dense([70, 19], [45, 70], { transA: true, transB: true }),
  },
  'a deep matrix product': { activation: 'relu', kernel: 'matmul:splitK', make: dense([19, 2100], [2100, 30]) },
  'a product of few rows': { activation: 'elu', kernel: 'matmul:thin', make: dense([7, 300], [300, 570]) },
  'a deep one of few rows': { activation: 'relu', kernel: 'matmul:thinSplitK', make: dense([5, 2100], [2100, 30]) },
};

describe.each(Object.entries(products))('behind %s', (_, { make, kernel, activation, training = true }) => {
  const built = () => {
    const graph = new Graph({ training });
    const y = make(graph);
    return { graph, y, z: normalized(y, activation) };
  };

  it('the batchNorm is joined', () => {
    const { graph, y, z } = built();
    const { launches, fused } = analyze(graph, { outputs: { z }, device: 'cpu' });
    expect(launches.map((launch) => launch.kernel)).toEqual([kernel]);
    expect(fused).toEqual([`batchNorm "batchNorm" behind ${kernel.split(':')[0]} "${y.name}"`]);
    expect(kernels(graph, { y, z })).toEqual([kernel, 'batchNorm']);
  });

  it.each(availableIsas())('it has the bits of one alone, and the oracle’s values, on %s', async (isa) => {
    const { graph, y, z } = built();
    const feeds = randomFeeds(graph, 3);
    const joined = await expectOracle(graph, { z }, feeds, oracle(graph, { z }, feeds), isa);
    const alone = await stepped(graph, { y, z }, feeds, isa);
    expectSameBits(joined, { z: alone.z! }, { z }, isa);
  });
});

describe('a batchNorm runs alone', () => {
  const shape = [2, 7, 6, 5];
  const product = (graph: Graph, w = graph.param('w', [3, 3, 5, 8], 0.5)) => ops.conv2d(graph.input('x', shape), w);

  it('when another step reads the product, too, as its own statistics do', () => {
    const graph = new Graph();
    const y = product(graph);
    expect(kernels(graph, { z: normalized(y), r: ops.relu(y) })).toContain('batchNorm');
    const training = new Graph();
    const trained = product(training);
    const [gamma, beta] = ['gamma', 'beta'].map((name) => training.input(name, [8])) as [Tensor, Tensor];
    const z = ops.batchNorm(trained, { ...ops.moments(trained), gamma, beta });
    expect(kernels(training, { z })).toEqual(['conv2d:window', 'moments', 'batchNorm']);
  });

  it('when the filter is updated in between, not when it is before or after, or another tensor is', () => {
    const build = (at: 'before' | 'between' | 'after', which: 'w' | 'other') => {
      const graph = new Graph();
      const w = graph.param('w', [3, 3, 5, 8], 0.5);
      const updated = which === 'w' ? w : graph.param('other', [3], 0.5);
      const update = () => graph.appendUpdate('ema', [updated, updated], [updated], { momentum: 0.5, scale: 3 });
      if (at === 'before') update();
      const y = product(graph, w);
      if (at === 'between') update();
      const z = normalized(y);
      if (at === 'after') update();
      return kernels(graph, { z });
    };
    expect(build('between', 'w')).toEqual(['conv2d:window', 'ema', 'batchNorm']);
    expect(build('between', 'other')).toHaveLength(2);
    expect(build('before', 'w')).toEqual(['ema', 'conv2d:window']);
    expect(build('after', 'w')).toEqual(['conv2d:window', 'ema']);
  });

  it('behind a depthwise convolution and a separable one', () => {
    const graph = new Graph();
    const u = ops.depthwiseConv2d(graph.input('x', shape), graph.param('w', [3, 3, 1, 5], 0.5));
    expect(kernels(graph, { z: normalized(u) })).toEqual(['conv2d:depthwiseFlat', 'batchNorm']);
    const two = new Graph();
    const v = ops.depthwiseConv2d(two.input('x', shape), two.param('w', [3, 3, 1, 5], 0.5));
    const y = ops.conv2d(v, two.param('v', [1, 1, 5, 8], 0.5));
    expect(kernels(two, { z: normalized(y) })).toEqual(['separable', 'batchNorm']);
    const single = new Graph();
    const one = ops.conv2d(single.input('x', [2, 7, 6, 1]), single.param('w', [3, 3, 1, 1], 0.5));
    expect(kernels(single, { z: normalized(one) })).toEqual(['conv2d:depthwiseFlat', 'batchNorm']);
  });
});

it('a residual block runs in two products, as the oracle says', async () => {
  const graph = new Graph({ training: false });
  const x = graph.input('x', [3, 9, 9, 24]);
  const filter = (name: string) => graph.input(name, [3, 3, 24, 24]);
  const first = layers.normalize('bn1', ops.conv2d(x, filter('w1')), { activation: 'relu' });
  const second = layers.normalize('bn2', ops.conv2d(first, filter('w2')));
  const y = ops.relu(ops.add(second, x));
  expect(kernels(graph, { y })).toEqual(['conv2d:window', 'conv2d:window']);
  const feeds = randomFeeds(graph, 7);
  const want = oracle(graph, { y }, feeds);
  for (const isa of availableIsas()) await expectOracle(graph, { y }, feeds, want, isa);
});
