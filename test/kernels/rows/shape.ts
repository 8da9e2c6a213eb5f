// Op table: shapes, indices and reductions. See case.ts for the types.
import type { Shape } from '../../../src/graph/graph';
import { references } from '../../reference/interpreter';
import { count } from '../../reference/value';
import { type Case, f32, i32, type Row } from '../case';
import { below, type Fill, offset, withEnds } from '../fills';

const move = (from: Shape, to: Shape): Case => ({ inputs: [f32(from)], outputs: [{ shape: to }], attrs: {} });

function transposed(shape: Shape, perm: number[]): Case {
  return { inputs: [f32(shape)], outputs: [{ shape: perm.map((axis) => shape[axis]!) }], attrs: { perm } };
}

function joined(shapes: Shape[], axis: number): Case {
  const extent = shapes.reduce((sum, shape) => sum + shape[axis]!, 0);
  const shape = shapes[0]!.map((size, index) => (index === axis ? extent : size));
  return { inputs: shapes.map((each) => f32(each)), outputs: [{ shape }], attrs: { axis } };
}

const sliced = (shape: Shape, begin: number[], size: number[]): Case => ({
  inputs: [f32(shape)],
  outputs: [{ shape: size }],
  attrs: { begin, size },
});

const padded = (shape: Shape, before: number[], after: number[], value: number): Case => ({
  inputs: [f32(shape)],
  outputs: [{ shape: shape.map((size, axis) => size + before[axis]! + after[axis]!) }],
  attrs: { before, after, value },
});

const GATHERS: [number, number, number, number][] = [
  [1, 1, 1, 1],
  [2, 5, 3, 4],
  [3, 49, 17, 10],
  [1, 8, 64, 20],
  [4, 100, 33, 1],
  [1, 300, 3, 270],
];

const REDUCTIONS: [Shape, number[], undefined?][] = [
  [[1], [0]],
  [[17], [0]],
  [[5000], [0]],
  [[3, 5], [0]],
  [[3, 5], [1]],
  [
    [3, 5],
    [0, 1],
  ],
  [
    [2, 5, 7, 33],
    [0, 1, 2],
  ],
  [
    [2, 5, 7, 33],
    [1, 2],
  ],
  [[2, 5, 7, 33], [3]],
  [
    [2, 5, 7, 33],
    [0, 3],
  ],
  [
    [2, 5, 7, 33],
    [0, 1, 2, 3],
  ],
  [[700, 64], [0]],
  [[64, 700], [1]],
  [[2, 9000], [1]],
  [[3, 64], [0]],
  [
    [4, 16, 8, 2],
    [1, 2],
  ],
  [
    [2, 3, 2, 3, 2, 5],
    [0, 2, 4],
  ],
];

function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}

function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  if (keepDims) return keptShape(shape, axes);
  const left = shape.filter((_, axis) => !axes.includes(axis));
  return left.length > 0 ? left : [1];
}

function reductions(exactMean: boolean): Case[] {
  return REDUCTIONS.flatMap(([shape, axes]) =>
    [false, true].map((keepDims): Case => {
      const out = reducedShape(shape, axes, keepDims);
      const terms = count(shape) / count(out);
      // A mean is exact only where it divides by a power of two.
      const exact = !exactMean || Number.isInteger(Math.log2(terms));
      return { inputs: [f32(shape)], outputs: [{ shape: out }], attrs: { axes, keepDims }, terms, exact };
    }),
  );
}

/** A NaN first and last, in short runs and in long ones, and maxima without one; by rows and by columns. */
const ENDS: [Shape, number[], number][] = [
  [[3, 7, 6, 20], [1, 2], 40],
  [[9, 200], [1], 150],
  [[40, 6], [1], 7],
  [[700, 64], [0], 500],
  [[2, 9000], [1], 9000],
  [[2, 1, 5, 3], [1, 2], 3],
];

/** y of reduceMaxGrad: the maxima of the case's second input. */
function maximaOf(shape: Shape, axes: number[]): Fill {
  return ({ previous, shape: out }) => {
    const x = { shape, data: Float64Array.from(previous[1]!) };
    return Array.from(references.get('reduceMax')!([x], [out], { axes, keepDims: false })[0]!.data);
  };
}

const MOMENTS: Shape[] = [
  [1, 5],
  [2, 3],
  [7, 100],
  [128, 64],
  [2, 5, 7, 33],
  [3, 9, 9, 17],
  [1, 48, 48, 3],
  [5000, 2],
  [1300, 16],
];

