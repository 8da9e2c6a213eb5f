// Graphs of products for the tests of `precision: 'bf16'` on each device, what they are fed, and factors as the devices round
// them. The rule easy to break: a product below 65,536 multiplications stays float32, so the ones here are larger.
import { grad } from '../../src/graph/gradients';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { generator } from './fills';

export interface Built {
  readonly graph: Graph;
  readonly outputs: Record<string, Tensor>;
}

/** Odd sums, rests of tiles and of vectors; and sizes that are whole, with sums that are cut. */
const MATMULS = [
  [33, 77, 50],
  [64, 301, 17],
  [150, 31, 16],
  [5, 1, 20000],
  [132, 64, 136],
  [60, 600, 68],
] as const;

const SAME = { strideH: 1, strideW: 1, padTop: 1, padBottom: 1, padLeft: 1, padRight: 1, dilationH: 1, dilationW: 1 };
const BARE = { ...SAME, padTop: 0, padBottom: 0, padLeft: 0, padRight: 0 };
const CONVOLUTIONS: Record<string, { x: number[]; w: number[]; y: number[]; attrs: Record<string, number> }> = {
  pointwise: { x: [2, 9, 8, 32], w: [1, 1, 32, 72], y: [2, 9, 8, 72], attrs: { ...BARE, groups: 1 } },
  odd: { x: [3, 6, 5, 33], w: [1, 1, 33, 29], y: [3, 6, 5, 29], attrs: { ...BARE, groups: 1 } },
  window: { x: [1, 9, 7, 16], w: [3, 3, 16, 24], y: [1, 9, 7, 24], attrs: { ...SAME, groups: 1 } },
  strided: {
    x: [2, 17, 16, 40], // each phase of its gradient is a product of its own
    w: [3, 3, 40, 24],
    y: [2, 9, 8, 24],
    attrs: { ...SAME, strideH: 2, strideW: 2, groups: 1 },
  },
  grouped: { x: [2, 6, 6, 16], w: [3, 3, 8, 24], y: [2, 6, 6, 24], attrs: { ...SAME, groups: 2 } },
};

/** Every output is one product of what is fed. */
export function products(): Built {
  const graph = new Graph();
  const outputs: Record<string, Tensor> = {};
  const feed = (name: string, ...shape: number[]) => graph.input(name, shape);
  for (const [m, k, n] of MATMULS) {
    const name = `${m}x${k}x${n}`;
    const [a, b] = [feed(`a${name}`, m, k), feed(`b${name}`, k, n)];
    const [at, bt] = [feed(`at${name}`, k, m), feed(`bt${name}`, n, k)];
    outputs[`matmul ${name}`] = ops.matmul(a, b);
    outputs[`matmul' ${name}`] = ops.matmul(at, b, { transA: true });
    outputs[`matmul" ${name}`] = ops.matmul(a, bt, { transB: true });
    outputs[`matmul'" ${name}`] = ops.matmul(at, bt, { transA: true, transB: true });
  }
  for (const [name, { x, w, y, attrs }] of Object.entries(CONVOLUTIONS)) {
    const [from, filter, dy] = [feed(`x ${name}`, ...x), feed(`w ${name}`, ...w), feed(`dy ${name}`, ...y)];
    outputs[`conv2d ${name}`] = graph.append('conv2d', [from, filter], [{ shape: y }], attrs)[0]!;
    outputs[`gradInput ${name}`] = graph.append('conv2dGradInput', [dy, filter], [{ shape: x }], attrs)[0]!;
    outputs[`gradFilter ${name}`] = graph.append('conv2dGradFilter', [from, dy], [{ shape: w }], attrs)[0]!;
  }
  const x = feed('x', 2, 9, 11, 13);
  outputs.window = ops.conv2d(x, feed('w', 3, 3, 13, 22), { stride: 2 });
  outputs.point = ops.conv2d(x, feed('v', 1, 1, 13, 37));
  outputs.deep = ops.conv2d(feed('deep', 1, 6, 6, 261), feed('u', 1, 1, 261, 19));
  outputs.gram = ops.gram(feed('z', 40, 333), { center: false });
  return { graph, outputs };
}

function normal(y: Tensor, name: string, activation: 'relu' | 'elu'): Tensor {
  const [mean, spread, gamma, beta] = ['mean', 'spread', 'gamma', 'beta'].map((vector) =>
    y.graph.input(`${vector} ${name}`, [y.shape.at(-1)!]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  return ops.batchNorm(y, { mean, variance: ops.square(spread), gamma, beta, eps: 1, activation });
}

/** Products of a graph for inference that end in a batchNorm; their factors are x, w, a and b. */
export function finished(): Built {
  const graph = new Graph({ training: false });
  const window = ops.conv2d(graph.input('x', [2, 12, 12, 16]), graph.input('w', [3, 3, 16, 36]));
  const dense = ops.matmul(graph.input('a', [3, 320]), graph.input('b', [320, 250]));
  return { graph, outputs: { window: normal(window, 'window', 'relu'), dense: normal(dense, 'dense', 'elu') } };
}

/** A separable convolution and its gradients, joined by the planner; values beyond small integers are not exact here. */
export function separable(): Built {
  const graph = new Graph();
  const x = graph.input('x', [3, 10, 9, 20]);
  const depthwise = graph.param('depthwise', [3, 3, 1, 20], 0.5);
  const pointwise = graph.input('pointwise', [1, 1, 20, 24]);
  const [gamma, beta] = [graph.param('gamma', [20], 1), graph.param('beta', [20], 0)];
  const { mean, variance } = ops.moments(x);
  const normal = ops.batchNorm(x, { mean, variance, gamma, beta, activation: 'relu' });
  const y = ops.conv2d(ops.conv2d(normal, depthwise, { groups: 20 }), pointwise);
  const loss = ops.reduceSum(ops.square(y));
  const [dx, dDepthwise, dPointwise, dGamma] = grad(loss, [x, depthwise, pointwise, gamma]) as Tensor[];
  return { graph, outputs: { y, dx: dx!, dDepthwise: dDepthwise!, dPointwise: dPointwise!, dGamma: dGamma! } };
}

export function feedsOf({ graph }: Built, integer: boolean): Record<string, Float32Array> {
  const random = generator(5);
  const value = integer ? () => Math.floor(random() * 8) - 3 : () => Math.fround(2 * random() - 1);
  const inputs = graph.tensors.filter(({ kind }) => kind === 'input');
  return Object.fromEntries(
    inputs.map(({ name, shape }) => [name, Float32Array.from({ length: sizeOf(shape) }, value)]),
  );
}

/** The nearest bfloat16 numbers, ties to even. */
function rounded(values: Float32Array): Float32Array {
  const bits = new Uint32Array(values.slice().buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer);
}

/** Feeds whose factors are rounded: these names, or all. */
export function roundedFeeds(feeds: Record<string, Float32Array>, factors?: readonly string[]): typeof feeds {
  const one = ([name, values]: [string, Float32Array]): [string, Float32Array] => [
    name,
    factors && !factors.includes(name) ? values : rounded(values),
  ];
  return Object.fromEntries(Object.entries(feeds).map(one));
}
