// The graphs of cfpn and denseFpn against the papers: the shape of every part, the units in order, the parameters counted by
// hand. What holds for every model is in common.test.ts. Graphs are built and never run.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { Graph, type Node, type Tensor } from '../../src/graph/graph';
import { cfpn, denseFpn, modelNamed, models } from '../../src/models';
import { BATCH, built, CLASSES, declared, named, parametersOf, shapeOf, unit } from './built';

/** The first node of an op in a unit. */
function nodeOf(graph: Graph, name: string, op: string): Node {
  const { index } = unit(graph, name);
  const node = graph.nodes.find((item) => item.unit === index && item.op === op);
  if (!node) throw new Error(`unit "${name}" has no ${op}`);
  return node;
}

/** Shape that a T normalises, which is its input's, without the batch. */
const inputOf = (graph: Graph, name: string): readonly number[] =>
  graph.tensors[nodeOf(graph, name, 'batchNorm').inputs[0]!]!.shape.slice(1);

const blockNames = (count: number): string[] =>
  Array.from({ length: count * 5 }, (_, index) => `block${1 + Math.floor(index / 5)}/layer${1 + (index % 5)}`);

const pyramidNames = (stage: number, until: number): string[] => [
  ...[1, 2, 3, 4].map((level) => `pyramid${stage}/down${level}`),
  ...[3, 2, 1, 0].filter((level) => level >= until).map((level) => `pyramid${stage}/up${level}`),
];

const CFPN_UNITS = [
  ...blockNames(4),
  'fusion1/coarse',
  'fusion1/fine',
  ...pyramidNames(1, 0),
  'fusion2_1',
  ...pyramidNames(2, 0),
  'fusion2_2',
  ...pyramidNames(3, 2),
  'fusion3',
  'head',
];

/** Parameters of T from `from` to `to` channels: gain and offset, depthwise 3x3, pointwise. */
const composite = (from: number, to: number): number => 2 * from + 9 * from + from * to;

/** Dense block with growth 32 and 128 channels out; `from` 0 is the block on the raw image. */
function block(from: number, channels: number): number {
  const first = from === 0 ? 9 * channels * 32 : composite(from, 32);
  const connections = 2 + 3 + 4;
  return first + composite(32, 32) + composite(64, 32) + composite(96, 32) + composite(128, 128) + connections;
}

/** CFPN without its classifier, counted from the paper's figures. */
function cfpnBody(channels: number): number {
  const blocks = block(0, channels) + 3 * block(128, channels);
  const base = 2 * composite(128, 64);
  const down = composite(128, 64) + 3 * composite(64, 64);
  const up = (levels: number): number => levels * composite(128, 64);
  // The finest level joins the pyramid's own 128-channel input.
  const wholeUp = up(3) + composite(192, 64);
  const attention = 2 * 192 + 192 * 24 + 2 * 24 + 24 * 192 + 192;
  return blocks + base + 3 * down + 2 * wholeUp + up(2) + 2 * composite(128, 64) + attention;
}

const SIZES: [string, { side: number; blocks: number[]; levels: number[]; features: number }][] = [
  [
    '224x224, as the paper prints it',
    { side: 224, blocks: [112, 56, 28, 14], levels: [28, 14, 7, 4, 2], features: (4 * 128 + 3 * 64 + 192) * 16 },
  ],
  [
    '48x48, the native form',
    {
      side: 48,
      blocks: [48, 24, 12, 6],
      levels: [12, 6, 3, 2, 1],
      features: 3 * 128 * 16 + (128 + 3 * 64 + 192) * 9,
    },
  ],
];

