// Principal component analysis in float64: the directions along which the rows of a matrix vary most. Called by recipes.
// Source: Jolliffe, Principal Component Analysis, 2002, chapters 1 and 3.
// The rule easy to break: with more columns than rows the [rows, rows] problem is solved instead; both give the same.
import { ArgumentError, DataError, ShapeError } from '../errors';
import { fixSign, symmetricEigen } from './eigen';
import { loadFitted, saveFitted } from './files';
import { checkMatrix, type Matrix, rowOf } from './matrix';

/** Largest side of the eigenvalue problem: 4096 takes minutes and 400 MB. */
const MAX_SIDE = 4096;

/** Four sums at a time: one sum alone waits for each of its additions. */
function dot(a: Float64Array, b: Float64Array): number {
  const whole = a.length - (a.length % 4);
  let [first, second, third, fourth] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    first += a[i]! * b[i]!;
    second += a[i + 1]! * b[i + 1]!;
    third += a[i + 2]! * b[i + 2]!;
    fourth += a[i + 3]! * b[i + 3]!;
  }
  for (let i = whole; i < a.length; i++) first += a[i]! * b[i]!;
  return first + second + (third + fourth);
}

function columnMeans({ rows, columns, data }: Matrix): Float64Array {
  const mean = new Float64Array(columns);
  for (let at = 0; at < data.length; at++) mean[at % columns]! += data[at]!;
  return mean.map((sum) => sum / rows);
}

/** rows' products with each other, [rows, rows]. */
function gram(matrix: Matrix): Float64Array {
  const { rows } = matrix;
  const out = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++) {
    const row = rowOf(matrix, i);
    for (let j = 0; j <= i; j++) {
      const value = dot(row, rowOf(matrix, j));
      out[i * rows + j] = value;
      out[j * rows + i] = value;
    }
  }
  return out;
}

function transpose({ rows, columns, data }: Matrix): Matrix {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  }
  return { rows: columns, columns: rows, data: out };
}

/** Sum of weights[i] times row i. */
function combine(matrix: Matrix, weights: Float64Array): Float64Array {
  const out = new Float64Array(matrix.columns);
  for (const [i, weight] of weights.entries()) {
    const row = rowOf(matrix, i);
    for (let j = 0; j < out.length; j++) out[j]! += weight * row[j]!;
  }
  return out;
}

interface Fitted {
  readonly mean: Float64Array;
  /** [components, columns]. */
  readonly components: Matrix;
  readonly variance: Float64Array;
  readonly totalVariance: number;
}

/** Squared singular values and unit directions of centred rows; `rank` counts those above rounding. */
function directions(centred: Matrix): { values: Float64Array; rank: number; direction(k: number): Float64Array } {
  const { rows, columns } = centred;
  const wide = columns > rows;
  const side = Math.min(rows, columns);
  if (side > MAX_SIDE) {
    throw new ArgumentError(`[pca] expected at most ${MAX_SIDE} rows or columns, got [${rows}, ${columns}]`);
  }
  const { values, vectors } = symmetricEigen(gram(wide ? centred : transpose(centred)), side);
  const smallest = Math.max(rows, columns) * Number.EPSILON * Math.max(0, values[0]!);
  return {
    values,
    rank: values.filter((value) => value > smallest).length,
    direction(k) {
      const vector = vectors.slice(k * side, (k + 1) * side);
      if (!wide) return vector;
      const long = combine(centred, vector);
      const norm = Math.sqrt(dot(long, long));
      return long.map((value) => value / norm);
    },
  };
}

export class Pca {
  /** [columns]. */
  readonly mean: Float64Array;
  /** [components, columns]: orthogonal unit rows, of largest variance first; the entry largest in size is positive. */
  readonly components: Matrix;
  /** [components]: variance of the training rows along each component (divided by rows - 1). */
  readonly explainedVariance: Float64Array;
  /** Sum of the variances of all columns. */
  readonly totalVariance: number;

  private constructor({ mean, components, variance, totalVariance }: Fitted) {
    this.mean = mean;
    this.components = components;
    this.explainedVariance = variance;
    this.totalVariance = totalVariance;
  }

