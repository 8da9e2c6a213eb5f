// Op table: matmul and the three convolutions. See case.ts for the types.
import type { Shape } from '../../../src/graph/graph';
import { type Case, f32, type Row } from '../case';
import { constant } from '../fills';

const MATMULS: [number, number, number][] = [
  [1, 1, 1],
  [1, 7, 3],
  [5, 1, 17],
  [3, 5, 64],
  [17, 33, 100],
  [64, 64, 64],
  [65, 129, 37],
  [128, 10, 1000],
  [2, 3, 5000],
  [10, 1000, 128],
  [16, 530, 270],
  [3, 1200, 21],
  [130, 72, 260],
];

const matmuls: Case[] = MATMULS.flatMap(([m, n, k]) =>
  [false, true].flatMap((transA) =>
    [false, true].map((transB) => ({
      inputs: [f32(transA ? [k, m] : [m, k]), f32(transB ? [n, k] : [k, n])],
      outputs: [{ shape: [m, n] }],
      attrs: { transA, transB },
      terms: k,
    })),
  ),
);

interface Conv {
  readonly x: [number, number, number, number];
  readonly kernel: [number, number];
  readonly outs: number;
  readonly stride?: [number, number];
  /** top, bottom, left, right */
  readonly pad?: [number, number, number, number];
  readonly dilation?: [number, number];
  readonly groups?: number;
}

const CONVOLUTIONS: Conv[] = [
  { x: [1, 1, 1, 1], kernel: [1, 1], outs: 1 },
  { x: [1, 5, 7, 3], kernel: [3, 3], outs: 5, pad: [1, 1, 1, 1] },
  { x: [2, 8, 8, 17], kernel: [3, 3], outs: 33, pad: [0, 1, 0, 1], stride: [2, 2] },
  { x: [1, 1, 1, 64], kernel: [1, 1], outs: 100 },
  { x: [3, 6, 5, 33], kernel: [1, 1], outs: 17 },
  { x: [2, 9, 7, 64], kernel: [3, 3], outs: 64, pad: [1, 1, 1, 1] },
  { x: [1, 10, 10, 5], kernel: [5, 5], outs: 8, pad: [4, 4, 4, 4], dilation: [2, 2] },
  { x: [1, 7, 9, 4], kernel: [1, 3], outs: 7, pad: [0, 0, 1, 1] },
  { x: [1, 7, 9, 4], kernel: [3, 1], outs: 7, pad: [1, 1, 0, 0], stride: [1, 2] },
  { x: [2, 5, 5, 100], kernel: [1, 1], outs: 3, stride: [2, 2] },
  { x: [1, 4, 5, 6], kernel: [2, 2], outs: 16 },
  { x: [1, 13, 11, 3], kernel: [7, 7], outs: 64, pad: [3, 3, 3, 3], stride: [2, 2] },
  { x: [1, 48, 48, 1], kernel: [3, 3], outs: 16, pad: [1, 1, 1, 1] },
  { x: [2, 40, 37, 3], kernel: [3, 3], outs: 40, pad: [1, 1, 1, 1], stride: [1, 2] },
  { x: [1, 6, 6, 8], kernel: [3, 3], outs: 12, pad: [1, 1, 1, 1], groups: 2 },
  { x: [2, 5, 4, 12], kernel: [3, 3], outs: 8, pad: [1, 1, 1, 1], groups: 4, stride: [2, 1] },
  { x: [1, 3, 3, 3], kernel: [3, 3], outs: 4, pad: [2, 2, 2, 2], dilation: [2, 2] },
  { x: [2, 12, 12, 32], kernel: [1, 1], outs: 72 },
];

