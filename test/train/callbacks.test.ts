// Removal of outliers while a network trains: what is removed are the wrong labels, training ends when the errors vary
// little, and a run that was stopped after a removal goes on to the same bits. And weights of one network in another.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { FeatureDataset } from '../../src/data/types';
import { AbortError, CheckpointError } from '../../src/errors';
import { mlp } from '../../src/models';
import type { TrainEvent } from '../../src/report/events';
import { type EpochContext, outlierRemoval } from '../../src/train/callbacks';
import { loadCheckpoint } from '../../src/train/checkpoint';
import { evaluate as evaluateRun } from '../../src/train/evaluate';
import { train } from '../../src/train/train';
import { Trainer } from '../../src/train/trainer';
import { transferWeights } from '../../src/train/transfer';
import { generator, objective, stripeDataset, tinyTrainer } from './fixtures';

const folder = mkdtempSync(join(tmpdir(), 'gramian-callbacks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('outlierRemoval', () => {
  const [count, columns] = [120, 4];
  const next = generator(11);
  const wrong = (index: number): boolean => index % 12 === 5;
  const right = (index: number): number => index % 3;
  const clouds: FeatureDataset = {
    name: 'clouds',
    rows: Float32Array.from({ length: count * columns }, (_, place) => {
      const [index, column] = [Math.floor(place / columns), place % columns];
      return (right(index) === column ? 3 : 0) + next() - 0.5;
    }),
    labels: Int32Array.from({ length: count }, (_, index) => (right(index) + (wrong(index) ? 1 : 0)) % 3),
    ...{ count, columns, classes: ['a', 'b', 'c'], synthetic: true },
  };
  const trainerOf = (): Trainer =>
    new Trainer({
      model: (x, options) => mlp(x, { ...options, hidden: 8 }),
      data: clouds,
      spec: { classes: 3, input: [1, 1, columns], mean: [0], std: [1] },
      ...{ objective: objective('bp'), batch: count, seed: 1, lr: 0.02 },
    });

  it('removes the wrong labels of a network in training and ends it below a variance of 0.01', async () => {
    const trainer = trainerOf();
    const removal = outlierRemoval(count, { startEpoch: 40, every: 10 });
    const notes: string[] = [];
    let epoch = 0;
    for (let stop = false; !stop && epoch < 500; ) {
      await trainer.run(trainer.stepsPerEpoch);
      epoch += 1;
      const verdict = await removal.afterEpoch({ epoch, trainer, data: clouds });
      stop = verdict.stop;
      if (verdict.note) notes.push(verdict.note);
    }
    const kept = [...trainer.samples];
    trainer.dispose();
    expect(kept.filter(wrong)).toEqual([]);
    expect(kept.length).toBeGreaterThan(0.8 * count);
    expect(trainer.batch).toBe(kept.length);
    const variances = removal.records.map(({ variance }) => variance);
    expect(variances.at(-1)).toBeLessThan(0.01);
    expect(variances.slice(0, -1).every((variance) => variance >= 0.01)).toBe(true);
    expect(removal.records[0]).toMatchObject({ epoch: 40, samples: count, action: 'remove' });
    expect(notes.length).toBe(removal.records.length);
    expect(notes.at(-1)).toMatch(/^distribution removal: variance of errors 0\.00\d+, training ends$/);
  });

  it('of a state that is none is refused', async () => {
    const trainer = trainerOf();
    await expect(outlierRemoval(count).resume({ remaining: 'all' }, trainer)).rejects.toThrow(CheckpointError);
    trainer.dispose();
  });
});

