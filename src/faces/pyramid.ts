// An image at full, half, quarter, ... size, in its own channels or in grey, made tile by tile where it is asked for: of a frame
// that shows one face, most is never converted or shrunk. Called by grayFrame.ts, crop.ts and mtcnn.ts. The rule easy to break:
// only the region that was asked for may be read, and what is shrunk must be read from the level that has about the wanted
// resolution, or it is sampled with holes.
import { gray, halve, type Region } from '../pixels';
import type { Image } from './types';

/** Levels are halved while both sides keep at least this many pixels. */
const LEAST_SIDE = 16;
/** Side of a tile. */
const TILE = 32;
const NO_PIXELS = new Uint8Array(0);

export interface Level extends Image {
  /** Pixels of the full image a pixel. */
  readonly factor: number;
}

interface Layer extends Level {
  /** Which tiles are made, row by row; absent where all are. */
  readonly made?: Uint8Array;
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
  #image: Image;
  readonly #layers: Layer[];

  /** @param gray one channel whatever the image has. */
  constructor(image: Image, { gray = false } = {}) {
    this.width = image.width;
    this.height = image.height;
    this.#image = image;
    const converted = gray && image.channels === 3;
    this.#layers = [converted ? emptyLayer(image.width, image.height, 1, 1) : { ...image, factor: 1 }];
  }

  /** Becomes that of another image, in the same memory; false, and nothing done, where the images differ in shape. */
  show(image: Image): boolean {
    const { width, height, channels } = this.#image;
    if (image.width !== width || image.height !== height || image.channels !== channels) return false;
    this.#image = image;
    if (!this.#layers[0]!.made) this.#layers[0] = { ...image, factor: 1 };
    for (const { made } of this.#layers) made?.fill(0);
    return true;
  }

  /** Lets go of the image; no level may be asked for before another one is shown. */
  release(): void {
    this.#image = { ...this.#image, pixels: NO_PIXELS };
    if (!this.#layers[0]!.made) this.#layers[0] = { ...this.#image, factor: 1 };
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
      const line = made.subarray(row * columns, (row + 1) * columns);
      for (let column = firstColumn; column <= lastColumn; column += 1) {
        if (line[column]) continue;
        // A run of tiles at once.
        let end = column + 1;
        while (end <= lastColumn && !line[end]) end += 1;
        line.fill(1, column, end);
        const [x, y] = [column * TILE, row * TILE];
        this.#fill(index, { left: x, top: y, right: Math.min(end * TILE, width), bottom: Math.min(y + TILE, height) });
        column = end;
      }
    }
  }

  #fill(index: number, region: Region): void {
    const { pixels } = this.#layers[index]!;
    if (index === 0) {
      gray(this.#image, pixels, region);
      return;
    }
    const { left, top, right, bottom } = region;
    this.#make(index - 1, 2 * left, 2 * top, 2 * right, 2 * bottom);
    halve(this.#layers[index - 1]!, pixels, region);
  }
}
