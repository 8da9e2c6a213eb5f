// LPQ against its definition: a Fourier sum over each pixel's window, the covariance of its coefficients by a full matrix
// product, eigenvectors by Jacobi. Then what it is for: codes that blur does not change.
import { describe, expect, it } from 'vitest';
import { AbortError, ArgumentError, ShapeError } from '../../src/errors';
import { describeImages, type GrayImage, lpq } from '../../src/features';
import { jacobi, pixel, signed, texture } from './reference';

type Complex = [re: number, im: number];
const multiply = ([a, b]: Complex, [c, d]: Complex): Complex => [a * c - b * d, a * d + b * c];

/** Weight of the offset (dy, dx) in the coefficient of frequency (u, v): [down, right] in units of 1/window. */
function weight(window: number, gaussian: boolean, [u, v]: readonly number[], dy: number, dx: number): Complex {
  const r = (window - 1) / 2;
  const bell = (y: number) => (gaussian ? Math.exp(-0.5 * (y / (r / 2)) ** 2) : 1);
  const along = (frequency: number, y: number): Complex => {
    if (frequency === 0) return [bell(y), 0];
    const wave = (z: number): Complex => {
      const angle = (-2 * Math.PI * frequency * z) / window;
      return [bell(z) * Math.cos(angle), bell(z) * Math.sin(angle)];
    };
    let mean = 0;
    for (let z = -r; z <= r; z++) mean += gaussian ? wave(z)[0] / window : 0;
    return [wave(y)[0] - mean, wave(y)[1]];
  };
  return multiply(along(u!, dy), along(v!, dx));
}

const FREQUENCIES = [
  [0, 1],
  [1, 0],
  [1, 1],
  [1, -1],
] as const;

function decorrelation(window: number, gaussian: boolean, rho: number): number[][] {
  const r = (window - 1) / 2;
  const offsets = Array.from({ length: window * window }, (_, i) => [Math.floor(i / window) - r, (i % window) - r]);
  const filters = FREQUENCIES.flatMap((frequency) =>
    [0, 1].map((part) => offsets.map(([dy, dx]) => weight(window, gaussian, frequency, dy!, dx!)[part]!)),
  );
  const shared = offsets.map((a) => offsets.map((b) => rho ** Math.hypot(a[0]! - b[0]!, a[1]! - b[1]!)));
  const product = filters.map((filter) =>
    shared.map((row) => row.reduce((sum, value, i) => sum + value * filter[i]!, 0)),
  );
  const tilt = (k: number) => 1 + (7 - k) * 1e-6;
  const covariance = product.map((row, k) =>
    filters.map((filter, l) => tilt(k) * tilt(l) * filter.reduce((sum, value, i) => sum + value * row[i]!, 0)),
  );
  const even = covariance.map((row, k) => row.map((value, l) => (value + covariance[l]![k]!) / 2));
  return jacobi(even).vectors.map(signed);
}

/** The code of the pixel (y, x): signs of sum over y' of f(x - y') times the weight of y'. */
function codeAt(image: GrayImage, y: number, x: number, window: number, gaussian: boolean, basis?: number[][]): number {
  const r = (window - 1) / 2;
  const parts = FREQUENCIES.flatMap((frequency) => {
    const sum: Complex = [0, 0];
    for (let dy = -r; dy <= r; dy++) {
      for (let dx = -r; dx <= r; dx++) {
        const [re, im] = weight(window, gaussian, frequency, dy, dx);
        sum[0] += re * pixel(image, y - dy, x - dx);
        sum[1] += im * pixel(image, y - dy, x - dx);
      }
    }
    return sum;
  });
  const values = basis ? basis.map((row) => row.reduce((sum, value, i) => sum + value * parts[i]!, 0)) : parts;
  return values.reduce((code, value, k) => code + (value >= -1e-9 ? 2 ** k : 0), 0);
}

