// What layers share and how they start: statistics measured once for each channel, running statistics that training and
// inference name alike, connection weights on the right channels, and initial values that depend on seed and name alone.
import { describe, expect, it } from 'vitest';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import {
  channelAttention,
  composite,
  connectionWeights,
  convolution,
  dense,
  denseBlock,
  dropout,
  heNormal,
  normal,
  normalize,
  normalLater,
  padded,
  poolTo,
  pyramid,
  separableConv,
  stem,
  whiten,
} from '../../src/layers';
import { ReferenceSession } from '../reference/interpreter';
import { generator } from '../train/fixtures';

const count = (graph: Graph, op: string): number => graph.nodes.filter((node) => node.op === op).length;

const namesOf = (graph: Graph, kind: 'param' | 'state'): string[] =>
  graph.tensors.filter((info) => info.kind === kind).map((info) => info.name);

/** Values in -1..3, so that means differ from 0. */
function values(size: number, seed = 5): Float64Array {
  const next = generator(seed);
  return Float64Array.from({ length: size }, () => 4 * next() - 1);
}

/** Mean and biased variance of each channel, the plain way. */
function momentsOf(data: Float64Array, channels: number): { mean: number[]; variance: number[] } {
  const rows = data.length / channels;
  const column = (channel: number): number[] =>
    Array.from({ length: rows }, (_, row) => data[row * channels + channel]!);
  const mean = Array.from({ length: channels }, (_, c) => column(c).reduce((sum, value) => sum + value, 0) / rows);
  const variance = mean.map((m, c) => column(c).reduce((sum, value) => sum + (value - m) ** 2, 0) / rows);
  return { mean, variance };
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(actual.length).toBe(expected.length);
  for (let index = 0; index < expected.length; index += 1)
    expect(Math.abs(actual[index]! - expected[index]!), `element ${index}`).toBeLessThanOrEqual(tolerance);
}

const ROWS = 6;
const SHAPE_A = [ROWS, 2, 2, 3];
const SHAPE_B = [ROWS, 2, 2, 2];
const SHAPE_C = [ROWS, 2, 2, 4];

/** Three layers that read a, [a b] and [[a b] c], as in a dense block. */
function denselyRead(training: boolean): { graph: Graph; layers: Tensor[] } {
  const graph = new Graph({ training });
  const a = graph.input('a', SHAPE_A);
  const b = graph.input('b', SHAPE_B);
  const c = graph.input('c', SHAPE_C);
  const layer = (name: string, x: Tensor): Tensor => graph.scope(name, () => normalize('bn', x));
  const ab = ops.concat([a, b]);
  return { graph, layers: [layer('first', a), layer('second', ab), layer('third', ops.concat([ab, c]))] };
}

const FEEDS = { a: values(72, 1), b: values(48, 2), c: values(96, 3) };

