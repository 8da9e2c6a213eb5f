// Synthetic faces: the same bytes for the same seed, FER2013's shares, the asked label noise, and pictures that differ
// by class. A golden hash pins the drawings: when it changes, results of older runs no longer compare.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Canvas } from '../../src/data/canvas';
import { EXPRESSION_SHAPES } from '../../src/data/faceRenderer';
import { FER_SHARES, syntheticFaces, syntheticSplits } from '../../src/data/synthetic';
import { EXPRESSIONS, type ImageDataset, pixelStatistics } from '../../src/data/types';
import { AbortError, ArgumentError } from '../../src/errors';

const sha256 = (data: ImageDataset) => createHash('sha256').update(data.images).update(data.labels).digest('hex');
const only = (k: number) => EXPRESSIONS.map((_, i) => (i === k ? 1 : 0));

describe('syntheticFaces', () => {
  it('draws the same bytes for the same seed and others for another', async () => {
    const first = await syntheticFaces({ count: 20, seed: 3 });
    expect(sha256(await syntheticFaces({ count: 20, seed: 3 }))).toBe(sha256(first));
    expect(sha256(await syntheticFaces({ count: 20, seed: 4 }))).not.toBe(sha256(first));
    expect([first.height, first.width, first.channels, first.synthetic]).toEqual([48, 48, 1, true]);
    expect(first.classes).toEqual(EXPRESSIONS);
  });
  it('draws what it drew before', async () => {
    const golden = 'b94e89a7483b6979e4b990ffd7b8aa99ba20ee862b22329b61f6f71ef0c62dd5';
    expect(sha256(await syntheticFaces({ count: 64, seed: 1 }))).toBe(golden);
  });
  it('draws image i alike whatever the count and the first index', async () => {
    const whole = await syntheticFaces({ count: 12, seed: 3 });
    const part = await syntheticFaces({ count: 4, seed: 3, first: 8 });
    expect(Buffer.compare(part.images, whole.images.subarray(8 * 2304))).toBe(0);
    expect([...part.labels]).toEqual([...whole.labels.subarray(8)]);
  });
  it('has the class shares of FER2013 to within a few images, in any run of them', async () => {
    const total = FER_SHARES.reduce((a, b) => a + b);
    for (const first of [0, 12_345]) {
      const { labels } = await syntheticFaces({ count: 300, labelNoise: 0, first });
      for (const [k, share] of FER_SHARES.entries()) {
        const found = labels.filter((label) => label === k).length;
        expect(Math.abs(found - (300 * share) / total)).toBeLessThan(3);
      }
    }
  });
  it('gets the asked share of labels wrong and nothing else', async () => {
    const [clean, noisy] = [await syntheticFaces({ count: 600, labelNoise: 0 }), await syntheticFaces({ count: 600 })];
    const wrong = clean.labels.filter((label, i) => label !== noisy.labels[i]).length;
    expect(wrong / 600).toBeGreaterThan(0.02);
    expect(wrong / 600).toBeLessThan(0.06);
    expect(Buffer.compare(clean.images, noisy.images)).toBe(0);
    const all = await syntheticFaces({ count: 50, labelNoise: 1 });
    expect(all.labels.every((label, i) => label !== clean.labels[i])).toBe(true);
  });
  it('draws several images of one person, told by their group', async () => {
    const still = { pose: 0, light: 0, noise: 0, occlusion: 0, labelNoise: 0 };
    const data = await syntheticFaces({ count: 60, perSubject: 6, ...still, shares: only(6) });
    expect(data.groups).toEqual(Array.from({ length: 60 }, (_, i) => `person ${Math.floor(i / 6)}`));
    const distance = (a: number, b: number): number => {
      const pixel = (image: number, place: number): number => data.images[image * 2304 + place]!;
      return Array.from({ length: 2304 }, (_, place) => Math.abs(pixel(a, place) - pixel(b, place))).reduce(
        (x, y) => x + y,
      );
    };
    const mean = (pairs: number[][]): number => pairs.reduce((sum, [a, b]) => sum + distance(a!, b!), 0) / pairs.length;
    const pairs = Array.from({ length: 50 }, (_, i) => i);
    const same = pairs.filter((i) => i % 6 !== 5).map((i) => [i, i + 1]);
    expect(mean(same)).toBeLessThan(0.9 * mean(pairs.map((i) => [i, i + 6])));
    const later = await syntheticFaces({ count: 6, first: 54, perSubject: 6, ...still, shares: only(6) });
    expect(Buffer.compare(later.images, data.images.subarray(54 * 2304))).toBe(0);
    expect((await syntheticFaces({ count: 3 })).groups).toBeUndefined();
  });
  it('draws pictures with contrast', async () => {
    const { mean, std } = pixelStatistics(await syntheticFaces({ count: 200 }));
    expect(mean[0]).toBeGreaterThan(0.25);
    expect(mean[0]).toBeLessThan(0.6);
    expect(std[0]).toBeGreaterThan(0.12);
  });
  it('draws classes apart: a nearest-mean rule tells calm faces', async () => {
    const calm = { pose: 0, light: 0, noise: 0, occlusion: 0, identity: 0, labelNoise: 0 };
    const means: Float64Array[] = [];
    for (const k of EXPRESSIONS.keys()) {
      const mean = new Float64Array(2304);
      const { images } = await syntheticFaces({ ...calm, count: 60, shares: only(k) });
      for (let i = 0; i < images.length; i++) mean[i % 2304]! += images[i]! / 60;
      means.push(mean);
    }
    const held = await syntheticFaces({ ...calm, count: 280, first: 10_000, shares: EXPRESSIONS.map(() => 1) });
    let hits = 0;
    for (let n = 0; n < held.count; n++) {
      const distances = means.map((mean) => mean.reduce((sum, m, i) => sum + (m - held.images[n * 2304 + i]!) ** 2, 0));
      if (distances.indexOf(Math.min(...distances)) === held.labels[n]) hits++;
    }
    expect(hits / held.count).toBeGreaterThan(0.4); // Chance is 0.14.
  });
  it('turns every knob', async () => {
    const base = sha256(await syntheticFaces({ count: 8 }));
    for (const key of ['occlusion', 'noise', 'pose', 'light', 'identity'] as const) {
      expect(sha256(await syntheticFaces({ count: 8, [key]: key === 'occlusion' ? 1 : 0 }))).not.toBe(base);
    }
    expect(EXPRESSION_SHAPES.length).toBe(EXPRESSIONS.length);
  });
  it('reports progress and stops when the signal fires', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = syntheticFaces({
      count: 600,
      signal: controller.signal,
      onProgress: ({ done }) => {
        seen.push(done);
        if (done === 256) controller.abort();
      },
    });
    await expect(run).rejects.toThrow(AbortError);
    expect(seen).toEqual([0, 256]);
  });
  it.each([
    { count: 0 },
    { count: 1.5 },
    { count: Number.NaN },
    { count: 2 ** 40 },
    { count: 1, seed: 0.5 },
    { count: 1, first: Number.NaN },
    { count: 1, labelNoise: 1.1 },
    { count: 1, noise: -1 },
    { count: 1, pose: Number.NaN },
    { count: 1, shares: [1] },
    { count: 1, shares: [0, 0, 0, 0, 0, 0, 0] },
    { count: 1, shares: [1, 1, 1, 1, 1, 1, -1] },
    { count: 3, first: -1 },
  ])('refuses %j', async (options) => {
    await expect(syntheticFaces(options)).rejects.toThrow(ArgumentError);
  });
});

