// Op table: updates of persistent tensors, the schedule, and batches drawn on the device. See case.ts for the types.
import type { Attrs, Shape } from '../../../src/graph/graph';
import { type Case, f32, i32, type Row, state, u8 } from '../case';
import { below, bytes, constant, positive, signed } from '../fills';

const SHAPES: Shape[] = [[1], [5], [33], [3, 3, 17, 5], [64, 100], [70, 513]];
const LR = f32([1], constant(0.125));

const ADAM: Attrs[] = [
  { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, decoupled: false },
  { beta1: 0.5, beta2: 0.9, eps: 1e-3, weightDecay: 0.01, decoupled: false },
  { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1, decoupled: true },
];

const SGD: Attrs[] = [
  { momentum: 0, nesterov: false, weightDecay: 0 },
  { momentum: 0.5, nesterov: false, weightDecay: 0.25 },
  { momentum: 0.5, nesterov: true, weightDecay: 0 },
];

function schedules(): Case[] {
  const shared = { base: 0.1, warmup: 5, total: 100, every: 10, factor: 0.5, floor: 0.001 };
  const steps = [0, 1, 4, 5, 6, 14, 15, 50, 99, 100, 1000];
  return ['constant', 'step', 'cosine', 'exponential'].flatMap((kind) =>
    steps.flatMap((step) =>
      [0, 5].map((warmup) => ({
        inputs: [i32([1], constant(step))],
        outputs: [{ shape: [1] }],
        attrs: { ...shared, kind, warmup },
      })),
    ),
  );
}

interface Batch {
  readonly images: [number, number, number, number];
  readonly batch: number;
  readonly size: [number, number];
  readonly step: number;
  readonly attrs?: Attrs;
}

const still = {
  seed: 11,
  shuffle: false,
  mean: [0.5],
  std: [0.25],
  variants: '',
  flip: false,
  rotate: 0,
  scaleMin: 1,
  scaleMax: 1,
  shift: 0,
  noise: 0,
};
const EIGHT = 'identity,flip,rotate+5,rotate-5,rotate+10,rotate-10,rotate+15,rotate-15';
const SEVEN = 'identity,flip,rotate+45,rotate-45,half,double,noise';

const BATCHES: Batch[] = [
  { images: [4, 5, 7, 1], batch: 2, size: [5, 7], step: 1 },
  {
    images: [9, 6, 6, 3],
    batch: 4,
    size: [6, 6],
    step: 3,
    attrs: { shuffle: true, mean: [0.1, 0.2, 0.3], std: [1, 2, 0.5] },
  },
  { images: [3, 4, 4, 1], batch: 8, size: [4, 4], step: 2, attrs: { shuffle: true } },
  { images: [20, 8, 8, 1], batch: 5, size: [8, 8], step: 6, attrs: { count: 13, shuffle: true } },
  { images: [5, 8, 8, 1], batch: 5, size: [16, 16], step: 0 },
  { images: [5, 9, 11, 3], batch: 5, size: [6, 4], step: 0 },
  { images: [6, 12, 12, 1], batch: 6, size: [12, 12], step: 7, attrs: { flip: true, shuffle: true } },
  { images: [6, 12, 12, 1], batch: 6, size: [12, 12], step: 2, attrs: { rotate: 20, shuffle: true } },
  { images: [6, 12, 12, 2], batch: 6, size: [12, 12], step: 2, attrs: { scaleMin: 0.8, scaleMax: 1.25 } },
  { images: [6, 12, 12, 1], batch: 6, size: [12, 12], step: 2, attrs: { shift: 3 } },
  { images: [6, 12, 11, 3], batch: 6, size: [12, 11], step: 2, attrs: { noise: 0.1 } },
  { images: [3, 10, 10, 1], batch: 21, size: [10, 10], step: 0, attrs: { variants: SEVEN } },
  { images: [2, 10, 10, 1], batch: 16, size: [10, 10], step: 0, attrs: { variants: EIGHT } },
  {
    images: [7, 13, 13, 3],
    batch: 12,
    size: [16, 15],
    step: 123457,
    attrs: {
      variants: SEVEN,
      shuffle: true,
      flip: true,
      rotate: 15,
      scaleMin: 0.9,
      scaleMax: 1.1,
      shift: 2,
      noise: 0.02,
      seed: 2 ** 33 + 5,
    },
  },
  // Enough pixels for a table of every byte's value, as they are and turned over.
  ...[1, 2, 3, 4, 5].map((channels) => ({
    images: [3, 20, 19, channels] as [number, number, number, number],
    batch: 3,
    size: [20, 19] as [number, number],
    step: 7,
    attrs: { flip: channels % 2 === 1, mean: [0.4], std: [0.3] },
  })),
];

const batches: Case[] = BATCHES.map(({ images, batch, size, step, attrs }) => ({
  inputs: [u8(images, bytes), i32([images[0]], below(7)), i32([1], constant(step))],
  outputs: [{ shape: [batch, size[0], size[1], images[3]] }, { shape: [batch], dtype: 'i32' }],
  attrs: { ...still, count: images[0], ...attrs },
}));

export const updateRows: Row[] = [
  {
    op: 'adam',
    exact: false,
    tolerance: 4e-6,
    cases: SHAPES.flatMap((shape) =>
      ADAM.flatMap((attrs) =>
        [0, 9, 100000].map((step) => ({
          inputs: [state(shape), f32(shape), state(shape), state(shape, positive), LR, i32([1], constant(step))],
          outputs: [],
          attrs,
        })),
      ),
    ),
  },
  {
    op: 'sgd',
    exact: true,
    cases: SHAPES.flatMap((shape) =>
      SGD.map((attrs) => ({ inputs: [state(shape), f32(shape), state(shape), LR], outputs: [], attrs })),
    ),
  },
  {
    op: 'ema',
    exact: true,
    cases: SHAPES.flatMap((shape) =>
      [
        { momentum: 0.5, scale: 1 },
        { momentum: 0.25, scale: 2 },
      ].map((attrs) => ({ inputs: [state(shape), f32(shape, signed)], outputs: [], attrs })),
    ),
  },
  {
    op: 'increment',
    exact: true,
    cases: [0, 41].map((step) => ({ inputs: [state([1], constant(step), 'i32')], outputs: [], attrs: {} })),
  },
  { op: 'schedule', exact: false, cases: schedules() },
  // A pixel's position is worked out in float32: 2e-5 of the range of values.
  { op: 'datasetBatch', exact: false, tolerance: 2e-5, cases: batches },
];