describe('shared statistics', () => {
  it('measures each tensor once for all layers that read it', () => {
    const { graph } = denselyRead(true);
    expect(count(graph, 'moments')).toBe(3);
    expect(count(graph, 'ema')).toBe(6);
    expect(count(graph, 'batchNorm')).toBe(3);
    const measured = graph.nodes.filter((node) => node.op === 'moments').map((node) => node.inputs[0]);
    expect(new Set(measured.map((id) => graph.tensors[id!]!.name))).toEqual(new Set(['a', 'b', 'c']));
  });

  it('also when two layers read the same tensor or the same concatenation', () => {
    const graph = new Graph();
    const ab = ops.concat([graph.input('a', SHAPE_A), graph.input('b', SHAPE_B)]);
    for (const name of ['one', 'two', 'three']) graph.scope(name, () => normalize('bn', ab));
    expect(count(graph, 'moments')).toBe(2);
    expect(namesOf(graph, 'state').every((name) => name.startsWith('one/bn/'))).toBe(true);
    expect(namesOf(graph, 'param')).toEqual(
      ['one', 'two', 'three'].flatMap((name) => [`${name}/bn/gamma`, `${name}/bn/beta`]),
    );
  });

  it('does not take a concatenation on another axis apart', () => {
    const graph = new Graph();
    const a = graph.input('a', SHAPE_A);
    normalize('bn', ops.concat([a, a], { axis: 0 }));
    expect(count(graph, 'moments')).toBe(1);
    expect(namesOf(graph, 'state')).toEqual(['bn/running_mean', 'bn/running_variance']);
  });

  it('normalises every channel of a concatenation by its own batch', () => {
    const { graph, layers } = denselyRead(true);
    const step = new ReferenceSession(graph).step(FEEDS);
    for (const layer of layers) {
      const { mean, variance } = momentsOf(step.get(layer.id)!.data, layer.shape.at(-1)!);
      close(mean, new Float64Array(mean.length), 1e-9);
      close(variance, new Float64Array(mean.length).fill(1), 1e-4);
    }
  });

  it('names running statistics by the first reader, the same in training and inference', () => {
    const names = namesOf(denselyRead(true).graph, 'state');
    expect(namesOf(denselyRead(false).graph, 'state')).toEqual(names);
    expect(names).toEqual([
      'first/bn/running_mean',
      'first/bn/running_variance',
      'second/bn/running_mean_1',
      'second/bn/running_variance_1',
      'third/bn/running_mean_1',
      'third/bn/running_variance_1',
    ]);
  });

  it('tells the parts of a nested concatenation apart when nobody read them before', () => {
    const graph = new Graph();
    const parts = [SHAPE_A, SHAPE_B, SHAPE_C].map((shape, index) => graph.input(`x${index}`, shape));
    normalize('bn', ops.concat([ops.concat([parts[0]!, parts[1]!]), parts[2]!]));
    const running = graph.tensors.filter((info) => info.kind === 'state');
    expect(running.map((info) => [info.name, info.shape[0]])).toEqual([
      ['bn/running_mean_0_0', 3],
      ['bn/running_variance_0_0', 3],
      ['bn/running_mean_0_1', 2],
      ['bn/running_variance_0_1', 2],
      ['bn/running_mean_1', 4],
      ['bn/running_variance_1', 4],
    ]);
  });

  it('moves running statistics a tenth of the way to the batch’s, the variance to the unbiased one', () => {
    const { graph } = denselyRead(true);
    const session = new ReferenceSession(graph);
    session.step(FEEDS);
    session.step(FEEDS);
    const sources = { 'first/bn': ['a', 3, ''], 'second/bn': ['b', 2, '_1'], 'third/bn': ['c', 4, '_1'] } as const;
    const rows = ROWS * 4;
    for (const [layer, [feed, channels, part]] of Object.entries(sources)) {
      const { mean, variance } = momentsOf(FEEDS[feed], channels);
      // Two steps from 0 and from 1.
      close(
        session.read(`${layer}/running_mean${part}`),
        mean.map((m) => 0.19 * m),
      );
      const unbiased = variance.map((v) => 0.81 + (0.19 * v * rows) / (rows - 1));
      close(session.read(`${layer}/running_variance${part}`), unbiased);
    }
  });

  it('normalises by the running statistics of the parts in inference, and leaves them', () => {
    const { graph, layers } = denselyRead(false);
    expect(count(graph, 'moments') + count(graph, 'ema')).toBe(0);
    const session = new ReferenceSession(graph);
    const means = { first: [1, 2, 3], second: [4, 5], third: [6, 7, 8, 9] };
    session.write('first/bn/running_mean', means.first);
    session.write('second/bn/running_mean_1', means.second);
    session.write('third/bn/running_mean_1', means.third);
    session.write('first/bn/running_variance', [4, 4, 4]);
    const y = session.step(FEEDS).get(layers[2]!.id)!.data;
    const row = [...FEEDS.a.subarray(0, 3), ...FEEDS.b.subarray(0, 2), ...FEEDS.c.subarray(0, 4)];
    const mean = [...means.first, ...means.second, ...means.third];
    close(
      y.subarray(0, 9),
      row.map((value, channel) => (value - mean[channel]!) / (channel < 3 ? 2 : 1)),
      1e-3,
    );
    expect([...session.read('second/bn/running_mean_1')]).toEqual(means.second);
  });

  it('whiten has no parameters and shares its constants', () => {
    const graph = new Graph();
    whiten('one', graph.input('a', SHAPE_A));
    whiten('two', graph.input('b', SHAPE_A));
    expect(namesOf(graph, 'param')).toEqual([]);
    expect(graph.tensors.filter((info) => info.kind === 'const').map((info) => info.name)).toEqual([
      'constant_1_3',
      'constant_0_3',
    ]);
  });

  it.each([
    ['elu', 1],
    ['leakyRelu', 0.01],
  ] as const)('%s has alpha %d', (activation, alpha) => {
    const graph = new Graph();
    normalize('bn', graph.input('a', SHAPE_A), { activation });
    expect(graph.nodes.at(-1)!.attrs).toMatchObject({ activation, alpha });
  });
});