export const shapeRows: Row[] = [
  {
    op: 'reshape',
    exact: true,
    cases: [
      move([6], [2, 3]),
      move([2, 3, 5, 17], [30, 17]),
      move([2, 3, 5, 17], [2, 255]),
      move([4, 9], [6, 6]),
      move([7, 33], [231]),
      move([5, 100], [1, 5, 1, 100]),
    ],
  },
  {
    op: 'transpose',
    exact: true,
    cases: [
      transposed([5], [0]),
      transposed([3, 5], [1, 0]),
      transposed([65, 33], [1, 0]),
      transposed([2, 5, 7, 3], [0, 3, 1, 2]),
      transposed([2, 3, 5, 7], [0, 2, 3, 1]),
      transposed([4, 17, 33], [1, 0, 2]),
      transposed([2, 3, 2, 3, 2, 5], [5, 3, 1, 4, 2, 0]),
      transposed([2, 5, 7, 3], [0, 1, 2, 3]),
    ],
  },
  {
    op: 'concat',
    exact: true,
    cases: [
      joined([[3], [1], [5]], 0),
      joined(
        [
          [2, 3],
          [2, 5],
        ],
        1,
      ),
      joined(
        [
          [2, 3],
          [4, 3],
        ],
        0,
      ),
      joined(
        [
          [2, 5, 7, 17],
          [2, 5, 7, 3],
          [2, 5, 7, 64],
        ],
        3,
      ),
      joined(
        [
          [2, 5, 7, 3],
          [2, 1, 7, 3],
        ],
        1,
      ),
      joined(
        [
          [2, 5, 4, 3],
          [2, 5, 7, 3],
          [2, 5, 1, 3],
        ],
        2,
      ),
      joined(new Array<Shape>(9).fill([4, 3]), 1),
    ],
  },
  {
    op: 'slice',
    exact: true,
    cases: [
      sliced([9], [2], [5]),
      sliced([5, 7], [1, 0], [3, 7]),
      sliced([5, 7], [0, 3], [5, 4]),
      sliced([2, 5, 7, 33], [0, 0, 0, 5], [2, 5, 7, 17]),
      sliced([2, 5, 7, 33], [1, 2, 3, 4], [1, 3, 4, 29]),
      sliced([2, 5, 7, 3], [0, 1, 0, 0], [2, 2, 7, 3]),
    ],
  },
  {
    op: 'pad',
    exact: true,
    cases: [
      padded([3], [1], [2], 5),
      padded([2, 3], [0, 1], [1, 0], -1),
      padded([2, 5, 7, 3], [0, 1, 2, 0], [0, 2, 1, 0], 0),
      padded([2, 5, 7, 17], [1, 0, 0, 3], [0, 0, 0, 5], 0.5),
    ],
  },
  {
    op: 'broadcastTo',
    exact: true,
    cases: [
      move([1], [7]),
      move([33], [5, 33]),
      move([4, 1], [4, 9]),
      move([3, 1, 1, 17], [3, 5, 7, 17]),
      move([1, 5, 1, 1], [2, 5, 3, 4]),
      move([2, 3], [2, 3]),
      move([1], [3, 64, 100]),
    ],
  },
  {
    op: 'gather',
    exact: true,
    cases: GATHERS.map(([n, p, d, k]) => ({
      inputs: [f32([n, p, d]), i32([n, k], below(p))],
      outputs: [{ shape: [n, k, d] }],
      attrs: {},
    })),
  },
  {
    op: 'gatherGrad',
    exact: true,
    zeroLimit: 0.995, // Rows nobody gathered stay zero.
    cases: GATHERS.map(([n, p, d, k]) => ({
      inputs: [f32([n, k, d]), i32([n, k], below(p))],
      outputs: [{ shape: [n, p, d] }],
      attrs: {},
    })),
  },
  {
    op: 'topK',
    exact: true,
    cases: GATHERS.map(([n, p, d, k]) => ({
      inputs: [f32([n, p, d])],
      outputs: [{ shape: [n, Math.min(k, p)], dtype: 'i32' }],
      attrs: { k: Math.min(k, p) },
    })),
    zeroLimit: 1, // Index 0 is an answer.
  },
  { op: 'reduceSum', exact: true, cases: reductions(false) },
  { op: 'reduceMean', exact: true, cases: reductions(true) },
  {
    op: 'reduceMax',
    exact: true,
    cases: [
      ...reductions(false),
      ...ENDS.map(([shape, axes, every]): Case => {
        const outputs = [{ shape: reducedShape(shape, axes, false) }];
        return { inputs: [f32(shape, withEnds(every))], outputs, attrs: { axes, keepDims: false }, only: 'random' };
      }),
    ],
  },
  {
    op: 'reduceMaxGrad',
    exact: false, // dy/ties is not whole.
    zeroLimit: 1,
    cases: [...REDUCTIONS, ...ENDS].map(([shape, axes, every]) => {
      const out = reducedShape(shape, axes, false);
      const x = every === undefined ? f32(shape) : f32(shape, withEnds(every));
      const inputs = [f32(out), x, f32(out, maximaOf(shape, axes))];
      return { inputs, outputs: [{ shape }], attrs: { axes }, ...(every !== undefined && { only: 'random' }) };
    }),
  },
  {
    op: 'moments',
    exact: false,
    tolerance: 4e-6,
    cases: [
      ...MOMENTS.map(
        (shape): Case => ({ inputs: [f32(shape)], outputs: stats(shape), attrs: {}, terms: rowsOf(shape) }),
      ),
      // 100 +- 1: each value carries the rounding of 100, so the variance may be off by 1e-5 of itself, not by 1.
      ...MOMENTS.map(
        (shape): Case => ({
          inputs: [f32(shape, offset)],
          outputs: stats(shape),
          attrs: {},
          tolerance: 3e-5,
          only: 'random',
        }),
      ),
    ],
    zeroLimit: 1, // The variance of one row is zero.
  },
];

function stats(shape: Shape): { shape: Shape }[] {
  const channels = [shape[shape.length - 1]!];
  return [{ shape: channels }, { shape: channels }];
}

function rowsOf(shape: Shape): number {
  return count(shape) / shape[shape.length - 1]!;
}
