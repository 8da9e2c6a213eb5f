// Classification metrics from labels and predictions. Called by the trainer, `eval` and the report.
// The rule easy to break: rows of the confusion matrix are the true classes, columns the predicted ones.
import { ArgumentError } from '../errors';

export interface ClassMetrics {
  readonly name: string;
  /** TP / (TP + FP). */
  readonly precision: number;
  /** TP / (TP + FN), also called sensitivity. */
  readonly recall: number;
  /** TN / (TN + FP). */
  readonly specificity: number;
  /** 2 TP / (2 TP + FP + FN). */
  readonly f1: number;
  /** Samples of this class. */
  readonly support: number;
}

export interface Metrics {
  readonly accuracy: number;
  /** Mean recall of the classes that have samples. */
  readonly balancedAccuracy: number;
  /** Mean F1 of the classes that have samples or predictions. */
  readonly macroF1: number;
  /** confusion[true][predicted] = count. */
  readonly confusion: number[][];
  readonly classes: ClassMetrics[];
}

/** 0/0 is 0 by definition here: a class never predicted has precision 0, one without samples recall 0. */
function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

function mean(values: readonly number[]): number {
  return ratio(
    values.reduce((sum, value) => sum + value, 0),
    values.length,
  );
}

/** confusion[true][predicted]. Labels and predictions are equally long and lie in 0..classes.length-1. */
export function confusion(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: readonly string[],
): number[][] {
  if (labels.length !== predictions.length) {
    throw new ArgumentError(`[confusion] ${labels.length} labels but ${predictions.length} predictions`);
  }
  const size = classes.length;
  const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (let i = 0; i < labels.length; i++) {
    const row = counts[labels[i]!];
    const column = predictions[i]!;
    if (row === undefined || row[column] === undefined) {
      throw new ArgumentError(
        `[confusion] expected classes 0..${size - 1}, got label ${labels[i]} and prediction ${column} at sample ${i}`,
      );
    }
    row[column]!++;
  }
  return counts;
}

/** Every metric of a confusion matrix. Any 0/0 is 0; classes that never occur do not enter the two means. */
export function metricsOf(matrix: readonly (readonly number[])[], classes: readonly string[]): Metrics {
  const size = classes.length;
  if (matrix.length !== size || matrix.some((row) => row.length !== size)) {
    throw new ArgumentError(
      `[metrics] a confusion matrix of ${size} classes is ${size}x${size}, got ${matrix.length}x${matrix[0]?.length ?? 0}`,
    );
  }
  const total = matrix.flat().reduce((sum, count) => sum + count, 0);
  const predicted = classes.map((_, k) => matrix.reduce((sum, row) => sum + row[k]!, 0));
  const perClass = classes.map((name, k): ClassMetrics => {
    const support = matrix[k]!.reduce((sum, count) => sum + count, 0);
    const hit = matrix[k]![k]!;
    const falseAlarms = predicted[k]! - hit;
    return {
      name,
      precision: ratio(hit, predicted[k]!),
      recall: ratio(hit, support),
      specificity: ratio(total - support - falseAlarms, total - support),
      f1: ratio(2 * hit, predicted[k]! + support),
      support,
    };
  });
  const hits = matrix.reduce((sum, row, k) => sum + row[k]!, 0);
  return {
    accuracy: ratio(hits, total),
    balancedAccuracy: mean(perClass.filter((c) => c.support > 0).map((c) => c.recall)),
    macroF1: mean(perClass.filter((c, k) => c.support > 0 || predicted[k]! > 0).map((c) => c.f1)),
    confusion: matrix.map((row) => [...row]),
    classes: perClass,
  };
}

/** `metricsOf(confusion(...))`. */
export function evaluate(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: readonly string[],
): Metrics {
  return metricsOf(confusion(labels, predictions, classes), classes);
}
