// batchNormGradInput with the sum behind it joined, on device cuda: one launch, also in the place of dy, plain and as parts of
// wider rows, against the float64 oracle. The rule easy to break: the result may lie where dy did.
import { describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { oracle, randomFeeds, type Tensors } from '../kernels/against';
import { firstMismatch } from '../kernels/tolerance';
import { findings, images, useImage } from './device';

const double = (x: Tensor) => ops.affine(x, { scale: 2, offset: 0 });

/** dx + other for maps of `shape`; the columns of a wider row where `wide`. */
function summed(shape: number[], activation: string, wide: boolean, training: boolean) {
  const graph = new Graph();
  const channels = shape[3]!;
  const map = (name: string) => {
    if (!wide) return double(graph.input(name, shape));
    const input = graph.input(name, [...shape.slice(0, 3), channels + 5]);
    return ops.slice(double(input), [0, 0, 0, 3], shape);
  };
  const vectors = ['mean', 'variance', 'gamma', 'beta', 'dgamma', 'dbeta'].map((name) => graph.input(name, [channels]));
  const inputs = [map('dy'), map('x'), ...vectors];
  const attrs = { eps: 1e-3, activation, alpha: 0.3, training };
  const dx = graph.append('batchNormGradInput', inputs, [{ shape }], attrs)[0]!;
  const outputs: Tensors = { sum: ops.add(dx, map('other')) };
  return { graph, outputs };
}

describe.skipIf(images.length === 0)('batchNormGradInput with a sum on device cuda', () => {
  const cases: [string, number[], boolean, boolean][] = [
    ['none', [2, 7, 9, 32], false, true],
    ['relu', [2, 7, 9, 33], false, true],
    ['elu', [3, 20, 20, 16], true, true],
    ['tanh', [2, 7, 9, 32], true, false],
  ];

  it.each(cases)('%s %j wide=%s training=%s', async (activation, shape, wide, training) => {
    const { graph, outputs } = summed(shape, activation, wide, training);
    const made = analyze(graph, { outputs, device: 'cuda' }).launches.map(({ op }) => op);
    expect(made.filter((op) => op !== 'affine')).toEqual(['batchNormGradInput']);
    const feeds = randomFeeds(graph, 31);
    const want = oracle(graph, outputs, feeds);
    for (const image of images) {
      useImage(image);
      using plan = compile(graph, { outputs, device: 'cuda' });
      const got = (await plan.step(feeds)) as Record<string, Float32Array>;
      expect(firstMismatch(got.sum!, want.sum!, { shape, relative: 1e-5 }), image).toBeUndefined();
    }
    expect(findings()).toEqual([]);
  });
});
