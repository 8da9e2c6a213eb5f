// Canny's edge detector: smooth, differentiate, keep ridges of the gradient, and of those the strong ones with the weak
// ones joined to them. Called by phog.ts. Source: Canny, A computational approach to edge detection, PAMI 1986.
// The rule easy to break: pixels outside the image repeat its border, so that the border itself is no edge.
import { ArgumentError } from '../errors';
import { checkImage, type GrayImage } from './matrix';

export interface CannyOptions {
  /** Standard deviation of the smoothing Gaussian in pixels, 0 (none) to 16; sqrt 2. */
  readonly sigma?: number | undefined;
  /** Share of pixels whose gradient lies below the upper threshold, between 0 and 1; 0.7. */
  readonly quiet?: number | undefined;
  /** Lower threshold as a share of the upper one, 0 to 1; 0.4. */
  readonly low?: number | undefined;
}

/** Derivatives down and right of an image, each [height, width]. */
export interface Gradients {
  readonly down: Float64Array;
  readonly right: Float64Array;
}

const WEAK = 1;
const STRONG = 2;

/** Convolution with a symmetric kernel along one axis; `step` is the distance of neighbours in memory. */
function smoothAxis(map: Float64Array, extent: number, step: number, starts: readonly number[], kernel: Float64Array) {
  const radius = (kernel.length - 1) / 2;
  const out = new Float64Array(map.length);
  for (const start of starts) {
    for (let i = 0; i < extent; i++) {
      let sum = 0;
      for (let k = -radius; k <= radius; k++) {
        sum += kernel[k + radius]! * map[start + step * Math.min(extent - 1, Math.max(0, i + k))]!;
      }
      out[start + step * i] = sum;
    }
  }
  return out;
}

function smooth({ height, width, pixels }: GrayImage, sigma: number): Float64Array {
  const map = Float64Array.from(pixels);
  if (sigma === 0) return map;
  const radius = Math.ceil(3 * sigma);
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-0.5 * ((i - radius) / sigma) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const kernel = weights.map((weight) => weight / total);
  const rows = Array.from({ length: height }, (_, row) => row * width);
  const columns = Array.from({ length: width }, (_, column) => column);
  return smoothAxis(smoothAxis(map, width, 1, rows, kernel), height, width, columns, kernel);
}

/** Central differences, one-sided at the border; an extent of 1 has derivative 0. */
export function gradients({ height, width, pixels }: GrayImage): Gradients {
  const down = new Float64Array(height * width);
  const right = new Float64Array(height * width);
  for (let row = 0; row < height; row++) {
    const [above, beneath] = [Math.max(0, row - 1), Math.min(height - 1, row + 1)];
    for (let column = 0; column < width; column++) {
      const [before, behind] = [Math.max(0, column - 1), Math.min(width - 1, column + 1)];
      const at = row * width + column;
      const rise = pixels[beneath * width + column]! - pixels[above * width + column]!;
      const run = pixels[row * width + behind]! - pixels[row * width + before]!;
      down[at] = rise / Math.max(1, beneath - above);
      right[at] = run / Math.max(1, behind - before);
    }
  }
  return { down, right };
}

/** Whether the gradient at `at` is no smaller than on either side of it along its direction, to one of four octants. */
function isRidge(
  magnitude: Float64Array,
  height: number,
  width: number,
  row: number,
  column: number,
  { down, right }: Gradients,
): boolean {
  const at = row * width + column;
  const angle = (Math.atan2(down[at]!, right[at]!) * 4) / Math.PI; // In eighths of a turn.
  const octant = (Math.round(angle) + 8) % 4;
  const [dy, dx] = [
    [0, 1],
    [1, 1],
    [1, 0],
    [1, -1],
  ][octant] as [number, number];
  const there = (y: number, x: number) => (y < 0 || x < 0 || y >= height || x >= width ? 0 : magnitude[y * width + x]!);
  // One comparison is strict: of a plateau two pixels wide one remains, and flat ground is no ridge.
  return magnitude[at]! >= there(row + dy, column + dx) && magnitude[at]! > there(row - dy, column - dx);
}

/** Weak pixels that touch a strong one, by a side or a corner, become strong, and so on. */
function spread(kind: Uint8Array, height: number, width: number): void {
  const open = Array.from(kind.keys()).filter((at) => kind[at] === STRONG);
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const [row, column] = [Math.floor(at / width), at % width];
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
      for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
        if (kind[y * width + x] !== WEAK) continue;
        kind[y * width + x] = STRONG;
        open.push(y * width + x);
      }
    }
  }
}

/**
 * 1 at the edges of an image and 0 elsewhere, [height, width]. The upper threshold is the gradient magnitude below which
 * a share `quiet` of the pixels lies, so it follows the image's contrast. Throws ArgumentError for options out of range.
 */
export function canny(image: GrayImage, options: CannyOptions = {}): Uint8Array {
  const { sigma = Math.SQRT2, quiet = 0.7, low = 0.4 } = options;
  if (!(sigma >= 0 && sigma <= 16)) throw new ArgumentError(`[canny] expected a sigma of 0 to 16, got ${sigma}`);
  if (!(quiet > 0 && quiet < 1)) throw new ArgumentError(`[canny] expected quiet between 0 and 1, got ${quiet}`);
  if (!(low >= 0 && low <= 1)) throw new ArgumentError(`[canny] expected low from 0 to 1, got ${low}`);
  checkImage('canny', image);
  const { height, width } = image;
  const slopes = gradients({ height, width, pixels: smooth(image, sigma) });
  const magnitude = slopes.down.map((value, at) => Math.hypot(value, slopes.right[at]!));
  const upper = magnitude.toSorted()[Math.floor(quiet * magnitude.length)]!;
  const kind = new Uint8Array(magnitude.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = magnitude[row * width + column]!;
      if (value < low * upper || !isRidge(magnitude, height, width, row, column, slopes)) continue;
      kind[row * width + column] = value >= upper ? STRONG : WEAK;
    }
  }
  spread(kind, height, width);
  return kind.map((value) => (value === STRONG ? 1 : 0));
}
