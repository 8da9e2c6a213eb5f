// The row of a benchmark that the tests of benchmarks measure, with or without peers, on the CPU and on device cuda.
// The rule easy to break: it is small, since the software device computes it too.
import { noise, type Row } from '../../src/cli/bench/rows';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const SIDE = 64;

/** A product large enough to be rounded in bf16. */
export const product: Row = {
  id: 'product',
  group: 'kernels',
  title: 'a product',
  peers: true,
  build() {
    const graph = new Graph();
    const factor = (name: string, seed: number) => graph.param(name, [SIDE, SIDE], noise(SIDE * SIDE, seed));
    const y = ops.matmul(factor('a', 1), factor('b', 2));
    const work = { flops: 2 * SIDE ** 3, bytes: 12 * SIDE ** 2 };
    return { graph, outputs: { first: ops.slice(y, [0, 0], [1, 1]) }, results: [y], given: [], work };
  },
};
