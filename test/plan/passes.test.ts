// What each pass of native/plan/ does, seen through analyze() and describe(): the launches in order, what is folded,
// the bytes of the arena. Right values are property.test.ts's business and test/kernels'.
import { describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { Graph, type Tensor, type Unit } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const range = (count: number) => Float32Array.from({ length: count }, (_, i) => i - count / 2);

function names(graph: Graph, outputs: Record<string, Tensor>): string[] {
  return analyze(graph, { outputs }).launches.map(({ name }) => name);
}

function plan(graph: Graph, outputs: Record<string, Tensor>) {
  const about = analyze(graph, { outputs });
  return { ...about, ops: about.launches.map(({ op }) => op) };
}

/** A node named after its op and a counter: readable orders without builders. */
function node(graph: Graph, op: string, inputs: Tensor[], shape: readonly number[], attrs = {}, name = op): Tensor {
  return graph.append(op, inputs, [{ shape }], attrs, name)[0] as Tensor;
}

describe('prune', () => {
  it('drops what leads to no output and no update', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const s = graph.state('s', [4]);
    const kept = ops.relu(x);
    ops.exp(ops.tanh(x));
    const taken = ops.square(x);
    ops.ema(s, taken, { momentum: 0.5 });
    expect(plan(graph, { kept }).ops).toEqual(['relu', 'square', 'ema']);
    expect(plan(graph, {}).ops).toEqual(['square', 'ema']);
  });
});

describe('schedule', () => {
  /** Three units appended forward first, then loss, gradient and update of each: the order of a trainer. */
  function units(count = 3) {
    const graph = new Graph();
    const lr = graph.constant('lr', [1], Float32Array.of(0.1));
    let x = graph.input('x', [4, 4]);
    const inner: Tensor[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e'].slice(0, count)) {
      x = graph.unit(name, () => {
        const w = graph.param('w', [4, 4], 0.5);
        const h = node(graph, 'matmul', [x, w], [4, 4], { transA: false, transB: false }, 'forward');
        inner.push(h);
        return node(graph, 'relu', [h], [4, 4], {}, 'output');
      });
      x = ops.stopGradient(x);
    }
    graph.units.forEach((unit, index) => {
      graph.inUnit(unit, () =>
        graph.scope(unit.name, () => {
          const g = node(graph, 'square', [inner[index] as Tensor], [4, 4], {}, 'gradient');
          const velocity = graph.state('velocity', [4, 4]);
          const p = unit.params[0] as Tensor;
          graph.appendUpdate('sgd', [p, g, velocity, lr], [p, velocity], {
            momentum: 0,
            nesterov: false,
            weightDecay: 0,
          });
        }),
      );
    });
    return { graph, x };
  }

  it('finishes a unit before the next begins', () => {
    const { graph, x } = units();
    expect(names(graph, { x })).toEqual(
      ['a', 'b', 'c'].flatMap((unit) => [`${unit}/forward`, `${unit}/output`, `${unit}/gradient`, `${unit}/sgd`]),
    );
  });

  it('lets activations die with their unit: the arena is that of one unit', () => {
    const bytesOf = (count: number) => {
      const { graph, x } = units(count);
      return analyze(graph, { outputs: { x } }).arenaBytes;
    };
    // One buffer more, for the input that the unit before hands over.
    expect(bytesOf(2)).toBeLessThanOrEqual(bytesOf(1) + 64);
    expect(bytesOf(5)).toBe(bytesOf(2));
  });

  it('keeps a read before the update appended after it, and a read after behind', async () => {
    const graph = new Graph();
    const s = graph.state('s', [2], 'f32', 1);
    const x = graph.constant('x', [2], Float32Array.of(3, 5));
    graph.unit('late', () => x);
    const unit = graph.units[0] as Unit;
    // The first reader is in a unit and the update in none, so priority alone would put it behind.
    const before = graph.inUnit(unit, () => node(graph, 'affine', [s], [2], { scale: 1, offset: 0 }, 'before'));
    graph.appendUpdate('ema', [s, x], [s], { momentum: 1, scale: 1 });
    const after = node(graph, 'affine', [s], [2], { scale: 1, offset: 0 }, 'after');
    expect(names(graph, { before, after })).toEqual(['before', 'ema', 'after']);
    using compiled = compile(graph, { outputs: { before, after } });
    expect(await compiled.step()).toEqual({ before: Float32Array.of(1, 1), after: Float32Array.of(3, 5) });
  });

  it('keeps two updates of one tensor in append order', async () => {
    const graph = new Graph();
    const s = graph.state('s', [1], 'f32', 0);
    const one = graph.constant('one', [1], Float32Array.of(1));
    const ten = graph.constant('ten', [1], Float32Array.of(10));
    graph.unit('late', () => one);
    const unit = graph.units[0] as Unit;
    graph.inUnit(unit, () => graph.appendUpdate('ema', [s, one], [s], { momentum: 1, scale: 1 }));
    graph.appendUpdate('ema', [s, ten], [s], { momentum: 0.5, scale: 1 });
    using compiled = compile(graph, { outputs: { s } });
    expect((await compiled.step()).s).toEqual(Float32Array.of(5.5));
  });
});

