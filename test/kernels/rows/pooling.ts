// Op table: pooling and resizing. See case.ts for the types.
import type { Shape } from '../../../src/graph/graph';
import { references } from '../../reference/interpreter';
import { type Case, f32, i32, type Row } from '../case';
import { type Fill, generator, signed, withEnds } from '../fills';

interface Pool {
  readonly x: [number, number, number, number];
  readonly kernel: [number, number];
  readonly stride: [number, number];
  /** top, bottom, left, right */
  readonly pad?: [number, number, number, number];
}

const POOLS: Pool[] = [
  { x: [1, 1, 1, 1], kernel: [1, 1], stride: [1, 1] },
  { x: [1, 4, 4, 3], kernel: [2, 2], stride: [2, 2] },
  { x: [2, 5, 7, 17], kernel: [2, 2], stride: [2, 2] },
  { x: [2, 7, 9, 33], kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] },
  { x: [1, 9, 6, 64], kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1] },
  { x: [1, 8, 8, 100], kernel: [4, 4], stride: [4, 4] },
  { x: [2, 6, 5, 5], kernel: [2, 3], stride: [1, 2], pad: [0, 1, 1, 0] },
  { x: [3, 12, 12, 16], kernel: [3, 3], stride: [2, 2], pad: [0, 1, 0, 1] },
  { x: [2, 9, 10, 8], kernel: [7, 6], stride: [1, 2], pad: [1, 2, 2, 1] },
  // Windows of 2^32 cells.
  { x: [1, 4, 5, 4], kernel: [65536, 65536], stride: [1, 1], pad: [65533, 0, 0, 65533] },
];

interface Resolved {
  readonly x: Shape;
  readonly y: Shape;
  readonly attrs: Record<string, number>;
  /** Every window holds a power of two of cells, so a mean of integers is exact. */
  readonly exactMean: boolean;
  readonly cells: number;
}

const resolved = POOLS.map((pool): Resolved => {
  const [batch, height, width, channels] = pool.x;
  const [kernelH, kernelW] = pool.kernel;
  const [strideH, strideW] = pool.stride;
  const [padTop, padBottom, padLeft, padRight] = pool.pad ?? [0, 0, 0, 0];
  const outH = Math.floor((height + padTop + padBottom - kernelH) / strideH) + 1;
  const outW = Math.floor((width + padLeft + padRight - kernelW) / strideW) + 1;
  return {
    x: pool.x,
    y: [batch, outH, outW, channels],
    attrs: { kernelH, kernelW, strideH, strideW, padTop, padBottom, padLeft, padRight },
    exactMean: pool.pad === undefined && Number.isInteger(Math.log2(kernelH * kernelW)),
    cells: Math.min(kernelH, height) * Math.min(kernelW, width),
  };
});

/** Indices a maxPool of some image would give. */
function winners(item: Resolved): Fill {
  return ({ mode, random }) => {
    const seed = Math.floor(random() * 2 ** 32);
    const data = Float64Array.from(signed({ shape: item.x, mode, random: generator(seed), previous: [] }));
    const image = { shape: item.x, data };
    return Array.from(references.get('maxPool')!([image], [item.y, item.y], item.attrs)[1]!.data);
  };
}

interface Resize {
  readonly x: [number, number, number, number];
  readonly to: [number, number];
}

const RESIZES: Resize[] = [
  { x: [1, 1, 1, 1], to: [3, 2] },
  { x: [1, 4, 5, 3], to: [8, 10] },
  { x: [2, 8, 8, 17], to: [4, 4] },
  { x: [1, 3, 4, 5], to: [6, 6] },
  { x: [1, 5, 7, 33], to: [7, 5] },
  { x: [2, 6, 5, 64], to: [12, 10] },
  { x: [1, 9, 3, 4], to: [1, 1] },
  { x: [1, 12, 12, 16], to: [48, 48] },
];

function resizeCases(gradient: boolean): Case[] {
  return RESIZES.flatMap(({ x, to }) =>
    ['nearest', 'bilinear'].flatMap((mode) =>
      ['halfPixel', 'aligned', 'asymmetric'].map((coordinates): Case => {
        const y = [x[0], to[0], to[1], x[3]];
        const powers = [to[0] / x[1], to[1] / x[2]].every((ratio) => Number.isInteger(Math.log2(ratio)));
        return {
          inputs: [f32(gradient ? y : x)],
          outputs: [{ shape: gradient ? x : y }],
          attrs: { mode, coordinates },
          // Bilinear weights are short binary fractions only for ratios that are powers of two.
          exact: mode === 'nearest' || (powers && coordinates !== 'aligned'),
        };
      }),
    ),
  );
}

export const poolingRows: Row[] = [
  {
    op: 'maxPool',
    exact: true,
    cases: resolved.flatMap(({ x, y, attrs, cells }): Case[] => {
      const outputs = [{ shape: y }, { shape: y, dtype: 'i32' }] as const;
      const ends = f32(x, withEnds(cells));
      return [
        { inputs: [f32(x)], outputs, attrs },
        { inputs: [ends], outputs, attrs, only: 'random' },
      ];
    }),
    zeroLimit: 1, // Index 0 is an answer.
  },
  {
    op: 'maxPoolGrad',
    exact: true,
    zeroLimit: 0.97, // Cells that did not win stay zero; a 4x4 window has fifteen of them.
    cases: resolved.map((item) => ({
      inputs: [f32(item.y), i32(item.y, winners(item))],
      outputs: [{ shape: item.x }],
      attrs: item.attrs,
    })),
  },
  {
    op: 'avgPool',
    exact: true,
    cases: resolved.map(({ x, y, attrs, exactMean, cells }) => ({
      inputs: [f32(x)],
      outputs: [{ shape: y }],
      attrs,
      exact: exactMean,
      terms: cells,
    })),
  },
  {
    op: 'avgPoolGrad',
    exact: true,
    cases: resolved.map(({ x, y, attrs, exactMean, cells }) => ({
      inputs: [f32(y)],
      outputs: [{ shape: x }],
      attrs,
      exact: exactMean,
      terms: cells,
    })),
  },
  { op: 'resize', exact: true, cases: resizeCases(false), tolerance: 4e-6 },
  { op: 'resizeGrad', exact: true, cases: resizeCases(true), tolerance: 4e-6, zeroLimit: 0.99 }, // Shrinking skips cells.
];
