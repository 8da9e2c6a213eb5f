// An image at full, half, quarter, ... size; a level is made when it is first needed. Called by grayFrame.ts and mtcnn.ts. The
// rule easy to break: read from the level that has about the wanted resolution, or what is shrunk is sampled with holes.
import type { Image } from './types';

/** Levels are halved while both sides keep at least this many pixels. */
const LEAST_SIDE = 16;

export interface Level extends Image {
  /** Pixels of the full image a pixel. */
  readonly factor: number;
}

/** Half the size: means of 2x2 pixels, rounded; an odd last row or column is left out. */
function halved({ pixels, width, height, channels, factor }: Level): Level {
  const [w, h] = [width >> 1, height >> 1];
  const half = new Uint8Array(w * h * channels);
  const row = width * channels;
  for (let y = 0, to = 0; y < h; y += 1) {
    let above = 2 * y * row;
    for (let x = 0; x < w; x += 1, above += channels) {
      for (let c = 0; c < channels; c += 1, to += 1, above += 1) {
        const below = above + row;
        half[to] = (pixels[above]! + pixels[above + channels]! + pixels[below]! + pixels[below + channels]! + 2) >> 2;
      }
    }
  }
  return { pixels: half, width: w, height: h, channels, factor: 2 * factor };
}

export class Pyramid {
  readonly #levels: Level[];

  constructor(image: Image) {
    this.#levels = [{ ...image, factor: 1 }];
  }

  /** The smallest level that is at least as fine as one sample every `step` pixels. */
  level(step: number): Level {
    let index = 0;
    while (step >= 2 * this.#levels[index]!.factor) {
      const level = this.#levels[index]!;
      if (Math.min(level.width, level.height) < 2 * LEAST_SIDE) break;
      index += 1;
      this.#levels[index] ??= halved(level);
    }
    return this.#levels[index]!;
  }
}
