// What every model is given, and the checks of it that all models share. Called by the files beside it.
import { ArgumentError } from '../errors';
import { formatShape, type Tensor } from '../graph/graph';

export interface ModelOptions {
  /** Classes of the classifier, at least 2. */
  readonly classes: number;
  /** Counter i32 [1] of training steps. A network with dropout needs it in a training graph. */
  readonly step?: Tensor;
}

/** @throws ArgumentError unless x is an image batch [N,H,W,C] of at least `least` pixels a side and classes 2 or more. */
export function checkImages(op: string, x: Tensor, { classes }: ModelOptions, least: number): void {
  const [, height = 0, width = 0] = x.shape;
  if (x.shape.length !== 4 || height < least || width < least) {
    const wanted = `an image batch [N,H,W,C] of at least ${least}x${least}`;
    throw new ArgumentError(`[${op}] expected ${wanted}, got ${formatShape(x.shape)}`);
  }
  checkClasses(op, classes);
}

export function checkClasses(op: string, classes: number): void {
  if (Number.isSafeInteger(classes) && classes >= 2) return;
  throw new ArgumentError(`[${op}] expected 2 or more classes, got ${String(classes)}`);
}

/** @throws ArgumentError unless `value` is an integer of 1 or more. */
export function checkCount(op: string, what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  throw new ArgumentError(`[${op}] expected ${what} to be an integer of 1 or more, got ${String(value)}`);
}
