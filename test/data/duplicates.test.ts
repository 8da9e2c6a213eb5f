// Duplicates against the definition: every pair of images compared, with a hash computed from cell means. Then counts by
// hand, and the size of FER2013.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bitCount } from '../../src/data/differenceHash';
import { type DuplicateOptions, type DuplicateReport, findDuplicates } from '../../src/data/duplicates';
import { Random } from '../../src/data/random';
import { syntheticFaces } from '../../src/data/synthetic';
import { type ImageDataset, select } from '../../src/data/types';
import { AbortError, ArgumentError } from '../../src/errors';

function dataset(name: string, rows: readonly ArrayLike<number>[], labels: number[], channels = 1): ImageDataset {
  const size = rows[0]!.length / channels;
  const height = Math.sqrt(size);
  return {
    name,
    images: Uint8Array.from(rows.flatMap((row) => Array.from(row))),
    labels: Int32Array.from(labels),
    count: rows.length,
    height,
    width: height,
    channels,
    classes: ['a', 'b'],
    synthetic: true,
  };
}

/** The hash as a string of 64 digits. */
function hashOf(image: Uint8Array, height: number, width: number, channels: number): string {
  const mean = (row: number, column: number) => {
    const values: number[] = [];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < channels; c++) {
          const inside = (at: number, i: number, n: number, extent: number) => {
            const begin = Math.floor((i * extent) / n);
            return at === begin || (at > begin && at < Math.floor(((i + 1) * extent) / n));
          };
          if (inside(y, row, 8, height) && inside(x, column, 9, width))
            values.push(image[(y * width + x) * channels + c]!);
        }
    return values.reduce((a, b) => a + b, 0) / values.length;
  };
  let bits = '';
  for (let row = 0; row < 8; row++)
    for (let column = 0; column < 8; column++) bits += mean(row, column) + 2 < mean(row, column + 1) ? '1' : '0';
  return bits;
}

/** Pairs as text, from comparing everything with everything. */
function reference(parts: ImageDataset[], bits: number, difference: number): string[] {
  const all = parts.flatMap((part) => {
    const size = part.height * part.width * part.channels;
    return Array.from({ length: part.count }, (_, i) => {
      const image = part.images.subarray(i * size, (i + 1) * size);
      return { place: `${part.name}${i}`, image, hash: hashOf(image, part.height, part.width, part.channels) };
    });
  });
  const same = (a: Uint8Array, b: Uint8Array) => a.every((value, k) => value === b[k]);
  const first = all.map(({ image }) => all.findIndex((other) => same(other.image, image)));
  const pairs: string[] = [];
  for (const [j, b] of all.entries()) {
    if (first[j] !== j) pairs.push(`exact ${all[first[j]!]!.place} ${b.place}`);
    for (const [i, a] of all.slice(0, j).entries()) {
      if (first[i] !== i || first[j] !== j) continue;
      const far = [...a.hash].filter((bit, k) => bit !== b.hash[k]).length;
      const mean = a.image.reduce((sum, value, k) => sum + Math.abs(value - b.image[k]!), 0) / a.image.length;
      if (far <= bits && mean <= difference) pairs.push(`near ${a.place} ${b.place}`);
    }
  }
  return pairs.sort();
}

const listed = ({ pairs }: DuplicateReport) =>
  pairs.map(({ kind, first, second }) => `${kind} ${first.part}${first.index} ${second.part}${second.index}`).sort();

/** Images in families: members of a family differ by noise, some not at all. */
function families(count: number, side: number, channels: number, seed: number): Uint8Array[] {
  const random = new Random(seed);
  const bases = Array.from({ length: 5 }, () => {
    const [a, b, c] = [random.between(-1, 1), random.between(-1, 1), random.between(0, 6)];
    return Float64Array.from({ length: side * side * channels }, (_, i) => {
      const at = Math.floor(i / channels);
      return 128 + 60 * Math.sin(a * Math.floor(at / side) + b * (at % side) + c);
    });
  });
  return Array.from({ length: count }, () => {
    const base = bases[random.below(bases.length)]!;
    const noise = [0, 2, 6, 12][random.below(4)]!;
    return Uint8Array.from(base, (value) => Math.max(0, Math.min(255, value + noise * random.normal())));
  });
}

