// The other baselines of papers 000 and 001, AlexNet, Inception v2 and DenseNet-121: shapes, parameters by hand and as published.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import { alexnet, densenet121 } from '../../src/models';
import { summarize } from '../../src/train/summarize';
import { built, CLASSES, named, parametersNamed, shapeOf } from './built';

const bias = (kernel: number, from: number, to: number): number => kernel * kernel * from * to + to;
const convBn = (kernel: number, from: number, to: number): number => kernel * kernel * from * to + 2 * to;
const fc = (from: number, to: number): number => from * to + to;

describe('alexnet', () => {
  /** Five convolutions with biases, and three fully connected layers of which the first reads `cells` cells of 256 channels. */
  const counted = (channels: number, cells: number, classes: number): number =>
    bias(11, channels, 64) +
    bias(5, 64, 192) +
    bias(3, 192, 384) +
    bias(3, 384, 256) +
    bias(3, 256, 256) +
    fc(cells * 256, 4096) +
    fc(4096, 4096) +
    fc(4096, classes);

  it('has as many parameters as torchvision’s', () => {
    expect(counted(3, 36, 1000)).toBe(61_100_840);
    expect(parametersNamed('alexnet', [224, 224, 3], 1000)).toBe(61_100_840);
  });

  it.each([
    [[224, 224, 1], 36],
    [[224, 224, 3], 36],
    [[300, 224, 3], 4 * 6],
    [[63, 63, 1], 1],
  ])('with seven classes at %j reads %i cells', (shape, cells) => {
    expect(parametersNamed('alexnet', shape)).toBe(counted(shape[2]!, cells, 7));
  });

  it('has torchvision’s maps', () => {
    const { graph } = built(named('alexnet'), [224, 224, 3]);
    expect(shapeOf(graph, 'features/0')).toEqual([27, 27, 64]);
    expect(shapeOf(graph, 'features/3')).toEqual([13, 13, 192]);
    expect(shapeOf(graph, 'features/6')).toEqual([13, 13, 384]);
    expect(shapeOf(graph, 'features/8')).toEqual([13, 13, 256]);
    expect(shapeOf(graph, 'features/10')).toEqual([6, 6, 256]);
    expect(shapeOf(graph, 'classifier/1')).toEqual([4096]);
    const names = graph.tensors.filter(({ kind }) => kind === 'param').map(({ name }) => name.replace(/^head\//, ''));
    const places = ['features/0', 'features/3', 'features/6', 'features/8', 'features/10'];
    const all = [...places, 'classifier/1', 'classifier/4', 'classifier/6'];
    expect(names).toEqual(all.flatMap((place) => [`${place}/weight`, `${place}/bias`]));
  });

  it('needs 0.71 G multiply-adds at 224 pixels', () => {
    const { macs } = summarize('alexnet', { input: [224, 224, 3], batch: 2, classes: 1000 });
    expect((macs / 1e9).toFixed(2)).toBe('0.71');
  });

  it.each([0, -3, 2.5])('refuses %s hidden neurons', (hidden) => {
    const x = new Graph({ training: false }).input('image', [2, 64, 64, 1]);
    expect(() => alexnet(x, { classes: CLASSES, hidden })).toThrow(ArgumentError);
  });
});

describe('inceptionV2', () => {
  /** 1x1 branch, 1x1 and 3x3, 1x1 and two 3x3, and the projection of the pooled map; 0 where a module has none. */
  function module(from: number, row: readonly [number, number, number, number, number, number]): number {
    const [single, reduce, triple, doubleReduce, double, projection] = row;
    return (
      (single && convBn(1, from, single)) +
      convBn(1, from, reduce) +
      convBn(3, reduce, triple) +
      convBn(1, from, doubleReduce) +
      convBn(3, doubleReduce, double) +
      convBn(3, double, double) +
      (projection && convBn(1, from, projection))
    );
  }

  /** The rows of Figure 5 of Ioffe and Szegedy; inputs are the sums of the rows above. */
  const counted = (channels: number, classes: number): number =>
    convBn(7, channels, 64) +
    convBn(1, 64, 64) +
    convBn(3, 64, 192) +
    module(192, [64, 64, 64, 64, 96, 32]) +
    module(256, [64, 64, 96, 64, 96, 64]) +
    module(320, [0, 128, 160, 64, 96, 0]) +
    module(576, [224, 64, 96, 96, 128, 128]) +
    module(576, [192, 96, 128, 96, 128, 128]) +
    module(576, [160, 128, 160, 128, 160, 96]) +
    module(576, [96, 128, 192, 160, 192, 96]) +
    module(576, [0, 128, 192, 192, 256, 0]) +
    module(1024, [352, 192, 320, 160, 224, 128]) +
    module(1024, [352, 192, 320, 192, 224, 128]) +
    fc(1024, classes);

  it('has the parameters of its rows, 11.2 M for a thousand classes; the paper prints 11 M', () => {
    expect(parametersNamed('inceptionV2', [224, 224, 3], 1000)).toBe(counted(3, 1000));
    expect((counted(3, 1000) / 1e6).toFixed(1)).toBe('11.2');
    expect(parametersNamed('inceptionV2', [48, 48, 1])).toBe(counted(1, 7));
  });

  it('has the maps of Figure 5', () => {
    const { graph } = built(named('inceptionV2'), [224, 224, 3]);
    const rows: [string, number, number][] = [
      ['conv1', 56, 64],
      ['conv2', 28, 192],
      ['inception3a', 28, 256],
      ['inception3b', 28, 320],
      ['inception3c', 14, 576],
      ['inception4a', 14, 576],
      ['inception4b', 14, 576],
      ['inception4c', 14, 576],
      ['inception4d', 14, 576],
      ['inception4e', 7, 1024],
      ['inception5a', 7, 1024],
      ['inception5b', 7, 1024],
    ];
    expect(graph.units.map(({ name }) => name)).toEqual([...rows.map(([name]) => name), 'head']);
    for (const [name, extent, channels] of rows) expect(shapeOf(graph, name), name).toEqual([extent, extent, channels]);
  });
});

describe('densenet121', () => {
  /** BN, 1x1 to 128 channels, BN, 3x3 to 32. */
  const layer = (from: number): number => 2 * from + from * 128 + 2 * 128 + 9 * 128 * 32;
  const block = (from: number, layers: number): number =>
    Array.from({ length: layers }, (_, index) => layer(from + 32 * index)).reduce((sum, part) => sum + part, 0);
  const transition = (from: number): number => 2 * from + (from * from) / 2;

  const counted = (channels: number, classes: number): number =>
    convBn(7, channels, 64) +
    block(64, 6) +
    transition(256) +
    block(128, 12) +
    transition(512) +
    block(256, 24) +
    transition(1024) +
    block(512, 16) +
    2 * 1024 +
    fc(1024, classes);

  it('has as many parameters as torchvision’s', () => {
    expect(counted(3, 1000)).toBe(7_978_856);
    expect(parametersNamed('densenet121', [224, 224, 3], 1000)).toBe(7_978_856);
    expect(parametersNamed('densenet121', [48, 48, 1])).toBe(counted(1, 7));
  });

  it('halves at every transition and needs 2.83 G multiply-adds at 224 pixels', () => {
    const { graph } = built(named('densenet121'), [224, 224, 3]);
    expect(shapeOf(graph, 'stem')).toEqual([56, 56, 64]);
    expect(shapeOf(graph, 'features/transition1')).toEqual([28, 28, 128]);
    expect(shapeOf(graph, 'features/transition2')).toEqual([14, 14, 256]);
    expect(shapeOf(graph, 'features/transition3')).toEqual([7, 7, 512]);
    expect(shapeOf(graph, 'features/denseblock4/denselayer16')).toEqual([7, 7, 32]);
    expect(graph.units).toHaveLength(1 + 6 + 12 + 24 + 16 + 3 + 1);
    const { macs } = summarize('densenet121', { input: [224, 224, 3], batch: 2, classes: 1000 });
    expect((macs / 1e9).toFixed(2)).toBe('2.83');
  });

  it('keeps the running statistics of each channel once', () => {
    const { graph } = built(named('densenet121'), [64, 64, 1]);
    const running = graph.tensors.filter(({ kind, name }) => kind === 'state' && name.includes('running_mean'));
    const ofBlock = running.filter(({ name }) => name.startsWith('features/denseblock2/'));
    // The first layer measures the block's input, each later one the 32 channels that are new, all their own bottleneck.
    expect(ofBlock.filter(({ name }) => name.includes('/norm1/')).map(({ shape }) => shape)).toEqual([
      [128],
      ...Array.from({ length: 11 }, () => [32]),
    ]);
    expect(
      ofBlock
        .filter(({ name }) => name.includes('/norm1/'))
        .slice(1)
        .every(({ name }) => name.endsWith('running_mean_1')),
    ).toBe(true);
    expect(ofBlock.filter(({ name }) => name.includes('/norm2/')).every(({ shape }) => shape[0] === 128)).toBe(true);
    expect(running.find(({ name }) => name === 'head/features/norm5/running_mean_1')!.shape).toEqual([32]);
  });

  it.each([0, 1.5])('refuses a growth of %s', (growth) => {
    const x = new Graph().input('image', [2, 32, 32, 1]);
    expect(() => densenet121(x, { classes: CLASSES, growth })).toThrow(
      '[densenet121] expected growth to be an integer',
    );
  });
});
