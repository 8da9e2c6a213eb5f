// A frame in grey at full, half, quarter, ... size, from which patches of any size are cut. Made once a frame by stream.ts and
// kcf.ts, for all faces. The rule easy to break: a patch is read from the level that has about its resolution, so that a
// large face is not sampled with holes; outside the frame lies its nearest edge pixel.
import { interpolation } from './resize';
import type { Image } from './types';

interface Level {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Levels are halved while both sides keep at least this many pixels. */
const LEAST_SIDE = 16;

/** Luma of ITU-R BT.601, rounded, by integer weights that sum to 2^16. */
export function toGray({ pixels, width, height, channels }: Image): Uint8Array {
  if (channels === 1) return pixels;
  const gray = new Uint8Array(width * height);
  for (let i = 0, p = 0; i < gray.length; i += 1, p += 3) {
    gray[i] = (19595 * pixels[p]! + 38470 * pixels[p + 1]! + 7471 * pixels[p + 2]! + 32768) >> 16;
  }
  return gray;
}

/** Half the size: means of 2x2 pixels, rounded; an odd last row or column is left out. */
function halved({ pixels, width, height }: Level): Level {
  const [w, h] = [width >> 1, height >> 1];
  const half = new Uint8Array(w * h);
  for (let y = 0; y < h; y += 1) {
    let above = 2 * y * width;
    for (let to = y * w; to < (y + 1) * w; to += 1, above += 2) {
      const below = above + width;
      half[to] = (pixels[above]! + pixels[above + 1]! + pixels[below]! + pixels[below + 1]! + 2) >> 2;
    }
  }
  return { pixels: half, width: w, height: h };
}

export class GrayFrame {
  readonly width: number;
  readonly height: number;
  readonly #levels: Level[];

  constructor(image: Image) {
    this.width = image.width;
    this.height = image.height;
    this.#levels = [{ pixels: toGray(image), width: image.width, height: image.height }];
  }

  /** The level, made when it is first needed, with `step` or at most half of it frame pixels a pixel. */
  #level(step: number): { level: Level; factor: number } {
    let index = 0;
    let factor = 1;
    while (step / factor >= 2) {
      const level = this.#levels[index]!;
      if (Math.min(level.width, level.height) < 2 * LEAST_SIDE) break;
      index += 1;
      factor *= 2;
      this.#levels[index] ??= halved(level);
    }
    return { level: this.#levels[index]!, factor };
  }

  /**
   * Cuts the square of `side` frame pixels about (x, y) and scales it (bilinear) to `out`, count x count grey pixels.
   */
  patch(x: number, y: number, side: number, count: number, out: Uint8Array): void {
    const step = side / count;
    const { level, factor } = this.#level(step);
    const { pixels, width, height } = level;
    const at = (centre: number) => (i: number) => (centre + (i + 0.5 - count / 2) * step) / factor - 0.5;
    const columns = interpolation(count, width, at(x));
    const rows = interpolation(count, height, at(y));
    for (let row = 0, to = 0; row < count; row += 1) {
      const above = rows.low[row]! * width;
      const below = rows.high[row]! * width;
      const fy = rows.share[row]!;
      for (let column = 0; column < count; column += 1, to += 1) {
        const left = columns.low[column]!;
        const right = columns.high[column]!;
        const fx = columns.share[column]!;
        const top = pixels[above + left]! + fx * (pixels[above + right]! - pixels[above + left]!);
        const bottom = pixels[below + left]! + fx * (pixels[below + right]! - pixels[below + left]!);
        out[to] = top + fy * (bottom - top) + 0.5;
      }
    }
  }
}
