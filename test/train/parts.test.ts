// Training of a part of the network, by rates and schedules of its own, and on a part of the data: frozen layers stay to the
// bit, rates are those that were asked for, and removed samples are never drawn again.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { type FeatureDataset, type ImageDataset, select } from '../../src/data/types';
import { ArgumentError } from '../../src/errors';
import { Graph, type TensorData } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { mlp } from '../../src/models';
import { learningRate, nameMatcher, type ScheduleSettings } from '../../src/optim';
import { augmentationOf } from '../../src/train/config';
import { Trainer, type TrainerOptions } from '../../src/train/trainer';
import { generator, objective, stateHash, stripeDataset, tinyTrainer } from './fixtures';

type State = Record<string, { data: TensorData }>;

/** Names whose tensors differ. */
function changed(before: State, after: State): string[] {
  return Object.keys(after).filter((name) => {
    const [a, b] = [before[name]?.data, after[name]!.data];
    return !a || !Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
  });
}

async function changes(trainer: Trainer, steps: number): Promise<string[]> {
  const before = await trainer.readState();
  await trainer.run(steps);
  const after = await trainer.readState();
  trainer.dispose();
  return changed(before, after);
}

describe('names', () => {
  it.each([
    [['layer1'], 'layer1', true],
    [['layer1'], 'layer1/0/conv1/weight', true],
    [['layer1'], 'layer10/weight', false],
    [['*/bias'], 'head/fc/bias', true],
    [['*/bias'], 'head/fc/biased', false],
    [['*', '!head'], 'head/fc/weight', false],
    [['*', '!head'], 'stem/weight', true],
    [['*', '!head', 'head/fc/bias'], 'head/fc/bias', true],
    [['a.c'], 'abc', false],
    [[], 'anything', false],
  ])('%j and %s: %s', (patterns, name, fits) => {
    expect(nameMatcher('test', patterns)(name)).toBe(fits);
  });
  it.each(['', '!', 7 as unknown as string])('refuses the pattern %j', (pattern) => {
    expect(() => nameMatcher('test', [pattern])).toThrow(ArgumentError);
  });
});

describe('freezing', () => {
  it.each(['cka', 'bp'] as const)('by %s leaves parameters and running statistics alone', async (name) => {
    const trainer = tinyTrainer(name, { freeze: ['first'] });
    if (name === 'cka') expect(trainer.unitNames).toEqual(['second', 'head']);
    const names = await changes(trainer, 5);
    expect(names.filter((one) => one.startsWith('first/'))).toEqual([]);
    const trained = ['second/depthwise', 'second/pointwise', 'head/fc/weight', 'head/fc/bias'];
    expect(names).toEqual(expect.arrayContaining(trained));
    expect(names.some((one) => one.startsWith('second/') && one.includes('running_mean'))).toBe(true);
  });

  it('of all but the classifier makes both methods the same', async () => {
    const states = await Promise.all(
      (['cka', 'bp'] as const).map(async (name) => {
        const trainer = tinyTrainer(name, { freeze: ['*', '!head'] });
        await trainer.run(20);
        const state = await trainer.readState();
        trainer.dispose();
        return state;
      }),
    );
    expect(changed(states[0]!, states[1]!)).toEqual([]);
  });

  it('reads running statistics: the loss is that of the network in inference', async () => {
    const data = stripeDataset(16, 8, 4);
    const trainer = tinyTrainer('bp', { data, batch: 16, freeze: ['*', '!head'] });
    const errors = await trainer.errors(data);
    const { losses } = await trainer.run(1);
    trainer.dispose();
    expect(losses[0]).toBeCloseTo(errors.reduce((sum, one) => sum + one, 0) / 16, 5);
  });

  it('refuses names that fit nothing, and everything', () => {
    expect(() => tinyTrainer('cka', { freeze: ['frist'] })).toThrow(/no parameter fits "frist"; did you mean "first"/);
    expect(() => tinyTrainer('cka', { freeze: ['*'] })).toThrow(/all are frozen/);
  });
});

