// The figures of a run, from its events and its evaluation. Called by report.ts. A figure that has nothing to show is
// left out. Two rules easy to break: units keep their place, so curves are matched by index, never by name; events count
// epochs from 0, people from 1.
import { barChart, lineChart, plane, smallMultiples } from './charts';
import type { EpochEvent, Evaluation, StepEvent, TrainEvent, UnitMetrics } from './events';
import { heatMap } from './heatMap';
import { formatNumber, type Point, type Series } from './svg';

export interface Figure {
  /** File name without its ending. */
  readonly id: string;
  readonly section: 'curves' | 'units' | 'ranks' | 'confusion' | 'labels';
  readonly svg: string;
  /** A sentence on how to read it. */
  readonly caption: string;
}

/** Curves longer than this are drawn as means of equal stretches. */
const MAX_POINTS = 400;
/** Columns of a strip over time; of longer runs every n-th epoch is drawn. */
const MAX_COLUMNS = 60;

/** Means of equal stretches, at most `count` of them. The last point's x is that of the last stretch's end. */
export function thin(points: readonly Point[], count = MAX_POINTS): Point[] {
  if (points.length <= count) return [...points];
  return Array.from({ length: count }, (_, index) => {
    const from = Math.floor((index * points.length) / count);
    const part = points.slice(from, Math.floor(((index + 1) * points.length) / count));
    const mean = part.reduce((sum, [, y]) => sum + y, 0) / part.length;
    return [(part.at(-1) as Point)[0], mean];
  });
}

/** At most `count` of the items, equally spaced, the first and the last among them. */
export function spaced<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, index) => items[Math.round((index * (items.length - 1)) / (count - 1))] as T,
  );
}

const percent = (value: number): string => `${Math.round(value * 1000) / 10}%`;
const drawable = (point: Point): boolean => Number.isFinite(point[0]) && Number.isFinite(point[1]);

function lossFigure(steps: readonly StepEvent[], epochs: readonly EpochEvent[]): Figure[] {
  const everyStep = steps.map((event): Point => [event.step, event.loss]).filter(drawable);
  const everyEpoch = epochs.map((event): Point => [event.step, event.loss]).filter(drawable);
  if (everyStep.length + everyEpoch.length === 0) return [];
  const raw: Series = { name: 'step', points: thin(everyStep), faint: everyEpoch.length > 1, color: 0 };
  const mean: Series = { name: 'epoch', points: everyEpoch, dots: true, color: 0 };
  const series = [raw, mean].filter((one) => one.points.length > 0);
  const svg = lineChart({ title: 'Training loss', xLabel: 'step', yLabel: 'loss', series, wholeX: true });
  return [{ id: 'loss', section: 'curves', svg, caption: 'Mean over the units. Pale: single steps; dots: epochs.' }];
}

function accuracyFigure(epochs: readonly EpochEvent[]): Figure[] {
  const splits = [
    ['training', 'trainAccuracy'],
    ['validation', 'validationAccuracy'],
    ['test', 'testAccuracy'],
  ] as const;
  const series = splits
    .map(([name, field]): Series => {
      const points = epochs.map((event): Point => [event.epoch + 1, event[field] ?? Number.NaN]).filter(drawable);
      return { name, points, dots: true };
    })
    .filter((one) => one.points.length > 0);
  if (series.length === 0) return [];
  const title = 'Accuracy';
  const svg = lineChart({
    title,
    xLabel: 'epoch',
    yLabel: 'accuracy',
    series,
    yRange: [0, 1],
    yFormat: percent,
    wholeX: true,
  });
  const caption = 'Share of images classified correctly, by epoch.';
  return [{ id: 'accuracy', section: 'curves', svg, caption }];
}

type UnitField = Exclude<keyof UnitMetrics, 'name'>;

/** One field of one unit over the epochs. */
function unitCurve(epochs: readonly EpochEvent[], index: number, field: UnitField): Point[] {
  return epochs.map((event): Point => [event.epoch + 1, event.units[index]?.[field] ?? Number.NaN]).filter(drawable);
}