describe('connection weights', () => {
  it('spread each weight over the channels of its source', () => {
    const graph = new Graph();
    const sources = [3, 1, 2].map((channels, index) => graph.input(`x${index}`, [2, channels]));
    const spread = connectionWeights(sources);
    const session = new ReferenceSession(graph);
    const feeds = { x0: values(6), x1: values(2), x2: values(4) };
    expect([...session.step(feeds).get(spread.id)!.data]).toEqual([1, 1, 1, 1, 1, 1]);
    session.write('connection', [2, 3, 5]);
    expect([...session.step(feeds).get(spread.id)!.data]).toEqual([2, 2, 2, 3, 5, 5]);
  });

  it('scale the normalised channels of their source and no others', () => {
    const run = (weights: number[]): Float64Array => {
      const graph = new Graph();
      const sources = [graph.input('a', SHAPE_A), graph.input('b', SHAPE_B)];
      composite(ops.concat(sources), 4, { sources });
      const session = new ReferenceSession(graph);
      session.write('bn/beta', [0.5, -0.5, 1, 2, 3]);
      session.write('connection', weights);
      const active = graph.nodes.find((node) => node.op === 'batchNorm')!.outputs[0]!;
      return session.step(FEEDS).get(active)!.data;
    };
    const plain = run([1, 1]);
    const weighted = run([2, 0.25]);
    close(
      weighted,
      plain.map((value, index) => value * (index % 5 < 3 ? 2 : 0.25)),
      1e-12,
    );
    expect(plain.filter((value) => value > 0).length).toBeGreaterThan(plain.length / 4);
  });

  it('are left out for a single source, which normalisation would undo', () => {
    const graph = new Graph();
    const a = graph.input('a', SHAPE_A);
    composite(a, 4, { sources: [a] });
    expect(namesOf(graph, 'param')).toEqual(['bn/gamma', 'bn/beta', 'depthwise', 'pointwise']);
  });

  it('are one for each earlier layer of a dense block', () => {
    const graph = new Graph();
    const options = { activation: 'relu', growth: 4, width: 6, layers: 5, stride: 2, weighted: true } as const;
    const y = denseBlock('block', graph.input('a', [2, 9, 8, 1]), { ...options, first: true });
    expect(y.shape).toEqual([2, 5, 4, 6]);
    const connections = graph.tensors.filter((info) => info.name.endsWith('/connection'));
    expect(connections.map((info) => [info.name, info.shape[1]])).toEqual([
      ['block/layer3/connection', 2],
      ['block/layer4/connection', 3],
      ['block/layer5/connection', 4],
    ]);
  });
});

describe('shapes', () => {
  it('a block of one layer has the block’s width', () => {
    const options = { activation: 'relu', growth: 4, width: 6, layers: 1, stride: 1, weighted: true } as const;
    const y = denseBlock('block', new Graph().input('a', SHAPE_A), { ...options, first: false });
    expect(y.shape).toEqual([ROWS, 2, 2, 6]);
  });

  it('a pyramid returns the maps of its way up as far as asked', () => {
    const x = new Graph().input('x', [2, 13, 7, 5]);
    const maps = pyramid('p', x, { activation: 'tanh', channels: 3, levels: 4, until: 1 });
    expect([...maps].map(([level, map]) => [level, map.shape])).toEqual([
      [3, [2, 2, 1, 3]],
      [2, [2, 4, 2, 3]],
      [1, [2, 7, 4, 3]],
    ]);
  });

  it('attention scales the channels of each image and squeezes to at least one', () => {
    const graph = new Graph();
    const x = graph.input('a', SHAPE_A);
    const y = channelAttention('attention', x, 'relu');
    expect(y.shape).toEqual(SHAPE_A);
    const session = new ReferenceSession(graph);
    expect(graph.tensors.find((info) => info.name === 'attention/fc1/weight')!.shape).toEqual([3, 1]);
    session.write('attention/fc2/weight', [0, 0, 0]);
    expect([...session.step(FEEDS).get(y.id)!.data]).toEqual([...FEEDS.a]);
    session.write('attention/fc2/bias', [1, 2, 0]);
    const scaled = FEEDS.a.map((value, index) => value * [1, 2, 0][index % 3]!);
    close(session.step(FEEDS).get(y.id)!.data, scaled, 0);
  });

  it.each([
    [[2, 8, 8, 3], 4, [2, 4, 4, 3]],
    [[2, 7, 9, 3], 4, [2, 4, 3, 3]],
    [[2, 12, 3, 3], 4, [2, 4, 3, 3]],
    [[2, 4, 4, 3], 4, undefined],
    [[2, 2, 3, 3], 4, undefined],
    [[2, 8, 8, 3], 0, undefined],
    [[2, 8], 4, undefined],
  ])('poolTo of %j to %i cells', (shape, cells, expected) => {
    const x = new Graph().input('x', shape);
    const y = poolTo(x, cells);
    if (expected) expect(y.shape).toEqual(expected);
    else expect(y).toBe(x);
  });
});

