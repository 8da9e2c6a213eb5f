// Rows of features as a data set that a trainer takes. The rule easy to break: row i belongs to image i.
import type { FeatureDataset, ImageDataset } from '../data/types';
import { ShapeError } from '../errors';
import type { Matrix } from './matrix';

/** The features of a data set's images with its labels and groups, as float32. Throws ShapeError unless one row an image. */
export function featureDataset(images: ImageDataset, matrix: Matrix): FeatureDataset {
  const { name, labels, count, classes, synthetic, groups } = images;
  if (matrix.rows !== count) {
    throw new ShapeError(`[featureDataset] expected a row for each of ${count} images of ${name}, got ${matrix.rows}`);
  }
  return {
    ...{ name, labels, count, classes, synthetic },
    ...(groups ? { groups } : {}),
    rows: Float32Array.from(matrix.data),
    columns: matrix.columns,
  };
}
