// Means and deviations of metrics over the folds and seeds of an experiment. Called by recipes.
// The rule easy to break: a deviation here is that of a sample (divided by n - 1); of a single run it is not known, NaN.
import { ArgumentError } from '../errors';
import type { ClassMetrics, Metrics } from '../train/metrics';

export interface Spread {
  readonly mean: number;
  /** Sample standard deviation; NaN for a single value. */
  readonly deviation: number;
  readonly count: number;
}

/** The metrics of one fold of one seed. */
export interface FoldResult {
  readonly seed: number;
  readonly fold: number;
  readonly metrics: Metrics;
}

const SCORES = ['accuracy', 'balancedAccuracy', 'macroF1'] as const;
const CLASS_SCORES = ['precision', 'recall', 'specificity', 'f1'] as const;

export type Score = (typeof SCORES)[number];
export type ClassScore = (typeof CLASS_SCORES)[number];

export interface ClassSummary extends Readonly<Record<ClassScore, Spread>> {
  readonly name: string;
  /** Test samples of this class over all runs. */
  readonly support: number;
}

export interface ExperimentSummary {
  readonly runs: number;
  /** Over all runs: how much one training differs from another. */
  readonly scores: Readonly<Record<Score, Spread>>;
  /** Over the seeds, each the mean of its folds: how much one whole cross-validation differs from another. */
  readonly seeds: Readonly<Record<Score, Spread>>;
  /** Over all runs. */
  readonly classes: readonly ClassSummary[];
  /** Sum of the runs' confusion matrices, [true][predicted]. */
  readonly confusion: readonly (readonly number[])[];
}

/** Mean and sample standard deviation. Throws ArgumentError for no values or one that is not finite. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0 || !values.every(Number.isFinite)) {
    throw new ArgumentError(`[spread] expected finite values, got [${values.join(', ')}]`);
  }
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: count === 1 ? Number.NaN : Math.sqrt(squares / (count - 1)), count };
}

function spreads<Key extends string>(keys: readonly Key[], rows: readonly Readonly<Record<Key, number>>[]) {
  return Object.fromEntries(keys.map((key) => [key, spread(rows.map((row) => row[key]))])) as Record<Key, Spread>;
}

/** Every seed's scores averaged over its folds. */
function perSeed(results: readonly FoldResult[]): Record<Score, number>[] {
  const seeds = [...new Set(results.map(({ seed }) => seed))];
  return seeds.map((seed) => {
    const { accuracy, balancedAccuracy, macroF1 } = spreads(
      SCORES,
      results.filter((one) => one.seed === seed).map(({ metrics }) => metrics),
    );
    return { accuracy: accuracy.mean, balancedAccuracy: balancedAccuracy.mean, macroF1: macroF1.mean };
  });
}

function checkResults(results: readonly FoldResult[]): void {
  const first = results[0];
  if (!first) throw new ArgumentError('[summarizeRuns] expected at least one result, got none');
  const names = (metrics: Metrics) => metrics.classes.map(({ name }) => name).join(', ');
  const seen = new Set<string>();
  const folds = new Map<number, number>();
  for (const { seed, fold, metrics } of results) {
    if (names(metrics) !== names(first.metrics)) {
      throw new ArgumentError(`[summarizeRuns] expected the classes ${names(first.metrics)}, got ${names(metrics)}`);
    }
    if (seen.has(`${seed}/${fold}`)) throw new ArgumentError(`[summarizeRuns] seed ${seed}, fold ${fold} came twice`);
    seen.add(`${seed}/${fold}`);
    folds.set(seed, (folds.get(seed) ?? 0) + 1);
  }
  // Means over seeds with different folds would not be means of the same thing.
  if (new Set(folds.values()).size > 1) {
    const counts = [...folds].map(([seed, count]) => `seed ${seed} has ${count}`).join(', ');
    throw new ArgumentError(`[summarizeRuns] expected equally many folds of every seed; ${counts}`);
  }
}

/**
 * Sums up an experiment. Class scores are averaged over the runs in which the class has test samples, as paper 003 averages
 * its two test sets. Throws ArgumentError for results that do not belong together.
 */
export function summarizeRuns(results: readonly FoldResult[]): ExperimentSummary {
  checkResults(results);
  const metrics = results.map((result) => result.metrics);
  const [first] = metrics as [Metrics, ...Metrics[]];
  const classes = first.classes.map(({ name }, k): ClassSummary => {
    const all = metrics.map((one) => one.classes[k]!);
    const present = all.filter(({ support }) => support > 0);
    const rows: readonly ClassMetrics[] = present.length > 0 ? present : all;
    return { name, support: all.reduce((sum, one) => sum + one.support, 0), ...spreads(CLASS_SCORES, rows) };
  });
  return {
    runs: results.length,
    scores: spreads(SCORES, metrics),
    seeds: spreads(SCORES, perSeed(results)),
    classes,
    confusion: first.confusion.map((row, i) =>
      row.map((_, j) => metrics.reduce((sum, { confusion }) => sum + confusion[i]![j]!, 0)),
    ),
  };
}
