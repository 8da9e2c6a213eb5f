// Malformed graphs and calls, straight into the addon as a program of our own might never send them: each must be a
// typed error, and none may crash, hang or allocate without bound. The rule easy to break: a case changes one thing of
// a graph that is right, so that it fails for the reason it is named after.
import { describe, expect, it } from 'vitest';
import { type NativePlan, native, type WireGraph } from '../../src/native';

type Loose = Record<string, unknown>;

const options = {
  device: 'cpu',
  isa: 'auto',
  threads: 1,
  precision: 'float32',
  deviceIndex: 0,
  memoryLimit: 0,
  tf32: false,
};

/** h = x w; y = relu(h); p is a param that `ema` updates. */
function right() {
  return {
    tensors: [
      { shape: [4, 3], dtype: 'f32', kind: 'input', name: 'x' },
      { shape: [3, 2], dtype: 'f32', kind: 'param', name: 'w', data: new Float32Array(6).fill(1) },
      { shape: [4, 2], dtype: 'f32', kind: 'temp', name: 'h' },
      { shape: [4, 2], dtype: 'f32', kind: 'temp', name: 'y' },
      { shape: [2], dtype: 'i32', kind: 'const', name: 'k', data: Int32Array.of(0, 1) },
      { shape: [3, 2], dtype: 'f32', kind: 'state', name: 's', data: 0 },
    ] as Loose[],
    nodes: [
      { op: 'matmul', inputs: [0, 1], outputs: [2], attrs: { transA: false, transB: false }, unit: 0, name: 'dense' },
      { op: 'relu', inputs: [2], outputs: [3], attrs: {}, unit: 0, name: 'act' },
      { op: 'ema', inputs: [5, 1], outputs: [5], attrs: { momentum: 0.5, scale: 1 }, unit: 0, name: 'average' },
    ] as Loose[],
    outputs: [3] as unknown,
  };
}

type Wire = ReturnType<typeof right>;

const tensor = (graph: Wire, index: number) => graph.tensors[index] as Loose;
const node = (graph: Wire, index: number) => graph.nodes[index] as Loose;
const set = (target: Loose, change: Loose) => void Object.assign(target, change);

function compile(wire: unknown, settings: unknown = options): NativePlan {
  return new (native().Plan)(wire as WireGraph, settings as typeof options);
}

function codeOf(body: () => unknown): { code: unknown; message: string } {
  try {
    body();
  } catch (error) {
    return { code: (error as { code?: unknown }).code, message: String(error) };
  }
  return { code: 'no error', message: '' };
}

/** Appends one node with fresh temps of these shapes, reading fresh inputs of those shapes. */
function withNode(graph: Wire, op: string, inputs: number[][], outputs: number[][], attrs: Loose = {}, dtypes = '') {
  const letters: Record<string, string> = { f: 'f32', i: 'i32', u: 'u8' };
  const add = (shape: number[], kind: string, position: number) => {
    graph.tensors.push({ shape, dtype: letters[dtypes[position] ?? 'f'], kind, name: `t${graph.tensors.length}` });
    return graph.tensors.length - 1;
  };
  const read = inputs.map((shape, index) => add(shape, 'input', index));
  const made = outputs.map((shape, index) => add(shape, 'temp', inputs.length + index));
  graph.nodes.push({ op, inputs: read, outputs: made, attrs, unit: 0, name: 'fresh' });
}

const CONV = {
  strideH: 1,
  strideW: 1,
  padTop: 0,
  padBottom: 0,
  padLeft: 0,
  padRight: 0,
  dilationH: 1,
  dilationW: 1,
  groups: 1,
};
const POOL = { kernelH: 2, kernelW: 2, strideH: 2, strideW: 2, padTop: 0, padBottom: 0, padLeft: 0, padRight: 0 };
const OBJECTIVE = {
  kind: 'hsic',
  kernel: 'linear',
  sigma: 1,
  features: 3,
  beta: 1,
  gamma: 1,
  power: 2,
  eps: 1e-5,
  unbiased: false,
};

