// Metrics against a confusion matrix worked out by hand, the 0/0 rules, and identities on random labels.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { confusion, evaluate, metricsOf } from '../../src/train/metrics';

const classes = ['cat', 'dog', 'bird'];

describe('confusion', () => {
  it('counts true classes in rows and predicted ones in columns', () => {
    const labels = Int32Array.of(0, 0, 0, 1, 1, 2);
    expect(confusion(labels, [0, 0, 1, 1, 2, 2], classes)).toEqual([
      [2, 1, 0],
      [0, 1, 1],
      [0, 0, 1],
    ]);
  });
  it.each([
    [[0, 1], [0], '2 labels but 1 predictions'],
    [[3], [0], 'got label 3 and prediction 0 at sample 0'],
    [[-1], [0], 'label -1'],
    [[0], [3], 'prediction 3'],
    [[0, 0], [0, -1], 'prediction -1 at sample 1'],
    [[0], [0.5], 'prediction 0.5'],
    [[Number.NaN], [0], 'label NaN'],
  ])('refuses labels %j with predictions %j', (labels, predictions, reason) => {
    expect(() => confusion(labels, predictions, classes)).toThrow(ArgumentError);
    expect(() => confusion(labels, predictions, classes)).toThrow(reason);
  });
});

describe('metricsOf', () => {
  const matrix = [
    [5, 2, 1],
    [0, 4, 2],
    [1, 1, 4],
  ];
  const { accuracy, balancedAccuracy, macroF1, classes: perClass, confusion: copy } = metricsOf(matrix, classes);

  it('equals the values by hand', () => {
    expect(accuracy).toBe(13 / 20);
    expect(balancedAccuracy).toBeCloseTo((5 / 8 + 4 / 6 + 4 / 6) / 3, 15);
    expect(macroF1).toBeCloseTo((10 / 14 + 8 / 13 + 8 / 13) / 3, 15);
    expect(perClass).toEqual([
      { name: 'cat', precision: 5 / 6, recall: 5 / 8, specificity: 11 / 12, f1: 10 / 14, support: 8 },
      { name: 'dog', precision: 4 / 7, recall: 4 / 6, specificity: 11 / 14, f1: 8 / 13, support: 6 },
      { name: 'bird', precision: 4 / 7, recall: 4 / 6, specificity: 11 / 14, f1: 8 / 13, support: 6 },
    ]);
  });
  it('copies the matrix', () => {
    expect(copy).toEqual(matrix);
    expect(copy[0]).not.toBe(matrix[0]);
  });
  it('makes every 0/0 a 0 and leaves absent classes out of the means', () => {
    const onlyCats = evaluate([0, 0], [0, 0], classes);
    expect(onlyCats).toMatchObject({ accuracy: 1, balancedAccuracy: 1, macroF1: 1 });
    expect(onlyCats.classes[0]!.specificity).toBe(0);
    expect(onlyCats.classes[1]).toEqual({ name: 'dog', precision: 0, recall: 0, specificity: 1, f1: 0, support: 0 });
    const falseDogs = evaluate([0, 0], [0, 1], classes);
    expect([falseDogs.balancedAccuracy, falseDogs.macroF1]).toEqual([0.5, (2 / 3 + 0) / 2]);
    const nothing = evaluate([], [], classes);
    expect([nothing.accuracy, nothing.balancedAccuracy, nothing.macroF1]).toEqual([0, 0, 0]);
  });
  it.each([
    [[[1]]],
    [
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    ],
    [[]],
  ])('refuses the matrix %j', (wrong) => {
    expect(() => metricsOf(wrong, classes)).toThrow(ArgumentError);
  });
  it('keeps its identities on random labels', () => {
    const label = fc.integer({ min: 0, max: 2 });
    fc.assert(
      fc.property(fc.array(fc.tuple(label, label), { minLength: 1, maxLength: 50 }), (pairs) => {
        const labels = pairs.map(([a]) => a);
        const predictions = pairs.map(([, b]) => b);
        const found = evaluate(labels, predictions, classes);
        expect(found.accuracy).toBe(pairs.filter(([a, b]) => a === b).length / pairs.length);
        expect(found.classes.reduce((sum, { support }) => sum + support, 0)).toBe(pairs.length);
        const weighted = found.classes.reduce((sum, { recall, support }) => sum + recall * support, 0) / pairs.length;
        expect(weighted).toBeCloseTo(found.accuracy, 12);
        for (const { precision, recall, specificity, f1 } of found.classes) {
          for (const value of [precision, recall, specificity, f1]) expect(value >= 0 && value <= 1).toBe(true);
          if (precision + recall > 0) expect(f1).toBeCloseTo((2 * precision * recall) / (precision + recall), 12);
        }
        // Exchanging the roles transposes the matrix and swaps precision with recall.
        const swapped = evaluate(predictions, labels, classes);
        expect(swapped.classes.map(({ precision }) => precision)).toEqual(found.classes.map(({ recall }) => recall));
      }),
      { numRuns: 100 },
    );
  });
});
