// An image at full, half, quarter, ... size, in its own channels or in grey, made tile by tile where it is asked for: of a frame
// that shows one face, most is never converted or shrunk. Called by grayFrame.ts, crop.ts and mtcnn.ts. The rule easy to break:
// only the region that was asked for may be read, and what is shrunk must be read from the level that has about the wanted
// resolution, or it is sampled with holes.
import type { Image } from './types';

/** Levels are halved while both sides keep at least this many pixels. */
const LEAST_SIDE = 16;
/** Side of a tile. */
const TILE = 32;

export interface Level extends Image {
  /** Pixels of the full image a pixel. */
  readonly factor: number;
}

/** A part of an image: from the first column and row to those behind the last. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

interface Layer extends Level {
  /** Which tiles are made, row by row; absent where all are. */
  readonly made?: Uint8Array;
}

/** Luma of ITU-R BT.601, rounded, by integer weights that sum to 2^16. */
function grayRegion(from: Image, to: Image, { left, top, right, bottom }: Region): void {
  const { pixels, width } = from;
  const gray = to.pixels;
  for (let y = top; y < bottom; y += 1) {
    let p = 3 * (y * width + left);
    for (let i = y * width + left; i < y * width + right; i += 1, p += 3) {
      gray[i] = (19595 * pixels[p]! + 38470 * pixels[p + 1]! + 7471 * pixels[p + 2]! + 32768) >> 16;
    }
  }
}

/** Means of 2x2 pixels, rounded. */
function halveRegion(from: Image, to: Image, { left, top, right, bottom }: Region): void {
  const { pixels, channels } = from;
  const half = to.pixels;
  const row = from.width * channels;
  for (let y = top; y < bottom; y += 1) {
    let above = 2 * (y * row + left * channels);
    let i = (y * to.width + left) * channels;
    for (let x = left; x < right; x += 1, above += channels) {
      for (let c = 0; c < channels; c += 1, i += 1, above += 1) {
        const below = above + row;
        half[i] = (pixels[above]! + pixels[above + channels]! + pixels[below]! + pixels[below + channels]! + 2) >> 2;
      }
    }
  }
}

function tilesOf(extent: number): number {
  return Math.ceil(extent / TILE);
}

function emptyLayer(width: number, height: number, channels: 1 | 3, factor: number): Layer {
  const pixels = new Uint8Array(width * height * channels);
  return { pixels, width, height, channels, factor, made: new Uint8Array(tilesOf(width) * tilesOf(height)) };
}

export class Pyramid {
  readonly width: number;
  readonly height: number;
  readonly #image: Image;
  readonly #layers: Layer[];

  /** @param gray one channel whatever the image has. */
  constructor(image: Image, { gray = false } = {}) {
    this.width = image.width;
    this.height = image.height;
    this.#image = image;
    const converted = gray && image.channels === 3;
    this.#layers = [converted ? emptyLayer(image.width, image.height, 1, 1) : { ...image, factor: 1 }];
  }

  /**
   * The smallest level that is at least as fine as one sample every `step` pixels, of which this region of the full image and
   * the pixels next to it may be read. An odd last row or column is not in the next level.
   */
  level(step: number, region: Region = { left: 0, top: 0, right: this.width, bottom: this.height }): Level {
    let index = 0;
    while (step >= 2 * this.#layers[index]!.factor) {
      const { width, height, channels, factor } = this.#layers[index]!;
      if (Math.min(width, height) < 2 * LEAST_SIDE) break;
      index += 1;
      this.#layers[index] ??= emptyLayer(width >> 1, height >> 1, channels, 2 * factor);
    }
    const layer = this.#layers[index]!;
    const { factor } = layer;
    // A sample between two pixels reads both.
    const low = (at: number): number => Math.floor(at / factor) - 1;
    const high = (at: number): number => Math.ceil(at / factor) + 1;
    this.#make(index, low(region.left), low(region.top), high(region.right), high(region.bottom));
    return layer;
  }

  /** Makes the tiles of a layer that this region, clamped to it, touches. */
  #make(index: number, left: number, top: number, right: number, bottom: number): void {
    const layer = this.#layers[index]!;
    const { made, width, height } = layer;
    if (!made) return;
    const clampedTile = (at: number, extent: number): number =>
      Math.floor(Math.min(Math.max(at, 0), extent - 1) / TILE);
    const columns = tilesOf(width);
    const [firstColumn, lastColumn] = [clampedTile(left, width), clampedTile(right - 1, width)];
    const [firstRow, lastRow] = [clampedTile(top, height), clampedTile(bottom - 1, height)];
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let column = firstColumn; column <= lastColumn; column += 1) {
        if (made[row * columns + column]) continue;
        made[row * columns + column] = 1;
        const [x, y] = [column * TILE, row * TILE];
        const tile = { left: x, top: y, right: Math.min(x + TILE, width), bottom: Math.min(y + TILE, height) };
        if (index === 0) {
          grayRegion(this.#image, layer, tile);
          continue;
        }
        this.#make(index - 1, 2 * tile.left, 2 * tile.top, 2 * tile.right, 2 * tile.bottom);
        halveRegion(this.#layers[index - 1]!, layer, tile);
      }
    }
  }
}