describe('syntheticSplits', () => {
  it('splits 8 : 1 : 1 without sharing an image, and says that it is synthetic', async () => {
    const { train, validation, test, notes } = await syntheticSplits(50, { seed: 2 });
    expect([train.count, validation!.count, test.count]).toEqual([40, 5, 5]);
    const whole = await syntheticFaces({ count: 50, seed: 2 });
    const parts = Buffer.concat([train.images, validation!.images, test.images]);
    expect(Buffer.compare(parts, whole.images)).toBe(0);
    expect(notes[0]).toMatch(/synthetic/);
  });
  it('draws only what the limit asks for', async () => {
    const { train, test } = await syntheticSplits(35_887, { limit: 3 });
    expect([train.count, test.count]).toEqual([3, 3]);
    await expect(syntheticSplits(2)).rejects.toThrow(ArgumentError);
  });
});

describe('Canvas', () => {
  it('fills the pixels inside a polygon and blends at its edge', () => {
    const canvas = new Canvas(6);
    canvas.fill(Float64Array.of(1, 1, 5, 1, 5, 5, 1, 5), 1);
    const rows = Array.from({ length: 6 }, (_, y) => [...canvas.pixels.subarray(6 * y, 6 * y + 6)]);
    expect(rows[0]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(rows[2]).toEqual([0, 1, 1, 1, 1, 0]);
    expect(canvas.pixels.reduce((a, b) => a + b)).toBe(16);
  });
  it('strokes a line of the given width and ignores what lies outside', () => {
    const canvas = new Canvas(5);
    canvas.stroke(Float64Array.of(-3, 2.5, 9, 2.5), 0.5, 1, 0.5);
    expect([...canvas.pixels.subarray(10, 15)]).toEqual([0.5, 0.5, 0.5, 0.5, 0.5]);
    expect(canvas.pixels.reduce((a, b) => a + b)).toBe(2.5);
    canvas.stroke(Float64Array.of(50, 50, 60, 60), 2, 1);
    expect(canvas.pixels.reduce((a, b) => a + b)).toBe(2.5);
  });
  it('draws a disc only inside its polygon', () => {
    const canvas = new Canvas(6);
    canvas.discInside(Float64Array.of(0, 0, 6, 0, 6, 3, 0, 3), 3, 3, 2, 1);
    expect(canvas.pixels[6 * 2 + 2]).toBe(1);
    expect(canvas.pixels.subarray(18).every((value) => value === 0)).toBe(true);
  });
});