describe('learning rates', () => {
  it('of a group are a multiple, and those of others the rate itself', async () => {
    const moved = async (factor: number): Promise<Record<string, Float64Array>> => {
      const rates = [{ names: ['first', 'head/fc/bias'], factor }];
      const trainer = tinyTrainer('bp', { optimizer: 'sgd', momentum: 0, lr: 0.5, rates });
      const before = await trainer.readState();
      await trainer.run(1);
      const after = await trainer.readState();
      trainer.dispose();
      const difference = (name: string): Float64Array =>
        Float64Array.from(after[name]!.data, (value, index) => value - before[name]!.data[index]!);
      const names = ['first/weight', 'head/fc/bias', 'head/fc/weight'];
      return Object.fromEntries(names.map((name) => [name, difference(name)]));
    };
    const [whole, half, none] = [await moved(1), await moved(0.5), await moved(0)];
    for (const name of ['first/weight', 'head/fc/bias']) {
      expect(Math.max(...whole[name]!.map(Math.abs)), name).toBeGreaterThan(1e-4);
      expect(Math.max(...none[name]!.map(Math.abs)), name).toBe(0);
      for (const [index, value] of half[name]!.entries()) expect(value).toBeCloseTo(whole[name]![index]! / 2, 6);
    }
    expect(half['head/fc/weight']).toEqual(whole['head/fc/weight']);
  });

  it('take the first group that fits, and refuse a factor or name that is none', () => {
    expect(() => tinyTrainer('bp', { rates: [{ names: ['third'], factor: 1 }] })).toThrow(/no parameter fits "third"/);
    expect(() => tinyTrainer('bp', { rates: [{ names: ['head'], factor: -1 }] })).toThrow(/factor of at least 0/);
  });

  /** Rates of the first `count` steps. */
  async function ratesOf(base: number, settings: ScheduleSettings, count: number): Promise<Float32Array> {
    const graph = new Graph();
    const step = graph.state('step', [1], 'i32');
    const lr = learningRate(step, base, settings);
    ops.increment(step);
    const plan = compile(graph, { outputs: { lr } });
    const { lr: rates } = await plan.run(count);
    plan.dispose();
    return rates as Float32Array;
  }

  it('of paper 003 fall at their milestones and stay', async () => {
    // Epochs of one step: 1e-3, from epoch 100 1e-4, from 120 1e-5, to 250, where the staircases would have gone on.
    const rates = await ratesOf(1e-3, { kind: 'milestones', milestones: [100, 120], factor: 0.1 }, 250);
    for (const [epoch, rate] of rates.entries()) {
      const wanted = epoch < 100 ? 1e-3 : epoch < 120 ? 1e-4 : 1e-5;
      expect(Math.abs(rate / wanted - 1), `epoch ${epoch}`).toBeLessThan(1e-6);
    }
  });

  it('of paper 004 are 0.01 x 0.93^floor(epoch / 3)', async () => {
    const stepsPerEpoch = 7;
    const rates = await ratesOf(0.01, { kind: 'step', every: 3 * stepsPerEpoch, factor: 0.93 }, 40 * stepsPerEpoch);
    for (const [step, rate] of rates.entries()) {
      const epoch = Math.floor(step / stepsPerEpoch);
      expect(rate).toBe(Math.fround(0.01 * 0.93 ** Math.floor(epoch / 3)));
    }
  });

  it.each([
    [{ kind: 'milestones', milestones: [0] }, /a milestone is a step from 1/],
    [{ kind: 'milestones', milestones: [3], factor: 0 }, /factor at a milestone/],
    [{ kind: 'milestones', milestones: [3], warmup: 2 }, /without warm-up/],
  ] as [ScheduleSettings, RegExp][])('refuse %j', async (settings, message) => {
    await expect(ratesOf(1, settings, 1)).rejects.toThrow(message);
  });
});

describe('the papers’ augmentations', () => {
  it.each([
    ['paper', 7],
    ['jaffe', 8],
  ] as const)('%s multiplies the samples by %i, whatever the batch is of', async (name, copies) => {
    using trainer = tinyTrainer('bp', { augmentation: augmentationOf(name) });
    using plain = tinyTrainer('bp', {});
    expect(trainer.stepsPerEpoch).toBe(copies * plain.stepsPerEpoch);
    const { losses } = await trainer.run(2);
    expect(losses.every(Number.isFinite)).toBe(true);
  });
});

