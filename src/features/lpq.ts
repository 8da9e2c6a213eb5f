// Local phase quantisation: the signs of four local Fourier coefficients make an 8-bit code for every pixel, and
// histograms of the codes describe the texture, little changed by blur. Called by recipes with hand-made features.
// Source: Ojansivu, Heikkila, Blur insensitive texture classification using local phase quantization, ICISP 2008.
// The rule easy to break: on a flat patch the coefficients are zero up to rounding, and rounding may not choose the code.
import { ArgumentError } from '../errors';
import { fixSign, symmetricEigen } from './eigen';
import { checkImage, type Descriptor, type GrayImage } from './matrix';

export interface LpqOptions {
  /** Edge of the square window in pixels, odd, 3 to 31; 7. The lowest frequency seen is 1/window. */
  readonly window?: number | undefined;
  /** Weights in the window: all equal (the paper's), or a Gaussian of deviation (window - 1)/4 with the mean taken off. */
  readonly shape?: 'uniform' | 'gaussian' | undefined;
  /** Whether the coefficients are decorrelated before their signs are taken; true. */
  readonly decorrelate?: boolean | undefined;
  /** Correlation of neighbouring pixels assumed by the decorrelation, between 0 and 1; 0.9. */
  readonly correlation?: number | undefined;
  /** Rows and columns of blocks, each with a histogram of its own; [1, 1]. */
  readonly blocks?: readonly [number, number] | undefined;
}

/** One code a pixel; the outermost (window - 1)/2 pixels of the image have none. */
export interface LpqCodes {
  readonly height: number;
  readonly width: number;
  readonly codes: Uint8Array;
}

export const LPQ_BINS = 256;
const COEFFICIENTS = 8;

