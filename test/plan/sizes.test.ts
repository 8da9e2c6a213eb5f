// Sizes that no one means, but that a graph may carry: they are planned at once, or refused, before any memory is asked for.
// The rule easy to break: analyze() gives no memory, so a size may be larger than any machine.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { ShapeError } from '../../src/errors';
import { grad } from '../../src/graph/gradients';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { expectOracle, oracle, randomFeeds } from '../kernels/against';
import { availableIsas } from '../kernels/isas';

const plan = (y: Tensor) => analyze(y.graph, { outputs: { y }, device: 'cpu' });

describe('a convolution', () => {
  const depthwise = (dilation: number) => {
    const graph = new Graph();
    const x = graph.input('x', [1, 4, 4, 32]);
    return ops.depthwiseConv2d(x, graph.input('w', [2, 2, 1, 32]), { dilation });
  };

  it('is refused when the rows its window reaches over are more than any memory', () => {
    for (const dilation of [2 ** 31 - 1, 2 ** 30, 2 ** 18])
      expect(() => plan(depthwise(dilation)), `dilation ${dilation}`).toThrow(ShapeError);
    const { arenaBytes } = plan(depthwise(2 ** 10));
    // A ring of 1025 rows of as many columns and the image's 3 more, of 32 channels, and little else.
    expect(arenaBytes).toBeGreaterThan(4 * 1025 * 1028 * 32);
  });

  it('is refused when it has more windows than kernels can count', () => {
    const graph = new Graph();
    const x = graph.input('x', [2 ** 16, 256, 256, 2]);
    const windows = ops.conv2d(x, graph.input('w', [3, 3, 2, 4]));
    const refused = [windows, ...grad(ops.reduceSum(windows), [x, graph.tensor(1)])];
    for (const y of refused) expect(() => plan(y), y.name).toThrow(/2\^32/);
    expect(plan(ops.conv2d(x, graph.input('pointwise', [1, 1, 2, 4]))).arenaBytes).toBeGreaterThan(0);
  });

  it('has a gradient by its input where it steps over all of the image', async () => {
    for (const stride of [3, [5, 2 ** 31 - 1]] as const) {
      const graph = new Graph();
      const x = graph.input('x', [2, 3, 4, 2]);
      const y = ops.conv2d(x, graph.input('w', [2, 2, 2, 3]), { stride, padding: 'valid' });
      const [dx] = grad(ops.reduceSum(ops.square(y)), [x]) as [Tensor];
      const feeds = randomFeeds(graph, 7);
      const want = oracle(graph, { dx }, feeds);
      for (const isa of availableIsas()) await expectOracle(graph, { dx }, feeds, want, isa);
    }
  });
});
