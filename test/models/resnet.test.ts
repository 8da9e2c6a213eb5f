// ResNet-18, -50 and -101: shapes stage by stage, parameters by hand and as published, and names that torchvision's follow from.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import { resnet18, resnet50 } from '../../src/models';
import { summarize } from '../../src/train/summarize';
import { built, CLASSES, named, parametersNamed, parametersOf, shapeOf } from './built';

/** Parameters of a convolution without bias and of the BN behind it. */
const convBn = (kernel: number, from: number, to: number): number => kernel * kernel * from * to + 2 * to;

/** ResNet-18: a 7x7 stem of 64 channels, four stages of two blocks of two 3x3 convolutions, and 512 features to classify. */
function basic(channels: number, classes: number): number {
  const stem = convBn(7, channels, 64);
  const stage1 = 4 * convBn(3, 64, 64);
  const stage2 = convBn(3, 64, 128) + 3 * convBn(3, 128, 128) + convBn(1, 64, 128);
  const stage3 = convBn(3, 128, 256) + 3 * convBn(3, 256, 256) + convBn(1, 128, 256);
  const stage4 = convBn(3, 256, 512) + 3 * convBn(3, 512, 512) + convBn(1, 256, 512);
  return stem + stage1 + stage2 + stage3 + stage4 + 512 * classes + classes;
}

/** A stage of bottlenecks: 1x1 down to `narrow`, 3x3, 1x1 up to four times that; the first projects its shortcut. */
function stage(from: number, narrow: number, blocks: number): number {
  const out = 4 * narrow;
  const rest = convBn(3, narrow, narrow) + convBn(1, narrow, out);
  return convBn(1, from, narrow) + convBn(1, from, out) + (blocks - 1) * convBn(1, out, narrow) + blocks * rest;
}

/** ResNet-50 and -101 differ in the blocks of the third stage. */
function bottleneck(third: number, channels: number, classes: number): number {
  const stages = stage(64, 64, 3) + stage(256, 128, 4) + stage(512, 256, third) + stage(1024, 512, 3);
  return convBn(7, channels, 64) + stages + 2048 * classes + classes;
}

describe('parameters', () => {
  it.each([
    ['resnet18', basic(3, 1000), 11_689_512],
    ['resnet50', bottleneck(6, 3, 1000), 25_557_032],
    ['resnet101', bottleneck(23, 3, 1000), 44_549_160],
  ])('%s has those of a thousand classes and colour images', (name, counted, known) => {
    expect(counted).toBe(known);
    expect(parametersNamed(name, [224, 224, 3], 1000)).toBe(known);
  });

  it.each([
    ['resnet18', basic(1, 7)],
    ['ferResnet18', basic(1, 7)],
    ['resnet50', bottleneck(6, 1, 7)],
    ['resnet101', bottleneck(23, 1, 7)],
  ])('%s has those of seven classes and grey images, whatever their size', (name, counted) => {
    expect(parametersNamed(name, [48, 48, 1])).toBe(counted);
    expect(parametersNamed(name, [224, 224, 1])).toBe(counted);
  });

  it('paper 000 prints 24 M for ResNet-50', () => {
    expect((parametersNamed('resnet50', [224, 224, 3]) / 1e6).toFixed(0)).toBe('24');
  });
});

describe('shapes', () => {
  it.each([
    ['resnet18', 224, [56, 56, 28, 14, 7], [64, 64, 128, 256, 512]],
    ['resnet50', 224, [56, 56, 28, 14, 7], [64, 256, 512, 1024, 2048]],
    ['resnet101', 48, [12, 12, 6, 3, 2], [64, 256, 512, 1024, 2048]],
  ])('%s at %i pixels', (name, side, extents, channels) => {
    const { graph } = built(named(name), [side, side, 3]);
    const last = ({ resnet18: [1, 1, 1, 1], resnet50: [2, 3, 5, 2], resnet101: [2, 3, 22, 2] } as const)[name]!;
    const units = ['stem', ...last.map((index, position) => `layer${position + 1}/${index}`)];
    units.forEach((unit, index) => {
      expect(shapeOf(graph, unit), unit).toEqual([extents[index], extents[index], channels[index]]);
    });
  });

  // Multiply-adds of convolutions and the classifier, as torchvision's own counters print them in G.
  it.each([
    ['resnet18', '1.81'],
    ['resnet50', '4.09'],
    ['resnet101', '7.80'],
  ])('%s needs %s G multiply-adds at 224 pixels', (name, giga) => {
    const { macs } = summarize(name, { input: [224, 224, 3], batch: 2, classes: 1000 });
    expect((macs / 1e9).toFixed(2)).toBe(giga);
  });
});

describe('names', () => {
  it('follow torchvision’s', () => {
    const { graph } = built(named('resnet50'), [64, 64, 3]);
    const names = graph.tensors.filter(({ kind }) => kind === 'param' || kind === 'state').map(({ name }) => name);
    const theirs = names.map((name) =>
      name
        .replace(/^(stem|head)\//, '')
        .replaceAll('/', '.')
        .replace(/gamma$/, 'weight')
        .replace(/beta$/, 'bias')
        .replace(/running_variance$/, 'running_var'),
    );
    expect(new Set(theirs).size).toBe(names.length);
    // One of every kind, from torchvision's state_dict.
    for (const name of [
      'conv1.weight',
      'bn1.running_mean',
      'layer1.0.conv3.weight',
      'layer1.0.bn3.bias',
      'layer1.0.downsample.0.weight',
      'layer1.0.downsample.1.running_var',
      'layer3.5.bn2.weight',
      'layer4.2.conv2.weight',
      'fc.weight',
      'fc.bias',
    ]) {
      expect(theirs).toContain(name);
    }
    // 53 convolutions, 53 normalisations of four vectors, the classifier's two.
    expect(theirs).toHaveLength(53 + 53 * 4 + 2);
  });
});

describe('options', () => {
  const x = () => new Graph().input('image', [2, 32, 32, 1]);

  it('a width scales every stage', () => {
    const { logits } = built((image, options) => resnet50(image, { ...options, width: 4 }), [32, 32, 1]);
    expect(shapeOf(logits.graph, 'layer4/2')).toEqual([1, 1, 4 * 32]);
    expect(parametersOf(logits.graph)).toBeLessThan(bottleneck(6, 1, CLASSES) / 200);
  });

  it.each([0, 1.5, Number.NaN])('refuses a width of %s', (width) => {
    expect(() => resnet18(x(), { classes: CLASSES, width })).toThrow(ArgumentError);
    expect(() => resnet18(x(), { classes: CLASSES, width })).toThrow('[resnet18] expected width to be an integer');
  });

  it('filters start by their fan-out, or as told', () => {
    const deviation = (name: 'resnet18' | 'ferResnet18'): number => {
      const { graph } = built(named(name), [32, 32, 1]);
      const data = graph.tensors.find((info) => info.name === 'layer2/0/conv1/weight')!.data as Float32Array;
      return Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);
    };
    expect(deviation('resnet18')).toBeCloseTo(Math.sqrt(2 / (9 * 128)), 3);
    expect(deviation('ferResnet18')).toBeCloseTo(0.04, 3);
  });
});
