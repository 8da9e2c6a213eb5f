// Runs evaluated on data: classes are matched by name, and images come in the channels that the run's network reads.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { EXPRESSIONS } from '../../src/data/types';
import { ArgumentError } from '../../src/errors';
import { modelNamed } from '../../src/models';
import type { TrainEvent } from '../../src/report/events';
import { loadCheckpoint } from '../../src/train/checkpoint';
import { compileModel } from '../../src/train/compileModel';
import { evaluate } from '../../src/train/evaluate';
import { networkInput } from '../../src/train/featureMaps';
import { importRun } from '../../src/train/importRun';
import { saveSafetensors } from '../../src/train/safetensors';
import { train } from '../../src/train/train';
import { Trainer } from '../../src/train/trainer';
import { tempFolder } from '../data/tempFolder';

const folder = tempFolder();
const model = 'denseFpn1';

/** A run of untrained weights, the same for the same shape, whatever its classes are called. */
async function runOf(name: string, classNames: readonly string[], channels = 1): Promise<string> {
  const input = [8, 8, channels] as const;
  using compiled = await compileModel(modelNamed(model), { input, classes: classNames.length });
  const tensors: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  for (const { name: tensor, shape } of compiled.plan.tensors()) {
    tensors[tensor] = { shape, data: (await compiled.plan.read(tensor)) as Float32Array };
  }
  const file = join(folder, `${name}.safetensors`);
  await saveSafetensors(file, tensors);
  await importRun(file, { model, out: join(folder, name), input, classNames, mean: [0.5], std: [0.25] });
  return join(folder, name);
}

/** So many flat pictures of each class, in colours of their own. */
async function pictures(name: string, counts: Readonly<Record<string, number>>): Promise<string> {
  for (const [label, count] of Object.entries(counts)) {
    for (const part of ['train', 'test']) {
      mkdirSync(join(folder, name, part, label), { recursive: true });
      for (let at = 0; at < count; at += 1) {
        const background = { r: 40 * at, g: 255 - 40 * at, b: label.charCodeAt(0) };
        const image = sharp({ create: { width: 8, height: 8, channels: 3, background } });
        await image.png().toFile(join(folder, name, part, label, `${at}.png`));
      }
    }
  }
  return `folder:${join(folder, name)}`;
}

describe('training from a run that reads colour', () => {
  it('reads colour and scales pixels as the run did, also when it goes on', async () => {
    const data = await pictures('xyz', { x: 4, y: 4, z: 4 });
    const shared = { model, data, method: 'bp', batch: 4, epochs: 2, input: [8, 8] } as const;
    const init = await runOf('start', ['a', 'b'], 3);
    const whole = join(folder, 'whole');
    await train({ ...shared, init, out: whole }, { onEvent: () => {} });
    const { state, tensors } = await loadCheckpoint(join(whole, 'last.safetensors'));
    expect(state.spec).toEqual({ classes: 3, input: [8, 8, 3], mean: [0.5], std: [0.25] });
    const parts = join(folder, 'parts');
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => void (event.event === 'epoch' && stop.abort());
    await train({ ...shared, init, out: parts }, { onEvent, signal: stop.signal });
    // What it started from is not asked for again.
    rmSync(init, { recursive: true });
    await train({ ...shared, init, out: parts, resume: true }, { onEvent: () => {} });
    expect((await loadCheckpoint(join(parts, 'last.safetensors'))).tensors).toEqual(tensors);
    expect(await evaluate(parts, { data, split: 'test' })).toEqual(await evaluate(whole, { data, split: 'test' }));
  });

  it('takes the channels it is told, and those of a checkpoint', async () => {
    const shared = { model, data: 'synthetic:40', batch: 8, epochs: 1, input: [8, 8], limit: 16 } as const;
    const [told, same] = [join(folder, 'told'), join(folder, 'same')];
    await train({ ...shared, channels: 3, out: told }, { onEvent: () => {} });
    await train({ ...shared, seed: 2, init: join(told, 'best.safetensors'), out: same }, { onEvent: () => {} });
    const [a, b] = await Promise.all([told, same].map((run) => loadCheckpoint(join(run, 'last.safetensors'))));
    expect(a!.state.spec.input).toEqual([8, 8, 3]);
    expect(b!.state.spec).toEqual(a!.state.spec);
    const dispose = vi.spyOn(Trainer.prototype, 'dispose');
    const grey = { ...shared, channels: 1, init: told, out: join(folder, 'grey') } as const;
    await expect(train(grey, { onEvent: () => {} })).rejects.toThrow(/expected ".*" of shape 3x3x1x/);
    expect(dispose).toHaveBeenCalledTimes(1);
    dispose.mockRestore();
    const wrong = { ...shared, channels: 2 as 1, out: told };
    await expect(train(wrong, { onEvent: () => {} })).rejects.toThrow('channels is 1 or 3, got 2');
  });
});

describe('the image of a report', () => {
  it('is scaled by one number for all channels or one for each', () => {
    const data = { images: Uint8Array.of(51, 102, 153), height: 1, width: 1, channels: 3 };
    const spec = { classes: 2, input: [1, 1, 3], mean: [0.1, 0.2, 0.3], std: [0.5] } as const;
    const values = [...networkInput(data, 0, spec), ...networkInput(data, 0, { ...spec, mean: [0], std: [1, 2, 3] })];
    expect(values.map((value) => Number(value.toFixed(6)))).toEqual([0.2, 0.4, 0.6, 0.2, 0.2, 0.2]);
  });
});

describe('evaluation', () => {
  let data: string;
  beforeAll(async () => {
    data = await pictures('ab', { a: 5, b: 2 });
  });

  it('matches classes by name and not by their place', async () => {
    const [straight, turned] = [await runOf('ab-run', ['a', 'b']), await runOf('ba-run', ['b', 'a'])];
    const [one, other] = [
      await evaluate(straight, { data, split: 'test' }),
      await evaluate(turned, { data, split: 'test' }),
    ];
    expect(one.classes.map(({ name, support }) => [name, support])).toEqual([
      ['a', 5],
      ['b', 2],
    ]);
    expect(other.classes.map(({ name, support }) => [name, support])).toEqual([
      ['b', 2],
      ['a', 5],
    ]);
    // The same network: what the one calls a, the other calls b.
    expect(other.accuracy).toBeCloseTo(1 - one.accuracy, 12);
    expect(one.accuracy).not.toBeCloseTo(0.5, 2);
  });

  it('brings images to the channels the run reads', async () => {
    const colour = await runOf('colour-run', ['a', 'b'], 3);
    const scores = await evaluate(colour, { data, split: 'test' });
    expect(scores.classes.map(({ support }) => support)).toEqual([5, 2]);
    // Grey data too, and no longer than its first images.
    const faces = await runOf('faces-run', [...EXPRESSIONS], 3);
    const grey = await evaluate(faces, { data: 'synthetic:40', split: 'test', limit: 3 });
    expect(grey.classes.reduce((sum, { support }) => sum + support, 0)).toBe(3);
  });

  it('takes data that lacks a class, and refuses data that has one more', async () => {
    const wider = await evaluate(await runOf('cba-run', ['c', 'b', 'a']), { data, split: 'test' });
    expect(wider.classes.map(({ support }) => support)).toEqual([0, 2, 5]);
    const narrow = evaluate(await runOf('ac-run', ['a', 'c']), { data, split: 'test' });
    await expect(narrow).rejects.toThrow(ArgumentError);
    await expect(narrow).rejects.toThrow(/the run knows the classes a, c; .*ab has also b/);
  });
});