describe.each(SIZES)('cfpn at %s', (_, { side, blocks, levels, features }) => {
  const { graph, logits } = built(named('cfpn'), [side, side, 1]);

  it('has the paper’s dense blocks', () => {
    blocks.forEach((extent, index) => {
      const name = `block${index + 1}`;
      for (const layer of [1, 2, 3, 4]) expect(shapeOf(graph, `${name}/layer${layer}`)).toEqual([extent, extent, 32]);
      expect(shapeOf(graph, `${name}/layer5`)).toEqual([extent, extent, 128]);
      // Layer i reads the concatenation of all layers before it.
      for (const layer of [2, 3, 4, 5])
        expect(inputOf(graph, `${name}/layer${layer}`)).toEqual([extent, extent, 32 * (layer - 1)]);
    });
  });

  it('joins blocks 3 and 4 to the base feature', () => {
    const [finest, next] = [levels[0]!, levels[1]!];
    expect(shapeOf(graph, 'fusion1/coarse')).toEqual([next, next, 64]);
    expect(shapeOf(graph, 'fusion1/fine')).toEqual([finest, finest, 64]);
    for (const reader of ['pyramid1/down1', 'fusion2_1', 'fusion2_2'])
      expect(inputOf(graph, reader), reader).toEqual([finest, finest, 128]);
  });

  it('has three pyramids of five levels', () => {
    for (const stage of [1, 2, 3]) {
      expect(inputOf(graph, `pyramid${stage}/down1`)).toEqual([levels[0], levels[0], 128]);
      for (const level of [1, 2, 3, 4])
        expect(shapeOf(graph, `pyramid${stage}/down${level}`)).toEqual([levels[level], levels[level], 64]);
      for (const level of stage === 3 ? [3, 2] : [3, 2, 1, 0])
        expect(shapeOf(graph, `pyramid${stage}/up${level}`)).toEqual([levels[level], levels[level], 64]);
    }
    for (const name of ['fusion2_1', 'fusion2_2']) expect(shapeOf(graph, name)).toEqual([levels[0], levels[0], 64]);
  });

  it('weighs the three 64-channel maps by an attention of 192, 24, 192', () => {
    expect(shapeOf(graph, 'fusion3')).toEqual([levels[2], levels[2], 192]);
    const shapes = Object.fromEntries(unit(graph, 'fusion3').params.map((param) => [param.name, param.shape]));
    expect(shapes['fusion3/fc1/weight']).toEqual([192, 24]);
    expect(shapes['fusion3/fc2/weight']).toEqual([24, 192]);
  });

  it('ends in the classifier, which reads cells of every scale', () => {
    expect(logits.shape).toEqual([BATCH, CLASSES]);
    expect(graph.units.at(-1)!.output).toBe(logits);
    expect(unit(graph, 'head').params.map((param) => param.shape)).toEqual([[features, CLASSES], [CLASSES]]);
  });

  it('has its 48 units in order', () => {
    expect(graph.units.map((item) => item.name)).toEqual(CFPN_UNITS);
    expect(CFPN_UNITS).toHaveLength(48);
  });

  it('has as many parameters as the figures say', () => {
    expect(parametersOf(graph)).toBe(cfpnBody(1) + features * CLASSES + CLASSES);
  });
});

describe('cfpn’s options', () => {
  const x = (graph: Graph): Tensor => graph.input('image', [BATCH, 48, 48, 1]);

  it('cfpnPooled classifies the global pool of the attended map', () => {
    const { graph } = built(named('cfpnPooled'), [48, 48, 1]);
    expect(unit(graph, 'head').params.map((param) => param.shape)).toEqual([[192, CLASSES], [CLASSES]]);
    expect(parametersOf(graph)).toBe(cfpnBody(1) + 192 * CLASSES + CLASSES);
  });

  it.each(['relu', 'elu', 'tanh'] as const)('%s is the activation of every T', (activation) => {
    const graph = new Graph();
    cfpn(x(graph), { classes: CLASSES, activation });
    const normalisations = graph.nodes.filter(
      (node) => node.op === 'batchNorm' && !['block1/layer1', 'head'].includes(graph.units[node.unit]!.name),
    );
    expect(normalisations).toHaveLength(45 + 2);
    expect(new Set(normalisations.map((node) => node.attrs.activation))).toEqual(new Set([activation]));
  });

  it('unweighted blocks have no connection weights and are otherwise the same', () => {
    const weighted = new Graph();
    cfpn(x(weighted), { classes: CLASSES });
    const plain = new Graph();
    cfpn(x(plain), { classes: CLASSES, weighted: false });
    const rest = declared(weighted, 'param').filter((name) => !name.includes('/connection '));
    expect(declared(weighted, 'param').length - rest.length).toBe(12);
    expect(declared(plain, 'param')).toEqual(rest);
  });

  it('takes other widths', () => {
    const graph = new Graph();
    cfpn(x(graph), { classes: 3, growth: 8, width: 20, pyramidChannels: 12 });
    expect(shapeOf(graph, 'block2/layer3')).toEqual([24, 24, 8]);
    expect(shapeOf(graph, 'block2/layer5')).toEqual([24, 24, 20]);
    expect(shapeOf(graph, 'pyramid2/up1')).toEqual([6, 6, 12]);
    expect(shapeOf(graph, 'fusion3')).toEqual([3, 3, 36]);
    expect(shapeOf(graph, 'head')).toEqual([3]);
  });

  it('halves the resolution in the first block from 96 pixels on, by the shorter side', () => {
    expect(shapeOf(built(named('cfpn'), [96, 96, 1]).graph, 'block1/layer5')).toEqual([48, 48, 128]);
    expect(shapeOf(built(named('cfpn'), [95, 300, 1]).graph, 'block1/layer5')).toEqual([95, 300, 128]);
  });
});

