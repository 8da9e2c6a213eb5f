// What the hand-made features have in common: grey images in, one row of float64 numbers per sample out. Used by every
// file of this folder. The rule easy to break: a row is one sample, and rows lie one behind the other in `data`.
import { setImmediate as turn } from 'node:timers/promises';
import { type ImageDataset, type JobOptions, throwIfAborted } from '../data/types';
import { ArgumentError, ShapeError } from '../errors';

const IMAGES_PER_TURN = 8;

/** [rows, columns], row-major, float64. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** One grey image of [height, width] pixels, row by row; bytes or any finite numbers. */
export interface GrayImage {
  readonly height: number;
  readonly width: number;
  readonly pixels: ArrayLike<number>;
}

/** Turns an image into a vector of `length` numbers, the same length for every image. */
export interface Descriptor {
  readonly length: number;
  describe(image: GrayImage): Float64Array;
}

/** Rows of equal length as one matrix. Throws ShapeError when they differ or there are none. */
export function matrixOf(rows: readonly ArrayLike<number>[]): Matrix {
  const columns = rows[0]?.length ?? 0;
  if (columns === 0) throw new ShapeError(`[matrix] expected at least one row of at least one number`);
  const data = new Float64Array(rows.length * columns);
  for (const [i, row] of rows.entries()) {
    if (row.length !== columns) {
      throw new ShapeError(`[matrix] expected rows of ${columns} numbers, got ${row.length} in row ${i}`);
    }
    data.set(row, i * columns);
  }
  return { rows: rows.length, columns, data };
}

/** Row i as a view. */
export function rowOf({ columns, data }: Matrix, i: number): Float64Array {
  return data.subarray(i * columns, (i + 1) * columns);
}

/** Throws ShapeError unless extents and data fit, ArgumentError for a number that is not finite. */
export function checkMatrix(op: string, matrix: Matrix): void {
  const { rows, columns, data } = matrix;
  if (![rows, columns].every((extent) => Number.isSafeInteger(extent) && extent >= 1)) {
    throw new ShapeError(`[${op}] expected at least one row and one column, got [${rows}, ${columns}]`);
  }
  if (data.length !== rows * columns) {
    throw new ShapeError(`[${op}] expected ${rows * columns} numbers for [${rows}, ${columns}], got ${data.length}`);
  }
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    const place = `row ${Math.floor(wrong / columns)}, column ${wrong % columns}`;
    throw new ArgumentError(`[${op}] expected finite numbers, got ${data[wrong]} in ${place}`);
  }
}

/** Throws ShapeError unless the image has the pixels that its extents say, and at least `least` of them each way. */
export function checkImage(op: string, { height, width, pixels }: GrayImage, least = 1): void {
  if (![height, width].every((extent) => Number.isSafeInteger(extent) && extent >= least)) {
    throw new ShapeError(`[${op}] expected an image of at least ${least}x${least}, got ${height}x${width}`);
  }
  if (pixels.length !== height * width) {
    throw new ShapeError(`[${op}] expected ${height * width} pixels for ${height}x${width}, got ${pixels.length}`);
  }
}

/**
 * Describes every image of a one-channel data set: [count, descriptor.length]. The event loop gets its turn every few
 * images. Throws ShapeError for colour, AbortError when the signal fires.
 */
export async function describeImages(
  dataset: ImageDataset,
  descriptor: Descriptor,
  options: JobOptions = {},
): Promise<Matrix> {
  const { name, count, height, width, channels, images } = dataset;
  if (channels !== 1) {
    throw new ShapeError(`[describeImages] expected images of 1 channel, got ${channels} in ${name}`);
  }
  const columns = descriptor.length;
  const data = new Float64Array(count * columns);
  for (let i = 0; i < count; i++) {
    if (i % IMAGES_PER_TURN === 0) {
      await turn();
      throwIfAborted(options.signal, 'describeImages');
      options.onProgress?.({ stage: `describe ${name}`, done: i, total: count });
    }
    const pixels = images.subarray(i * height * width, (i + 1) * height * width);
    data.set(descriptor.describe({ height, width, pixels }), i * columns);
  }
  return { rows: count, columns, data };
}

/** Matrices of equally many rows side by side: [rows, sum of columns]. */
export function joinColumns(parts: readonly Matrix[]): Matrix {
  const rows = parts[0]?.rows ?? 0;
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const odd = parts.find((part) => part.rows !== rows);
  if (rows === 0 || odd) {
    throw new ShapeError(`[joinColumns] expected matrices of equally many rows, got ${parts.map((part) => part.rows)}`);
  }
  const data = new Float64Array(rows * columns);
  let at = 0;
  for (const part of parts) {
    for (let i = 0; i < rows; i++) data.set(rowOf(part, i), i * columns + at);
    at += part.columns;
  }
  return { rows, columns, data };
}
