// Curves and tables that several recipes draw from their trials. The rule easy to break: of several seeds the line is the
// mean and every single one is drawn pale behind it.

import { type Spread, spread } from '../evaluation/summary';
import type { Column, Table } from '../evaluation/tables';
import { lineChart } from '../report/charts';
import { thin } from '../report/figures';
import type { Point, Series } from '../report/svg';
import { PAPER_COLUMNS, type PaperFigures, paperCells } from './papers';
import type { TrialResult } from './trial';

/** Trials that differ only in their seed or fold. */
export interface Group {
  readonly name: string;
  readonly results: readonly TrialResult[];
}

/** Points of a curve over steps. */
const POINTS = 60;

const percent = (value: number): string => `${Math.round(value * 1000) / 10}%`;

/** Mean of the curves at each place; they end with the shortest. */
function meanCurve(curves: readonly (readonly Point[])[]): Point[] {
  const length = Math.min(...curves.map((curve) => curve.length));
  return Array.from({ length }, (_, index) => {
    const sum = curves.reduce((total, curve) => total + curve[index]![1], 0);
    return [curves[0]![index]![0], sum / curves.length];
  });
}

function seriesOf(
  groups: readonly Group[],
  curveOf: (result: TrialResult) => readonly Point[],
  dots = false,
): Series[] {
  return groups.flatMap(({ name, results }, color) => {
    const curves = results.map(curveOf).filter((curve) => curve.length > 0);
    if (curves.length === 0) return [];
    const single = curves.length > 1 ? curves.map((points): Series => ({ name, points, faint: true, color })) : [];
    return [{ name, points: meanCurve(curves), color, dots }, ...single];
  });
}

/** Training loss or accuracy of the batches over steps. */
export function stepChart(title: string, of: 'losses' | 'accuracies', groups: readonly Group[]): string {
  const curveOf = (result: TrialResult): Point[] =>
    thin(
      result[of].map((value, index): Point => [index + 1, value]),
      POINTS,
    );
  const accuracy = of === 'accuracies';
  return lineChart({
    ...{ title, xLabel: 'step', yLabel: accuracy ? 'training accuracy' : 'cross-entropy of the classifier' },
    ...{ series: seriesOf(groups, curveOf), wholeX: true },
    ...(accuracy ? { yRange: [0, 1] as const, yFormat: percent } : {}),
  });
}

/** Test accuracy at the end of epochs, over steps. */
export function testChart(title: string, groups: readonly Group[]): string {
  const curveOf = (result: TrialResult): Point[] =>
    result.epochs.flatMap(({ step, testAccuracy }): Point[] => (testAccuracy === null ? [] : [[step, testAccuracy]]));
  const series = seriesOf(groups, curveOf, true);
  return lineChart({
    ...{ title, xLabel: 'step', yLabel: 'test accuracy', series, wholeX: true },
    ...{ yRange: [0, 1] as const, yFormat: percent },
  });
}

export const accuracyOf = ({ results }: Group): Spread => spread(results.map(({ metrics }) => metrics.accuracy));

/** NaN, which tables show as missing, without values. */
export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean loss and accuracy on the last tenth of the training steps. */
export function lastTraining({ results }: Group): { loss: number; accuracy: number } {
  const tail = (values: readonly number[]): number => meanOf(values.slice(-Math.max(1, Math.ceil(values.length / 10))));
  return {
    loss: meanOf(results.map(({ losses }) => tail(losses))),
    accuracy: meanOf(results.map(({ accuracies }) => tail(accuracies))),
  };
}

/** Steps until the mean of so many batches has been right in that share; null when it never was. */
export function stepsTo(share: number, { results }: Group, window = 10): number | null {
  const reached = results.map(({ accuracies }) => {
    for (let end = window; end <= accuracies.length; end += 1) {
      if (meanOf(accuracies.slice(end - window, end)) >= share) return end;
    }
    return null;
  });
  return reached.some((one) => one === null) ? null : meanOf(reached as number[]);
}

const MIB = 2 ** 20;

/** Columns every comparison of systems has, and one group's cells. Time and memory are this machine's. */
export const COMPARISON: readonly Column[] = [
  { name: 'test accuracy', kind: 'spread' },
  { name: 'runs', kind: 'number', digits: 0 },
  { name: 'last training accuracy', kind: 'percent' },
  { name: 'last training loss', kind: 'number', digits: 3 },
  { name: 'steps', kind: 'number', digits: 0 },
  { name: 'seconds a step', kind: 'number', digits: 3 },
  { name: 'memory of a step, MiB', kind: 'number', digits: 0 },
  { name: 'parameters', kind: 'number', digits: 0 },
];

export function comparisonCells(group: Group): (number | Spread)[] {
  const [first] = group.results as readonly [TrialResult, ...TrialResult[]];
  const { accuracy, loss } = lastTraining(group);
  return [
    accuracyOf(group),
    group.results.length,
    accuracy,
    loss,
    meanOf(group.results.map(({ losses }) => losses.length)),
    meanOf(group.results.map(({ timing }) => timing.secondsPerStep)),
    (first.arenaBytes + first.persistentBytes) / MIB,
    first.parameters,
  ];
}

/** Groups in lines, behind each what the paper says of it. */
export function comparison(groups: readonly Group[], paper: (group: Group) => string, what: string): Table {
  return {
    columns: [{ name: what, kind: 'text' }, ...COMPARISON, { name: 'paper', kind: 'text' }],
    rows: groups.map((group) => [group.name, ...comparisonCells(group), paper(group)]),
  };
}

/** Systems in lines, behind each the figures its paper prints. */
export function systemTable(groups: readonly Group[], paper: (group: Group) => PaperFigures): Table {
  return {
    columns: [{ name: 'system', kind: 'text' }, ...COMPARISON, ...PAPER_COLUMNS],
    rows: groups.map((group) => [group.name, ...comparisonCells(group), ...paperCells(paper(group))]),
  };
}

/** A sentence for each trial whose loss was lost. */
export function divergences(groups: readonly Group[]): string {
  const lost = groups.flatMap(({ results }) => results.filter(({ diverged }) => diverged !== null));
  return lost.map(({ key, diverged }) => `${key} did not end: ${diverged}.`).join(' ');
}