describe('keepOnly', () => {
  const data = stripeDataset(96, 8, 4);
  const odd = Uint32Array.from({ length: 40 }, (_, index) => 2 * index + 1);
  const augmentation = { rotate: 10, noise: 0.02 };

  it('at the start equals training on those samples alone', async () => {
    const kept = tinyTrainer('cka', { data, augmentation });
    await kept.keepOnly(odd);
    const alone = tinyTrainer('cka', { data: select(data, odd), augmentation });
    expect([kept.batch, kept.stepsPerEpoch]).toEqual([16, 2]);
    expect(kept.samples).toEqual(odd);
    const [a, b] = [await kept.run(7), await alone.run(7)];
    expect(a.losses).toEqual(b.losses);
    const [own, others] = [await kept.readState(), await alone.readState()];
    expect(changed(own, others)).toEqual([]);
    expect(await kept.predict(data)).toEqual(await alone.predict(data));
    for (const trainer of [kept, alone]) trainer.dispose();
  });

  it('in mid-run keeps weights, moments and steps; bits do not depend on threads or on a resume', async () => {
    const run = async (threads: number, resumed: boolean): Promise<string> => {
      let trainer = tinyTrainer('cka', { data, augmentation, threads });
      await trainer.run(8);
      await trainer.predict(data);
      await trainer.keepOnly(odd);
      await trainer.run(3);
      await trainer.keepOnly(odd.subarray(0, 12));
      expect([trainer.batch, trainer.stepsPerEpoch]).toEqual([12, 1]);
      await trainer.run(2);
      if (resumed) {
        const state = await trainer.readState();
        trainer.dispose();
        trainer = tinyTrainer('cka', { data, augmentation, threads });
        await trainer.keepOnly(odd.subarray(0, 12));
        await trainer.writeState(state);
      }
      await trainer.run(3);
      expect(await trainer.plan.read('step')).toEqual(Int32Array.of(16));
      const hash = await stateHash(trainer);
      trainer.dispose();
      return hash;
    };
    const hashes = [await run(1, false), await run(3, false), await run(2, true)];
    expect(new Set(hashes).size).toBe(1);
  });

  it('draws every kept sample once an epoch and no other', async () => {
    // The classifier's bias has the gradient of the labels alone: a sample's class is its number.
    const count = 12;
    const numbers: ImageDataset = {
      ...{ name: 'numbers', count, height: 1, width: 1, channels: 1, synthetic: true },
      images: new Uint8Array(count),
      labels: Int32Array.from({ length: count }, (_, index) => index),
      classes: Array.from({ length: count }, (_, index) => String(index)),
    };
    const trainer = new Trainer({
      model: mlp,
      data: numbers,
      spec: { classes: count, input: [1, 1, 1], mean: [0], std: [1] },
      ...{ objective: objective('bp'), batch: 2, seed: 5, lr: 1e-3, optimizer: 'sgd', momentum: 0 },
    });
    await trainer.run(5);
    const kept = [0, 3, 4, 7, 9, 11];
    await trainer.keepOnly(kept);
    for (let epoch = 0; epoch < 3; epoch += 1) {
      const before = await trainer.plan.read('head/fc/bias');
      await trainer.run(trainer.stepsPerEpoch);
      const after = await trainer.plan.read('head/fc/bias');
      const rose = Array.from(after.keys()).filter((index) => after[index]! > before[index]!);
      expect(rose).toEqual(kept);
    }
    trainer.dispose();
  });

  it('lets predictions in progress end', async () => {
    const trainer = tinyTrainer('bp');
    // More than one round of images.
    const many = stripeDataset(2500, 8, 4);
    const before = await trainer.predict(many);
    const predicting = trainer.predict(many);
    const errors = trainer.errors(many);
    await trainer.keepOnly([0, 1, 2, 3]);
    expect(await predicting).toEqual(before);
    expect((await errors).length).toBe(many.count);
    expect(await trainer.predict(many)).toEqual(before);
    trainer.dispose();
  });

  it('refuses samples that are not there and leaves the trainer as it was', async () => {
    const trainer = tinyTrainer('cka', { data });
    await expect(trainer.keepOnly([])).rejects.toThrow(/expected samples of "stripes", got none/);
    await expect(trainer.keepOnly([1, 96])).rejects.toThrow(/index 96 is outside/);
    expect(trainer.samples.length).toBe(96);
    await trainer.run(1);
    trainer.dispose();
  });
});

describe('rows of features', () => {
  const next = generator(3);
  const [count, columns, classes] = [60, 10, 3];
  const labels = Int32Array.from({ length: count }, (_, index) => index % classes);
  const bytes = Uint8Array.from({ length: count * columns }, (_, index) => {
    const own = labels[Math.floor(index / columns)] === (index % columns) % classes ? 100 : 0;
    return own + next() * 100;
  });
  const shared = { name: 'rows', labels, count, classes: ['a', 'b', 'c'], synthetic: true };
  const rows: FeatureDataset = { ...shared, rows: Float32Array.from(bytes, (value) => value / 255), columns };
  const pixels: ImageDataset = { ...shared, images: bytes, height: 1, width: 1, channels: columns };
  const options: Omit<TrainerOptions, 'data'> = {
    model: mlp,
    spec: { classes, input: [1, 1, columns], mean: [0], std: [1] },
    ...{ objective: objective('bp'), batch: 20, seed: 2, lr: 0.01 },
  };

  it('train as images of the same numbers', async () => {
    const [a, b] = [new Trainer({ ...options, data: rows }), new Trainer({ ...options, data: pixels })];
    expect((await a.run(40)).losses).toEqual((await b.run(40)).losses);
    expect(changed(await a.readState(), await b.readState())).toEqual([]);
    expect(await a.predict(rows)).toEqual(await b.predict(pixels));
    const hits = (await a.predict(rows)).filter((label, index) => label === labels[index]).length;
    expect(hits).toBeGreaterThan(50);
    for (const trainer of [a, b]) trainer.dispose();
  });

  it('are kept in part, and have one error each, whose mean is the loss', async () => {
    const trainer = new Trainer({ ...options, data: rows });
    const kept = Uint32Array.from({ length: 15 }, (_, index) => 4 * index);
    await trainer.keepOnly(kept);
    const errors = await trainer.errors(select(rows, kept));
    const { losses } = await trainer.run(1);
    expect(losses[0]).toBeCloseTo(errors.reduce((sum, one) => sum + one, 0) / kept.length, 6);
    await expect(trainer.predict(pixels)).rejects.toThrow(/reads 10 features, the images of "rows" have 10/);
    trainer.dispose();
  });

  it('have no augmentation', () => {
    expect(() => new Trainer({ ...options, data: rows, augmentation: { flip: true } })).toThrow(/images are augmented/);
  });
});