describe('a run that removes samples', () => {
  const settings = {
    data: 'synthetic:200',
    model: 'denseFpn1',
    method: 'bp',
    input: [8, 8] as const,
    ...{ epochs: 4, batch: 32, seed: 4, lr: 0.01, removeFrom: 1, removeEvery: 1, removeAlpha: 0.5 },
  } as const;

  it('interrupted after a removal and resumed equals the uninterrupted one', async () => {
    const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
    const events: TrainEvent[] = [];
    const end = await train({ ...settings, out: whole }, { onEvent: (event) => events.push(event) });
    const notes = events.filter((event) => event.event === 'note').map(({ text }) => text);
    expect(notes.filter((text) => /removed, \d+ left/.test(text)).length).toBe(4);
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => {
      if (event.event === 'step' && event.epoch === 2) stop.abort();
    };
    const interrupted = await train({ ...settings, out: parts }, { onEvent, signal: stop.signal });
    expect(interrupted).toMatchObject({ interrupted: true, epoch: 2 });
    const resumed = await train({ ...settings, out: parts, resume: true }, { onEvent: () => {} });
    expect(resumed).toMatchObject({ epoch: 4, step: end.step, testAccuracy: end.testAccuracy });
    // Fewer samples, fewer steps: 5 of 160 in the first epoch, less in the last.
    expect(end.step).toBeLessThan(4 * 5);
    const [a, b] = await Promise.all([whole, parts].map((run) => loadCheckpoint(join(run, 'last.safetensors'))));
    expect(b!.state).toMatchObject({ callbacks: (a!.state as unknown as { callbacks: object }).callbacks });
    for (const [name, { data }] of Object.entries(a!.tensors)) {
      expect(Buffer.from(b!.tensors[name]!.data.buffer).equals(Buffer.from(data.buffer)), name).toBe(true);
    }
  }, 60_000);

  it('ends with the best weights, also those from before the first removal', async () => {
    const out = join(folder, 'late');
    const half = {
      name: 'half',
      state: null,
      resume: async () => {},
      afterEpoch: async ({ epoch, trainer }: EpochContext) => {
        if (epoch === 2) await trainer.keepOnly(trainer.samples.filter((_, index) => index % 2 === 0));
        return { stop: false };
      },
    };
    // Nothing is learned, so no later epoch is better than the first.
    const idle = { ...settings, epochs: 3, removeFrom: 0, lr: 0, freeze: ['*', '!head'], out };
    const end = await train(idle, { onEvent: () => {}, callbacks: [half] });
    const files = ['best', 'last'].map((name) => loadCheckpoint(join(out, `${name}.safetensors`)));
    const [best, last] = await Promise.all(files);
    expect(best!.state.best.epoch).toBe(0);
    expect([best, last].map((saved) => 'samples/step' in saved!.tensors)).toEqual([false, true]);
    expect((await evaluateRun(out, { data: idle.data, split: 'test' })).accuracy).toBe(end.testAccuracy);
  }, 60_000);

  it('asks no callback twice about an epoch when a later one is aborted', async () => {
    const [whole, parts] = [join(folder, 'asked'), join(folder, 'asked-parts')];
    const once = { ...settings, epochs: 2, removeEvery: 5 };
    const slow = (abort: () => void) => ({
      name: 'slow',
      state: null,
      resume: async () => {},
      afterEpoch: async ({ signal }: EpochContext) => {
        abort();
        if (signal?.aborted) throw new AbortError('[slow] aborted', 0);
        return { stop: false };
      },
    });
    const callbacks = [slow(() => {})];
    await train({ ...once, out: whole }, { onEvent: () => {}, callbacks });
    const stop = new AbortController();
    const aborted = [slow(() => stop.abort())];
    const hooks = { onEvent: () => {}, callbacks: aborted, signal: stop.signal };
    expect(await train({ ...once, out: parts }, hooks)).toMatchObject({ interrupted: true, epoch: 0 });
    const events: TrainEvent[] = [];
    await train({ ...once, out: parts, resume: true }, { onEvent: (event) => events.push(event), callbacks });
    const [a, b] = await Promise.all([whole, parts].map((run) => loadCheckpoint(join(run, 'last.safetensors'))));
    const { callbacks: states } = a!.state as unknown as { callbacks: Record<string, { records: unknown[] }> };
    expect(states.distributionRemoval!.records.length).toBe(1);
    expect(b!.state).toMatchObject({ step: a!.state.step, callbacks: states });
    expect(events.filter((event) => event.event === 'note' && event.text.includes('removed'))).toEqual([]);
    expect(b!.tensors).toEqual(a!.tensors);
  }, 60_000);

  it('that a callback ended stays ended when resumed', async () => {
    const out = join(folder, 'ended');
    let asked = 0;
    const callback = {
      name: 'third',
      state: null,
      resume: async () => {},
      afterEpoch: async ({ epoch }: { epoch: number }) => {
        asked += 1;
        return { stop: epoch === 3 };
      },
    };
    const hooks = { onEvent: () => {}, callbacks: [callback] };
    const end = await train({ ...settings, removeFrom: 0, epochs: 5, out }, hooks);
    expect([end.epoch, asked]).toEqual([3, 3]);
    const again = await train({ ...settings, removeFrom: 0, epochs: 5, out, resume: true }, hooks);
    expect([again.epoch, again.step, asked]).toEqual([3, end.step, 3]);
  }, 60_000);
});

