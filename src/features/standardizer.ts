// Shifts every column of a feature matrix to mean 0 and variance 1 by what it saw in the training part. Called by recipes.
// The rule easy to break: it is fitted to training rows only; fitting it to the test rows too would leak them.
import { ShapeError } from '../errors';
import { loadFitted, saveFitted } from './files';
import { checkMatrix, type Matrix } from './matrix';

export class Standardizer {
  /** [columns]. */
  readonly mean: Float64Array;
  /** [columns], population standard deviation (divided by n); 1 where a column is constant, so that it becomes 0. */
  readonly scale: Float64Array;

  private constructor(mean: Float64Array, scale: Float64Array) {
    this.mean = mean;
    this.scale = scale;
  }

  /** Mean and deviation of every column of [rows, columns]. */
  static fit(matrix: Matrix): Standardizer {
    checkMatrix('standardizer', matrix);
    const { rows, columns, data } = matrix;
    const mean = new Float64Array(columns);
    const scale = new Float64Array(columns);
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      let constant = true;
      for (let i = 0; i < rows; i++) {
        sum += data[i * columns + j]!;
        constant &&= data[i * columns + j] === data[j];
      }
      // Told by its values: the rounded mean of a constant column may differ from them, and so leave a deviation.
      mean[j] = constant ? data[j]! : sum / rows;
      let squares = 0;
      for (let i = 0; i < rows; i++) squares += (data[i * columns + j]! - mean[j]!) ** 2;
      scale[j] = squares === 0 ? 1 : Math.sqrt(squares / rows);
    }
    return new Standardizer(mean, scale);
  }

  /** (x - mean) / scale, column by column. Throws ShapeError for another number of columns. */
  transform(matrix: Matrix): Matrix {
    return this.#map(matrix, (value, j) => (value - this.mean[j]!) / this.scale[j]!);
  }

  /** x scale + mean: undoes `transform` to rounding. */
  inverse(matrix: Matrix): Matrix {
    return this.#map(matrix, (value, j) => value * this.scale[j]! + this.mean[j]!);
  }

  /** Writes a safetensors file: `mean` and `scale`, float64. Throws CheckpointError when the disk refuses. */
  async save(path: string): Promise<void> {
    const shape = [this.mean.length];
    await saveFitted(path, 'standardizer', {
      mean: { shape, data: this.mean },
      scale: { shape, data: this.scale },
    });
  }

  /** Reads what `save` wrote. Throws CheckpointError for another or a damaged file. */
  static async load(path: string): Promise<Standardizer> {
    const { mean, scale } = await loadFitted(path, 'standardizer', { mean: ['columns'], scale: ['columns'] });
    return new Standardizer(mean, scale);
  }

  #map(matrix: Matrix, change: (value: number, column: number) => number): Matrix {
    checkMatrix('standardizer', matrix);
    const { rows, columns, data } = matrix;
    if (columns !== this.mean.length) {
      throw new ShapeError(`[standardizer] expected ${this.mean.length} columns as when fitted, got ${columns}`);
    }
    return { rows, columns, data: data.map((value, at) => change(value, at % columns)) };
  }
}
