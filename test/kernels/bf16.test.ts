// Products in bfloat16 (`precision: 'bf16'`) on each tier: rounded factors everywhere, the processor's own instruction
// where it has one. Whole numbers up to 256 are bfloat16 numbers, so integer cases must be exact; random ones are
// compared with the oracle on the same numbers within what eight significant bits can give.
// The rule easy to break: a product below 65,536 multiplications stays float32, so the cases here are larger.
import { describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { ArgumentError } from '../../src/errors';
import { grad } from '../../src/graph/gradients';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { ReferenceSession } from '../reference/interpreter';
import { generator } from './fills';
import { availableIsas } from './isas';
import { firstDifference, firstMismatch } from './tolerance';

interface Built {
  readonly graph: Graph;
  readonly outputs: Record<string, Tensor>;
}

/** Sizes with odd sums, rests of tiles and of vectors. */
function products(): Built {
  const graph = new Graph();
  const outputs: Record<string, Tensor> = {};
  const feed = (name: string, ...shape: number[]) => graph.input(name, shape);
  for (const [m, k, n] of [
    [33, 77, 50],
    [64, 301, 17],
    [150, 31, 16],
    [5, 1, 20000],
  ] as const) {
    const name = `${m}x${k}x${n}`;
    const [a, b] = [feed(`a${name}`, m, k), feed(`b${name}`, k, n)];
    const [at, bt] = [feed(`at${name}`, k, m), feed(`bt${name}`, n, k)];
    outputs[`matmul ${name}`] = ops.matmul(a, b);
    outputs[`matmul' ${name}`] = ops.matmul(at, b, { transA: true });
    outputs[`matmul" ${name}`] = ops.matmul(a, bt, { transB: true });
  }
  const x = feed('x', 2, 9, 11, 13);
  const window = ops.conv2d(x, feed('w', 3, 3, 13, 22), { stride: 2 });
  const point = ops.conv2d(x, feed('v', 1, 1, 13, 37));
  const deep = ops.conv2d(feed('deep', 1, 6, 6, 261), feed('u', 1, 1, 261, 19));
  outputs.window = window;
  outputs.point = point;
  outputs.deep = deep;
  outputs.gram = ops.gram(feed('z', 40, 333), { center: false });
  return { graph, outputs };
}

/** A separable convolution and its gradients, joined by the planner; values beyond small integers are not exact here. */
function separable(): Built {
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

function feedsOf({ graph }: Built, integer: boolean): Record<string, Float32Array> {
  const random = generator(5);
  const value = integer ? () => Math.floor(random() * 8) - 3 : () => Math.fround(2 * random() - 1);
  const inputs = graph.tensors.filter(({ kind }) => kind === 'input');
  return Object.fromEntries(
    inputs.map(({ name, shape }) => [name, Float32Array.from({ length: sizeOf(shape) }, value)]),
  );
}

async function check(built: Built, integer: boolean, isa: ReturnType<typeof availableIsas>[number], relative: number) {
  const feeds = feedsOf(built, integer);
  const values = new ReferenceSession(built.graph).step(feeds);
  let first: Record<string, ArrayLike<number>> | undefined;
  for (const threads of [1, 3]) {
    using plan = compile(built.graph, { outputs: built.outputs, device: 'cpu', isa, threads, precision: 'bf16' });
    const results: Record<string, ArrayLike<number>> = await plan.step(feeds);
    for (const [name, { id, shape }] of Object.entries(built.outputs)) {
      const mismatch = firstMismatch(results[name]!, values.get(id)!.data, { shape, relative });
      expect(mismatch, name).toBeUndefined();
      if (first) expect(firstDifference(first[name]!, results[name]!, shape), name).toBeUndefined();
    }
    first ??= results;
  }
}

describe.each(availableIsas())('products in bfloat16 on %s', (isa) => {
  it('are exact for small whole numbers', () => check(products(), true, isa, 0));
  it('are within eight bits for others', () => check(products(), false, isa, 6e-3));
  it('serve the joined convolutions', () => check(separable(), false, isa, 2e-2));

  it('differ from float32', async () => {
    const built = products();
    const feeds = feedsOf(built, false);
    const results = [];
    for (const precision of ['float32', 'bf16'] as const) {
      using plan = compile(built.graph, { outputs: built.outputs, device: 'cpu', isa, precision });
      results.push(await plan.step(feeds));
    }
    for (const name of Object.keys(built.outputs)) expect(results[0]![name], name).not.toEqual(results[1]![name]);
  });
});

describe('precision', () => {
  it('is part of the description', () => {
    const { graph, outputs } = separable();
    expect(analyze(graph, { outputs }).precision).toBe('float32');
    expect(analyze(graph, { outputs, precision: 'bf16' }).precision).toBe('bf16');
  });

  it('is float32 or bf16', () => {
    const { graph, outputs } = separable();
    expect(() => compile(graph, { outputs, precision: 'half' as never })).toThrow(ArgumentError);
    expect(() => compile(graph, { outputs, precision: 'half' as never })).toThrow(
      '[compile] precision is float32 or bf16, got "half"',
    );
  });
});
