// When the passes that join launches (fuse_separable, fuse_backward, fuse_residual) must leave them apart, and what
// they then leave, seen through analyze(). Right values are test/kernels' business, but for updates in between.
// The rule easy to break: each refusal differs from a graph that is joined in one thing, so that nothing else refuses.
import { describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { randomFeeds, type Tensors } from '../kernels/against';
import { firstMismatch } from '../kernels/tolerance';
import { ReferenceSession } from '../reference/interpreter';

/** The kernels that run, in order; a kernel is named like its op, or `op:variant`. */
function kernels(graph: Graph, outputs: Tensors): string[] {
  return analyze(graph, { outputs, device: 'cpu' }).launches.map(({ kernel }) => kernel);
}

/** Appends an update of the tensor in place; adds nothing to read. */
function double(graph: Graph, tensor: Tensor): Tensors {
  graph.appendUpdate('ema', [tensor, tensor], [tensor], { momentum: 0.5, scale: 3 });
  return {};
}

interface Parts {
  graph: Graph;
  u: Tensor;
  /** The depthwise and the pointwise filter. */
  w: Tensor;
  v: Tensor;
}

/** u, then what `between` appends, perhaps another v, then y = conv2d(u, v), then what `last` appends. */
function joined(
  last: (parts: Parts & { y: Tensor }) => Tensors = () => ({}),
  between: (parts: Parts) => Tensors = () => ({}),
  [channels, to] = [6, 4],
) {
  const graph = new Graph();
  const w = graph.param('w', [3, 3, 1, channels], 0.5);
  const v = graph.param('v', [1, 1, channels, to], 0.5);
  const u = ops.depthwiseConv2d(graph.input('x', [2, 7, 6, channels]), w);
  const parts = { graph, u, w, v };
  const y = ops.conv2d(u, between(parts).v ?? v);
  return { graph, outputs: { y, ...last({ ...parts, y }) } };
}

describe('join of depthwise and pointwise', () => {
  const names = ({ graph, outputs }: ReturnType<typeof joined>) => kernels(graph, outputs);
  const bytes = ({ graph, outputs }: ReturnType<typeof joined>) => analyze(graph, { outputs }).launches[0]?.bytes;
  const uBytes = 4 * 2 * 7 * 6 * 6;

  it('takes two convolutions, and says so', () => {
    const { graph, outputs } = joined();
    expect(kernels(graph, outputs)).toEqual(['separable']);
    expect(analyze(graph, { outputs }).fused).toEqual(['the convolutions of "conv2d_1" into one separable']);
  });

  it('does not when the pointwise filter is updated or made in between', () => {
    const updated = joined(undefined, ({ graph, v }) => double(graph, v));
    expect(names(updated).map((name) => name.split(':')[0])).toEqual(['conv2d', 'ema', 'conv2d']);
    const made = joined(undefined, ({ v }) => ({ v: ops.square(v) }));
    expect(names(made)).not.toContain('separable');
    // Made before, updated before or after, or another tensor updated in between: no catch.
    const before = new Graph();
    const v = ops.square(before.param('v', [1, 1, 6, 4], 0.5));
    const u = ops.depthwiseConv2d(before.input('x', [2, 7, 6, 6]), before.param('w', [3, 3, 1, 6], 0.5));
    expect(kernels(before, { y: ops.conv2d(u, v) })).toEqual(['square', 'separable']);
    expect(names(joined(({ graph, v }) => double(graph, v)))).toEqual(['separable', 'ema']);
    expect(names(joined(undefined, ({ graph, w }) => double(graph, w)))).toEqual(['separable', 'ema']);
  });

  it('does not take a convolution of another unit, with a window, in groups, with steps, or with too large a filter', () => {
    const graph = new Graph();
    const u = graph.unit('a', () =>
      ops.depthwiseConv2d(graph.input('x', [2, 7, 6, 6]), graph.param('w', [3, 3, 1, 6], 0.5)),
    );
    const v = graph.param('v', [1, 1, 6, 4], 0.5);
    expect(kernels(graph, { y: graph.unit('b', () => ops.conv2d(u, v)) })).not.toContain('separable');
    const alone = (shape: number[], options: ops.ConvOptions) => {
      const graph = new Graph();
      const u = ops.depthwiseConv2d(graph.input('x', [2, 7, 6, 6]), graph.param('w', [3, 3, 1, 6], 0.5));
      return kernels(graph, { y: ops.conv2d(u, graph.param('v', shape, 0.5), options) });
    };
    expect(alone([1, 1, 6, 4], {})).toEqual(['separable']);
    expect(alone([2, 1, 6, 4], {})).not.toContain('separable');
    expect(alone([1, 1, 3, 4], { groups: 2 })).not.toContain('separable');
    expect(alone([1, 1, 6, 4], { stride: 2 })).not.toContain('separable');
    expect(names(joined(undefined, undefined, [256, 512]))).toEqual(['separable']);
    expect(names(joined(undefined, undefined, [257, 512]))).not.toContain('separable');
  });

  it('stores the depthwise result when the plan returns it or another step reads it', () => {
    const alone = bytes(joined())!;
    const returned = joined(({ u }) => ({ u }));
    expect(names(returned)).toEqual(['separable']);
    expect(bytes(returned)).toBe(alone + uBytes);
    const read = joined(({ u }) => ({ r: ops.relu(u) }));
    expect(names(read)).toEqual(['separable', 'relu']);
    expect(bytes(read)).toBe(alone + uBytes);
  });

  it('takes the first of two pointwise readers, and stores for the second', () => {
    const two = joined(({ graph, u }) => ({ z: ops.conv2d(u, graph.param('second', [1, 1, 6, 5], 0.5)) }));
    expect(names(two)).toEqual(['separable', 'conv2d:pointwise']);
    expect(bytes(two)).toBe(bytes(joined())! + uBytes);
  });

  it('takes a pooling of tiles, one, but not one that leaves cells out or overlaps', () => {
    const pooled = (options: ops.PoolOptions) => joined(({ u }) => ({ p: ops.avgPool(u, options) }));
    const cells = 4 * 2 * 4 * 3 * 6;
    expect(names(pooled({ kernel: 2, padding: 'same' }))).toEqual(['separable']);
    expect(bytes(pooled({ kernel: 2, padding: 'same' }))).toBe(bytes(joined())! + cells);
    for (const options of [
      { kernel: 2 },
      { kernel: 3, stride: 2, padding: 'same' as const },
      { kernel: 2, stride: 3, padding: 'same' as const },
      { kernel: [7, 2], stride: [7, 4] },
    ]) {
      expect(names(pooled(options))).toEqual(['separable', 'avgPool']);
      expect(bytes(pooled(options))).toBe(bytes(joined())! + uBytes);
    }
    expect(names(joined(({ u }) => ({ p: ops.maxPool(u, { kernel: 2, padding: 'same' }) })))).toContain('maxPool');
    const second = joined(({ u }) => ({
      p: ops.avgPool(u, { kernel: 2, padding: 'same' }),
      q: ops.avgPool(u, { kernel: [7, 6] }),
    }));
    expect(names(second)).toEqual(['separable', 'avgPool']);
  });

  it('takes moments of its result and of nothing else', () => {
    expect(names(joined(({ y }) => ({ ...ops.moments(y) })))).toEqual(['separable']);
    expect(names(joined(({ u }) => ({ ...ops.moments(u) })))).toEqual(['separable', 'moments']);
    expect(names(joined(({ y }) => ({ ...ops.moments(ops.relu(y)) })))).toEqual(['separable', 'relu', 'moments']);
  });
});

interface Change {
  /** Attributes of batchNormGradInput. */
  onward?: object;
  pointwise?: boolean;
  pool?: ops.PoolOptions;
  /** Appended before the gradients of the batchNorm, and at the end; what is to be read. */
  between?: (parts: Tensors, graph: Graph) => Tensors;
  after?: (parts: Tensors, graph: Graph) => Tensors;
}

/** A unit's backward from the gradient du of the depthwise result to dx, every part of it named. */
function unitBackward(change: Change) {
  const graph = new Graph();
  const shape = [2, 7, 6, 5];
  const vector = { shape: [5] };
  const x = graph.input('x', shape);
  const gamma = graph.param('gamma', [5], 1);
  const vectors = [graph.input('mean', [5]), graph.input('variance', [5]), gamma, graph.param('beta', [5], 0)];
  const norm = { eps: 1e-3, activation: 'elu', alpha: 0.3 };
  const a = graph.append('batchNorm', [x, ...vectors], [{ shape }], { ...norm, training: true })[0]!;
  const w = graph.param('w', [3, 3, 1, 5], 0.5);
  const v = graph.param('v', [1, 1, 5, 4], 0.5);
  const u = ops.depthwiseConv2d(a, w);
  const source = change.pointwise ? ops.conv2d(u, v) : change.pool ? ops.avgPool(u, change.pool) : undefined;
  const dy = graph.input('dy', source?.shape ?? shape);
  let du = dy;
  if (source) {
    const [op, inputs] = change.pool ? ['avgPoolGrad', [dy]] : ['conv2dGradInput', [dy, v]];
    du = graph.append(op as string, inputs as Tensor[], [{ shape }], graph.producer(source)!.attrs)[0]!;
  }
  const { attrs } = graph.producer(u)!;
  const da = graph.append('conv2dGradInput', [du, w], [{ shape }], attrs)[0]!;
  const dw = graph.append('conv2dGradFilter', [a, du], [{ shape: w.shape }], attrs)[0]!;
  const parts: Tensors = { x, gamma, w, v, dy, du, da, dw };
  const more = change.between?.(parts, graph);
  const [dgamma, dbeta] = graph.append('batchNormGradParams', [da, x, ...vectors], [vector, vector], norm);
  const onward = [da, x, ...vectors, dgamma!, dbeta!];
  const dx = graph.append('batchNormGradInput', onward, [{ shape }], { ...norm, training: true, ...change.onward })[0]!;
  const last = change.after?.({ ...parts, dx }, graph) ?? { dx };
  return { graph, outputs: { dw, dgamma: dgamma!, dbeta: dbeta!, ...more, ...last } };
}

function backward(change: Change = {}): string[] {
  const { graph, outputs } = unitBackward(change);
  return kernels(graph, outputs);
}

describe('join of a unit’s backward that leads to dx', () => {
  const apart = ['conv2dGradInput', 'conv2dGradFilter', 'batchNormGradParams', 'batchNormGradInput'];
  const ofOps = (kernels: string[]) => kernels.map((kernel) => kernel.split(':')[0]);

  it('takes all but dx', () => {
    expect(backward()).toEqual(['depthwiseBackward:dense', 'batchNormGradInput']);
    expect(backward({ pointwise: true })).toEqual(['depthwiseBackward:pointwise', 'batchNormGradInput']);
    expect(backward({ pool: { kernel: 2, padding: 'same' } })).toEqual([
      'depthwiseBackward:pooled',
      'batchNormGradInput',
    ]);
  });

  it('does not when a third step reads da, or the plan returns it', () => {
    expect(ofOps(backward({ after: ({ da, dx }) => ({ dx: dx!, s: ops.square(da!) }) }))).toEqual([...apart, 'square']);
    expect(ofOps(backward({ after: ({ da, dx }) => ({ dx: dx!, da: da! }) }))).toEqual(apart);
  });

  it('does not when the two gradients of the batchNorm are of different ones', () => {
    for (const onward of [{ eps: 1e-4 }, { activation: 'leakyRelu' }, { alpha: 0.2 }])
      expect(ofOps(backward({ onward }))).toEqual(apart);
    expect(backward({ onward: { training: false } })).toContain('depthwiseBackward:dense');
  });

  it('does not when another step than dx’s reads da', () => {
    const after = ({ da }: Tensors) => ({ s: ops.square(da!) });
    expect(ofOps(backward({ after }))).toEqual([...apart.slice(0, 3), 'square']);
  });

  it('does not over an update of what it reads, or when dw is read before', () => {
    for (const name of ['gamma', 'w'])
      expect(backward({ between: (parts, graph) => double(graph, parts[name]!) })).not.toContain(
        'depthwiseBackward:dense',
      );
    expect(backward({ between: ({ dw }) => ({ s: ops.square(dw!) }) })).not.toContain('depthwiseBackward:dense');
    const pointwise = backward({ pointwise: true, between: ({ v }, graph) => double(graph, v!) });
    expect(pointwise).not.toContain('depthwiseBackward:pointwise');
  });

  it('reads a du that others read too', () => {
    for (const change of [{ pointwise: true }, { pool: { kernel: 2, padding: 'same' as const } }]) {
      const read = ofOps(backward({ ...change, between: ({ du }) => ({ s: ops.square(du!) }) }));
      expect(read).toContain(change.pool ? 'avgPoolGrad' : 'conv2dGradInput');
      const returned = backward({ ...change, between: ({ du }) => ({ du: du! }) });
      expect(returned).toEqual([expect.anything(), 'depthwiseBackward:dense', 'batchNormGradInput']);
    }
  });

  it('reads the map of a pooling that leaves cells out', () => {
    expect(backward({ pool: { kernel: 2 } })).toEqual(['avgPoolGrad', 'depthwiseBackward:dense', 'batchNormGradInput']);
  });
});

describe('join of a sum into dx', () => {
  const summed = (after: (parts: Tensors, graph: Graph) => Tensors) => backward({ after }).slice(1);
  const deferred = ['batchNormGradTerms', 'batchNormGradCorrect'];
  const other = (graph: Graph, shape = [2, 7, 6, 5]) => graph.input('other', shape);

  it('takes either operand', () => {
    expect(summed(({ dx }, graph) => ({ s: ops.add(dx!, other(graph)) }))).toEqual(deferred);
    expect(summed(({ dx }, graph) => ({ s: ops.add(other(graph), dx!) }))).toEqual(deferred);
  });

  it('does not when dx is read twice or returned', () => {
    const apart = ['batchNormGradInput', 'add'];
    expect(summed(({ dx }) => ({ s: ops.add(dx!, dx!) }))).toEqual(apart);
    expect(summed(({ dx }, graph) => ({ s: ops.add(dx!, other(graph)), dx: dx! }))).toEqual(apart);
    const read = ({ dx }: Tensors, graph: Graph) => ({ s: ops.add(dx!, other(graph)), r: ops.relu(dx!) });
    expect(summed(read)).toEqual([...apart, 'relu']);
  });

  it('does not when the sum broadcasts, or is a difference', () => {
    expect(summed(({ dx }, graph) => ({ s: ops.add(dx!, other(graph, [5])) }))).toEqual(['batchNormGradInput', 'add']);
    expect(summed(({ dx }, graph) => ({ s: ops.sub(dx!, other(graph)) }))).toEqual(['batchNormGradInput', 'sub']);
  });

  it('does not over an update of gamma, but over one of what it does not read', () => {
    const over =
      (name: string) =>
      (parts: Tensors, graph: Graph): Tensors => {
        double(graph, parts[name]!);
        return { s: ops.add(parts.dx!, other(graph)) };
      };
    expect(summed(over('gamma'))).toEqual(['batchNormGradInput', 'ema', 'add']);
    expect(summed(over('v')).toSorted()).toEqual([...deferred, 'ema'].toSorted());
  });

  it('takes one sum only', () => {
    const twice = ({ dx }: Tensors, graph: Graph) => ({
      s: ops.add(ops.add(dx!, other(graph)), graph.input('more', [5])),
    });
    expect(summed(twice)).toEqual([...deferred, 'add']);
  });
});

describe('updates in between', () => {
  const forward = (name: 'v' | 'w') => (parts: { graph: Graph; v: Tensor; w: Tensor }) =>
    double(parts.graph, parts[name]);
  const doubled = (name: string) => (parts: Tensors, graph: Graph) => double(graph, parts[name]!);
  const thenSum = (name: string) => (parts: Tensors, graph: Graph) => {
    double(graph, parts[name]!);
    return { s: ops.add(parts.dx!, graph.input('other', [2, 7, 6, 5])) };
  };
  const graphs: [string, { graph: Graph; outputs: Tensors }][] = [
    ['of the pointwise filter before its product', joined(undefined, forward('v'))],
    ['of the depthwise filter before the product', joined(undefined, forward('w'))],
    ['of the pointwise filter after its product', joined(forward('v'))],
    ['of gamma before the batchNorm’s gradients', unitBackward({ between: doubled('gamma') })],
    ['of the depthwise filter before them', unitBackward({ between: doubled('w') })],
    ['of the pointwise filter before them', unitBackward({ between: doubled('v'), pointwise: true })],
    ['of gamma before a sum', unitBackward({ after: thenSum('gamma') })],
    ['of the pointwise filter before a sum', unitBackward({ after: thenSum('v'), pointwise: true })],
  ];

  it.each(graphs)('%s are seen as they were appended', async (_, { graph, outputs }) => {
    const feeds = randomFeeds(graph, 31);
    const session = new ReferenceSession(graph);
    using plan = compile(graph, { outputs, device: 'cpu' });
    for (const step of [1, 2]) {
      const want = session.step(feeds);
      const got = await plan.step(feeds);
      for (const [name, { id, shape }] of Object.entries(outputs))
        expect(firstMismatch(got[name]!, want.get(id)!.data, { shape, relative: 1e-5 }), `${name}, step ${step}`).toBe(
          undefined,
        );
    }
  });
});

describe('cases found by fuzzing', () => {
  const vector = { shape: [2] };

  async function compare(graph: Graph, outputs: Tensors, feeds: Record<string, Float32Array>) {
    const values = new ReferenceSession(graph).step(feeds);
    using plan = compile(graph, { outputs, device: 'cpu' });
    const results = await plan.step(feeds);
    for (const [name, { id, shape }] of Object.entries(outputs)) {
      const got = results[name] as Float32Array;
      expect(firstMismatch(got, values.get(id)!.data, { shape, relative: 1e-6 }), name).toBeUndefined();
    }
  }

  it('an update between the gradients of a batchNorm keeps its backward apart', async () => {
    const graph = new Graph();
    const shape = [1, 1, 1, 2];
    const [x, dy, beta] = [graph.input('x', shape), graph.input('dy', shape), graph.param('beta', [2], 1)];
    const ones = ['mean', 'variance', 'gamma'].map((name) => graph.constant(name, [2], Float32Array.of(1, 1)));
    const stats = [...ones, beta];
    const norm = { eps: 0, activation: 'relu', alpha: 0 };
    const a = graph.append('batchNorm', [x, ...stats], [{ shape }], { ...norm, training: false })[0]!;
    const w = graph.constant('w', [3, 3, 1, 2], new Float32Array(18).fill(1));
    const { attrs } = graph.producer(ops.depthwiseConv2d(a, w))!;
    const da = graph.append('conv2dGradInput', [dy, w], [{ shape }], attrs)[0]!;
    const dw = graph.append('conv2dGradFilter', [a, dy], [{ shape: w.shape }], attrs)[0]!;
    const sums = graph.append('batchNormGradParams', [da, x, ...stats], [vector, vector], norm);
    graph.appendUpdate('ema', [beta, beta], [beta], { momentum: 1, scale: -1 });
    const onward = [da, x, ...stats, ...sums];
    const dx = graph.append('batchNormGradInput', onward, [{ shape }], { ...norm, training: false })[0]!;
    await compare(graph, { dw, dx }, { x: Float32Array.of(1, 1), dy: Float32Array.of(1, 1) });
  });

  it('a strided 1x1 convolution padded to the size of its input is not pointwise', async () => {
    const graph = new Graph();
    const x = graph.input('x', [1, 3, 3, 2]);
    const w = graph.constant('w', [1, 1, 1, 2], Float32Array.of(1, 1));
    const v = graph.constant('v', [1, 1, 2, 1], Float32Array.of(1, 1));
    const u = ops.depthwiseConv2d(x, w);
    const y = ops.conv2d(u, v, { stride: 2, padding: { top: 0, bottom: 2, left: 0, right: 2 } });
    await compare(graph, { y }, { x: Float32Array.from({ length: 18 }, (_, index) => index) });
  });
});

describe('pooled maps that the features of an objective are', () => {
  interface Pools {
    a?: number;
    /** y's input is a state of the plan's, not the result of a convolution. */
    kept?: boolean;
    /** Appended behind y, and behind the pooling of it. */
    early?: (graph: Graph, v: Tensor, u: Tensor) => void;
    between?: (graph: Graph, v: Tensor, u: Tensor) => void;
  }

  /** y pooled and read, then y's input pooled and multiplied, as a local objective does it. */
  function pooled({ a = 3, kept = false, early = () => {}, between = () => {} }: Pools = {}) {
    const graph = new Graph();
    const w = graph.param('w', [3, 3, 1, 6], 0.5);
    const v = graph.param('v', [1, 1, 6, 4], 0.5);
    const shape = [2, 6, 6, 6];
    const u = kept ? graph.state('u', shape, 'f32', 0.5) : ops.depthwiseConv2d(graph.input('x', shape), w);
    const y = ops.conv2d(u, v);
    early(graph, v, u);
    const read = ops.relu(ops.avgPool(y, { kernel: a, stride: a }));
    between(graph, v, u);
    const f = ops.conv2d(ops.avgPool(u, { kernel: 3, stride: 3 }), v);
    return { graph, outputs: { y, read, f } };
  }

  it('are not pooled again', () => {
    const { graph, outputs } = pooled();
    expect(kernels(graph, outputs).map((name) => name.split(':')[0])).toEqual(['separable', 'conv2d', 'relu']);
    expect(analyze(graph, { outputs }).fused).toContain('avgPool "avgPool" is "conv2d_2"');
  });

  const doubleV = (graph: Graph, v: Tensor) => void double(graph, v);
  const doubleU = (graph: Graph, _: Tensor, u: Tensor) => void double(graph, u);
  const updates: Pools[] = [
    { between: doubleV },
    { early: doubleV },
    { kept: true, between: doubleU },
    { kept: true, early: doubleU },
  ];

  it('are pooled when they are pooled otherwise, are an output, or filter or input change in between', () => {
    const pools = ({ graph, outputs }: { graph: Graph; outputs: Tensors }) =>
      kernels(graph, outputs).filter((name) => name.startsWith('avgPool')).length;
    expect(pools(pooled())).toBe(0);
    expect(pools(pooled({ a: 2 }))).toBe(1);
    expect(pools(pooled({ kept: true }))).toBe(1);
    expect(updates.map((update) => pools(pooled(update)))).toEqual([1, 1, 2, 2]);
    const { graph, outputs } = pooled();
    const a = graph.tensor(graph.producer(outputs.read)!.inputs[0]!);
    expect(pools({ graph, outputs: { ...outputs, a } })).toBe(1);
  });

  it('have the values of their own', async () => {
    for (const change of [{}, ...updates]) {
      const { graph, outputs } = pooled(change);
      const feeds = randomFeeds(graph, 5);
      using plan = compile(graph, { outputs, device: 'cpu' });
      const found = await plan.step(feeds);
      const expected = new ReferenceSession(graph).step(feeds);
      for (const [name, { id, shape }] of Object.entries(outputs))
        expect(firstMismatch(found[name]!, expected.get(id)!.data, { shape, relative: 1e-5 }), name).toBeUndefined();
    }
  });
});
