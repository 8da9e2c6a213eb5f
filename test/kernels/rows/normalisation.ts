// Op table: batchNorm, rowNormalize and their gradients. See case.ts for the types.
import type { Shape } from '../../../src/graph/graph';
import { count } from '../../reference/value';
import { type Case, f32, type Row } from '../case';
import { constant, listed, positive } from '../fills';

const SHAPES: Shape[] = [
  [1, 3],
  [8, 5],
  [128, 100],
  [2, 5, 7, 33],
  [1, 9, 9, 17],
  [3, 4, 4, 64],
  [2, 24, 23, 16],
  [600, 1],
];
const ACTIVATIONS = ['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'];

/** Every shape once with an activation of its own, and every activation once on one shape. */
const SETTINGS: [Shape, string][] = [
  ...SHAPES.map((shape, index): [Shape, string] => [shape, ACTIVATIONS[index % ACTIVATIONS.length]!]),
  ...ACTIVATIONS.map((activation): [Shape, string] => [[2, 3, 5, 19], activation]),
  ...ACTIVATIONS.map((activation): [Shape, string] => [[16, 64], activation]),
];

function vectors(shape: Shape) {
  const c = [shape[shape.length - 1]!];
  return [f32(c), f32(c, positive), f32(c), f32(c)];
}

function rowsOf(shape: Shape): number {
  return count(shape) / shape[shape.length - 1]!;
}

const base = { eps: 1e-5, alpha: 0.2 };
const ROWS: [number, number][] = [
  [1, 1],
  [2, 3],
  [5, 17],
  [8, 100],
  [128, 33],
  [3, 5000],
];

/** A channel that varies without bounds is beta alone. */
const unbounded: Case = {
  inputs: [f32([4, 3]), f32([3]), f32([3], listed([Number.POSITIVE_INFINITY, 1, 4])), f32([3]), f32([3])],
  outputs: [{ shape: [4, 3] }],
  attrs: { ...base, activation: 'none', training: true },
  only: 'random',
};

/** A row that holds a NaN, beside one that does not. */
const rowOfNaN: Case = {
  inputs: [f32([2, 4], listed([1, Number.NaN, 2, 3, 1, 2, 3, 4]))],
  outputs: [{ shape: [2, 4] }],
  attrs: { eps: 1e-8 },
  only: 'random',
};

const rowCases = (gradient: boolean): Case[] =>
  ROWS.flatMap(([m, d]) => {
    const shape = [m, d];
    const before = gradient ? [f32(shape)] : [];
    const attrs = { eps: 1e-8 };
    // Of a row of one number the gradient is 0: what is left is the rounding of dy (2.5e-7 on a card).
    const rounding = gradient && d === 1 ? { floor: 1e-6 } : {};
    return [
      { inputs: [...before, f32(shape)], outputs: [{ shape }], attrs, terms: d, ...rounding },
      // Rows shorter than eps: divided by eps, gradient 0.
      { inputs: [...before, f32(shape, constant(1e-12))], outputs: [{ shape }], attrs, terms: d },
    ];
  });

export const normalisationRows: Row[] = [
  {
    op: 'batchNorm',
    exact: false,
    tolerance: 4e-6,
    cases: [
      ...SETTINGS.flatMap(([shape, activation]) =>
        [true, false].map((training) => ({
          inputs: [f32(shape), ...vectors(shape)],
          outputs: [{ shape }],
          attrs: { ...base, activation, training },
        })),
      ),
      unbounded,
    ],
  },
  {
    op: 'batchNormGradParams',
    exact: false,
    tolerance: 4e-6,
    cases: SETTINGS.map(([shape, activation]) => ({
      inputs: [f32(shape), f32(shape), ...vectors(shape)],
      outputs: [{ shape: [shape[shape.length - 1]!] }, { shape: [shape[shape.length - 1]!] }],
      attrs: { ...base, activation },
      terms: rowsOf(shape),
    })),
  },
  {
    op: 'batchNormGradInput',
    exact: false,
    tolerance: 4e-6,
    cases: SETTINGS.flatMap(([shape, activation]) =>
      [true, false].map((training) => {
        const c = [shape[shape.length - 1]!];
        return {
          inputs: [f32(shape), f32(shape), ...vectors(shape), f32(c), f32(c)],
          outputs: [{ shape }],
          attrs: { ...base, activation, training },
        };
      }),
    ),
  },
  { op: 'rowNormalize', exact: false, cases: [...rowCases(false), rowOfNaN] },
  { op: 'rowNormalizeGrad', exact: false, zeroLimit: 1, tolerance: 4e-6, cases: rowCases(true) },
];
