// gramian duplicates with the real engine on files made for it: splits of a CSV, and folds of sequences by image and by
// subject. What the search itself finds is tested in test/data/duplicates.test.ts.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli/app';
import { writeFerCsv } from '../../src/data/ferCsvWriter';
import { syntheticFaces, syntheticSplits } from '../../src/data/synthetic';
import { merge, select } from '../../src/data/types';
import { AbortError } from '../../src/errors';
import { tempFolder } from '../data/tempFolder';
import { fakeEngine, fakeIo } from './fakes';

const folder = tempFolder();

async function duplicates(line: string) {
  const io = fakeIo();
  const code = await runCli(['duplicates', ...line.split(' ')], io);
  return { code, stdout: io.stdout, stderr: io.stderr };
}

describe('splits', () => {
  it('reports copies of training faces among the test faces', async () => {
    const csv = join(folder, 'faces.csv');
    const splits = await syntheticSplits(60);
    const test = merge([splits.test, select(splits.train, [4, 9])], 'test');
    await writeFerCsv(csv, { ...splits, test });
    const { code, stdout } = await duplicates(`--data fer2013:${csv} --json`);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.leaks).toEqual([
      { from: 'train', to: 'validation', exact: 0, near: 0 },
      { from: 'train', to: 'test', exact: 2, near: 0 },
      { from: 'validation', to: 'test', exact: 0, near: 0 },
    ]);
    expect(report.pairs.map((pair: { first: { index: number } }) => pair.first.index)).toEqual([4, 9]);
    const text = await duplicates(`--data fer2013:${csv} --pairs 1`);
    expect(text.stdout).toContain('test: 2 images have an exact copy in train, 0 others a near one');
    expect(text.stdout.match(/^exact {2}/gm)).toHaveLength(1);
  });
});

describe('folds', () => {
  const root = join(folder, 'ck');
  /** Sequences of three faces that are nearly one, twelve subjects with two sequences each. */
  const make = async () => {
    const faces = await syntheticFaces({ count: 24, seed: 3 });
    for (let s = 0; s < 24; s++) {
      const [subject, sequence] = [`S${String(s >> 1).padStart(3, '0')}`, `00${(s & 1) + 1}`];
      const [images, emotion] = ['cohn-kanade-images', 'Emotion'].map((part) => join(root, part, subject, sequence));
      for (const part of [images!, emotion!]) mkdirSync(part, { recursive: true });
      writeFileSync(join(emotion!, 'x_emotion.txt'), '5');
      for (let n = 0; n < 3; n++) {
        const pixels = faces.images.slice(s * 2304, (s + 1) * 2304);
        pixels[n] = 255 - pixels[n]!;
        const image = sharp(pixels, { raw: { width: 48, height: 48, channels: 1 } }).toColourspace('b-w');
        await image.toFile(join(images!, `x_${n}.png`));
      }
    }
  };

  it('of single images leak neighbouring frames, of subjects do not', async () => {
    await make();
    const plain = JSON.parse((await duplicates(`--data ckplus:${root} --folds 4 --json`)).stdout);
    expect(plain.parts.map(({ name, count }: { name: string; count: number }) => [name, count])).toEqual([
      ['fold 1', 18],
      ['fold 2', 18],
      ['fold 3', 18],
      ['fold 4', 18],
    ]);
    expect(plain.near.across).toBeGreaterThan(20);
    const bySubject = JSON.parse((await duplicates(`--data ckplus:${root} --folds 4 --by-subject --json`)).stdout);
    expect(bySubject.near).toMatchObject({ pairs: 72, across: 0 });
    expect(bySubject.parts.every((part: { nearElsewhere: number }) => part.nearElsewhere === 0)).toBe(true);
  });
  it('by subject need subjects', async () => {
    const { code, stderr } = await duplicates('--data synthetic:50 --folds 3 --by-subject');
    expect(code).toBe(2);
    expect(stderr).toContain('this data does not say whom an image shows');
  });
});

describe('the terminal', () => {
  it('shows progress and is cleared', async () => {
    const io = fakeIo({ terminal: true, columns: 40 });
    expect(await runCli(['duplicates', '--data', 'synthetic:30'], io)).toBe(0);
    expect(io.stderr).toContain('exact copies');
    expect(io.stderr.endsWith('\r\u001b[2K')).toBe(true);
    expect(io.stdout).toContain('exact copies: 0 pairs');
  });
  it('ends with 130 when interrupted', async () => {
    const io = fakeIo();
    const engine = fakeEngine({
      async duplicates(_, { signal }) {
        io.interrupt();
        throw new AbortError('[duplicates] stopped by the caller', 0, { cause: signal?.reason });
      },
    });
    expect(await runCli(['duplicates', '--data', 'mnist'], io, engine)).toBe(130);
    expect(io.listening).toBe(false);
  });
});