describe('views', () => {
  it('reshape, stopGradient and slices of rows and columns need no launch', () => {
    const graph = new Graph();
    const x = graph.input('x', [6, 4]);
    const y = ops.relu(x);
    const views = [
      ops.reshape(y, [24]),
      ops.reshape(y, [2, 3, 4]),
      ops.slice(y, [1, 1], [3, 2]),
      ops.stopGradient(y),
      ops.slice(ops.slice(y, [0, 1], [6, 3]), [2, 1], [2, 2]),
    ];
    expect(plan(graph, Object.fromEntries(views.map((view, i) => [i, view]))).ops).toEqual(['relu']);
  });

  it('read the right elements', async () => {
    const graph = new Graph();
    const x = graph.input('x', [3, 4]);
    const part = ops.slice(x, [1, 1], [2, 2]);
    const flat = ops.reshape(part, [4]);
    using compiled = compile(graph, { outputs: { part, flat, sum: ops.add(part, part) } });
    const { part: a, flat: b, sum } = await compiled.step({ x: range(12) });
    expect(a).toEqual(Float32Array.of(-1, 0, 3, 4));
    expect(b).toEqual(a);
    expect(sum).toEqual(Float32Array.of(-2, 0, 6, 8));
    // The slice is a view; making it contiguous again is not.
    expect(compiled.describe().launches.map(({ op }) => op)).toEqual(['reshape', 'add']);
  });

  it('of a tensor that the plan writes are copies of the value from before', async () => {
    const graph = new Graph();
    const p = graph.param('p', [4], Float32Array.of(1, 2, 3, 4));
    const x = graph.constant('x', [4], Float32Array.of(5, 6, 7, 8));
    const views = { whole: ops.stopGradient(p), square: ops.reshape(p, [2, 2]), part: ops.slice(p, [1], [2]) };
    graph.appendUpdate('ema', [p, x], [p], { momentum: 1, scale: 1 });
    using compiled = compile(graph, { outputs: { ...views, p } });
    expect(await compiled.step()).toEqual({
      whole: Float32Array.of(1, 2, 3, 4),
      square: Float32Array.of(1, 2, 3, 4),
      part: Float32Array.of(2, 3),
      p: Float32Array.of(5, 6, 7, 8),
    });
  });
});

describe('reuse', () => {
  it('runs a chain of elementwise ops in one buffer', () => {
    const graph = new Graph();
    const x = graph.input('x', [64]);
    let y = ops.affine(x, { scale: 2, offset: 1 });
    for (let i = 0; i < 5; i += 1) y = ops.relu(ops.square(y));
    expect(analyze(graph, { outputs: { y } }).arenaBytes).toBe(256);
  });

  it('spares inputs, outputs of the plan and values read later', async () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const a = ops.affine(x, { scale: 1, offset: 1 });
    const b = ops.square(a);
    const c = ops.square(a);
    const d = ops.affine(x, { scale: 2, offset: 0 });
    const e = ops.square(d);
    using compiled = compile(graph, { outputs: { b, c, d, e, x } });
    expect(await compiled.step({ x: Float32Array.of(0, 1, 2, 3) })).toEqual({
      b: Float32Array.of(1, 4, 9, 16),
      c: Float32Array.of(1, 4, 9, 16),
      d: Float32Array.of(0, 2, 4, 6),
      e: Float32Array.of(0, 4, 16, 36),
      x: Float32Array.of(0, 1, 2, 3),
    });
  });
});

