// Op table: the elementwise family and dropout. See case.ts for the types.
import type { Attrs, Shape } from '../../../src/graph/graph';
import { type Case, f32, i32, type Row } from '../case';
import { constant, divisor, type Fill, listed, positive, probability, signed, wide } from '../fills';

// The last shape is long enough for more than one piece of work.
const SHAPES: Shape[] = [[1], [3], [17], [1, 5], [7, 33], [2, 3, 5, 17], [64, 100], [3, 3, 3, 64], [300, 257]];

/** What IEEE arithmetic makes of the ends of the range; 88.8 overflows exp. */
const SPECIAL = [0, -0, 1e-30, -1e-30, 1e30, -1e30, 88, 88.8, -88, -104, 20, -20, NaN, Infinity, -Infinity, 3, -3];

function unary(op: string, exact: boolean, fill: Fill, attrs: Attrs = {}, special = SPECIAL): Row {
  const plain = SHAPES.map((shape): Case => ({ inputs: [f32(shape, fill)], outputs: [{ shape }], attrs }));
  const shape = [3, special.length];
  const odd: Case = { inputs: [f32(shape, listed(special))], outputs: [{ shape }], attrs, only: 'random' };
  return { op, exact, perElement: true, cases: special.length > 0 ? [...plain, odd] : plain };
}

function gradient(op: string, exact: boolean, fill: Fill, attrs: Attrs = {}): Row {
  return {
    op,
    exact,
    cases: SHAPES.map((shape) => ({ inputs: [f32(shape), f32(shape, fill)], outputs: [{ shape }], attrs })),
  };
}

const PAIRS: [Shape, Shape][] = [
  ...SHAPES.map((shape): [Shape, Shape] => [shape, shape]),
  [[2, 5, 7, 33], [33]],
  [[2, 5, 7, 33], [1]],
  [[33], [2, 5, 7, 33]],
  [
    [4, 3, 3, 17],
    [4, 1, 1, 17],
  ],
  [
    [4, 3, 5, 17],
    [4, 3, 5, 1],
  ],
  [
    [4, 1, 5, 1],
    [3, 1, 64],
  ],
  [
    [6, 1],
    [1, 9],
  ],
  [
    [1, 1, 1, 1, 3, 5],
    [2, 3, 1, 2, 1, 5],
  ],
  [
    [128, 10],
    [128, 1],
  ],
];

function broadcastShape(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const axis = (shape: Shape, index: number) => shape[index - (rank - shape.length)] ?? 1;
  return Array.from({ length: rank }, (_, index) => Math.max(axis(a, index), axis(b, index)));
}

/** @param special pairs of values beside the filled ones. */
function binary(op: string, second: Fill, special: readonly (readonly [number, number])[] = []): Row {
  const shape = [special.length];
  const odd = ([0, 1] as const).map((side) => f32(shape, listed(special.map((pair) => pair[side]))));
  return {
    op,
    exact: true,
    perElement: true,
    cases: [
      ...PAIRS.map(
        ([a, b]): Case => ({
          inputs: [f32(a), f32(b, second)],
          outputs: [{ shape: broadcastShape(a, b) }],
          attrs: {},
        }),
      ),
      ...(special.length > 0 ? [{ inputs: odd, outputs: [{ shape }], attrs: {}, only: 'random' } as const] : []),
    ],
  };
}

/** Ends of the range and NaN on either side. */
const ENDS = [0, 1, -1, 1e30, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
const ENDS_IN_PAIRS = ENDS.flatMap((a) => ENDS.map((b) => [a, b] as const));

const dropoutShapes: Shape[] = [[1], [7], [33, 5], [3, 5, 7, 17], [130, 257]];

export const elementwiseRows: Row[] = [
  unary('relu', true, signed),
  unary('tanh', false, wide),
  unary('sigmoid', false, wide),
  unary('exp', false, wide),
  unary('log', false, positive, {}, [0, 1, 1.0000001, 0.9999999, 1e-30, 1e30, NaN, Infinity, -1]),
  unary('sqrt', false, positive, {}, [0, 1, 2, 1e-30, 1e30, NaN, Infinity, -1]),
  unary('square', true, signed),
  unary('abs', true, signed),
  unary('leakyRelu', true, signed, { alpha: 0.25 }),
  unary('elu', false, wide, { alpha: 1.5 }),
  unary('affine', true, signed, { scale: 2, offset: -0.5 }),
  unary('stopGradient', true, signed),
  gradient('reluGrad', true, signed),
  gradient('tanhGrad', true, signed),
  gradient('sigmoidGrad', true, probability),
  gradient('leakyReluGrad', true, signed, { alpha: 0.25 }),
  gradient('eluGrad', true, signed, { alpha: 0.5 }),
  gradient('absGrad', true, signed),
  binary('add', signed),
  binary('sub', signed),
  binary('mul', divisor),
  binary('div', divisor),
  binary('maximum', signed, ENDS_IN_PAIRS),
  binary('minimum', signed, ENDS_IN_PAIRS),
  {
    op: 'fill',
    exact: true,
    cases: SHAPES.map((shape) => ({ inputs: [], outputs: [{ shape }], attrs: { value: -1.25 } })),
  },
  {
    op: 'dropout',
    exact: true,
    cases: dropoutShapes.flatMap((shape) =>
      [
        { rate: 0.5, seed: 1, node: 3, step: 0 },
        { rate: 0, seed: 2, node: 0, step: 5 },
        { rate: 0.3, seed: 2 ** 40 + 12345, node: 7, step: 123456 },
      ].map(({ step, ...attrs }) => ({
        inputs: [f32(shape, positive), i32([1], constant(step))],
        outputs: [{ shape }],
        attrs,
        exact: attrs.rate !== 0.3,
      })),
    ),
    zeroLimit: 1, // A single element is dropped every other time.
  },
];
