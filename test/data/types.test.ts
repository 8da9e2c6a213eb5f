// Pixel statistics, splits and the generator under them, against values worked out by hand.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random';
import {
  checkDataset,
  type ImageDataset,
  merge,
  pixelStatistics,
  select,
  splitOff,
  takeFirst,
  throwIfAborted,
} from '../../src/data/types';
import { AbortError, ArgumentError, DataError } from '../../src/errors';

function dataset(count: number, channels = 1, pixel = (i: number) => i % 256): ImageDataset {
  return {
    name: 'small',
    images: Uint8Array.from({ length: count * 4 * channels }, (_, i) => pixel(i)),
    labels: Int32Array.from({ length: count }, (_, i) => i % 3),
    count,
    height: 2,
    width: 2,
    channels,
    classes: ['a', 'b', 'c'],
    synthetic: true,
  };
}

describe('pixelStatistics', () => {
  it('is exact on known pixels, per channel', () => {
    const { mean, std } = pixelStatistics(dataset(1, 3, (i) => [0, 51, 255, 255, 51, 0][i % 6]!));
    expect(mean).toEqual([0.5, 0.2, 0.5]);
    expect(std).toEqual([0.5, 1, 0.5]);
  });
  it('equals the two-pass definition', () => {
    const data = dataset(50, 1, (i) => (i * i * 7 + 13 * i) % 256);
    const values = Array.from(data.images, (byte) => byte / 255);
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    const found = pixelStatistics(data);
    expect(found.mean[0]).toBeCloseTo(mean, 13);
    expect(found.std[0]).toBeCloseTo(Math.sqrt(variance), 13);
  });
  it('answers a constant channel with a deviation of 1', () => {
    expect(pixelStatistics(dataset(2, 1, () => 255))).toEqual({ mean: [1], std: [1] });
  });
});

describe('takeFirst, select, splitOff', () => {
  it('takes the first images and keeps the mark of synthetic data', () => {
    const first = takeFirst(dataset(5), 2);
    expect([first.count, first.synthetic, ...first.images]).toEqual([2, true, 0, 1, 2, 3, 4, 5, 6, 7]);
    expect(takeFirst(dataset(5), 9).count).toBe(5);
    for (const wrong of [0, -1, 1.5, Number.NaN]) expect(() => takeFirst(dataset(5), wrong)).toThrow(ArgumentError);
  });
  it('selects in the given order', () => {
    const chosen = select(dataset(4), [2, 0]);
    expect([...chosen.images]).toEqual([8, 9, 10, 11, 0, 1, 2, 3]);
    expect([...chosen.labels]).toEqual([2, 0]);
    expect(() => select(dataset(4), [4])).toThrow(/index 4 is outside 0\.\.3/);
  });
  it('splits without loss or repetition, the same way for the same seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.nat(),
        (n, fraction, seed) => {
          const whole = dataset(n);
          const { rest, part } = splitOff(whole, fraction, seed);
          expect(part.count).toBe(Math.min(n - 1, Math.max(1, Math.round(fraction * n))));
          const firsts = [...rest.images, ...part.images].filter((_, i) => i % 4 === 0).sort((a, b) => a - b);
          expect(firsts).toEqual(Array.from({ length: n }, (_, i) => 4 * i));
          expect(splitOff(whole, fraction, seed)).toEqual({ rest, part });
        },
      ),
      { numRuns: 50 },
    );
  });
  it('gives another split for another seed and refuses impossible ones', () => {
    const whole = dataset(60);
    expect([...splitOff(whole, 0.5, 1).part.images]).not.toEqual([...splitOff(whole, 0.5, 2).part.images]);
    for (const fraction of [0, 1, -0.1, Number.NaN]) expect(() => splitOff(whole, fraction, 1)).toThrow(ArgumentError);
    expect(() => splitOff(dataset(1), 0.5, 1)).toThrow(DataError);
  });
});

describe('groups', () => {
  const grouped = { ...dataset(3), groups: ['x', 'y', 'x'] };
  it('go with their images', () => {
    expect(takeFirst(grouped, 2).groups).toEqual(['x', 'y']);
    expect(select(grouped, [2, 1]).groups).toEqual(['x', 'y']);
    expect('groups' in select(dataset(3), [0])).toBe(false);
    expect(() => checkDataset({ ...grouped, groups: ['x'] })).toThrow(/3 images need 3 groups, got 1/);
  });
  it('are kept by merge when every part has them', () => {
    const both = merge([grouped, { ...select(grouped, [1]), synthetic: false }], 'both');
    expect([both.name, both.count, both.groups, both.synthetic]).toEqual(['both', 4, ['x', 'y', 'x', 'y'], true]);
    expect([...both.images.subarray(12), ...both.labels]).toEqual([4, 5, 6, 7, 0, 1, 2, 1]);
    expect(checkDataset(both)).toBe(both);
    expect('groups' in merge([grouped, dataset(2)], 'mixed')).toBe(false);
    expect(() => merge([grouped, { ...grouped, classes: ['a'] }], 'odd')).toThrow(DataError);
    expect(() => merge([grouped, dataset(2, 3)], 'odd')).toThrow(
      /expected 2x2x1 images of a, b, c as in small, got 2x2x3/,
    );
    expect(() => merge([], 'none')).toThrow(ArgumentError);
  });
});

describe('checkDataset, throwIfAborted', () => {
  it('refuses parts that do not fit', () => {
    const good = dataset(3);
    expect(checkDataset(good)).toBe(good);
    expect(() => checkDataset({ ...good, count: 0 })).toThrow(/no images/);
    expect(() => checkDataset({ ...good, width: 3 })).toThrow(/need 18 bytes and 3 labels, got 12 and 3/);
    expect(() => checkDataset({ ...good, classes: ['a', 'b'] })).toThrow(/label 2 of image 2 is outside 0\.\.1/);
  });
  it('raises AbortError once the signal has fired', () => {
    const controller = new AbortController();
    throwIfAborted(controller.signal, 'x');
    controller.abort();
    expect(() => throwIfAborted(controller.signal, 'x')).toThrow(AbortError);
  });
});

describe('Random', () => {
  it('repeats for the same seed and stream, differs for others', () => {
    const words = (seed: number, stream: number) => {
      const random = new Random(seed, stream);
      return Array.from({ length: 4 }, () => random.word()).join();
    };
    expect(words(1, 2)).toBe(words(1, 2));
    const all = [words(1, 2), words(2, 1), words(1, 3), words(1 + 2 ** 32, 2), words(1, 2 + 2 ** 40), words(-1, 2)];
    expect(new Set(all).size).toBe(all.length);
    expect(() => new Random(0.5)).toThrow(ArgumentError);
  });
  it('has the moments it claims', () => {
    const random = new Random(7);
    let [sum, squares, uniforms] = [0, 0, 0];
    const count = 100_000;
    for (let i = 0; i < count; i++) {
      const value = random.normal();
      sum += value;
      squares += value * value;
      uniforms += random.uniform();
    }
    expect(Math.abs(sum / count)).toBeLessThan(0.015);
    expect(Math.abs(squares / count - 1)).toBeLessThan(0.02);
    expect(Math.abs(uniforms / count - 0.5)).toBeLessThan(0.005);
  });
  it('permutes', () => {
    const order = new Random(3).permutation(100);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect([...order]).not.toEqual([...order].sort((a, b) => a - b));
  });
});
