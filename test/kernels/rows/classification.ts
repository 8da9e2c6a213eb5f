// Op table: softmax, cross-entropy, accuracy. See case.ts for the types.
import type { Shape } from '../../../src/graph/graph';
import { type Case, f32, i32, type Row } from '../case';
import { below, listed, logProbability, positive, probability, wide } from '../fills';

const SHAPES: Shape[] = [
  [1, 1],
  [1, 7],
  [5, 3],
  [8, 7],
  [128, 10],
  [3, 1000],
  [2, 3, 5, 17],
  [64, 33],
  [4, 16],
];

const forward: Case[] = [
  ...SHAPES.map((shape): Case => ({ inputs: [f32(shape, wide)], outputs: [{ shape }], attrs: {} })),
  // Logits far beyond exp's range: the row maximum must be taken off first.
  {
    inputs: [f32([2, 5], listed([500, 499, -500, 0, 498.5, -1000, -1001, -999, -1000.5, -3000]))],
    outputs: [{ shape: [2, 5] }],
    attrs: {},
    only: 'random',
  },
];

const { NaN: nan, NEGATIVE_INFINITY: never, POSITIVE_INFINITY: infinite } = Number;

/** Rows whose numbers must not count: a class ruled out by minus infinity, a NaN in a row of weight 0. */
const oddEntropies: Case[] = [
  [f32([2, 3], listed([1, 2, never, 0, 1, 2])), i32([2], listed([0, 1]))],
  [f32([2, 3], listed([nan, 2, 3, 0, 1, 2])), i32([2], listed([0, 1])), f32([3], listed([0, 1, 1]))],
].map((inputs) => ({
  inputs,
  outputs: [{ shape: [1] }, { shape: [2, 3] }],
  attrs: { labelSmoothing: 0 },
  only: 'random',
}));

/** A row of 32 logits that are 0 but for some. */
const row = (some: Record<number, number>) => Array.from({ length: 32 }, (_, i) => some[i] ?? 0);

/** Comparisons with a NaN are false: it is no maximum, but one in front stays the first. */
const oddAccuracy: Case = {
  inputs: [
    f32(
      [4, 32],
      listed([
        ...row({ 8: nan, 24: 5 }),
        ...row({ 0: nan, 5: infinite }),
        ...row({ 0: -1, 31: nan }),
        ...row({ 0: nan, 5: 1 }),
      ]),
    ),
    i32([4], listed([24, 0, 1, 5])),
  ],
  outputs: [{ shape: [1] }],
  attrs: {},
  only: 'random',
};

const entropies: Case[] = [
  [1, 7],
  [5, 3],
  [8, 7],
  [128, 10],
  [3, 1000],
  [64, 33],
].flatMap(([n, k]) =>
  [0, 0.1].flatMap((labelSmoothing) =>
    [false, true].map((weighted): Case => {
      const shape = [n!, k!];
      const weights = weighted ? [f32([k!], positive)] : [];
      return {
        inputs: [f32(shape, wide), i32([n!], below(k!)), ...weights],
        outputs: [{ shape: [1] }, { shape }],
        attrs: { labelSmoothing },
        terms: n! * k!,
      };
    }),
  ),
);

export const classificationRows: Row[] = [
  { op: 'softmax', exact: false, cases: forward },
  { op: 'logSoftmax', exact: false, cases: forward },
  {
    op: 'softmaxGrad',
    exact: false,
    cases: SHAPES.map((shape) => ({ inputs: [f32(shape), f32(shape, probability)], outputs: [{ shape }], attrs: {} })),
  },
  {
    op: 'logSoftmaxGrad',
    exact: false,
    cases: SHAPES.map((shape) => ({
      inputs: [f32(shape), f32(shape, logProbability)],
      outputs: [{ shape }],
      attrs: {},
    })),
  },
  { op: 'crossEntropy', exact: false, tolerance: 4e-6, cases: [...entropies, ...oddEntropies] },
  {
    op: 'accuracy',
    exact: true,
    zeroLimit: 1, // No row right is an answer.
    cases: [
      ...[
        [1, 7],
        [4, 2],
        [8, 3],
        [128, 10],
        [64, 1],
        [37, 5],
      ].map(([n, k]) => ({
        inputs: [f32([n!, k!]), i32([n!], below(k!))],
        outputs: [{ shape: [1] }],
        attrs: {},
        exact: n !== 37,
      })),
      oddAccuracy,
    ],
  },
];
