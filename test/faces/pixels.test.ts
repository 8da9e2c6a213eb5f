// The loops over bytes in native code against the same in plain JavaScript, and what they refuse. Grey, halves and histograms
// are tested through Pyramid, GrayFrame and hog.test.ts too.
// The rule easy to break: no index may leave its array, whatever the arguments are.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { devices } from '../../src/compile';
import { ArgumentError } from '../../src/errors';
import { interpolation } from '../../src/faces/resize';
import { native } from '../../src/native';
import { type Bytes, gray, halve, hog, type Points, sample, sampleSquare } from '../../src/pixels';

function imageOf(width: number, height: number, channels: 1 | 3, seed = 1): Bytes & { height: number } {
  let state = seed;
  const pixels = Uint8Array.from({ length: width * height * channels }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  return { pixels, width, height, channels };
}

/** Bilinear by its definition, in float64. */
function at(
  { pixels, width, channels }: Bytes,
  columns: Points,
  rows: Points,
  x: number,
  y: number,
  c: number,
): number {
  const value = (row: number, column: number): number => pixels[(row * width + column) * channels + c]!;
  const line = (row: number): number => {
    const [left, right] = [value(row, columns.low[x]!), value(row, columns.high[x]!)];
    return left + columns.share[x]! * (right - left);
  };
  const [above, below] = [line(rows.low[y]!), line(rows.high[y]!)];
  return above + rows.share[y]! * (below - above);
}

describe('every tier of this processor', () => {
  const [cpu] = devices();
  const tiers = ['scalar', 'sse', 'avx2', 'avx512'];
  const own = tiers.slice(1, tiers.indexOf(cpu!.isa!) + 1);

  it.each(own)('%s has the bytes and floats of scalar', (isa) => {
    const [plain, loops] = [native().pixels('scalar'), native().pixels(isa)];
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 90 }), fc.integer({ min: 2, max: 40 }), fc.nat(), (width, height, seed) => {
        const image = imageOf(width, height, 3, seed);
        const [left, top] = [seed % width, seed % height];
        const axis = interpolation(37, Math.min(width, height), (i) => (i * width) / 37 - 1);
        const points = [axis.low, axis.high, axis.share] as const;
        const half = (width >> 1) * (height >> 1);
        const all = (of: typeof plain) => {
          const grey = new Uint8Array(width * height);
          of.gray(image.pixels, width, grey, left, top, width, height);
          const small = [new Uint8Array(half), new Uint8Array(3 * half)] as const;
          of.halve(grey, width, 1, small[0], 0, 0, width >> 1, height >> 1);
          of.halve(image.pixels, width, 3, small[1], 0, 0, width >> 1, height >> 1);
          const [bytes, floats] = [new Uint8Array(37 * 37 * 3), new Float32Array(37 * 37 * 3)];
          of.sample(image.pixels, width, 3, ...points, ...points, bytes, 0);
          of.sampleSquare(image.pixels, width, 3, ...points, ...points, Float32Array.of(0.1, 0.2, 0.3), floats);
          const channels = new Float32Array(9 * 31);
          of.hog(imageOf(12, 12, 1, seed).pixels, 3, channels, 0, 31);
          return [grey, ...small, bytes, floats, channels];
        };
        expect(all(loops)).toEqual(all(plain));
      }),
    );
  });

  it('and none beyond is had', () => {
    expect(() => native().pixels('mmx')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    if (cpu!.isa !== 'avx512') expect(() => native().pixels('avx512')).toThrow(/this machine runs up to/);
  });
});