describe('concat on the last axis', () => {
  it('is placement, also nested, and costs no launch', async () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 2]);
    const a = ops.affine(x, { scale: 1, offset: 0 });
    const b = ops.affine(x, { scale: 10, offset: 0 });
    const first = ops.concat([a, b]);
    const c = ops.reduceSum(first, { axes: [1], keepDims: true });
    const second = ops.concat([first, c]);
    using compiled = compile(graph, { outputs: { second } });
    expect(compiled.describe().launches.map(({ op }) => op)).toEqual(['affine', 'affine', 'reduceSum']);
    expect(compiled.describe().fused).toHaveLength(4);
    expect((await compiled.step({ x: Float32Array.of(1, 2, 3, 4) })).second).toEqual(
      Float32Array.of(1, 2, 10, 20, 33, 3, 4, 30, 40, 77),
    );
  });

  it('copies what cannot be placed: fed, persistent, twice the same, or already placed', async () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 1]);
    const p = graph.param('p', [2, 1], 7);
    const a = ops.affine(x, { scale: 2, offset: 0 });
    const left = ops.concat([a, x, p, a]);
    const right = ops.concat([a, a]);
    using compiled = compile(graph, { outputs: { left, right } });
    expect(compiled.describe().launches.map(({ op }) => op)).toEqual([
      'affine',
      'copy',
      'copy',
      'copy',
      'copy',
      'copy',
    ]);
    expect(await compiled.step({ x: Float32Array.of(1, 2) })).toEqual({
      left: Float32Array.of(2, 1, 7, 2, 4, 2, 7, 4),
      right: Float32Array.of(2, 2, 4, 4),
    });
  });

  it('copies an input that is also seen through a reshape, and never overwrites one', async () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 2]);
    const a = ops.affine(x, { scale: 2, offset: 0 });
    const flat = ops.reshape(a, [4]);
    const b = ops.affine(x, { scale: 3, offset: 0 });
    const joined = ops.concat([a, b]);
    const squared = ops.square(b);
    using compiled = compile(graph, { outputs: { flat, joined, squared } });
    expect(compiled.describe().launches.map(({ op }) => op)).toEqual(['affine', 'affine', 'copy', 'square']);
    expect(await compiled.step({ x: Float32Array.of(1, 2, 3, 4) })).toEqual({
      flat: Float32Array.of(2, 4, 6, 8),
      joined: Float32Array.of(2, 4, 3, 6, 6, 8, 9, 12),
      squared: Float32Array.of(9, 36, 81, 144),
    });
  });

  it('on another axis is a launch', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 2]);
    const y = ops.concat([ops.relu(x), x], { axis: 0 });
    expect(plan(graph, { y }).ops).toEqual(['relu', 'concat']);
  });
});