/** Mean and standard deviation. */
function spreadOf(data: ArrayLike<number>): { mean: number; deviation: number } {
  const { mean, variance } = momentsOf(Float64Array.from(data), 1);
  return { mean: mean[0]!, deviation: Math.sqrt(variance[0]!) };
}

describe('initial values', () => {
  const draw = (seed: number, name: string, scope?: string): Float32Array => {
    const graph = new Graph({ seed });
    const shape = [11, 3];
    return scope === undefined
      ? normal(graph, name, shape, 1)
      : graph.scope(scope, () => normal(graph, name, shape, 1));
  };

  it('are a function of seed and full name', () => {
    expect(draw(3, 'weight')).toEqual(draw(3, 'weight'));
    expect(draw(3, 'weight', 'layer')).toEqual(draw(3, '/layer/weight'));
    expect(new Set(draw(3, 'weight')).size).toBe(33);
  });

  it.each([
    ['another seed', 4, 'weight'],
    ['seed 0', 0, 'weight'],
    ['a seed that differs above 32 bits', 3 + 2 ** 32, 'weight'],
    ['a seed with its halves swapped', 3 * 2 ** 32, 'weight'],
    ['the largest seed', Number.MAX_SAFE_INTEGER, 'weight'],
    ['another name', 3, 'weights'],
    ['a name of the same letters', 3, 'wieght'],
  ])('differ for %s', (_, seed, name) => {
    const [here, there] = [draw(3, 'weight'), draw(seed, name)];
    expect(here.filter((value, index) => value === there[index]).length).toBe(0);
    let product = 0;
    here.forEach((value, index) => {
      product += value * there[index]!;
    });
    expect(Math.abs(product / 33)).toBeLessThan(0.6);
  });

  it('do not change when a layer is added before', () => {
    const weights = (extra: boolean): unknown => {
      const graph = new Graph({ seed: 9 });
      const x = graph.input('x', [2, 5]);
      if (extra) dense('before', x, 5);
      dense('after', x, 4);
      return graph.tensors.find((info) => info.name === 'after/weight')!.data;
    };
    expect(weights(true)).toEqual(weights(false));
  });

  it.each([0.02, 1, 30])('have the deviation %d, in the middle and in the tails', (deviation) => {
    const data = normal(new Graph(), 'weight', [100, 401], deviation);
    const spread = spreadOf(data);
    // Four standard errors of 40,100 draws.
    expect(Math.abs(spread.mean)).toBeLessThan((4 * deviation) / 200);
    expect(Math.abs(spread.deviation / deviation - 1)).toBeLessThan(4 / 283);
    const share = (limit: number): number =>
      data.filter((value) => Math.abs(value) < limit * deviation).length / data.length;
    expect(share(1)).toBeCloseTo(0.6827, 2);
    expect(share(2)).toBeCloseTo(0.9545, 2);
    expect(share(6)).toBe(1);
  });

  it.each([
    ['heNormal', (x: Tensor) => heNormal(x.graph, 'w', [50, 50], 50), 50 / 2],
    ['stem', (x: Tensor) => stem(x, 200), (9 * 8) / 2, 'weight'],
    ['depthwise', (x: Tensor) => separableConv(x, 200), 9 / 2, 'depthwise'],
    ['pointwise', (x: Tensor) => separableConv(x, 200), 8 / 2, 'pointwise'],
    ['dense', (x: Tensor) => dense('fc', ops.globalAvgPool(x), 300), 8, 'fc/weight'],
  ] as [string, (x: Tensor) => unknown, number, string?][])(
    '%s starts with its own deviation',
    (_, make, inverse, name) => {
      const graph = new Graph();
      const made = make(graph.input('x', [2, 4, 4, 8]));
      const data = (name === undefined ? made : graph.tensors.find((info) => info.name === name)!.data) as Float32Array;
      const { mean, deviation } = spreadOf(data);
      // Four standard errors of the draws there are (at least 72).
      expect(Math.abs(mean) * Math.sqrt(inverse * data.length)).toBeLessThan(4);
      expect(Math.abs(deviation * Math.sqrt(inverse) - 1)).toBeLessThan(4 / Math.sqrt(2 * data.length));
    },
  );

  it('are the same drawn later, whatever scope is then open', () => {
    const graph = new Graph({ seed: 3 });
    const later = graph.scope('layer', () => normalLater(graph, 'weight', [11, 3], 1));
    expect(graph.scope('other', later)).toEqual(draw(3, 'weight', 'layer'));
  });

  it('of a convolution and of a dense layer follow their options', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 5, 5, 8]);
    convolution('plain', x, 300);
    convolution('told', x, 300, { kernel: 1, deviation: 3, bias: 2 });
    dense('fc', ops.globalAvgPool(x), 300, { deviation: 0.5, bias: null });
    const data = (name: string) => graph.tensors.find((info) => info.name === name)?.data as Float32Array;
    expect(spreadOf(data('plain/weight')).deviation).toBeCloseTo(Math.sqrt(2 / 72), 2);
    expect(spreadOf(data('told/weight')).deviation / 3).toBeCloseTo(1, 1);
    expect(spreadOf(data('fc/weight')).deviation).toBeCloseTo(0.5, 1);
    expect(data('told/bias')).toBe(2);
    expect([data('plain/bias'), data('fc/bias')]).toEqual([undefined, undefined]);
  });

  it('start gains at 1, offsets and biases at 0', () => {
    const graph = new Graph();
    normalize('bn', dense('fc', graph.input('x', [2, 5]), 4));
    const starts = graph.tensors.filter((info) => info.kind === 'param').map((info) => [info.name, info.data]);
    expect(Object.fromEntries(starts)).toMatchObject({ 'fc/bias': 0, 'bn/gamma': 1, 'bn/beta': 0 });
  });
});