  /** [components]: share of the total variance along each component, 0 to 1. */
  get explainedVarianceRatio(): Float64Array {
    return this.explainedVariance.map((value) => value / this.totalVariance);
  }

  /**
   * The first `components` principal components of [rows, columns]. Throws ArgumentError unless there are 1 to
   * min(rows - 1, columns) of them, DataError when the rows do not vary in so many directions.
   */
  static fit(matrix: Matrix, components: number): Pca {
    checkMatrix('pca', matrix);
    const { rows, columns, data } = matrix;
    const most = Math.min(rows - 1, columns);
    if (!Number.isSafeInteger(components) || components < 1 || components > most) {
      throw new ArgumentError(`[pca] expected 1 to ${most} components for [${rows}, ${columns}], got ${components}`);
    }
    const mean = columnMeans(matrix);
    const centred = { rows, columns, data: data.map((value, at) => value - mean[at % columns]!) };
    const { values, rank, direction } = directions(centred);
    if (components > rank) {
      throw new DataError(`[pca] expected rows that vary in ${components} directions, got ${rank}`);
    }
    const found = new Float64Array(components * columns);
    for (let k = 0; k < components; k++) {
      const row = direction(k);
      fixSign(row);
      found.set(row, k * columns);
    }
    return new Pca({
      mean,
      components: { rows: components, columns, data: found },
      variance: values.slice(0, components).map((value) => value / (rows - 1)),
      totalVariance: dot(centred.data, centred.data) / (rows - 1),
    });
  }

  /** Coordinates along the components: [rows, columns] to [rows, components]. */
  transform(matrix: Matrix): Matrix {
    checkMatrix('pca', matrix);
    const { rows, columns } = matrix;
    if (columns !== this.mean.length) {
      throw new ShapeError(`[pca] expected ${this.mean.length} columns as when fitted, got ${columns}`);
    }
    const count = this.components.rows;
    const out = new Float64Array(rows * count);
    for (let i = 0; i < rows; i++) {
      const centred = rowOf(matrix, i).map((value, j) => value - this.mean[j]!);
      for (let k = 0; k < count; k++) out[i * count + k] = dot(centred, rowOf(this.components, k));
    }
    return { rows, columns: count, data: out };
  }

  /** The points that have these coordinates: [rows, components] to [rows, columns]. */
  inverse(matrix: Matrix): Matrix {
    checkMatrix('pca', matrix);
    const { rows, columns } = matrix;
    if (columns !== this.components.rows) {
      throw new ShapeError(`[pca] expected ${this.components.rows} components, got ${columns} columns`);
    }
    const out = new Float64Array(rows * this.mean.length);
    for (let i = 0; i < rows; i++) {
      const point = combine(this.components, rowOf(matrix, i));
      out.set(
        point.map((value, j) => value + this.mean[j]!),
        i * point.length,
      );
    }
    return { rows, columns: this.mean.length, data: out };
  }

  /** Writes a safetensors file of float64 tensors. Throws CheckpointError when the disk refuses. */
  async save(path: string): Promise<void> {
    const { rows, columns, data } = this.components;
    await saveFitted(path, 'pca', {
      mean: { shape: [columns], data: this.mean },
      components: { shape: [rows, columns], data },
      explainedVariance: { shape: [rows], data: this.explainedVariance },
      totalVariance: { shape: [1], data: Float64Array.of(this.totalVariance) },
    });
  }

  /** Reads what `save` wrote. Throws CheckpointError for another or a damaged file. */
  static async load(path: string): Promise<Pca> {
    const { mean, components, explainedVariance, totalVariance } = await loadFitted(path, 'pca', {
      mean: ['columns'],
      components: ['components', 'columns'],
      explainedVariance: ['components'],
      totalVariance: ['one'],
    });
    return new Pca({
      mean,
      components: { rows: explainedVariance.length, columns: mean.length, data: components },
      variance: explainedVariance,
      totalVariance: totalVariance[0]!,
    });
  }
}