describe('sample', () => {
  it('has the bytes of the definition, wherever the points lie', () => {
    const channels = fc.constantFrom(1 as const, 3 as const);
    const points = fc.array(fc.double({ min: -5, max: 60, noNaN: true }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(channels, points, points, (channels, xs, ys) => {
        const image = imageOf(41, 33, channels);
        const columns = interpolation(xs.length, image.width, (i) => xs[i]!);
        const rows = interpolation(ys.length, image.height, (i) => ys[i]!);
        const out = new Uint8Array(xs.length * ys.length * channels + 7).fill(200);
        sample(image, columns, rows, out, 3);
        for (let i = 0; i < xs.length * ys.length * channels; i += 1) {
          const [y, x] = [Math.floor(i / (xs.length * channels)), Math.floor(i / channels) % xs.length];
          expect(out[3 + i]).toBe(Math.floor(at(image, columns, rows, x, y, i % channels) + 0.5));
        }
        expect([...out.subarray(0, 3), ...out.subarray(-4)]).toEqual(new Array(7).fill(200));
      }),
    );
  });
});

describe('sampleSquare', () => {
  it.each([
    [40, 24, 3],
    [24, 40, 3],
    [31, 17, 1],
  ] as const)('puts %ix%i pixels of %i channels into a black square', (width, height, channels) => {
    const image = imageOf(width, height, channels);
    const [side, size] = [Math.max(width, height), 23];
    const points = interpolation(size, side, (i) => (i * side) / size);
    const square = new Uint8Array(side * side * channels);
    for (let y = 0; y < height; y += 1) {
      const row = image.pixels.subarray(y * width * channels, (y + 1) * width * channels);
      square.set(row, y * side * channels);
    }
    const padded: Bytes = { pixels: square, width: side, channels };
    const mean = [0.1, 0.2, 0.3];
    const out = new Float32Array(size * size * 3);
    sampleSquare(image, points, points, Float32Array.from(mean), out);
    out.forEach((value, i) => {
      const [y, x, c] = [Math.floor(i / (3 * size)), Math.floor(i / 3) % size, i % 3];
      const expected = at(padded, points, points, x, y, channels === 3 ? c : 0) / 255 - mean[c]!;
      expect(Math.abs(value - expected)).toBeLessThan(2e-6);
    });
  });
});

it('samples are those of the points as they were, also where the result is written over them', () => {
  const image = imageOf(16, 12, 3);
  const points = interpolation(64, 12, (i) => i / 6);
  const wanted = new Uint8Array(64 * 64 * 3);
  sample(image, points, points, wanted);
  const memory = new Uint8Array(64 * 64 * 3);
  const low = new Int32Array(memory.buffer, 0, 64);
  low.set(points.low);
  sample(image, { ...points, low }, { ...points, low }, memory);
  expect(memory).toEqual(wanted);
});

describe('arguments that do not fit', () => {
  const image = imageOf(16, 12, 3);
  const points = interpolation(4, 12, (i) => i);
  const shifted = (by: number): Points => ({ ...points, low: points.low.map((low) => low + by) });
  const region = { left: 0, top: 0, right: 16, bottom: 12 };
  const bytes = (count: number) => new Uint8Array(count);
  const wrong: [string, () => void][] = [
    ['a column behind the last', () => sample(image, shifted(16), points, bytes(48))],
    ['a row before the first', () => sample(image, points, shifted(-1), bytes(48))],
    ['a short result', () => sample(image, points, points, bytes(47))],
    ['an offset that leaves no room', () => sample(image, points, points, bytes(48), 1)],
    ['an offset before the array', () => sample(image, points, points, bytes(96), -1)],
    ['shares that are too few', () => sample(image, { ...points, share: new Float32Array(3) }, points, bytes(48))],
    ['a share of 1.5', () => sample(image, { ...points, share: new Float32Array(4).fill(1.5) }, points, bytes(48))],
    ['a share of NaN', () => sample(image, { ...points, share: new Float32Array(4).fill(NaN) }, points, bytes(48))],
    ['an image without a row', () => sample({ ...image, pixels: bytes(47) }, points, points, bytes(48))],
    ['two channels', () => sample({ ...image, channels: 2 as 1 }, points, points, bytes(48))],
    ['a width that is no number', () => sample({ ...image, width: Number.NaN }, points, points, bytes(48))],
    ['pixels that are no bytes', () => sample({ ...image, pixels: [] as never }, points, points, bytes(48))],
    ['a region beyond the image', () => gray(image, bytes(192), { ...region, bottom: 13 })],
    ['a region that ends before it begins', () => gray(image, bytes(192), { ...region, left: 5, right: 4 })],
    ['a grey image that is too small', () => gray(image, bytes(191), region)],
    ['a region beyond half the image', () => halve(image, bytes(144), { ...region, right: 9, bottom: 6 })],
    ['half an image that is too small', () => halve(image, bytes(143), { ...region, right: 8, bottom: 6 })],
    ['a short patch', () => hog(bytes(255), 4, new Float32Array(16 * 31))],
    ['too few channels', () => hog(bytes(256), 4, new Float32Array(16 * 31 - 1))],
    ['no cells', () => hog(bytes(256), 0, new Float32Array(16 * 31))],
    ['a stride below the channels', () => hog(bytes(256), 4, new Float32Array(16 * 31), 0, 30)],
    [
      'a square that is too small',
      () => sampleSquare(image, points, points, new Float32Array(3), new Float32Array(47)),
    ],
    ['a mean of two', () => sampleSquare(image, points, points, new Float32Array(2), new Float32Array(48))],
  ];

  it.each(wrong)('%s', (_, call) => {
    expect(call).toThrow(expect.objectContaining({ code: new ArgumentError('').code }));
  });

  it('a detached array', () => {
    const gone = bytes(16 * 12 * 3);
    structuredClone(gone, { transfer: [gone.buffer] });
    expect(() => sample({ ...image, pixels: gone }, points, points, bytes(48))).toThrow();
    expect(() => hog(gone, 4, new Float32Array(16 * 31))).toThrow();
  });
});