describe('transfer', () => {
  it('copies all but the classifier, and moments begin anew', async () => {
    const source = tinyTrainer('bp', { seed: 8 });
    await source.run(6);
    const weights = await source.readState();
    // Another set of classes, so another classifier.
    const data = stripeDataset(96, 8, 3);
    const target = tinyTrainer('bp', { data });
    const before = await target.readState();
    await transferWeights(target, weights);
    const after = await target.readState();
    for (const name of Object.keys(after)) {
      const copied = /^(first|second)\//.test(name) && !/adam_[mv]$/.test(name);
      expect(after[name]!.data, name).toEqual((copied ? weights : before)[name]!.data);
    }
    for (const trainer of [source, target]) trainer.dispose();
  });

  it('of a network that lacks a weight changes nothing', async () => {
    const source = tinyTrainer('bp', { seed: 8 });
    const { 'second/pointwise': gone, ...rest } = await source.readState();
    expect(gone).toBeDefined();
    const target = tinyTrainer('bp');
    const before = await target.readState();
    await expect(transferWeights(target, rest)).rejects.toThrow(/expected "second\/pointwise" of shape .* missing/);
    const double = { ...gone!, data: Float64Array.from(gone!.data) };
    const attempt = transferWeights(target, { ...rest, 'second/pointwise': double });
    await expect(attempt).rejects.toThrow(CheckpointError);
    await expect(attempt).rejects.toThrow(/"second\/pointwise" of shape .* it is a Float64Array/);
    expect(await target.readState()).toEqual(before);
    for (const trainer of [source, target]) trainer.dispose();
  });

  it('a run starts from the weights of another', async () => {
    const shared = { model: 'denseFpn1', method: 'bp', input: [8, 8] as const, batch: 32, epochs: 1 } as const;
    const source = join(folder, 'source');
    await train({ ...shared, data: 'synthetic:120', out: source }, { onEvent: () => {} });
    const out = join(folder, 'frozen');
    const freeze = ['*', '!head'];
    await train({ ...shared, data: 'synthetic:200', seed: 5, init: source, freeze, out }, { onEvent: () => {} });
    const [a, b] = await Promise.all([source, out].map((run) => loadCheckpoint(join(run, 'best.safetensors'))));
    const kept = Object.keys(b!.tensors).filter((name) => name !== 'step' && !name.startsWith('head/'));
    expect(kept.length).toBeGreaterThan(20);
    for (const name of kept) expect(b!.tensors[name]!.data, name).toEqual(a!.tensors[name]!.data);
    expect(b!.tensors['head/fc/weight']!.data).not.toEqual(a!.tensors['head/fc/weight']!.data);
  }, 60_000);
});
