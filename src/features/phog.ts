// Pyramid of histograms of oriented gradients: at each level the image is cut into 2^l x 2^l cells, and each cell has a
// histogram of the gradient's direction at the edges in it. Called by recipes with hand-made features.
// Source: Bosch, Zisserman, Munoz, Representing shape with a spatial pyramid kernel, CIVR 2007.
// The rule easy to break: an image without any edge has a histogram of zeros, never 0/0.
import { ArgumentError } from '../errors';
import { type CannyOptions, canny, gradients } from './canny';
import { checkImage, type Descriptor, type GrayImage } from './matrix';

export interface PhogOptions {
  /** The finest level, 0 to 6: level l has 4^l cells and all levels from 0 on are kept; 3. */
  readonly levels?: number | undefined;
  /** Directions in a histogram, 2 to 360; 8. */
  readonly bins?: number | undefined;
  /** Degrees that the bins share: 180 takes a direction and its opposite as one, 360 does not; 360. */
  readonly range?: 180 | 360 | undefined;
  /** How edges are found; false counts every pixel. */
  readonly edges?: CannyOptions | false | undefined;
}

type Settings = { readonly [K in keyof PhogOptions]-?: NonNullable<PhogOptions[K]> };

function settingsOf(options: PhogOptions): Settings {
  const { levels = 3, bins = 8, range = 360, edges = {} } = options;
  if (!Number.isSafeInteger(levels) || levels < 0 || levels > 6) {
    throw new ArgumentError(`[phog] expected a finest level of 0 to 6, got ${levels}`);
  }
  if (!Number.isSafeInteger(bins) || bins < 2 || bins > 360) {
    throw new ArgumentError(`[phog] expected 2 to 360 bins, got ${bins}`);
  }
  if (range !== 180 && range !== 360) throw new ArgumentError(`[phog] expected a range of 180 or 360, got ${range}`);
  return { levels, bins, range, edges };
}

/** Bin of a gradient: bin 0 begins at the direction to the right and directions turn from right to down. */
function binOf(down: number, right: number, bins: number, range: number): number {
  const degrees = (Math.atan2(down, right) * 180) / Math.PI;
  const turned = ((degrees % range) + range) % range;
  return Math.min(bins - 1, Math.floor((turned * bins) / range));
}

/** Adds every edge pixel's gradient magnitude to the histogram of its cell of one level; `at` is where the level begins. */
function addLevel(
  out: Float64Array,
  at: number,
  level: number,
  { height, width }: GrayImage,
  weights: Float64Array,
  bin: Uint16Array,
  bins: number,
): void {
  const cells = 2 ** level;
  for (let row = 0; row < height; row++) {
    const cellRow = Math.floor((row * cells) / height);
    for (let column = 0; column < width; column++) {
      const cell = cellRow * cells + Math.floor((column * cells) / width);
      const pixel = row * width + column;
      out[at + cell * bins + bin[pixel]!]! += weights[pixel]!;
    }
  }
}

/**
 * The PHOG descriptor: `describe(image)` gives bins x (1 + 4 + ... + 4^levels) numbers, level by level, cell by cell (row
 * by row), bin by bin; they sum to 1, or are all 0 for an image without an edge. Each edge pixel adds its gradient's
 * magnitude. The image must have at least 2^levels pixels each way. Throws ArgumentError for options out of range.
 */
export function phog(options: PhogOptions = {}): Descriptor {
  const { levels, bins, range, edges } = settingsOf(options);
  const cells = (4 ** (levels + 1) - 1) / 3;
  return {
    length: bins * cells,
    describe(image) {
      checkImage('phog', image, 2 ** levels);
      const edge = edges === false ? undefined : canny(image, edges);
      const { down, right } = gradients(image);
      const weights = down.map((value, at) => (edge?.[at] === 0 ? 0 : Math.hypot(value, right[at]!)));
      const bin = Uint16Array.from(down, (value, at) => binOf(value, right[at]!, bins, range));
      const out = new Float64Array(bins * cells);
      let at = 0;
      for (let level = 0; level <= levels; level++) {
        addLevel(out, at, level, image, weights, bin, bins);
        at += bins * 4 ** level;
      }
      const total = out.reduce((sum, value) => sum + value, 0);
      return total === 0 ? out : out.map((value) => value / total);
    },
  };
}