describe('fold', () => {
  function separable(change: (graph: Graph, normal: Tensor, gamma: Tensor, u: Tensor) => Record<string, Tensor>) {
    const graph = new Graph();
    const x = graph.input('x', [2, 5, 5, 3]);
    const gamma = graph.param('gamma', [3], 1);
    const beta = graph.param('beta', [3], 0);
    const normal = ops.batchNorm(x, { ...ops.moments(x), gamma, beta, activation: 'relu', training: true });
    const u = ops.depthwiseConv2d(normal, graph.param('w', [3, 3, 1, 3], 0.5));
    return plan(graph, { u, ...change(graph, normal, gamma, u) });
  }

  it('takes batchNorm into the depthwise convolution that reads it', () => {
    const about = separable(() => ({}));
    expect(about.ops).toEqual(['moments', 'conv2d']);
    expect(about.fused).toEqual([expect.stringMatching(/^batchNorm "batchNorm" into conv2d /)]);
  });

  it('takes it into several, also into the filter gradient', () => {
    const about = separable((graph, normal, _, u) => {
      const attrs = graph.producer(u)?.attrs ?? {};
      const [dw] = graph.append('conv2dGradFilter', [normal, u], [{ shape: [3, 3, 1, 3] }], attrs);
      return { dw: dw as Tensor };
    });
    expect(about.ops).toEqual(['moments', 'conv2d', 'conv2dGradFilter']);
    expect(about.fused).toHaveLength(2);
  });

  it('does not when its result is read elsewhere, returned, or is the gradient of the pair', () => {
    expect(separable((_, normal) => ({ y: ops.relu(normal) })).ops).toContain('batchNorm');
    expect(separable((_, normal) => ({ normal })).ops).toContain('batchNorm');
    const swapped = separable((graph, normal, _, u) => {
      const attrs = graph.producer(u)?.attrs ?? {};
      const [dw] = graph.append('conv2dGradFilter', [u, normal], [{ shape: [3, 3, 1, 3] }], attrs);
      return { dw: dw as Tensor };
    });
    expect(swapped.ops).toContain('batchNorm');
  });

  it('does not over an update of gamma', () => {
    const about = separable((graph, normal, gamma, u) => {
      const attrs = graph.producer(u)?.attrs ?? {};
      const data = graph.constant('data', [3], Float32Array.of(1, 2, 3));
      graph.appendUpdate('ema', [gamma, data], [gamma], { momentum: 0.5, scale: 1 });
      const [dw] = graph.append('conv2dGradFilter', [normal, u], [{ shape: [3, 3, 1, 3] }], attrs);
      return { dw: dw as Tensor };
    });
    expect(about.ops).toContain('batchNorm');
  });
});

describe('join', () => {
  /** Two depthwise convolutions of one batchNorm whose sum has the gradient dy; only the small one passes it on. */
  function backward(inBetween: (graph: Graph, w: Tensor, dy: Tensor) => void = () => {}) {
    const graph = new Graph();
    const feed = (name: string, shape: number[]) => graph.input(name, shape);
    const [x, dy] = [feed('x', [1, 6, 6, 3]), graph.state('dy', [1, 6, 6, 3])];
    const w = graph.param('w', [3, 3, 1, 3], 0.5);
    const vectors = ['mean', 'variance', 'gamma', 'beta'].map((name) => feed(name, [3]));
    const norm = { eps: 1e-3, activation: 'relu', alpha: 0.01 };
    const y = node(graph, 'batchNorm', [x, ...vectors], [1, 6, 6, 3], { ...norm, training: true });
    const window = (pad: number) => ({
      ...{ strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, groups: 3 },
      ...{ padTop: pad, padBottom: pad, padLeft: pad, padRight: pad },
    });
    const da = node(graph, 'conv2dGradInput', [dy, w], [1, 6, 6, 3], window(1));
    const large = node(graph, 'conv2dGradFilter', [y, dy], [5, 5, 1, 3], window(2), 'large');
    const small = node(graph, 'conv2dGradFilter', [y, dy], [3, 3, 1, 3], window(1), 'small');
    inBetween(graph, w, dy);
    const vector = { shape: [3] };
    const [gamma, beta] = graph.append('batchNormGradParams', [da, x, ...vectors], [vector, vector], norm);
    return analyze(graph, { outputs: { large, small, gamma: gamma as Tensor, beta: beta as Tensor } });
  }

  it('takes the filter gradient of the same convolution, not of another that reads the same gradient', () => {
    const { launches, fused } = backward();
    expect(launches.map(({ op, name }) => [op, name])).toEqual([
      ['conv2dGradFilter', 'large'],
      ['depthwiseBackward', 'small'],
    ]);
    expect(fused).toContain('the backward of "small" into one depthwiseBackward');
  });

  it('does not over an update of what it reads', () => {
    const updates: ((graph: Graph, w: Tensor, dy: Tensor) => void)[] = [
      (graph, w) => graph.appendUpdate('ema', [w, w], [w], { momentum: 0.5, scale: 2 }),
      (graph, _, dy) => graph.appendUpdate('ema', [dy, dy], [dy], { momentum: 0.5, scale: 2 }),
    ];
    for (const update of updates)
      expect(backward(update).launches.map(({ op }) => op)).not.toContain('depthwiseBackward');
  });
});
