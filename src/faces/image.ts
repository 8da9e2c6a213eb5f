// Checks of images and boxes, and the arithmetic of boxes. Called by everything in this folder. The rule easy to break:
// every public entry checks its image here, because later loops index pixels without a bound.
import { ArgumentError } from '../errors';
import type { Box, Image } from './types';

/** Cap on a frame: 64 megapixels, as for image files. */
const MAX_PIXELS = 2 ** 26;

/** @throws ArgumentError `[op] ...` unless the image's numbers fit each other. */
export function checkImage(op: string, image: Image): void {
  const { pixels, width, height, channels } = image ?? {};
  if (![width, height].every((extent) => Number.isSafeInteger(extent) && extent >= 1) || width * height > MAX_PIXELS) {
    throw new ArgumentError(
      `[${op}] an image has whole extents of 1 or more and at most ${MAX_PIXELS} pixels, got ${width}x${height}`,
    );
  }
  if (channels !== 1 && channels !== 3) throw new ArgumentError(`[${op}] expected 1 or 3 channels, got ${channels}`);
  if (!(pixels instanceof Uint8Array)) throw new ArgumentError(`[${op}] pixels are a Uint8Array, got ${typeof pixels}`);
  const expected = width * height * channels;
  if (pixels.length !== expected) {
    throw new ArgumentError(`[${op}] ${height}x${width}x${channels} needs ${expected} bytes, got ${pixels.length}`);
  }
}

/** Area that two boxes share, in square pixels. */
export function intersection(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

/** Intersection over union, 0 to 1. */
export function iou(a: Box, b: Box): number {
  const shared = intersection(a, b);
  const union = a.width * a.height + b.width * b.height - shared;
  return union > 0 ? shared / union : 0;
}
