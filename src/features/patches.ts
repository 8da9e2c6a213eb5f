// Cuts images into equally large square or oblong patches on a grid, and picks the feature vectors of largest norm. Called
// by recipes. Source: Zou, Zhang, Lee, MFF-CNN, 2022, section 3.2 and equation 2.
// The rule easy to break: the patches must cover the image exactly; a geometry that leaves pixels out is refused.
import { ArgumentError, ShapeError } from '../errors';
import { checkMatrix, type Matrix, rowOf } from './matrix';

export interface PatchGrid {
  /** Patches down and across. */
  readonly rows: number;
  readonly columns: number;
  /** Extents of one patch in pixels. */
  readonly height: number;
  readonly width: number;
  /** Pixels from one patch to the next. */
  readonly stepDown: number;
  readonly stepRight: number;
}

/** Patch edge and step along one axis: extent = edge + (count - 1) step, step = (1 - overlap) edge. */
function divide(extent: number, count: number, overlap: number, axis: string): { edge: number; step: number } {
  const edge = extent / (1 + (count - 1) * (1 - overlap));
  const [wholeEdge, step] = [Math.round(edge), Math.round((1 - overlap) * edge)];
  const fits = Math.abs(edge - wholeEdge) < 1e-9 * extent && wholeEdge + (count - 1) * step === extent;
  if (!fits || wholeEdge < 1 || step < 1) {
    throw new ArgumentError(
      `[patches] expected ${count} patches with an overlap of ${overlap} to cover a ${axis} of ${extent} pixels, ` +
        `got an edge of ${Number(edge.toFixed(3))} and a step of ${Number(((1 - overlap) * edge).toFixed(3))}`,
    );
  }
  return { edge: wholeEdge, step };
}

/**
 * The grid of `count` (or [rows, columns]) patches, neighbours sharing a part `overlap` (0 to below 1) of their edge, that
 * covers an image exactly: 60x60, 4 and 0.5 give edges of 24 and steps of 12. Throws ArgumentError when no whole edge does.
 */
export function patchGrid(
  height: number,
  width: number,
  count: number | readonly [number, number],
  overlap = 0.5,
): PatchGrid {
  const [rows, columns] = typeof count === 'number' ? [count, count] : count;
  if (![height, width, rows, columns].every((value) => Number.isSafeInteger(value) && value >= 1)) {
    throw new ArgumentError(
      `[patches] expected whole extents and counts, got ${height}x${width} and ${rows}x${columns}`,
    );
  }
  if (!(overlap >= 0 && overlap < 1)) {
    throw new ArgumentError(`[patches] expected an overlap from 0 to below 1, got ${overlap}`);
  }
  const down = divide(height, rows, overlap, 'height');
  const right = divide(width, columns, overlap, 'width');
  return { rows, columns, height: down.edge, width: right.edge, stepDown: down.step, stepRight: right.step };
}

type Values = Uint8Array | Float32Array | Float64Array;

/** Zeros of the same element type. */
function likeOf<T extends Values>(values: T, length: number): T {
  if (values instanceof Float32Array) return new Float32Array(length) as Values as T;
  return (values instanceof Float64Array ? new Float64Array(length) : new Uint8Array(length)) as Values as T;
}

/**
 * The patches of [count, height, width, channels] images as [count, rows x columns, patch height, patch width, channels],
 * row by row of the grid. Throws ShapeError when the grid does not cover images of this shape.
 */
export function cutPatches<T extends Values>(
  images: T,
  shape: readonly [number, number, number, number],
  grid: PatchGrid,
): T {
  const [count, height, width, channels] = shape;
  if (images.length !== count * height * width * channels) {
    throw new ShapeError(`[patches] expected [${shape.join(', ')}] values, got ${images.length}`);
  }
  const covers =
    grid.height + (grid.rows - 1) * grid.stepDown === height &&
    grid.width + (grid.columns - 1) * grid.stepRight === width;
  if (!covers) {
    const covered = `${grid.height + (grid.rows - 1) * grid.stepDown}x${grid.width + (grid.columns - 1) * grid.stepRight}`;
    throw new ShapeError(`[patches] expected images of ${covered} for this grid, got ${height}x${width}`);
  }
  const line = grid.width * channels;
  const patches = likeOf(images, count * grid.rows * grid.columns * grid.height * line);
  let at = 0;
  for (let image = 0; image < count; image++) {
    for (let patch = 0; patch < grid.rows * grid.columns; patch++) {
      const top = Math.floor(patch / grid.columns) * grid.stepDown;
      const left = (patch % grid.columns) * grid.stepRight;
      for (let row = 0; row < grid.height; row++) {
        const from = ((image * height + top + row) * width + left) * channels;
        patches.set(images.subarray(from, from + line), at);
        at += line;
      }
    }
  }
  return patches;
}

/** L2 norm of each row: [rows]. */
export function rowNorms(matrix: Matrix): Float64Array {
  checkMatrix('rowNorms', matrix);
  return Float64Array.from({ length: matrix.rows }, (_, i) =>
    Math.sqrt(rowOf(matrix, i).reduce((sum, value) => sum + value * value, 0)),
  );
}

/**
 * Indices of the `count` rows of largest L2 norm, ascending, so that a classifier behind them sees them in their own
 * order; of equal norms the earlier row is taken. Throws ArgumentError unless count is 1 to the number of rows.
 */
export function selectByNorm(matrix: Matrix, count: number): Uint32Array {
  const norms = rowNorms(matrix);
  if (!Number.isSafeInteger(count) || count < 1 || count > norms.length) {
    throw new ArgumentError(`[selectByNorm] expected 1 to ${norms.length} rows, got ${count}`);
  }
  const order = Array.from(norms.keys()).sort((i, j) => norms[j]! - norms[i]! || i - j);
  return Uint32Array.from(order.slice(0, count)).sort();
}
