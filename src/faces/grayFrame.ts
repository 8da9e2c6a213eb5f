// A frame in grey, from which patches of any size are cut. Made once a frame by stream.ts, for all faces. The rule easy to break:
// outside the frame lies its nearest edge pixel.
import { Pyramid } from './pyramid';
import { interpolation, sampleGrid } from './resize';
import type { Image } from './types';

/** Luma of ITU-R BT.601, rounded, by integer weights that sum to 2^16. */
export function toGray({ pixels, width, height, channels }: Image): Uint8Array {
  if (channels === 1) return pixels;
  const gray = new Uint8Array(width * height);
  for (let i = 0, p = 0; i < gray.length; i += 1, p += 3) {
    gray[i] = (19595 * pixels[p]! + 38470 * pixels[p + 1]! + 7471 * pixels[p + 2]! + 32768) >> 16;
  }
  return gray;
}

export class GrayFrame {
  readonly width: number;
  readonly height: number;
  readonly #pyramid: Pyramid;

  constructor(image: Image) {
    this.width = image.width;
    this.height = image.height;
    this.#pyramid = new Pyramid({ pixels: toGray(image), width: image.width, height: image.height, channels: 1 });
  }

  /** Cuts the square of `side` frame pixels about (x, y) and scales it (bilinear) to `out`, count x count grey pixels. */
  patch(x: number, y: number, side: number, count: number, out: Uint8Array): void {
    const step = side / count;
    const level = this.#pyramid.level(step);
    const at = (centre: number) => (i: number) => (centre + (i + 0.5 - count / 2) * step) / level.factor - 0.5;
    const columns = interpolation(count, level.width, at(x));
    sampleGrid(level, columns, interpolation(count, level.height, at(y)), out);
  }
}
