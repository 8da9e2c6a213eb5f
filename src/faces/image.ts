// Checks of images, faces and boxes, and the arithmetic of boxes. Called by everything in this folder. The rule easy to break:
// every public entry checks its image here, because later loops index pixels without a bound.
import { ArgumentError } from '../errors';
import type { Box, Image, Landmarks, Point } from './types';

/** Cap on a frame: 64 megapixels, as for image files. */
const MAX_PIXELS = 2 ** 26;
/** Cap on each extent, that of native code. */
export const MAX_EXTENT = 65_536;

export const isExtent = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_EXTENT;

/** @throws ArgumentError `[op] ...` unless an image can have this size. */
export function checkSize(op: string, width: number, height: number): void {
  if (isExtent(width) && isExtent(height) && width * height <= MAX_PIXELS) return;
  const most = `whole extents of 1 to ${MAX_EXTENT} and at most ${MAX_PIXELS} pixels`;
  throw new ArgumentError(`[${op}] an image has ${most}, got ${width}x${height}`);
}

/** @throws ArgumentError `[op] ...` unless the image's numbers fit each other. */
export function checkImage(op: string, image: Image): void {
  const { pixels, width, height, channels } = image ?? {};
  checkSize(op, width, height);
  if (channels !== 1 && channels !== 3) throw new ArgumentError(`[${op}] expected 1 or 3 channels, got ${channels}`);
  if (!(pixels instanceof Uint8Array)) throw new ArgumentError(`[${op}] pixels are a Uint8Array, got ${typeof pixels}`);
  const expected = width * height * channels;
  if (pixels.length !== expected) {
    throw new ArgumentError(`[${op}] ${height}x${width}x${channels} needs ${expected} bytes, got ${pixels.length}`);
  }
}

/** The image itself where it has three channels, else one that has. */
export function coloured(image: Image): Image {
  if (image.channels === 3) return image;
  const pixels = new Uint8Array(3 * image.pixels.length);
  image.pixels.forEach((value, i) => void pixels.fill(value, 3 * i, 3 * i + 3));
  return { ...image, pixels, channels: 3 };
}

/** Eyes, nose and the mouth's corners, in this order. */
export const pointsOf = ({ leftEye, rightEye, nose, mouthLeft, mouthRight }: Landmarks): Point[] => [
  leftEye,
  rightEye,
  nose,
  mouthLeft,
  mouthRight,
];

/**
 * @param whose what the error calls the face.
 * @throws ArgumentError `[op] ...` unless every number of a face is finite and its box has an area.
 */
export function checkFace(
  op: string,
  face: { readonly box: Box; readonly landmarks?: Landmarks },
  whose = 'a face',
): void {
  const { x, y, width, height } = face?.box ?? {};
  const points = face?.landmarks ? pointsOf(face.landmarks) : [];
  const numbers = [x, y, width, height, ...points.flatMap((point) => [point?.x, point?.y])];
  if (numbers.every(Number.isFinite) && width! > 0 && height! > 0) return;
  throw new ArgumentError(
    `[${op}] expected ${whose} to have a box with an area and finite points, got ${width}x${height} at (${x}, ${y})`,
  );
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