const DEPTHWISE: Conv[] = [
  ...[1, 3, 5, 17, 33, 64, 100].map(
    (c): Conv => ({ x: [2, 6, 7, c], kernel: [3, 3], outs: c, pad: [1, 1, 1, 1], groups: c }),
  ),
  ...[1, 3, 17, 64].map(
    (c): Conv => ({ x: [1, 8, 9, c], kernel: [3, 3], outs: c, pad: [0, 1, 1, 1], stride: [2, 2], groups: c }),
  ),
  ...[3, 33].map((c): Conv => ({ x: [1, 9, 10, c], kernel: [5, 5], outs: c, pad: [2, 2, 2, 2], groups: c })),
  { x: [1, 11, 9, 17], kernel: [3, 3], outs: 17, pad: [2, 2, 2, 2], dilation: [2, 2], groups: 17 },
  { x: [2, 5, 6, 5], kernel: [3, 3], outs: 10, pad: [1, 1, 1, 1], groups: 5 },
  { x: [1, 5, 6, 16], kernel: [3, 3], outs: 48, pad: [1, 1, 1, 1], groups: 16 },
  { x: [1, 2, 2, 8], kernel: [5, 5], outs: 8, pad: [2, 2, 2, 2], groups: 8 },
  { x: [3, 4, 4, 12], kernel: [2, 3], outs: 12, groups: 12, stride: [1, 2] },
  { x: [2, 24, 24, 32], kernel: [3, 3], outs: 32, pad: [1, 1, 1, 1], groups: 32 },
  { x: [2, 7, 7, 40], kernel: [1, 1], outs: 40, groups: 40 },
  // One row of outputs, far apart: tiles of two rows would need twice the memory.
  { x: [1, 3, 75, 32], kernel: [3, 3], outs: 32, stride: [8, 8], groups: 32 },
  // Taps so far apart that only single floats of all that lies between them fit into a block's memory.
  { x: [1, 2, 3, 4], kernel: [3, 1], outs: 4, pad: [3200, 3200, 0, 0], dilation: [3200, 1], groups: 4 },
];

interface Resolved {
  readonly x: Shape;
  readonly w: Shape;
  readonly y: [number, number, number, number];
  readonly attrs: Record<string, number>;
}

function resolve(conv: Conv): Resolved {
  const [batch, height, width, channels] = conv.x;
  const [kernelH, kernelW] = conv.kernel;
  const [strideH, strideW] = conv.stride ?? [1, 1];
  const [padTop, padBottom, padLeft, padRight] = conv.pad ?? [0, 0, 0, 0];
  const [dilationH, dilationW] = conv.dilation ?? [1, 1];
  const groups = conv.groups ?? 1;
  const outH = Math.floor((height + padTop + padBottom - dilationH * (kernelH - 1) - 1) / strideH) + 1;
  const outW = Math.floor((width + padLeft + padRight - dilationW * (kernelW - 1) - 1) / strideW) + 1;
  return {
    x: conv.x,
    w: [kernelH, kernelW, channels / groups, conv.outs],
    y: [batch, outH, outW, conv.outs],
    attrs: { strideH, strideW, padTop, padBottom, padLeft, padRight, dilationH, dilationW, groups },
  };
}

/** Sums so long that they are cut, of which every part is beyond the largest number. */
const beyond: Case = {
  inputs: [f32([1, 4, 4, 128], constant(3e38)), f32([3, 3, 128, 4], constant(1))],
  outputs: [{ shape: [1, 4, 4, 4] }],
  attrs: resolve({ x: [1, 4, 4, 128], kernel: [3, 3], outs: 4, pad: [1, 1, 1, 1] }).attrs,
  only: 'random',
};

const resolved = [...CONVOLUTIONS, ...DEPTHWISE].map(resolve);

export const linearRows: Row[] = [
  { op: 'matmul', exact: true, cases: matmuls },
  {
    op: 'conv2d',
    exact: true,
    cases: [
      ...resolved.map(({ x, w, y, attrs }) => ({
        inputs: [f32(x), f32(w)],
        outputs: [{ shape: y }],
        attrs,
        terms: w[0]! * w[1]! * w[2]!,
      })),
      beyond,
    ],
  },
  {
    op: 'conv2dGradInput',
    exact: true,
    zeroLimit: 0.8, // A 1x1 kernel with stride 2 never reads three quarters of the image.
    cases: resolved.map(({ x, w, y, attrs }) => ({
      inputs: [f32(y), f32(w)],
      outputs: [{ shape: x }],
      attrs,
      terms: (w[0]! * w[1]! * w[3]!) / attrs.groups!,
    })),
  },
  {
    op: 'conv2dGradFilter',
    exact: true,
    cases: resolved.map(({ x, w, y, attrs }) => ({
      inputs: [f32(x), f32(y)],
      outputs: [{ shape: w }],
      attrs,
      terms: y[0] * y[1] * y[2],
    })),
  },
];
