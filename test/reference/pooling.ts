// Float64 reference of pooling and resizing (docs/ops.md, "Pooling and resizing"). Called by interpreter.ts.
// The rule easy to break: a pooling window's cells outside the image neither win (max) nor count (avg).
import type { Attrs, Shape } from '../../src/graph/graph';
import { at, num, type Reference, str, type Value, zeros } from './value';

/** Calls visit(image cell h*W+w) for the cells inside the image of the window of output (oh, ow). */
function window(image: Shape, attrs: Attrs, oh: number, ow: number, visit: (cell: number) => void): void {
  const [, height, width] = image as [number, number, number, number];
  const top = oh * num(attrs, 'strideH') - num(attrs, 'padTop');
  const left = ow * num(attrs, 'strideW') - num(attrs, 'padLeft');
  for (let h = 0; h < height; h++) {
    if (h < top || h >= top + num(attrs, 'kernelH')) continue;
    for (let w = 0; w < width; w++) if (w >= left && w < left + num(attrs, 'kernelW')) visit(h * width + w);
  }
}

/** Calls visit for each element of an NHWC output: its flat index and coordinates. */
function eachOutput(shape: Shape, visit: (i: number, n: number, oh: number, ow: number, c: number) => void): void {
  const [batch, outH, outW, channels] = shape as [number, number, number, number];
  let i = 0;
  for (let n = 0; n < batch; n++)
    for (let oh = 0; oh < outH; oh++)
      for (let ow = 0; ow < outW; ow++) for (let c = 0; c < channels; c++) visit(i++, n, oh, ow, c);
}

/** Flat index of (n, cell, c) in an NHWC shape. */
function cellIndex(shape: Shape, n: number, cell: number, c: number): number {
  return (n * shape[1]! * shape[2]! + cell) * shape[3]! + c;
}

const maxPool: Reference = ([x], shapes, attrs) => {
  const y = zeros(at(shapes, 0));
  const index = zeros(at(shapes, 1));
  eachOutput(y.shape, (i, n, oh, ow, c) => {
    let best = -1;
    window(x!.shape, attrs, oh, ow, (cell) => {
      const value = x!.data[cellIndex(x!.shape, n, cell, c)]!;
      const most = best < 0 ? undefined : x!.data[cellIndex(x!.shape, n, best, c)]!;
      if (most === undefined || value > most || (Number.isNaN(value) && !Number.isNaN(most))) best = cell;
    });
    y.data[i] = x!.data[cellIndex(x!.shape, n, best, c)]!;
    index.data[i] = best;
  });
  return [y, index];
};

const maxPoolGrad: Reference = ([dy, index], shapes) => {
  const dx = zeros(at(shapes, 0));
  eachOutput(dy!.shape, (i, n, _oh, _ow, c) => {
    dx.data[cellIndex(dx.shape, n, index!.data[i]!, c)]! += dy!.data[i]!;
  });
  return [dx];
};

function cells(image: Shape, attrs: Attrs, oh: number, ow: number): number[] {
  const found: number[] = [];
  window(image, attrs, oh, ow, (cell) => found.push(cell));
  return found;
}

const avgPool: Reference = ([x], shapes, attrs) => {
  const y = zeros(at(shapes, 0));
  eachOutput(y.shape, (i, n, oh, ow, c) => {
    const inside = cells(x!.shape, attrs, oh, ow);
    let sum = 0;
    for (const cell of inside) sum += x!.data[cellIndex(x!.shape, n, cell, c)]!;
    y.data[i] = sum / inside.length;
  });
  return [y];
};

const avgPoolGrad: Reference = ([dy], shapes, attrs) => {
  const dx = zeros(at(shapes, 0));
  eachOutput(dy!.shape, (i, n, oh, ow, c) => {
    const inside = cells(dx.shape, attrs, oh, ow);
    for (const cell of inside) dx.data[cellIndex(dx.shape, n, cell, c)]! += dy!.data[i]! / inside.length;
  });
  return [dx];
};

interface Tap {
  readonly position: number;
  readonly weight: number;
}

/** What output o of a resized axis reads: one cell (nearest) or two (bilinear). */
export function taps(o: number, from: number, to: number, mode: string, coordinates: string): Tap[] {
  let source: number;
  if (coordinates === 'halfPixel') source = ((o + 0.5) * from) / to - 0.5;
  else if (coordinates === 'aligned') source = to === 1 ? 0 : (o * (from - 1)) / (to - 1);
  else if (coordinates === 'asymmetric') source = (o * from) / to;
  else throw new Error(`reference: unknown coordinates ${coordinates}`);
  const clamp = (value: number) => Math.min(Math.max(value, 0), from - 1);
  if (mode === 'nearest') {
    const rounded = {
      halfPixel: Math.ceil(source - 0.5),
      aligned: Math.floor(source + 0.5),
      asymmetric: Math.floor(source),
    }[coordinates];
    return [{ position: clamp(rounded), weight: 1 }];
  }
  if (mode !== 'bilinear') throw new Error(`reference: unknown resize mode ${mode}`);
  const inside = clamp(source);
  const low = Math.floor(inside);
  const part = inside - low;
  return [
    { position: low, weight: 1 - part },
    { position: clamp(low + 1), weight: part },
  ];
}

/** Calls visit(image index, output index, weight) for every product of a resize. */
function eachTap(
  image: Shape,
  out: Shape,
  attrs: Attrs,
  visit: (xi: number, yi: number, weight: number) => void,
): void {
  const [mode, coordinates] = [str(attrs, 'mode'), str(attrs, 'coordinates')];
  eachOutput(out, (i, n, oh, ow, c) => {
    for (const row of taps(oh, image[1]!, out[1]!, mode, coordinates))
      for (const col of taps(ow, image[2]!, out[2]!, mode, coordinates)) {
        visit(cellIndex(image, n, row.position * image[2]! + col.position, c), i, row.weight * col.weight);
      }
  });
}

const resize: Reference = ([x], shapes, attrs) => {
  const y = zeros(at(shapes, 0));
  eachTap(x!.shape, y.shape, attrs, (xi, yi, weight) => {
    if (weight !== 0) y.data[yi]! += weight * x!.data[xi]!;
  });
  return [y];
};

const resizeGrad: Reference = ([dy]: readonly Value[], shapes, attrs) => {
  const dx = zeros(at(shapes, 0));
  eachTap(dx.shape, dy!.shape, attrs, (xi, yi, weight) => {
    dx.data[xi]! += weight * dy!.data[yi]!;
  });
  return [dx];
};

export const pooling: Record<string, Reference> = {
  maxPool,
  maxPoolGrad,
  avgPool,
  avgPoolGrad,
  resize,
  resizeGrad,
};