interface Wave {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

interface Filters {
  readonly window: number;
  /** The window's weights, the wave of frequency 0. */
  readonly flat: Float64Array;
  /** exp(-2 pi i y / window) times the weights. */
  readonly wave: Wave;
  /** [8, 8]: what decorrelates the coefficients, or undefined. */
  readonly whitening: Float64Array | undefined;
}

function settingsOf(options: LpqOptions) {
  const { window = 7, shape = 'uniform', decorrelate = true, correlation = 0.9, blocks = [1, 1] } = options;
  if (!Number.isSafeInteger(window) || window < 3 || window > 31 || window % 2 === 0) {
    throw new ArgumentError(`[lpq] expected an odd window of 3 to 31 pixels, got ${window}`);
  }
  if (shape !== 'uniform' && shape !== 'gaussian') {
    throw new ArgumentError(`[lpq] expected the shape uniform or gaussian, got ${shape}`);
  }
  if (!(correlation > 0 && correlation < 1)) {
    throw new ArgumentError(`[lpq] expected a correlation between 0 and 1, got ${correlation}`);
  }
  if (blocks.length !== 2 || !blocks.every((count) => Number.isSafeInteger(count) && count >= 1)) {
    throw new ArgumentError(`[lpq] expected blocks as two whole numbers of at least 1, got [${blocks}]`);
  }
  return { window, shape, decorrelate, correlation, blocks };
}

/** The one-dimensional filters; the two-dimensional ones are their outer products. */
function waves(window: number, shape: 'uniform' | 'gaussian'): { flat: Float64Array; wave: Wave } {
  const radius = (window - 1) / 2;
  const deviation = (window - 1) / 4;
  const offsets = Float64Array.from({ length: window }, (_, i) => i - radius);
  const flat = offsets.map((y) => (shape === 'uniform' ? 1 : Math.exp(-0.5 * (y / deviation) ** 2)));
  const re = offsets.map((y, i) => flat[i]! * Math.cos((-2 * Math.PI * y) / window));
  const im = offsets.map((y, i) => flat[i]! * Math.sin((-2 * Math.PI * y) / window));
  // A uniform wave has no mean; a windowed one would answer to brightness. The odd part has none either way.
  const mean = shape === 'uniform' ? 0 : re.reduce((sum, value) => sum + value, 0) / window;
  return { flat, wave: { re: re.map((value) => value - mean), im } };
}

/**
 * The eight filters (real and imaginary part of the four frequencies [0,a], [a,0], [a,a], [a,-a] as [down, right]) as
 * rows of [8, window^2].
 */
function filterRows(window: number, flat: Float64Array, { re, im }: Wave): Float64Array {
  const rows = new Float64Array(COEFFICIENTS * window * window);
  const size = window * window;
  for (let down = 0; down < window; down++) {
    for (let right = 0; right < window; right++) {
      const values = [
        [flat[down]! * re[right]!, flat[down]! * im[right]!],
        [re[down]! * flat[right]!, im[down]! * flat[right]!],
        [re[down]! * re[right]! - im[down]! * im[right]!, re[down]! * im[right]! + im[down]! * re[right]!],
        [re[down]! * re[right]! + im[down]! * im[right]!, im[down]! * re[right]! - re[down]! * im[right]!],
      ].flat();
      for (const [k, value] of values.entries()) rows[k * size + down * window + right] = value;
    }
  }
  return rows;
}

/**
 * Eigenvectors, as rows, of the coefficients' covariance D = W C W', where pixels at a distance of r correlate by
 * correlation^r (equations 8 to 10). Symmetry makes eigenvalues coincide, which would leave the basis open, so D is
 * scaled by 1 + k 1e-6 in row and column 7 - k, as the authors' own program does.
 */
function whiteningOf(window: number, filters: Float64Array, correlation: number): Float64Array {
  const size = window * window;
  const distance = (i: number, j: number) =>
    Math.hypot(Math.floor(i / window) - Math.floor(j / window), (i % window) - (j % window));
  const mixed = new Float64Array(COEFFICIENTS * size);
  for (let j = 0; j < size; j++) {
    for (let i = 0; i < size; i++) {
      const shared = correlation ** distance(i, j);
      for (let k = 0; k < COEFFICIENTS; k++) mixed[k * size + j]! += filters[k * size + i]! * shared;
    }
  }
  const covariance = Float64Array.from({ length: COEFFICIENTS ** 2 }, (_, at) => {
    const [k, l] = [Math.floor(at / COEFFICIENTS), at % COEFFICIENTS];
    let sum = 0;
    for (let j = 0; j < size; j++) sum += mixed[k * size + j]! * filters[l * size + j]!;
    return sum * (1 + (7 - k) * 1e-6) * (1 + (7 - l) * 1e-6);
  });
  // Rounding leaves the halves a bit apart; the solver wants them equal.
  const even = covariance.map((value, at) => {
    const [k, l] = [Math.floor(at / COEFFICIENTS), at % COEFFICIENTS];
    return (value + covariance[l * COEFFICIENTS + k]!) / 2;
  });
  const { vectors } = symmetricEigen(even, COEFFICIENTS);
  for (let k = 0; k < COEFFICIENTS; k++) fixSign(vectors.subarray(k * COEFFICIENTS, (k + 1) * COEFFICIENTS));
  return vectors;
}

/** Convolution along rows, only where the window fits: [height, width] to [height, width - window + 1]. */
function alongRows(map: Float64Array, height: number, width: number, taps: Float64Array): Float64Array {
  const window = taps.length;
  const columns = width - window + 1;
  const out = new Float64Array(height * columns);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < window; k++) sum += taps[k]! * map[row * width + column + window - 1 - k]!;
      out[row * columns + column] = sum;
    }
  }
  return out;
}

/** Convolution along columns, only where the window fits: [height, width] to [height - window + 1, width]. */
function alongColumns(map: Float64Array, width: number, taps: Float64Array): Float64Array {
  const window = taps.length;
  const out = new Float64Array(map.length - (window - 1) * width);
  for (let k = 0; k < window; k++) {
    const from = (window - 1 - k) * width;
    const tap = taps[k]!;
    for (let at = 0; at < out.length; at++) out[at]! += tap * map[from + at]!;
  }
  return out;
}

