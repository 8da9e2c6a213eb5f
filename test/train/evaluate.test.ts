// Runs evaluated on data: classes are matched by name, and images come in the channels that the run's network reads.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { modelNamed } from '../../src/models';
import { compileModel } from '../../src/train/compileModel';
import { evaluate } from '../../src/train/evaluate';
import { importRun } from '../../src/train/importRun';
import { saveSafetensors } from '../../src/train/safetensors';
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

  it('takes data that lacks a class, and refuses data that has one more', async () => {
    const wider = await evaluate(await runOf('cba-run', ['c', 'b', 'a']), { data, split: 'test' });
    expect(wider.classes.map(({ support }) => support)).toEqual([0, 2, 5]);
    const narrow = evaluate(await runOf('ac-run', ['a', 'c']), { data, split: 'test' });
    await expect(narrow).rejects.toThrow(ArgumentError);
    await expect(narrow).rejects.toThrow(/the run knows the classes a, c; .*ab has also b/);
  });
});
