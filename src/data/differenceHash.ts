// A 64-bit hash of an image by which near copies are found: whether each cell of a coarse 8x9 grid is darker than its right
// neighbour. Called by duplicates.ts. Source: Krawetz, Kind of like that, 2013 (dHash).
// The rule easy to break: a flat region gives zeros whatever its noise, so a difference must exceed MARGIN to count.
import type { ImageDataset } from './types';

const ROWS = 8;
const COLUMNS = 8;
/** Levels of 0 to 255 by which a cell must be darker. */
const MARGIN = 2;

export interface ImageHashes {
  /** [count] each: rows 0 to 3 and rows 4 to 7 of the grid, the first cell in the lowest bit. */
  readonly upper: Uint32Array;
  readonly lower: Uint32Array;
  /** [count]: mean of all bytes of the image, 0 to 255. */
  readonly brightness: Float64Array;
}

/** Bounds of cell i of n over an extent; at least one pixel, shared when there are fewer pixels than cells. */
function bounds(i: number, n: number, extent: number): [number, number] {
  const begin = Math.floor((i * extent) / n);
  return [begin, Math.max(begin + 1, Math.floor(((i + 1) * extent) / n))];
}

/** Mean of every cell of the 8x9 grid over one image of [height, width, channels] bytes at `offset`. */
function cellMeans({ images, height, width, channels }: ImageDataset, offset: number, out: Float64Array): void {
  for (let row = 0; row < ROWS; row++) {
    const [top, bottom] = bounds(row, ROWS, height);
    for (let column = 0; column <= COLUMNS; column++) {
      const [left, right] = bounds(column, COLUMNS + 1, width);
      let sum = 0;
      for (let y = top; y < bottom; y++) {
        const line = offset + y * width * channels;
        for (let at = line + left * channels; at < line + right * channels; at++) sum += images[at]!;
      }
      out[row * (COLUMNS + 1) + column] = sum / ((bottom - top) * (right - left) * channels);
    }
  }
}

/** Hashes images first..last-1 of a data set into the same places of `hashes`, shifted by `to`. */
export function hashImages(dataset: ImageDataset, first: number, last: number, hashes: ImageHashes, to: number): void {
  const size = dataset.height * dataset.width * dataset.channels;
  const means = new Float64Array(ROWS * (COLUMNS + 1));
  for (let i = first; i < last; i++) {
    cellMeans(dataset, i * size, means);
    const words = [0, 0];
    for (let row = 0; row < ROWS; row++) {
      for (let column = 0; column < COLUMNS; column++) {
        const at = row * (COLUMNS + 1) + column;
        if (means[at]! + MARGIN < means[at + 1]!) words[row >> 2]! |= 1 << ((row & 3) * COLUMNS + column);
      }
    }
    let sum = 0;
    for (let at = i * size; at < (i + 1) * size; at++) sum += dataset.images[at]!;
    hashes.upper[to + i] = words[0]!;
    hashes.lower[to + i] = words[1]!;
    hashes.brightness[to + i] = sum / size;
  }
}

/** Set bits of a 32-bit word. */
export function bitCount(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
