// The tables of a run as rows of text: scores of each class, dependence of each unit. Called by the report, which writes
// them into HTML, and by the run view of `gramian serve`. The rule easy to break: names come from data and are not
// escaped here; whoever shows them does that.
import type { Evaluation, TrainEvent, UnitMetrics } from './events';
import { formatNumber } from './svg';

export interface Rows {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A share of 0 to 1 in percent with two decimals. */
export function formatShare(value: number): string {
  return Number.isFinite(value) ? `${(value * 100).toFixed(2)}%` : 'n/a';
}

/** Precision, recall and specificity of each class. */
export function classScores(evaluation: Evaluation): Rows {
  const head = ['class', 'precision', 'recall', 'specificity', 'samples'];
  const rows = evaluation.classes.map((one) => {
    const scores = [one.precision, one.recall, one.specificity].map(formatShare);
    return [one.name, ...scores, String(one.support)];
  });
  return { head, rows };
}

/** What the last epoch says of each unit; undefined when it names none. */
export function unitScores(events: readonly TrainEvent[]): Rows | undefined {
  const last = events.findLast((event) => event.event === 'epoch');
  if (!last || last.units.length === 0) return undefined;
  const head = ['unit', 'loss', 'HSIC(X, Z)', 'HSIC(Z, Y)', 'CKA(X, Z)', 'CKA(Z, Y)', 'effective rank'];
  const fields: Exclude<keyof UnitMetrics, 'name'>[] = ['loss', 'hsicX', 'hsicY', 'ckaX', 'ckaY', 'effectiveRank'];
  const rows = last.units.map((unit, index) => {
    return [`${index + 1} ${unit.name}`, ...fields.map((field) => formatNumber(unit[field]))];
  });
  return { head, rows };
}