describe('codes', () => {
  const image = texture(17, 22, 5);
  it.each([
    [3, false, false],
    [7, false, false],
    [5, true, false],
    [3, false, true],
    [7, false, true],
    [5, true, true],
  ])('window %i, gaussian %s, decorrelated %s', (window, gaussian, decorrelate) => {
    const found = lpq({ window, shape: gaussian ? 'gaussian' : 'uniform', decorrelate }).codes(image);
    expect([found.height, found.width]).toEqual([17 - window + 1, 22 - window + 1]);
    const basis = decorrelate ? decorrelation(window, gaussian, 0.9) : undefined;
    const r = (window - 1) / 2;
    const wanted = Array.from(found.codes, (_, at) =>
      codeAt(image, Math.floor(at / found.width) + r, (at % found.width) + r, window, gaussian, basis),
    );
    expect([...found.codes]).toEqual(wanted);
    expect(new Set(wanted).size).toBeGreaterThan(20);
  });
  it('a flat image has the code of zeros everywhere, whatever its brightness', () => {
    for (const value of [0, 1, 137, 255, 0.1]) {
      const flat = { height: 9, width: 9, pixels: new Float64Array(81).fill(value) };
      for (const decorrelate of [false, true]) {
        expect(new Set(lpq({ decorrelate }).codes(flat).codes)).toEqual(new Set([255]));
      }
    }
  });
  it('change little under a symmetric blur, and not at all under brightness and contrast', () => {
    const sharp = texture(40, 40, 9);
    const blurred = Float64Array.from(sharp.pixels, (_, at) => {
      let sum = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) sum += pixel(sharp, Math.floor(at / 40) + dy, (at % 40) + dx);
      }
      return sum / 9;
    });
    const codes = (pixels: ArrayLike<number>) =>
      lpq({ window: 7, decorrelate: false }).codes({ ...sharp, pixels }).codes;
    const before = codes(sharp.pixels);
    const bits = codes(blurred).reduce((sum, code, i) => {
      return sum + [0, 1, 2, 3, 4, 5, 6, 7].filter((k) => ((code ^ before[i]!) >> k) & 1).length;
    }, 0);
    expect(bits / (8 * before.length)).toBeLessThan(0.08);
    expect(codes(Float64Array.from(sharp.pixels, (value) => 2 * value + 40))).toEqual(before);
  });
});

describe('histograms', () => {
  const image = texture(26, 20, 3);
  it('count the codes of each block', () => {
    const descriptor = lpq({ window: 5, blocks: [2, 3] });
    const { height, width, codes } = descriptor.codes(image);
    const wanted = new Float64Array(6 * 256);
    const sizes = new Float64Array(6);
    for (let at = 0; at < codes.length; at++) {
      const block = [0, 1, 2, 3, 4, 5].find((b) => {
        const [i, j] = [Math.floor(b / 3), b % 3];
        const [y, x] = [Math.floor(at / width), at % width];
        const rows = y >= Math.floor((i * height) / 2) && y < Math.floor(((i + 1) * height) / 2);
        return rows && x >= Math.floor((j * width) / 3) && x < Math.floor(((j + 1) * width) / 3);
      })!;
      wanted[block * 256 + codes[at]!]! += 1;
      sizes[block]! += 1;
    }
    const found = descriptor.describe(image);
    expect([descriptor.length, found.length]).toEqual([1536, 1536]);
    for (const [i, value] of found.entries()) expect(value).toBeCloseTo(wanted[i]! / sizes[Math.floor(i / 256)]!, 12);
  });
  it('are the rows of a described data set', async () => {
    const dataset = {
      name: 'two',
      images: Uint8Array.from([1, 2].flatMap((seed) => Array.from(texture(12, 12, seed).pixels))),
      labels: Int32Array.of(0, 0),
      ...{ count: 2, height: 12, width: 12, channels: 1, classes: ['a'], synthetic: false },
    };
    const { rows, columns, data } = await describeImages(dataset, lpq());
    expect([rows, columns]).toEqual([2, 256]);
    expect(data.subarray(256)).toEqual(lpq().describe(texture(12, 12, 2)));
    await expect(describeImages({ ...dataset, channels: 3 }, lpq())).rejects.toThrow(ShapeError);
    const stopped = describeImages(dataset, lpq(), { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toThrow(AbortError);
  });
});

describe('refusals', () => {
  it.each([
    { window: 4 },
    { window: 1 },
    { window: 33 },
    { correlation: 1 },
    { correlation: 0 },
    { blocks: [0, 1] as const },
    { blocks: [1.5, 1] as const },
    { shape: 'round' as 'gaussian' },
  ])('%j', (options) => {
    expect(() => lpq(options)).toThrow(ArgumentError);
  });
  it('images that are too small or do not fit', () => {
    expect(() => lpq({ window: 9 }).codes(texture(8, 20, 1))).toThrow(/at least 9x9, got 8x20/);
    expect(() => lpq().codes({ height: 9, width: 9, pixels: [1, 2] })).toThrow(/81 pixels for 9x9, got 2/);
    expect(() => lpq({ window: 3, blocks: [9, 1] }).describe(texture(10, 10, 1))).toThrow(/at most 8x8 blocks/);
  });
});