const cases: [name: string, code: string, change: (graph: Wire) => void][] = [
  // the envelope
  ['tensors is not an array', 'ERR_ARGUMENT', (g) => set(g as never, { tensors: {} })],
  ['nodes is missing', 'ERR_ARGUMENT', (g) => set(g as never, { nodes: undefined })],
  ['outputs is a string', 'ERR_ARGUMENT', (g) => set(g as never, { outputs: '3' })],
  ['a tensor is null', 'ERR_ARGUMENT', (g) => set(g.tensors as never, { 0: null })],
  ['a tensor is a hole', 'ERR_ARGUMENT', (g) => void delete (g.tensors as unknown[])[0]],
  ['a node is a number', 'ERR_ARGUMENT', (g) => set(g.nodes as never, { 1: 7 })],
  ['a node is an array', 'ERR_ARGUMENT', (g) => set(g.nodes as never, { 1: [] })],
  // tensors
  ['the shape is missing', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { shape: undefined })],
  ['rank 0', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [] })],
  ['rank 7', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [1, 1, 1, 1, 1, 1, 1] })],
  ['a dimension of 0', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [4, 0] })],
  ['a dimension of -1', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [-1, 3] })],
  ['a dimension of 1.5', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { shape: [1.5, 3] })],
  ['a dimension of NaN', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { shape: [Number.NaN, 3] })],
  ['a dimension of infinity', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { shape: [Infinity, 3] })],
  ['a bigint dimension', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { shape: [4n, 3] })],
  ['a dimension of 2^53', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { shape: [2 ** 53, 3] })],
  ['dimensions whose product overflows', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [2 ** 32, 2 ** 32] })],
  ['dimensions whose product wraps to 0', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [2 ** 32, 2 ** 32, 16] })],
  ['more than 2^40 elements', 'ERR_SHAPE', (g) => set(tensor(g, 0), { shape: [2 ** 41] })],
  ['an unknown dtype', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { dtype: 'f64' })],
  ['an unknown kind', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { kind: 'output' })],
  ['an empty name', 'ERR_GRAPH', (g) => set(tensor(g, 0), { name: '' })],
  ['a name that is a symbol', 'ERR_ARGUMENT', (g) => set(tensor(g, 0), { name: Symbol('x') })],
  ['two tensors of one name', 'ERR_GRAPH', (g) => set(tensor(g, 3), { name: 'h' })],
  ['data on a temp', 'ERR_GRAPH', (g) => set(tensor(g, 2), { data: 1 })],
  ['data on an input', 'ERR_GRAPH', (g) => set(tensor(g, 0), { data: new Float32Array(12) })],
  ['a const without data', 'ERR_GRAPH', (g) => set(tensor(g, 4), { data: undefined })],
  ['data too short', 'ERR_ARGUMENT', (g) => set(tensor(g, 1), { data: new Float32Array(5) })],
  ['data of another dtype', 'ERR_ARGUMENT', (g) => set(tensor(g, 1), { data: new Int32Array(6) })],
  ['data that is an array', 'ERR_ARGUMENT', (g) => set(tensor(g, 1), { data: [1, 2, 3, 4, 5, 6] })],
  [
    'data in shared memory',
    'ERR_ARGUMENT',
    (g) => set(tensor(g, 1), { data: new Float32Array(new SharedArrayBuffer(24)) }),
  ],
  ['an i32 filled with 1.5', 'ERR_ARGUMENT', (g) => set(tensor(g, 4), { data: 1.5 })],
  ['a u8 filled with 256', 'ERR_ARGUMENT', (g) => set(tensor(g, 4), { dtype: 'u8', data: 256 })],
  ['an i32 filled with NaN', 'ERR_ARGUMENT', (g) => set(tensor(g, 4), { data: Number.NaN })],
  // nodes
  ['an unknown op', 'ERR_GRAPH', (g) => set(node(g, 1), { op: 'gelu' })],
  ['an internal op', 'ERR_GRAPH', (g) => set(node(g, 1), { op: 'copy' })],
  ['an op that is a number', 'ERR_ARGUMENT', (g) => set(node(g, 1), { op: 3 })],
  ['an input that is not there', 'ERR_GRAPH', (g) => set(node(g, 1), { inputs: [99] })],
  ['an input of -1', 'ERR_GRAPH', (g) => set(node(g, 1), { inputs: [-1] })],
  ['an input of 0.5', 'ERR_ARGUMENT', (g) => set(node(g, 1), { inputs: [0.5] })],
  ['an input of 2^32', 'ERR_ARGUMENT', (g) => set(node(g, 1), { inputs: [2 ** 32] })],
  ['an output that is not there', 'ERR_GRAPH', (g) => set(node(g, 1), { outputs: [99] })],
  ['an input before it is made', 'ERR_GRAPH', (g) => void g.nodes.reverse()],
  ['a node that reads itself', 'ERR_GRAPH', (g) => set(node(g, 1), { inputs: [3] })],
  ['a temp made twice', 'ERR_GRAPH', (g) => set(node(g, 1), { outputs: [2] })],
  ['a write to an input', 'ERR_GRAPH', (g) => set(node(g, 1), { inputs: [2], outputs: [0] })],
  ['a write to a const', 'ERR_GRAPH', (g) => set(node(g, 2), { inputs: [4, 4], outputs: [4] })],
  ['a write to a param by an op that is no update', 'ERR_GRAPH', (g) => set(node(g, 1), { outputs: [1] })],
  ['an update of another tensor', 'ERR_GRAPH', (g) => set(node(g, 2), { outputs: [1] })],
  ['too few inputs', 'ERR_GRAPH', (g) => set(node(g, 0), { inputs: [0] })],
  ['too many inputs', 'ERR_GRAPH', (g) => set(node(g, 1), { inputs: [2, 2] })],
  ['no outputs', 'ERR_GRAPH', (g) => set(node(g, 1), { outputs: [] })],
  ['one output twice', 'ERR_GRAPH', (g) => set(node(g, 1), { outputs: [3, 3] })],
  ['a unit of -2', 'ERR_ARGUMENT', (g) => set(node(g, 1), { unit: -2 })],
  ['a unit that is a string', 'ERR_ARGUMENT', (g) => set(node(g, 1), { unit: 'a' })],
  ['attrs that are missing', 'ERR_ARGUMENT', (g) => set(node(g, 1), { attrs: undefined })],
  ['a missing attribute', 'ERR_GRAPH', (g) => set(node(g, 0), { attrs: { transA: false } })],
  ...['outEps', 'outAdd', 'outBias', 'bnEps', 'inActivation'].map((key): (typeof cases)[number] => [
    `an attribute of the planner, ${key}`,
    'ERR_GRAPH',
    (g) => {
      const shapes = [
        [1, 4, 4, 3],
        [3, 3, 3, 5],
      ];
      withNode(g, 'conv2d', shapes, [[1, 2, 2, 5]], { ...CONV, [key]: 1 });
    },
  ]),
  ['an attribute of another type', 'ERR_GRAPH', (g) => set(node(g, 0), { attrs: { transA: 1, transB: false } })],
  ['an attribute that is an object', 'ERR_ARGUMENT', (g) => set(node(g, 0), { attrs: { transA: {}, transB: false } })],
  ['an attribute that is NaN', 'ERR_GRAPH', (g) => set(node(g, 2), { attrs: { momentum: Number.NaN, scale: 1 } })],
  ['a list with a string', 'ERR_ARGUMENT', (g) => withNode(g, 'slice', [[4]], [[2]], { begin: ['0'], size: [2] })],
  // outputs
  ['an output that is no tensor', 'ERR_GRAPH', (g) => set(g as never, { outputs: [6] })],
  ['an output that nobody makes', 'ERR_GRAPH', (g) => void g.nodes.splice(1, 1)],
  // contracts
  ['matmul: inner dimensions', 'ERR_SHAPE', (g) => set(tensor(g, 1), { shape: [2, 3] })],
  ['matmul: output', 'ERR_SHAPE', (g) => set(tensor(g, 2), { shape: [2, 4] })],
  ['relu: output', 'ERR_SHAPE', (g) => set(tensor(g, 3), { shape: [2, 4] })],
  ['relu: dtype', 'ERR_SHAPE', (g) => set(tensor(g, 3), { dtype: 'i32' })],
  ['add: shapes', 'ERR_SHAPE', (g) => withNode(g, 'add', [[4, 3], [2]], [[4, 3]])],
  ['reshape: count', 'ERR_SHAPE', (g) => withNode(g, 'reshape', [[4, 3]], [[13]])],
  ['transpose: perm twice', 'ERR_SHAPE', (g) => withNode(g, 'transpose', [[2, 2]], [[2, 2]], { perm: [0, 0] })],
  ['transpose: perm out of range', 'ERR_SHAPE', (g) => withNode(g, 'transpose', [[2, 2]], [[2, 2]], { perm: [0, 2] })],
  ['concat: axis', 'ERR_SHAPE', (g) => withNode(g, 'concat', [[2, 2]], [[2, 2]], { axis: 2 })],
  [
    'concat: sum',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'concat',
        [
          [2, 2],
          [2, 3],
        ],
        [[2, 6]],
        { axis: 1 },
      ),
  ],
  ['slice: outside', 'ERR_SHAPE', (g) => withNode(g, 'slice', [[4]], [[3]], { begin: [2], size: [3] })],
  ['slice: negative', 'ERR_SHAPE', (g) => withNode(g, 'slice', [[4]], [[2]], { begin: [-1], size: [2] })],
  [
    'slice: begin that overflows',
    'ERR_SHAPE',
    (g) => withNode(g, 'slice', [[4]], [[2]], { begin: [2 ** 63], size: [2] }),
  ],
  ['pad: output', 'ERR_SHAPE', (g) => withNode(g, 'pad', [[4]], [[9]], { before: [2], after: [2], value: 0 })],
  ['broadcastTo: output', 'ERR_SHAPE', (g) => withNode(g, 'broadcastTo', [[4]], [[4, 3]])],
  [
    'gather: batch',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'gather',
        [
          [2, 5, 3],
          [3, 1],
        ],
        [[2, 1, 3]],
        {},
        'fif',
      ),
  ],
  [
    'gather: f32 indices',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'gather',
        [
          [2, 5, 3],
          [2, 1],
        ],
        [[2, 1, 3]],
      ),
  ],
  [
    'gatherGrad: features',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'gatherGrad',
        [
          [2, 1, 3],
          [2, 1],
        ],
        [[2, 5, 4]],
        {},
        'fif',
      ),
  ],
  ['topK: k', 'ERR_SHAPE', (g) => withNode(g, 'topK', [[2, 5, 3]], [[2, 6]], { k: 6 }, 'fi')],
  [
    'reduceSum: axes order',
    'ERR_SHAPE',
    (g) => withNode(g, 'reduceSum', [[2, 3]], [[1]], { axes: [1, 0], keepDims: false }),
  ],
  [
    'reduceSum: axes range',
    'ERR_SHAPE',
    (g) => withNode(g, 'reduceSum', [[2, 3]], [[2]], { axes: [2], keepDims: false }),
  ],
  ['moments: channels', 'ERR_SHAPE', (g) => withNode(g, 'moments', [[4, 3]], [[3], [4]])],
  [
    'conv2d: channels',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'conv2d',
        [
          [1, 4, 4, 3],
          [3, 3, 2, 5],
        ],
        [[1, 2, 2, 5]],
        CONV,
      ),
  ],
  [
    'conv2d: stride 0',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'conv2d',
        [
          [1, 4, 4, 3],
          [3, 3, 3, 5],
        ],
        [[1, 2, 2, 5]],
        { ...CONV, strideH: 0 },
      ),
  ],
  [
    'conv2d: window larger than the image',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'conv2d',
        [
          [1, 2, 2, 3],
          [3, 3, 3, 5],
        ],
        [[1, 1, 1, 5]],
        CONV,
      ),
  ],
  [
    'conv2d: groups that do not divide',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'conv2d',
        [
          [1, 4, 4, 3],
          [3, 3, 1, 4],
        ],
        [[1, 2, 2, 4]],
        { ...CONV, groups: 2 },
      ),
  ],
  [
    'conv2d: output',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'conv2d',
        [
          [1, 4, 4, 3],
          [3, 3, 3, 5],
        ],
        [[1, 4, 4, 5]],
        CONV,
      ),
  ],
  [
    'maxPool: pad as large as the window',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'maxPool',
        [[1, 4, 4, 1]],
        [
          [1, 3, 2, 1],
          [1, 3, 2, 1],
        ],
        { ...POOL, padTop: 2 },
        'ffi',
      ),
  ],
  [
    'maxPool: index',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'maxPool',
        [[1, 4, 4, 1]],
        [
          [1, 2, 2, 1],
          [1, 2, 2, 2],
        ],
        POOL,
        'ffi',
      ),
  ],
  [
    'resize: mode',
    'ERR_GRAPH',
    (g) => withNode(g, 'resize', [[1, 4, 4, 1]], [[1, 8, 8, 1]], { mode: 'cubic', coordinates: 'aligned' }),
  ],
  [
    'crossEntropy: labels',
    'ERR_SHAPE',
    (g) => withNode(g, 'crossEntropy', [[4, 3], [3]], [[1], [4, 3]], { labelSmoothing: 0 }, 'fiff'),
  ],
  ['gram: output', 'ERR_SHAPE', (g) => withNode(g, 'gram', [[4, 3]], [[3, 3]], { center: true })],
  [
    'hsicObjective: nhsic without R',
    'ERR_GRAPH',
    (g) =>
      withNode(
        g,
        'hsicObjective',
        [
          [4, 4],
          [4, 4],
          [4, 4],
        ],
        [[1], [8], [4, 4]],
        { ...OBJECTIVE, kind: 'nhsic' },
      ),
  ],
  [
    'hsicObjective: one sample',
    'ERR_SHAPE',
    (g) =>
      withNode(
        g,
        'hsicObjective',
        [
          [1, 1],
          [1, 1],
          [1, 1],
        ],
        [[1], [8], [1, 1]],
        OBJECTIVE,
      ),
  ],
  [
    'indices that an op computes',
    'ERR_GRAPH',
    (g) => {
      withNode(g, 'labelKernel', [[4]], [[4, 4]], {}, 'if');
      const state = g.tensors.push({ shape: [1], dtype: 'i32', kind: 'state', name: 'counter', data: 0 }) - 1;
      g.nodes.push({ op: 'increment', inputs: [state], outputs: [state], attrs: {}, unit: 0, name: 'up' });
      const logits = g.tensors.push({ shape: [1, 3], dtype: 'f32', kind: 'input', name: 'logits' }) - 1;
      const loss = g.tensors.push({ shape: [1], dtype: 'f32', kind: 'temp', name: 'loss' }) - 1;
      const dlogits = g.tensors.push({ shape: [1, 3], dtype: 'f32', kind: 'temp', name: 'dlogits' }) - 1;
      g.nodes.push({
        op: 'crossEntropy',
        inputs: [logits, state],
        outputs: [loss, dlogits],
        attrs: { labelSmoothing: 0 },
        unit: 0,
        name: 'ce',
      });
      g.outputs = [loss];
    },
  ],
];

