// The arithmetic of sliding windows, shared by convolution and pooling: padding and output extents. 'same' is
// TensorFlow's: the output is ceil(in / stride) and an odd cell of padding goes to the end (bottom, right).
import { ArgumentError, ShapeError } from '../../errors';
import { choice, describe, integer } from './check';

export interface ExplicitPadding {
  top: number;
  bottom: number;
  left: number;
  right: number;
}
export type Padding = 'same' | 'valid' | ExplicitPadding;

export interface Window {
  /** Window extent [height, width], dilation included. */
  readonly extent: readonly [number, number];
  readonly stride: readonly [number, number];
}

export interface Placement {
  readonly pads: { padTop: number; padBottom: number; padLeft: number; padRight: number };
  readonly outHeight: number;
  readonly outWidth: number;
}

/** Padding [before, after] that makes the output ceil(input / stride) cells. */
export function samePadding(input: number, extent: number, stride: number): [number, number] {
  const output = Math.ceil(input / stride);
  const total = Math.max(0, (output - 1) * stride + extent - input);
  const before = Math.floor(total / 2);
  return [before, total - before];
}

/** Four checked sides. */
export function explicitPadding(op: string, padding: unknown): ExplicitPadding {
  if (typeof padding !== 'object' || padding === null) {
    throw new ArgumentError(`[${op}] padding is {top, bottom, left, right}, got ${describe(padding)}`);
  }
  const sides = ['top', 'bottom', 'left', 'right'] as const;
  const unknown = Object.keys(padding).find((key) => !sides.includes(key as (typeof sides)[number]));
  if (unknown !== undefined)
    throw new ArgumentError(`[${op}] padding has no side "${unknown}"; sides are ${sides.join(', ')}`);
  const given = padding as Record<string, unknown>;
  const [top, bottom, left, right] = sides.map((side) => integer(op, `padding.${side}`, given[side], 0));
  return { top: top as number, bottom: bottom as number, left: left as number, right: right as number };
}

/** Where the windows lie on an image of height x width; throws when not one fits. */
export function place(op: string, height: number, width: number, window: Window, padding: unknown): Placement {
  const [extentH, extentW] = window.extent;
  const [strideH, strideW] = window.stride;
  let pads: ExplicitPadding;
  if (typeof padding === 'object' && padding !== null && !Array.isArray(padding)) {
    pads = explicitPadding(op, padding);
  } else if (typeof padding === 'string') {
    const kind = choice(op, 'padding', padding, ['same', 'valid'] as const);
    const [top, bottom] = kind === 'same' ? samePadding(height, extentH, strideH) : [0, 0];
    const [left, right] = kind === 'same' ? samePadding(width, extentW, strideW) : [0, 0];
    pads = { top, bottom, left, right };
  } else {
    throw new ArgumentError(
      `[${op}] padding is 'same', 'valid' or {top, bottom, left, right}, got ${describe(padding)}`,
    );
  }
  const outHeight = Math.floor((height + pads.top + pads.bottom - extentH) / strideH) + 1;
  const outWidth = Math.floor((width + pads.left + pads.right - extentW) / strideW) + 1;
  if (outHeight < 1 || outWidth < 1) {
    throw new ShapeError(
      `[${op}] a window of ${extentH}x${extentW} does not fit an image of ${height}x${width} ` +
        `padded to ${height + pads.top + pads.bottom}x${width + pads.left + pads.right}`,
    );
  }
  const { top: padTop, bottom: padBottom, left: padLeft, right: padRight } = pads;
  return { pads: { padTop, padBottom, padLeft, padRight }, outHeight, outWidth };
}
