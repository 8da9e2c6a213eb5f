// Summaries over folds and seeds against numbers worked out by hand, and tables as text.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { type FoldResult, spread, summarizeRuns } from '../../src/evaluation/summary';
import {
  classTable,
  confusionTable,
  csvTable,
  markdownTable,
  scoreTable,
  type Table,
} from '../../src/evaluation/tables';
import { metricsOf } from '../../src/train/metrics';

const names = ['cat', 'dog'];
const result = (seed: number, fold: number, matrix: number[][]): FoldResult => ({
  seed,
  fold,
  metrics: metricsOf(matrix, names),
});
/** Accuracies 0.8, 0.6 for seed 1 and 0.9, 0.5 for seed 2. */
const results = [
  result(1, 0, [
    [4, 1],
    [1, 4],
  ]),
  result(1, 1, [
    [3, 2],
    [2, 3],
  ]),
  result(2, 0, [
    [5, 0],
    [1, 4],
  ]),
  result(2, 1, [
    [5, 0],
    [5, 0],
  ]),
];

describe('spread', () => {
  it('is the mean and the sample deviation', () => {
    expect(spread([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ mean: 5, deviation: Math.sqrt(32 / 7), count: 8 });
    expect(spread([3, 3])).toEqual({ mean: 3, deviation: 0, count: 2 });
  });
  it('does not make up a deviation of one value', () => {
    expect(spread([7])).toEqual({ mean: 7, deviation: Number.NaN, count: 1 });
  });
  it('refuses nothing and what is not finite', () => {
    for (const values of [[], [1, Number.NaN], [Number.POSITIVE_INFINITY]]) {
      expect(() => spread(values)).toThrow(ArgumentError);
    }
  });
});

describe('summarizeRuns', () => {
  const summary = summarizeRuns(results);
  it('averages over runs, and over seeds that average their folds', () => {
    expect(summary.runs).toBe(4);
    expect(summary.scores.accuracy.mean).toBeCloseTo(0.7, 14);
    expect(summary.scores.accuracy.deviation).toBeCloseTo(Math.sqrt((0.01 + 0.01 + 0.04 + 0.04) / 3), 14);
    expect(summary.seeds.accuracy).toMatchObject({ mean: expect.closeTo(0.7, 14), count: 2 });
    expect(summary.seeds.accuracy.deviation).toBeCloseTo(0, 14);
    expect(summary.scores.balancedAccuracy.mean).toBeCloseTo(0.7, 14);
  });
  it('averages each class over the runs', () => {
    const [cat, dog] = summary.classes;
    expect([cat!.name, cat!.support, dog!.support]).toEqual(['cat', 20, 20]);
    expect(cat!.recall.mean).toBeCloseTo((0.8 + 0.6 + 1 + 1) / 4, 14);
    expect(dog!.precision.mean).toBeCloseTo((0.8 + 0.6 + 1 + 0) / 4, 14);
    expect(dog!.specificity.mean).toBeCloseTo((0.8 + 0.6 + 1 + 1) / 4, 14);
  });
  it('adds the confusion matrices', () => {
    expect(summary.confusion).toEqual([
      [17, 3],
      [9, 11],
    ]);
  });
  it('leaves runs without samples of a class out of its means', () => {
    const { classes } = summarizeRuns([
      ...results.slice(0, 1),
      result(1, 1, [
        [5, 0],
        [0, 0],
      ]),
    ]);
    expect(classes[1]!.recall).toMatchObject({ mean: 0.8, count: 1 });
    expect(classes[0]!.recall.count).toBe(2);
    const never = summarizeRuns([
      result(1, 0, [
        [5, 0],
        [0, 0],
      ]),
    ]);
    expect(never.classes[1]).toMatchObject({ support: 0, recall: { mean: 0, count: 1 } });
  });
  it('refuses results that do not belong together', () => {
    expect(() => summarizeRuns([])).toThrow(ArgumentError);
    expect(() => summarizeRuns([results[0]!, results[0]!])).toThrow(/seed 1, fold 0 came twice/);
    expect(() => summarizeRuns(results.slice(0, 3))).toThrow(/seed 1 has 2, seed 2 has 1/);
    const other = { seed: 3, fold: 0, metrics: metricsOf([[1]], ['cow']) };
    expect(() => summarizeRuns([results[0]!, other])).toThrow(/expected the classes cat, dog, got cow/);
  });
});

describe('tables', () => {
  const table: Table = {
    columns: [
      { name: 'net', kind: 'text' },
      { name: 'accuracy', kind: 'spread' },
      { name: 'share', kind: 'percent', digits: 1 },
      { name: 'ms', kind: 'number', digits: 0 },
    ],
    rows: [
      ['a|b', { mean: 0.12345, deviation: 0.01, count: 3 }, 0.5, 12.6],
      ['c,"d"\nx', { mean: 0.5, deviation: Number.NaN, count: 1 }, null, Number.NaN],
      ['e', null, 1 / 3, 1e-7],
    ],
  };
  it('as Markdown: rounded, in percent, with what would break a row taken care of', () => {
    expect(markdownTable(table)).toBe(
      [
        '| net | accuracy | share | ms |',
        '| --- | ---: | ---: | ---: |',
        '| a\\|b | 12.35 ± 1.00 | 50.0 | 13 |',
        '| c,"d" x | 50.00 | - | - |',
        '| e | - | 33.3 | 0 |',
        '',
      ].join('\n'),
    );
  });
  it('as CSV: all digits, spreads in two columns, quoted where needed', () => {
    expect(csvTable(table)).toBe(
      [
        'net,accuracy,accuracy deviation,share,ms',
        'a|b,0.12345,0.01,0.5,12.6',
        '"c,""d""\nx",0.5,,,',
        `e,,,${1 / 3},1e-7`,
        '',
      ].join('\n'),
    );
  });
  it('refuse rows that do not fit', () => {
    expect(() => csvTable({ ...table, rows: [['a']] })).toThrow(/expected 4 cells, got 1 in row 0/);
    expect(() => markdownTable({ ...table, rows: [['a', 0.5, 0.5, 1]] })).toThrow(
      /a spread in column accuracy, got a number/,
    );
  });
  it('of systems, classes and confusions', () => {
    const summary = summarizeRuns(results);
    const lines = (text: string) => text.trimEnd().split('\n').slice(2);
    expect(lines(markdownTable(scoreTable({ ours: summary })))).toEqual([
      '| ours | 70.00 ± 18.26 | 70.00 ± 18.26 | 65.81 ± 24.97 | 4 |',
    ]);
    expect(lines(markdownTable(classTable(summary)))[0]).toMatch(/^\| cat \| .* \| 85.00 ± 19.15 \| .* \| 20 \|$/);
    expect(lines(markdownTable(confusionTable(summary)))).toEqual([
      '| cat | 85.00 | 15.00 |',
      '| dog | 45.00 | 55.00 |',
    ]);
    expect(csvTable(confusionTable(summary))).toContain('dog,0.45,0.55');
    expect(
      confusionTable({
        classes: summary.classes,
        confusion: [
          [1, 1],
          [0, 0],
        ],
      }).rows[1],
    ).toEqual(['dog', null, null]);
  });
});