describe('malformed graphs', () => {
  it('the graph they are made from is right', async () => {
    const plan = compile(right());
    const [y] = await plan.step([new Float32Array(12).fill(-2).fill(1, 0, 3)], 0);
    expect(y).toEqual(Float32Array.of(3, 3, 0, 0, 0, 0, 0, 0));
    plan.dispose();
  });

  it.each(cases)('%s is %s', (_, code, change) => {
    const graph = right();
    change(graph);
    const { code: got, message } = codeOf(() => compile(graph));
    expect(got).toBe(code);
    expect(message).toMatch(/\[[a-zA-Z0-9]+\] .{8}/);
    const analyzed = codeOf(() => native().analyze(graph as never, options));
    expect(analyzed.code).toBe(code);
  });

  it.each([undefined, null, 3, 'graph', [], () => 0])('%s instead of a graph is ERR_ARGUMENT', (value) => {
    expect(codeOf(() => compile(value)).code).toBe('ERR_ARGUMENT');
  });

  it('an exception of a getter comes through unchanged', () => {
    const graph = right();
    Object.defineProperty(graph.tensors[0], 'shape', {
      get() {
        throw new RangeError('mine');
      },
    });
    expect(() => compile(graph)).toThrow(new RangeError('mine'));
  });

  it.each(['a tensor', 'the options'])('an array whose memory a getter of %s gives away later is refused', (where) => {
    const graph = right();
    const data = new Float32Array(6).fill(1);
    set(tensor(graph, 1), { data });
    const settings = { ...options };
    Object.defineProperty(where === 'a tensor' ? tensor(graph, 5) : settings, where === 'a tensor' ? 'data' : 'isa', {
      get: () => structuredClone(where === 'a tensor' ? 0 : 'auto', { transfer: [data.buffer] }),
    });
    const { code, message } = codeOf(() => compile(graph, settings));
    expect([code, message]).toEqual(['ERR_ARGUMENT', expect.stringContaining('"w" has 6 elements, got 0')]);
  });

  it('a getter is asked once, so its answer cannot change between check and use', async () => {
    const graph = right();
    let asked = 0;
    Object.defineProperty(graph.tensors[0], 'shape', {
      get: () => {
        asked += 1;
        return asked === 1 ? [4, 3] : [4000, 3];
      },
    });
    const plan = compile(graph);
    expect(asked).toBe(1);
    expect((await plan.step([new Float32Array(12)], 0))[0]).toHaveLength(8);
    plan.dispose();
  });
});

