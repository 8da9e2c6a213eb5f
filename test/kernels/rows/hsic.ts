// Op table: Gram matrices, kernels and the dependence objectives. See case.ts for the types.
import { type Case, f32, i32, type Row } from '../case';
import { below, constant, gramFill, labelKernelFill, symmetricFill } from '../fills';

const GRAMS: [number, number][] = [
  [2, 1],
  [2, 3],
  [3, 17],
  [5, 100],
  [8, 33],
  [33, 64],
  [64, 5],
  [128, 300],
  [8, 5000],
  [17, 1025],
];

const grams: Case[] = GRAMS.flatMap(([m, d]) =>
  [false, true].map((center) => ({
    inputs: [f32([m, d])],
    outputs: [{ shape: [m, m] }],
    attrs: { center },
    exact: !center || m === 2 || m === 8 || m === 64 || m === 128,
    terms: d,
  })),
);

const gramGrads: Case[] = GRAMS.flatMap(([m, d]) =>
  [false, true].map((center) => ({
    inputs: [f32([m, m]), f32([m, d])],
    outputs: [{ shape: [m, d] }],
    attrs: { center },
    exact: !center,
    terms: m,
  })),
);

const SIZES = [2, 3, 5, 8, 33, 64, 128];
const FEATURES = 12;

const kernels: Case[] = SIZES.flatMap((m) =>
  [
    { kernel: 'gaussian', sigma: 0, features: FEATURES },
    { kernel: 'gaussian', sigma: 0.7, features: FEATURES },
    { kernel: 'gaussian', sigma: 5, features: FEATURES },
    { kernel: 'linear', sigma: 0, features: FEATURES },
  ].map((attrs) => ({
    inputs: [f32([m, m], gramFill(FEATURES))],
    outputs: [{ shape: [m, m] }, { shape: [1] }],
    attrs,
  })),
);

/** All rows equal: distance 0, g 0, E 0. */
const degenerate: Case = {
  inputs: [f32([5, 5], constant(3))],
  outputs: [{ shape: [5, 5] }, { shape: [1] }],
  attrs: { kernel: 'gaussian', sigma: 0, features: 4 },
};

// Negative weights: with positive ones a loss may be a small difference of large terms, and float32 has no claim on it.
const common = { beta: -3, gamma: -2, power: 1, eps: 1e-2, unbiased: false };

interface Objective {
  readonly kind: string;
  readonly power?: number;
  readonly unbiased?: boolean;
  readonly least: number;
}

const OBJECTIVES: Objective[] = [
  { kind: 'hsic', power: 1, least: 2 },
  { kind: 'hsic', power: 2, least: 2 },
  { kind: 'hsic', unbiased: true, least: 4 },
  { kind: 'nhsic', least: 2 },
  { kind: 'cka', least: 2 },
  { kind: 'phsic', power: 2, least: 2 },
];

const KERNELS = [
  { kernel: 'gaussian', sigma: 0, features: FEATURES },
  { kernel: 'gaussian', sigma: 1.5, features: FEATURES },
  { kernel: 'linear', sigma: 0, features: FEATURES },
];

const objectives: Case[] = OBJECTIVES.flatMap(({ least, ...objective }) =>
  SIZES.filter((m) => m >= least).flatMap((m) =>
    KERNELS.map((kernel): Case => {
      const square = [m, m];
      const normal = objective.kind === 'nhsic' ? [f32(square, symmetricFill), f32(square, symmetricFill)] : [];
      return {
        inputs: [f32(square, gramFill(FEATURES)), f32(square, gramFill(5)), f32(square, labelKernelFill(3)), ...normal],
        outputs: [{ shape: [1] }, { shape: [8] }, { shape: square }],
        attrs: { ...common, ...kernel, ...objective },
        terms: m * m,
        // The unbiased estimate of nearly independent kernels is what is left of sums that cancel.
        ...(objective.unbiased ? { floor: 1e-7 } : {}),
      };
    }),
  ),
);

/** Constant features, one class: every objective is defined and finite. */
const degenerateObjectives: Case[] = OBJECTIVES.flatMap(({ least: _least, ...objective }) =>
  KERNELS.slice(0, 2).map((kernel): Case => {
    const square = [6, 6];
    const normal = objective.kind === 'nhsic' ? [f32(square, constant(0)), f32(square, constant(0))] : [];
    return {
      inputs: [f32(square, constant(2)), f32(square, gramFill(5)), f32(square, constant(1)), ...normal],
      outputs: [{ shape: [1] }, { shape: [8] }, { shape: square }],
      attrs: { ...common, ...kernel, ...objective },
      only: 'random',
    };
  }),
);

export const hsicRows: Row[] = [
  { op: 'gram', exact: true, cases: grams, tolerance: 4e-6 },
  { op: 'gramGrad', exact: true, cases: gramGrads, tolerance: 4e-6 },
  { op: 'kernelMatrix', exact: false, cases: [...kernels, degenerate], zeroLimit: 1, tolerance: 4e-6 },
  {
    op: 'labelKernel',
    exact: true,
    zeroLimit: 1,
    cases: SIZES.map((m) => ({ inputs: [i32([m], below(4))], outputs: [{ shape: [m, m] }], attrs: {} })),
  },
  {
    op: 'hsicNormalize',
    exact: false,
    tolerance: 1e-5,
    cases: [1e-2, 1e-5].flatMap((eps) =>
      SIZES.map((m) => ({
        inputs: [f32([m, m], gramFill(FEATURES))],
        outputs: [{ shape: [m, m] }],
        attrs: { eps },
      })),
    ),
  },
  { op: 'hsicObjective', exact: false, tolerance: 1e-5, cases: [...objectives, ...degenerateObjectives], zeroLimit: 1 },
];