function unitFigures(epochs: readonly EpochEvent[], names: readonly string[]): Figure[] {
  const shown = spaced(epochs, MAX_POINTS);
  const panels = names.map((name, index) => ({
    title: `${index + 1} ${name}`,
    series: (['hsicX', 'hsicY'] as const).map((field, color): Series => {
      return { name: field, points: unitCurve(shown, index, field), dots: shown.length <= 12, color };
    }),
  }));
  const paths = (x: 'hsicX' | 'ckaX', y: 'hsicY' | 'ckaY') =>
    names.map((name, index) => ({
      name,
      mark: String(index + 1),
      points: spaced(epochs, MAX_COLUMNS)
        .map((event): Point => [event.units[index]?.[x] ?? Number.NaN, event.units[index]?.[y] ?? Number.NaN])
        .filter(drawable),
    }));
  const curves = ['HSIC(X, Z)', 'HSIC(Z, Y)'];
  const [hsicX, hsicY] = curves as [string, string];
  return [
    {
      id: 'hsic-units',
      section: 'units',
      svg: smallMultiples({ title: 'HSIC of each unit', xLabel: 'epoch', names: curves, panels }),
      caption: 'Unbiased HSIC of the unit’s output Z with the input X and the labels Y; each panel has its own scale.',
    },
    {
      id: 'hsic-plane',
      section: 'units',
      svg: plane({ title: 'HSIC plane', xLabel: hsicX, yLabel: hsicY, paths: paths('hsicX', 'hsicY') }),
      caption: 'One path for each unit, from blue to orange; the number at its end is the unit’s in the table below.',
    },
    {
      id: 'cka-plane',
      section: 'units',
      svg: plane({ title: 'Normalised plane', xLabel: 'CKA(X, Z)', yLabel: 'CKA(Z, Y)', paths: paths('ckaX', 'ckaY') }),
      caption: 'The same, each kernel matrix divided by its norm: units of different sizes share one scale.',
    },
  ];
}

function strip(
  epochs: readonly EpochEvent[],
  names: readonly string[],
  field: UnitField,
  id: string,
  title: string,
): Figure[] {
  const shown = spaced(epochs, MAX_COLUMNS);
  const values = names.map((_, index) => shown.map((event) => event.units[index]?.[field] ?? Number.NaN));
  if (!values.flat().some(Number.isFinite)) return [];
  const ranks = field === 'effectiveRank';
  const svg = heatMap({
    title,
    rows: names.map((name, index) => `${index + 1} ${name}`),
    columns: shown.map((event) => String(event.epoch + 1)),
    values,
    columnTitle: 'epoch',
    rowNote: (row) => formatNumber(values[row]?.at(-1) ?? Number.NaN),
    ...(ranks ? { log: true } : { range: [0, 1] as const }),
  });
  const caption = ranks
    ? 'Participation ratio of the features’ covariance. Close to 1: the unit has collapsed. Right: the last epoch.'
    : 'Each row is a unit, first unit on top. Right: the last epoch.';
  return [{ id, section: 'ranks', svg, caption }];
}

/** Rows are true classes; a cell says its share of the row and the number of samples. */
export function confusionFigure(evaluation: Evaluation, classes: readonly string[]): Figure {
  const sums = evaluation.confusion.map((row) => row.reduce((sum, count) => sum + count, 0));
  const shares = evaluation.confusion.map((row, index) =>
    row.map((count) => count / Math.max(1, sums[index] as number)),
  );
  const roomy = classes.length <= 12;
  const cell = (row: number, column: number): string[] => {
    const value = shares[row]?.[column] ?? 0;
    return roomy ? [percent(value), String(evaluation.confusion[row]?.[column] ?? 0)] : [];
  };
  const svg = heatMap({
    title: 'Confusion matrix',
    rows: classes,
    columns: classes,
    values: shares,
    cellText: cell,
    range: [0, 1],
    rowTitle: 'true class',
    columnTitle: 'classified as',
    cellHeight: roomy ? 40 : 16,
    width: Math.min(1140, Math.max(560, 140 + classes.length * (roomy ? 66 : 18))),
    format: percent,
  });
  return { id: 'confusion', section: 'confusion', svg, caption: 'Shares of each true class (rows add up to 100%).' };
}

/** Samples of each class in each split. */
export function labelFigure(counts: Readonly<Record<string, readonly number[]>>, classes: readonly string[]): Figure[] {
  const series = Object.entries(counts).map(([name, values]) => ({ name, values }));
  if (series.length === 0) return [];
  const width = Math.min(1140, Math.max(560, 84 + classes.length * 72));
  const svg = barChart({ title: 'Labels', yLabel: 'samples', categories: classes, series, width });
  return [{ id: 'labels', section: 'labels', svg, caption: 'Samples of each class in each split.' }];
}

/** Every figure the events can fill, in the report's order. */
export function trainingFigures(events: readonly TrainEvent[]): Figure[] {
  const steps = events.filter((event) => event.event === 'step');
  const epochs = events.filter((event) => event.event === 'epoch');
  const names = unitNames(epochs);
  const units = names.length > 0 ? unitFigures(epochs, names) : [];
  const ranks = strip(epochs, names, 'effectiveRank', 'effective-rank', 'Effective rank of each unit');
  const labels = strip(epochs, names, 'ckaY', 'cka-labels', 'CKA(Z, Y) of each unit');
  return [...lossFigure(steps, epochs), ...accuracyFigure(epochs), ...units, ...ranks, ...labels];
}

/** The units' names, from the last epoch that has any. */
export function unitNames(epochs: readonly EpochEvent[]): string[] {
  const last = epochs.findLast((event) => event.units.length > 0);
  return last ? last.units.map((unit) => unit.name) : [];
}