describe('malformed options and calls', () => {
  it.each([
    undefined,
    {},
    { ...options, device: 'tpu' },
    { ...options, isa: 'mmx' },
    { ...options, precision: 'bfloat' },
    { device: 'cpu', isa: 'auto', threads: 1 },
    { ...options, threads: -1 },
    { ...options, threads: 1e9 },
    { ...options, threads: '2' },
  ])('options %j', (settings) => {
    expect(codeOf(() => compile(right(), settings === undefined ? null : settings)).code).toBe('ERR_ARGUMENT');
  });

  it('methods refuse a foreign receiver, and the constructor a missing new', () => {
    const plan = compile(right());
    expect(() => plan.step.call({} as NativePlan, [], 0)).toThrow(TypeError);
    expect(() => Reflect.apply(native().Plan as never, undefined, [right(), options])).toThrow(TypeError);
    const forged = Object.create(native().Plan.prototype) as NativePlan;
    expect(() => new (native().Plan)(right() as never, options, forged)).toThrow();
    expect(codeOf(() => new (native().Plan)(right() as never, options, {} as NativePlan)).code).toBe('ERR_ARGUMENT');
    plan.dispose();
  });

  it.each([undefined, null, [], [1], [new Float32Array(11)], [new Float32Array(12), 1], ['x']])('feeds %j', (feeds) => {
    const plan = compile(right());
    expect(codeOf(() => plan.step(feeds as never, 0)).code).toBe('ERR_ARGUMENT');
    plan.dispose();
  });

  it.each(['run', 'runSync', 'step', 'profile'] as const)('feeds of %s that change while they are read', (method) => {
    const two = right();
    withNode(two, 'relu', [[1024]], [[1024]]);
    two.outputs = [two.tensors.length - 1];
    const plan = compile(two);
    const calls = {
      run: (feeds: Float32Array[]) => plan.run(feeds, 1, 0),
      runSync: (feeds: Float32Array[]) => plan.runSync(feeds, 1),
      step: (feeds: Float32Array[]) => plan.step(feeds, 0),
      profile: (feeds: Float32Array[]) => plan.profile(feeds, 1, 0),
    };
    const reading = (then: (first: Float32Array) => void) => {
      const first = new Float32Array(12);
      const feeds = [first, first];
      Object.defineProperty(feeds, 1, {
        get: () => {
          then(first);
          return new Float32Array(1024);
        },
      });
      return codeOf(() => calls[method](feeds)).code;
    };
    // The first array's memory goes away, then the plan.
    expect(reading((first) => void structuredClone(first, { transfer: [first.buffer as ArrayBuffer] }))).toBe(
      'ERR_ARGUMENT',
    );
    expect(reading(() => plan.dispose())).toBe('ERR_DISPOSED');
  });

  it('names, ids and data', () => {
    const plan = compile(right());
    const feeds = [new Float32Array(12)];
    for (const body of [
      () => plan.step(feeds, -1),
      () => plan.step(feeds, 0.5),
      () => plan.run([], 1, 0),
      () => plan.run(feeds, 2, 0),
      () => plan.run(feeds, 2 ** 52, 0),
      () => plan.run(feeds, 0, 0),
      () => plan.run(feeds, 1, -1),
      () => plan.runSync(feeds, 1.5),
      () => plan.runSync(feeds, 2),
      () => plan.read(3 as never),
      () => plan.read('nope'),
      () => plan.write('w', undefined as never),
      () => plan.write('w', new Float32Array(7)),
      () => plan.abort(0),
      () => plan.abort(Number.NaN),
    ])
      expect(codeOf(body).code).toBe('ERR_ARGUMENT');
    plan.dispose();
    expect(codeOf(() => plan.step(feeds, 0)).code).toBe('ERR_DISPOSED');
    expect(plan.dispose()).toBeUndefined();
    expect(plan.abort(1)).toBeUndefined();
  });
});