describe('findDuplicates', () => {
  it('finds the pairs that the definition does', async () => {
    const kinds = fc.record({
      count: fc.integer({ min: 2, max: 24 }),
      side: fc.constantFrom(4, 8, 12, 19),
      channels: fc.constantFrom(1, 3),
      bits: fc.integer({ min: 0, max: 15 }),
      difference: fc.constantFrom(1, 3, 8, 255),
      seed: fc.nat(),
    });
    let near = 0;
    let exact = 0;
    await fc.assert(
      fc.asyncProperty(kinds, async ({ count, side, channels, bits, difference, seed }) => {
        const rows = families(count, side, channels, seed);
        const half = Math.ceil(count / 2);
        const labels = rows.map((_, i) => i % 2);
        const parts = [dataset('x', rows.slice(0, half), labels.slice(0, half), channels)];
        if (half < count) parts.push(dataset('y', rows.slice(half), labels.slice(half), channels));
        const report = await findDuplicates(parts, { bits, difference });
        expect(listed(report)).toEqual(reference(parts, bits, difference));
        expect(report.near.pairs + report.exact.pairs).toBe(report.pairs.length);
        near += report.near.pairs;
        exact += report.exact.pairs;
      }),
      { numRuns: 80 },
    );
    expect(Math.min(near, exact)).toBeGreaterThan(10);
  });

  const flat = (value: number) => new Uint8Array(81).fill(value);
  /** A ramp to the right: its hash is all ones, a flat image's all zeros. */
  const ramp = (shift: number) => Uint8Array.from({ length: 81 }, (_, i) => 20 * (i % 9) + shift);
  const train = dataset('train', [flat(10), ramp(0), flat(200), flat(10)], [0, 0, 1, 1]);
  const test = dataset('test', [flat(10), ramp(3), flat(100), ramp(3)], [0, 1, 0, 1]);

  it('counts pairs, labels and leaks by hand', async () => {
    const report = await findDuplicates([train, test]);
    // Exact: train 0 = train 3 (other label) = test 0; test 1 = test 3. Near: train 1 and test 1, three levels apart.
    expect(report.exact).toEqual({ pairs: 3, across: 1, otherLabel: 1 });
    expect(report.near).toEqual({ pairs: 1, across: 1, otherLabel: 1 });
    expect(report.leaks).toEqual([{ from: 'train', to: 'test', exact: 1, near: 2 }]);
    expect(report.parts).toEqual([
      { name: 'train', count: 4, exactElsewhere: 2, nearElsewhere: 1 },
      { name: 'test', count: 4, exactElsewhere: 1, nearElsewhere: 2 },
    ]);
    expect(report.pairs.map(({ kind, first, second }) => [kind, first.part === second.part])).toEqual([
      ['exact', false],
      ['near', false],
      ['exact', true],
      ['exact', true],
    ]);
    expect(report.pairs[1]).toEqual({
      kind: 'near',
      first: { part: 'train', index: 1, label: 'a' },
      second: { part: 'test', index: 1, label: 'b' },
      bits: 0,
      difference: 3,
    });
  });
  it('keeps to its limits', async () => {
    const near = async (options: DuplicateOptions) => (await findDuplicates([train, test], options)).near.pairs;
    expect(await near({ difference: 2.99 })).toBe(0);
    expect(await near({ difference: 3 })).toBe(1);
    expect(await near({ difference: 0 })).toBe(0);
    // Flat images of any brightness have one hash, so only the difference keeps them apart.
    expect(await near({ difference: 90, bits: 0 })).toBe(1 + 1);
    expect(await near({ difference: 190, bits: 0 })).toBe(1 + 3);
  });
  it('says whom an image shows', async () => {
    const report = await findDuplicates([{ ...train, groups: ['p', 'q', 'r', 's'] }]);
    expect(report.pairs[0]!.second).toEqual({ part: 'train', index: 3, label: 'b', group: 's' });
    expect(report.leaks).toEqual([]);
  });
  it('finds nothing where there is nothing', async () => {
    const report = await findDuplicates([dataset('one', [flat(0)], [0])]);
    expect([report.pairs, report.exact.pairs, report.near.pairs]).toEqual([[], 0, 0]);
  });
  it('refuses parts and limits that do not fit', async () => {
    for (const parts of [[], [train, train], [train, dataset('other', [new Uint8Array(4)], [0])]]) {
      await expect(findDuplicates(parts)).rejects.toThrow(ArgumentError);
    }
    for (const options of [{ bits: -1 }, { bits: 16 }, { bits: 1.5 }, { difference: -1 }, { difference: Number.NaN }]) {
      await expect(findDuplicates([train], options)).rejects.toThrow(ArgumentError);
    }
  });
  it('stops when the signal fires', async () => {
    const controller = new AbortController();
    const search = findDuplicates([train, test], { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(search).rejects.toThrow(AbortError);
  });
});

describe('on faces', () => {
  it('finds the noisy and the exact copies planted in another split, and no others', async () => {
    const faces = await syntheticFaces({ count: 3000, seed: 5 });
    const train = {
      ...select(
        faces,
        Array.from({ length: 2000 }, (_, i) => i),
      ),
      name: 'train',
    };
    const planted = select(faces, [...Array.from({ length: 1000 }, (_, i) => 2000 + i), 7, 8, 9, 700, 701], 'test');
    const random = new Random(2);
    for (const i of [1003, 1004]) {
      for (let k = i * 2304; k < (i + 1) * 2304; k++) {
        planted.images[k] = Math.max(0, Math.min(255, planted.images[k]! + 3 * random.normal()));
      }
    }
    const report = await findDuplicates([train, planted]);
    expect(report.leaks).toEqual([{ from: 'train', to: 'test', exact: 3, near: 2 }]);
    expect(report.pairs.map(({ first, second }) => [first.index, second.index]).sort((a, b) => a[0]! - b[0]!)).toEqual([
      [7, 1000],
      [8, 1001],
      [9, 1002],
      [700, 1003],
      [701, 1004],
    ]);
  });
});

describe('bitCount', () => {
  it('counts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (word) => {
        expect(bitCount(word | 0)).toBe([...word.toString(2)].filter((digit) => digit === '1').length);
      }),
    );
  });
});