/** The eight coefficients of every pixel that has a whole window, in the order of `filterRows`. */
function coefficientsOf({ height, width, pixels }: GrayImage, { window, flat, wave }: Filters): Float64Array[] {
  const map = Float64Array.from(pixels);
  const across = (taps: Float64Array) => alongRows(map, height, width, taps);
  const down = (part: Float64Array, taps: Float64Array) => alongColumns(part, width - window + 1, taps);
  const [level, re, im] = [across(flat), across(wave.re), across(wave.im)];
  const [rr, ri] = [down(re, wave.re), down(im, wave.re)];
  const [ir, ii] = [down(re, wave.im), down(im, wave.im)];
  return [
    down(re, flat),
    down(im, flat),
    down(level, wave.re),
    down(level, wave.im),
    rr.map((value, at) => value - ii[at]!),
    ri.map((value, at) => value + ir[at]!),
    rr.map((value, at) => value + ii[at]!),
    ir.map((value, at) => value - ri[at]!),
  ];
}

/** The code of each pixel that has a whole window (equation 6; bit k is set where coefficient k is not negative). */
function codesOf(image: GrayImage, filters: Filters): LpqCodes {
  const { window, whitening } = filters;
  checkImage('lpq', image, window);
  const [height, width] = [image.height - window + 1, image.width - window + 1];
  let brightest = 0;
  for (let i = 0; i < image.pixels.length; i++) brightest = Math.max(brightest, Math.abs(image.pixels[i]!));
  const zero = -1e-12 * window * window * brightest;
  const maps = coefficientsOf(image, filters);
  const codes = new Uint8Array(height * width);
  const own = new Float64Array(COEFFICIENTS);
  for (let at = 0; at < codes.length; at++) {
    for (let k = 0; k < COEFFICIENTS; k++) own[k] = maps[k]![at]!;
    let code = 0;
    for (let k = 0; k < COEFFICIENTS; k++) {
      let value = whitening ? 0 : own[k]!;
      if (whitening) for (let j = 0; j < COEFFICIENTS; j++) value += whitening[k * COEFFICIENTS + j]! * own[j]!;
      if (value >= zero) code |= 1 << k;
    }
    codes[at] = code;
  }
  return { height, width, codes };
}

/** Histograms of the blocks, row by row, each summing to 1. */
function histograms({ height, width, codes }: LpqCodes, [rows, columns]: readonly [number, number]): Float64Array {
  if (height < rows || width < columns) {
    throw new ArgumentError(
      `[lpq] expected at most ${height}x${width} blocks for as many codes, got ${rows}x${columns}`,
    );
  }
  const out = new Float64Array(rows * columns * LPQ_BINS);
  for (let block = 0; block < rows * columns; block++) {
    const [i, j] = [Math.floor(block / columns), block % columns];
    const [top, bottom] = [Math.floor((i * height) / rows), Math.floor(((i + 1) * height) / rows)];
    const [left, right] = [Math.floor((j * width) / columns), Math.floor(((j + 1) * width) / columns)];
    const share = 1 / ((bottom - top) * (right - left));
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) out[block * LPQ_BINS + codes[row * width + column]!]! += share;
    }
  }
  return out;
}

export interface Lpq extends Descriptor {
  /** The code map itself. */
  codes(image: GrayImage): LpqCodes;
}

/**
 * The LPQ descriptor: `describe(image)` gives blocks x 256 shares, the histograms of the blocks row by row, each summing
 * to 1. An image must be at least `window` pixels each way. Throws ArgumentError for options out of range, ShapeError for
 * an image that does not fit.
 */
export function lpq(options: LpqOptions = {}): Lpq {
  const { window, shape, decorrelate, correlation, blocks } = settingsOf(options);
  const { flat, wave } = waves(window, shape);
  const whitening = decorrelate ? whiteningOf(window, filterRows(window, flat, wave), correlation) : undefined;
  const filters = { window, flat, wave, whitening };
  return {
    length: blocks[0] * blocks[1] * LPQ_BINS,
    codes: (image) => codesOf(image, filters),
    describe: (image) => histograms(codesOf(image, filters), blocks),
  };
}