describe.each([1, 2, 3, 4])('denseFpn with %i blocks', (count) => {
  const name = `denseFpn${count}`;
  const { graph, logits } = built(named(name), [48, 48, 1]);
  const levels = Array.from({ length: count }, (_, index) => 48 / 2 ** index);

  it('has blocks at halving scales and a top-down pyramid', () => {
    levels.forEach((extent, index) => {
      expect(shapeOf(graph, `block${index + 1}/layer5`)).toEqual([extent, extent, 128]);
      expect(shapeOf(graph, `pyramid/level${index + 1}`)).toEqual([extent, extent, 64]);
      const coarsest = index === count - 1;
      expect(inputOf(graph, `pyramid/level${index + 1}`)).toEqual([extent, extent, coarsest ? 128 : 192]);
    });
  });

  it('joins the maps on the channel axis at the coarsest scale, pools and classifies', () => {
    const pool = nodeOf(graph, 'head', 'reduceMean');
    const joined = graph.tensors[pool.inputs[0]!]!.shape;
    expect(joined).toEqual([BATCH, levels[count - 1], levels[count - 1], 64 * count]);
    expect(unit(graph, 'head').params.map((param) => param.shape)).toEqual([[64 * count, CLASSES], [CLASSES]]);
    expect(logits.shape).toEqual([BATCH, CLASSES]);
  });

  it('has its units in order and its parameters counted', () => {
    const pyramid = Array.from({ length: count }, (_, index) => `pyramid/level${count - index}`);
    expect(graph.units.map((item) => item.name)).toEqual([...blockNames(count), ...pyramid, 'head']);
    // Two connection weights where an upsampled map meets a finer one.
    const body = block(0, 1) + (count - 1) * (block(128, 1) + composite(192, 64) + 2) + composite(128, 64);
    expect(parametersOf(graph)).toBe(body + 64 * count * CLASSES + CLASSES);
  });
});

describe('denseFpn’s options', () => {
  const x = (graph: Graph): Tensor => graph.input('image', [BATCH, 48, 48, 1]);

  it.each(['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'] as const)(
    '%s is the activation of every T',
    (activation) => {
      const graph = new Graph();
      denseFpn(x(graph), { classes: CLASSES, activation });
      const normalisations = graph.nodes.filter(
        (node) => node.op === 'batchNorm' && !['block1/layer1', 'head'].includes(graph.units[node.unit]!.name),
      );
      // Three blocks of five layers, without the stem, and three levels of the pyramid.
      expect(normalisations).toHaveLength(3 * 5 - 1 + 3);
      expect(new Set(normalisations.map((node) => node.attrs.activation))).toEqual(new Set([activation]));
    },
  );

  it('without weights it is the same but for the connections', () => {
    const weighted = new Graph();
    denseFpn(x(weighted), { classes: CLASSES });
    const plain = new Graph();
    denseFpn(x(plain), { classes: CLASSES, weighted: false });
    const rest = declared(weighted, 'param').filter((name) => !name.includes('/connection '));
    // Layers 3 to 5 of three blocks, and the two finer levels of the pyramid.
    expect(declared(weighted, 'param').length - rest.length).toBe(3 * 3 + 2);
    expect(declared(plain, 'param')).toEqual(rest);
  });

  it('weighs the joined maps channel by channel', () => {
    const { graph } = built(named('denseFpnAttention'), [48, 48, 1]);
    expect(shapeOf(graph, 'attention')).toEqual([12, 12, 3 * 64]);
    const attention = 2 * 192 + 192 * 24 + 2 * 24 + 24 * 192 + 192;
    expect(parametersOf(graph) - parametersOf(built(named('denseFpn'), [48, 48, 1]).graph)).toBe(attention);
    const scaled = unit(graph, 'attention').output!;
    const pool = nodeOf(graph, 'head', 'reduceMean');
    expect(pool.inputs).toEqual([scaled.id]);
  });
});

describe.each(Object.keys(models).filter((name) => /^(cfpn|denseFpn)/.test(name)))('%s', (name) => {
  it.each([
    [28, 28, 1],
    [30, 37, 1],
    [48, 48, 3],
    [8, 8, 1],
    [8, 33, 2],
  ])('reads %ix%i with %i channels', (...input) => {
    const { graph, logits } = built(named(name), input);
    expect(logits.shape).toEqual([BATCH, CLASSES]);
    expect(graph.tensors.find((info) => info.name === 'block1/layer1/weight')!.shape).toEqual([3, 3, input[2], 32]);
    const half = (extent: number): number => Math.ceil(extent / 2);
    if (name !== 'denseFpn1') expect(shapeOf(graph, 'block2/layer5')).toEqual([half(input[0]!), half(input[1]!), 128]);
  });
});

describe('names and arguments', () => {
  it('an unknown model is answered with the nearest', () => {
    expect(() => modelNamed('cfpm')).toThrow('there is no model "cfpm"; did you mean "cfpn"?');
    expect(() => modelNamed('constructor')).toThrow(ArgumentError);
  });

  it.each([0, 5, 1.5, Number.NaN, '2'])('denseFpn refuses %s blocks', (blocks) => {
    const x = new Graph().input('image', [BATCH, 48, 48, 1]);
    expect(() => denseFpn(x, { classes: CLASSES, blocks: blocks as number })).toThrow(ArgumentError);
  });

  it('denseFpn has three blocks by default', () => {
    const plain = built(named('denseFpn'), [48, 48, 1]).graph;
    expect(declared(plain, 'param')).toEqual(declared(built(named('denseFpn3'), [48, 48, 1]).graph, 'param'));
  });
});
