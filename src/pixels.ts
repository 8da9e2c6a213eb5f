// The loops over the bytes of images that run for every frame, in native code, on the calling thread. Called by faces/.
// The rule easy to break: arguments fit each other, which faces/ sees to; native code throws where an index would leave its
// array, with words for us and not for users.
import { type NativePixels, native } from './native';

/** Those of the processor's tier, or of that which GRAMIAN_ISA says; taken at the first call. */
let chosen: NativePixels | undefined;
function loops(): NativePixels {
  chosen ??= native().pixels('auto');
  return chosen;
}

/** Rows of `width` pixels of 1 or 3 bytes, one behind the other. */
export interface Bytes {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly channels: 1 | 3;
}

/** A part of an image: from the first column and row to those behind the last. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Which source pixels each point reads along one axis: `low`, `high`, and the share of the second. */
export interface Points {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float32Array;
}

/** Luma of ITU-R BT.601 of a region of an RGB image, rounded, to the same place of a grey one of its size. */
export function gray(from: Bytes, to: Uint8Array, { left, top, right, bottom }: Region): void {
  loops().gray(from.pixels, from.width, to, left, top, right, bottom);
}

/** Means of 2x2 pixels, rounded, to a region of the image of half the size. */
export function halve(from: Bytes, to: Uint8Array, { left, top, right, bottom }: Region): void {
  loops().halve(from.pixels, from.width, from.channels, to, left, top, right, bottom);
}

/** Bilinear samples where rows and columns cross, rounded: out[offset ...] becomes rows x columns x channels bytes. */
export function sample(from: Bytes, columns: Points, rows: Points, out: Uint8Array, offset = 0): void {
  const { pixels, width, channels } = from;
  const across = [columns.low, columns.high, columns.share] as const;
  loops().sample(pixels, width, channels, ...across, rows.low, rows.high, rows.share, out, offset);
}

/**
 * Bilinear samples of an image in the left upper corner of a black square of its longer side, as byte / 255 - mean.
 * @param mean of red, green and blue.
 * @param out rows x columns x 3 floats, also of a grey image.
 */
export function sampleSquare(from: Bytes, columns: Points, rows: Points, mean: Float32Array, out: Float32Array): void {
  const { pixels, width, channels } = from;
  const across = [columns.low, columns.high, columns.share] as const;
  loops().sampleSquare(pixels, width, channels, ...across, rows.low, rows.high, rows.share, mean, out);
}

/** Channels that hog() gives a cell. */
export const HOG_CHANNELS = 31;
/** Pixels of a cell's side. */
export const HOG_CELL = 4;

/**
 * Histograms of oriented gradients with 31 channels a cell, as in Felzenszwalb et al. 2010 (section 6.1) without its truncation
 * channel: 18 signed orientations, 9 unsigned ones, 4 energies.
 * @param patch grey, cells * HOG_CELL pixels a side.
 * @param out the channels of cell i go to out[offset + i * stride ...].
 */
export function hog(patch: Uint8Array, cells: number, out: Float32Array, offset = 0, stride = HOG_CHANNELS): void {
  loops().hog(patch, cells, out, offset, stride);
}