describe('a plain convolution', () => {
  const shapes = (side: number, options: Parameters<typeof convolution>[3]) => {
    const graph = new Graph();
    const y = convolution('conv', graph.input('x', [2, side, side, 3]), 7, options);
    return [y.shape, graph.tensors.find((info) => info.name === 'conv/weight')!.shape];
  };

  it('has the window, stride and padding asked for', () => {
    expect(shapes(8, {})).toEqual([
      [2, 8, 8, 7],
      [3, 3, 3, 7],
    ]);
    expect(shapes(8, { kernel: 5, stride: 2, padding: padded(2) })).toEqual([
      [2, 4, 4, 7],
      [5, 5, 3, 7],
    ]);
    expect(shapes(8, { padding: 'valid' })[0]).toEqual([2, 6, 6, 7]);
  });

  it('adds its bias to every cell', () => {
    const graph = new Graph();
    const x = graph.input('x', [1, 2, 2, 1]);
    const y = convolution('conv', x, 2, { kernel: 1, bias: 0.5 });
    const step = new ReferenceSession(graph).step({ x: [0, 0, 0, 0] });
    expect([...step.get(y.id)!.data]).toEqual(new Array(8).fill(0.5));
  });
});

describe('dropout', () => {
  it('draws from the graph’s seed and the counter while training, and is nothing otherwise', () => {
    const made = (training: boolean, rate: number) => {
      const graph = new Graph({ training, seed: 11 });
      const x = graph.input('x', [4, 5]);
      const step = graph.input('step', [1], 'i32');
      const y = dropout(x, rate, step);
      return { graph, x, y, step };
    };
    const { graph, y, step } = made(true, 0.3);
    const node = graph.producer(y)!;
    expect(node).toMatchObject({ op: 'dropout', attrs: { rate: 0.3, seed: 11 } });
    expect(node.inputs[1]).toBe(step.id);
    for (const other of [made(true, 0), made(false, 0.3)]) expect(other.y).toBe(other.x);
  });

  it('needs the counter in training alone', () => {
    const x = (training: boolean) => new Graph({ training }).input('x', [4, 5]);
    expect(() => dropout(x(true), 0.5, undefined)).toThrow('[dropout] expected the option `step`');
    expect(() => dropout(x(false), 0.5, undefined)).not.toThrow();
  });
});
