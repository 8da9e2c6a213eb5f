// What holds for every model: sizes it takes and refuses, arguments it refuses, parameters that belong to exactly one unit,
// the same persistent tensors for training and inference, so that checkpoints fit both, and a summary that agrees.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { Graph, sizeOf } from '../../src/graph/graph';
import { modelNamed, models, published } from '../../src/models';
import { summarize } from '../../src/train/summarize';
import { BATCH, built, CLASSES, declared, leastShape, named, parametersOf } from './built';

const DROPS = ['alexnet', 'ferCnn', 'ferVgg', 'sfewCnn'];

describe.each(Object.keys(models))('%s', (name) => {
  const least = leastShape(name);
  const colour = least.length === 3 ? [least[0]!, least[1]!, 3] : [17];

  it.each([[least], [colour]])('reads %j and classifies', (shape) => {
    const { graph, logits } = built(named(name), shape);
    expect(logits.shape).toEqual([BATCH, CLASSES]);
    expect(graph.units.at(-1)).toMatchObject({ name: 'head', output: logits });
  });

  it.each([0, 1, 2.5, Number.NaN, '7'])('refuses %s classes', (classes) => {
    const build = () => built(named(name), least, true, classes as number);
    expect(build).toThrow(ArgumentError);
    expect(build).toThrow(`expected 2 or more classes, got ${classes}`);
  });

  it('drops features in training and nothing in inference', () => {
    const drops = (training: boolean) =>
      built(named(name), least, training).graph.nodes.filter((node) => node.op === 'dropout').length;
    expect(drops(true) > 0).toBe(DROPS.includes(name));
    expect(drops(false)).toBe(0);
  });

  it('gives every unit an output and every parameter to exactly one unit, by name', () => {
    const { graph } = built(named(name), least);
    const owned = graph.units.flatMap((item) => item.params.map((param) => param.name));
    expect(owned.length).toBe(new Set(owned).size);
    expect([...owned].sort()).toEqual(
      graph.tensors
        .filter((info) => info.kind === 'param')
        .map((info) => info.name)
        .sort(),
    );
    for (const item of graph.units) {
      expect(graph.producer(item.output!)!.unit, item.name).toBe(item.index);
      // Only a sum of two classifiers has nothing to learn.
      if (item.crossEntropy === undefined) expect(item.params.length, item.name).toBeGreaterThan(0);
      for (const param of item.params) {
        expect(param.name.startsWith(`${item.name}/`), param.name).toBe(true);
        expect(graph.info(param).unit).toBe(item.index);
      }
    }
  });

  it.each([[least], [colour]])('declares the same tensors for training and inference at %j', (shape) => {
    const training = built(named(name), shape, true).graph;
    const inference = built(named(name), shape, false).graph;
    expect(declared(inference, 'param')).toEqual(declared(training, 'param'));
    expect(declared(inference, 'state')).toEqual(declared(training, 'state'));
    const normalises = training.nodes.some((node) => node.op === 'batchNorm');
    expect(declared(training, 'state').length > 0).toBe(normalises);
    // Inference reads the running statistics and measures nothing.
    expect(inference.nodes.filter((node) => ['moments', 'ema'].includes(node.op))).toEqual([]);
  });

  it('is summarised with the same parameters, in all and by unit', () => {
    const input = (least.length === 3 ? least : [1, 1, 10]) as [number, number, number];
    const { graph } = built(named(name), input);
    const summary = summarize(name, { input, batch: 8, classes: CLASSES });
    expect(summary.parameters).toBe(parametersOf(graph));
    const byUnit = graph.units.map((item) => [
      item.name,
      item.params.reduce((sum, param) => sum + sizeOf(param.shape), 0),
    ]);
    expect(summary.units.map((item) => [item.name, item.parameters])).toEqual(byUnit);
    expect(summary.units.map((item) => item.shape)).toEqual(graph.units.map((item) => item.output!.shape.slice(1)));
    expect(summary.units.reduce((sum, item) => sum + item.macs, 0)).toBe(summary.macs);
    expect(summary.published).toEqual(published[name]);
    expect(summary.arenaBytes.bp).toBeGreaterThan(0);
  });
});

describe('what is smaller or no image batch is refused', () => {
  it.each(Object.keys(models).filter((name) => leastShape(name).length === 3))('%s', (name) => {
    const least = leastShape(name);
    for (const [height, width] of [
      [least[0]! - 1, least[1]!],
      [least[0]!, least[1]! - 1],
    ]) {
      const build = () => built(named(name), [height!, width!, 1]);
      expect(build).toThrow(ArgumentError);
      expect(build).toThrow(`of at least ${least[0]}x${least[1]}, got ${BATCH}x${height}x${width}x1`);
    }
    for (const shape of [[48, 48, 1], [16], [2, 48, 48, 1, 1]]) {
      const x = new Graph({ training: false }).input('image', shape);
      expect(() => modelNamed(name)(x, { classes: CLASSES })).toThrow(ArgumentError);
    }
  });
});

describe('the step counter is asked for where features are dropped, while training', () => {
  it.each(DROPS)('%s', (name) => {
    const graph = (training: boolean) => new Graph({ training }).input('image', [BATCH, ...leastShape(name)]);
    expect(() => modelNamed(name)(graph(true), { classes: CLASSES })).toThrow('[dropout] expected the option `step`');
    expect(() => modelNamed(name)(graph(false), { classes: CLASSES })).not.toThrow();
  });
});

it('every published figure is of a model there is', () => {
  expect(Object.keys(models)).toEqual(expect.arrayContaining(Object.keys(published)));
});
