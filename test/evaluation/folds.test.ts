// Folds of every kind: each sample tested once, no subject on both sides, classes and sizes spread as promised.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random';
import { ArgumentError } from '../../src/errors';
import { type FoldOptions, kFold, type Samples, twoFoldSpi } from '../../src/evaluation/folds';

function samples(count: number, classes: number, subjects: number, seed = 1): Samples {
  const random = new Random(seed);
  const pick = (bound: number) => Math.floor(random.uniform() ** 2 * bound); // Uneven, as real data is.
  return {
    count,
    labels: Int32Array.from({ length: count }, () => pick(classes)),
    groups: Array.from({ length: count }, () => `S${pick(subjects)}`),
  };
}

/** How many of each class (or of all) a fold tests. */
function counts({ labels }: Samples, test: Uint32Array, classes: number): number[] {
  return Array.from({ length: classes }, (_, k) => test.filter((i) => labels[i] === k).length);
}

const kinds: [string, Partial<FoldOptions>][] = [
  ['plain', {}],
  ['stratified', { stratified: true }],
  ['grouped', { grouped: true }],
  ['stratified grouped', { stratified: true, grouped: true }],
];

describe.each(kinds)('%s folds', (_, kind) => {
  it('test every sample once, train on the others, and repeat for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 12, max: 80 }), fc.nat(), (folds, count, seed) => {
        const data = samples(count, 4, 40, seed);
        fc.pre(new Set(data.groups).size >= folds);
        const found = kFold(data, { folds, seed, ...kind });
        expect(found).toHaveLength(folds);
        const tested = found.flatMap(({ test }) => [...test]).sort((a, b) => a - b);
        expect(tested).toEqual(Array.from({ length: count }, (__, i) => i));
        for (const { train, test } of found) {
          expect(test.length).toBeGreaterThan(0);
          expect([...train, ...test].sort((a, b) => a - b)).toEqual(tested);
          expect([...test]).toEqual([...test].sort((a, b) => a - b));
          if (!kind.grouped) continue;
          const people = new Set([...train].map((i) => data.groups![i]));
          expect([...test].some((i) => people.has(data.groups![i]))).toBe(false);
        }
        expect(kFold(data, { folds, seed, ...kind })).toEqual(found);
      }),
      { numRuns: 60 },
    );
  });
  it('differ between seeds', () => {
    const data = samples(60, 3, 60);
    expect(kFold(data, { folds: 3, seed: 1, ...kind })).not.toEqual(kFold(data, { folds: 3, seed: 2, ...kind }));
  });
});

describe('balance', () => {
  it('plain and stratified folds differ by one sample at most, stratified ones also in every class', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 7 }), fc.integer({ min: 10, max: 100 }), fc.nat(), (folds, count, seed) => {
        const data = samples(count, 5, 9, seed);
        for (const stratified of [false, true]) {
          const found = kFold(data, { folds, seed, stratified });
          const sizes = found.map(({ test }) => test.length);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
          if (!stratified) continue;
          for (let k = 0; k < 5; k++) {
            const inClass = found.map(({ test }) => counts(data, test, 5)[k]!);
            expect(Math.max(...inClass) - Math.min(...inClass)).toBeLessThanOrEqual(1);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
  it('grouped folds are as even as their groups allow', () => {
    // Six subjects with 8, 7, 6, 5, 4, 3 images: three folds of 11 exist, and largest-first finds them.
    const groups = [8, 7, 6, 5, 4, 3].flatMap((size, s) => Array<string>(size).fill(`S${s}`));
    const data = { count: groups.length, labels: groups.map(() => 0), groups };
    expect(kFold(data, { folds: 3, grouped: true }).map(({ test }) => test.length)).toEqual([11, 11, 11]);
  });
  it('stratified grouped folds spread classes better than grouped ones', () => {
    // Subjects show one expression each: a grouped split may put a class into one fold.
    const groups = Array.from({ length: 240 }, (_, i) => `S${Math.floor(i / 6)}`);
    const labels = Int32Array.from(groups, (_, i) => Math.floor(i / 6) % 4);
    const data = { count: 240, labels, groups };
    const unevenness = (stratified: boolean, seed: number) =>
      kFold(data, { folds: 5, seed, stratified, grouped: true })
        .flatMap(({ test }) => counts(data, test, 4))
        .reduce((sum, count) => sum + (count - 12) ** 2, 0);
    for (const seed of [1, 2, 3]) {
      expect(unevenness(true, seed)).toBe(0);
      expect(unevenness(false, seed)).toBeGreaterThan(0);
    }
  });
  it('fills every fold also with one group that holds nearly all', () => {
    const groups = ['b', 'c', ...Array<string>(50).fill('a')];
    for (const stratified of [false, true]) {
      const found = kFold({ count: 52, labels: groups.map(() => 0), groups }, { folds: 3, stratified, grouped: true });
      expect(found.map(({ test }) => test.length).sort()).toEqual([1, 1, 50]);
    }
  });
});

describe('twoFoldSpi', () => {
  it('trains on one half and tests on the other, then the other way round', () => {
    const data = samples(200, 7, 60, 4);
    const [first, second, ...more] = twoFoldSpi(data, 9);
    expect(more).toEqual([]);
    expect([first!.train, first!.test]).toEqual([second!.test, second!.train]);
    const people = new Set([...first!.train].map((i) => data.groups![i]));
    expect([...first!.test].some((i) => people.has(data.groups![i]))).toBe(false);
    expect(Math.abs(first!.train.length - 100)).toBeLessThanOrEqual(10);
  });
});

describe('refusals', () => {
  const data = samples(10, 2, 3);
  it.each([
    [{ folds: 1 }, '2 to 10 folds of 10 samples, got 1'],
    [{ folds: 11 }, 'got 11'],
    [{ folds: 2.5 }, 'got 2.5'],
    [{ folds: 2, seed: 0.5 }, 'a seed as a whole number'],
    [{ folds: 4, grouped: true }, 'at least 4 groups'],
  ])('%j', (options, reason) => {
    expect(() => kFold(data, options)).toThrow(ArgumentError);
    expect(() => kFold(data, options)).toThrow(reason);
  });
  it('samples that do not fit', () => {
    const { groups: _, ...without } = data;
    expect(() => kFold(without, { folds: 2, grouped: true })).toThrow(/does not say whom an image shows/);
    expect(() => kFold({ ...data, groups: ['a'] }, { folds: 2, grouped: true })).toThrow(/10 samples, got 1/);
    expect(() => kFold({ ...data, labels: [0, 1] }, { folds: 2 })).toThrow(/label for each of 10 samples, got 2/);
    expect(() => kFold({ count: 2, labels: [0, -1] }, { folds: 2 })).toThrow(/labels from 0, got -1 at 1/);
  });
});
