// Images at other sizes: by means over areas, which shrink well, and by bilinear interpolation. Called by the detectors. The
// rule easy to break: half-pixel coordinates, source = (i + 0.5) * in / out - 0.5, unless a network was trained with others.
import { type Points, sample } from '../pixels';
import { checkImage, checkSize } from './image';
import type { Image } from './types';

/**
 * Bilinear interpolation of `extent` pixels at `count` points.
 * @param at source coordinate of point i, where whole numbers are pixel centres; clamped to the image.
 */
export function interpolation(count: number, extent: number, at: (i: number) => number): Points {
  const low = new Int32Array(count);
  const high = new Int32Array(count);
  const share = new Float32Array(count);
  for (let i = 0; i < count; i += 1) {
    const clamped = Math.min(Math.max(at(i), 0), extent - 1);
    low[i] = Math.floor(clamped);
    high[i] = Math.min(low[i]! + 1, extent - 1);
    share[i] = clamped - low[i]!;
  }
  return { low, high, share };
}

/** Bilinear, without smoothing: for enlarging, and for networks that were trained so. Rounded to bytes. */
export function resizeBilinear(image: Image, width: number, height: number): Image {
  checkImage('resizeBilinear', image);
  checkSize('resizeBilinear', width, height);
  const columns = interpolation(width, image.width, (i) => ((i + 0.5) * image.width) / width - 0.5);
  const rows = interpolation(height, image.height, (i) => ((i + 0.5) * image.height) / height - 0.5);
  const pixels = new Uint8Array(width * height * image.channels);
  sample(image, columns, rows, pixels);
  return { pixels, width, height, channels: image.channels };
}

/** For each of `count` cells the source pixels it covers: the first one, and the share of each, as one list. */
function coverage(count: number, extent: number): { first: Int32Array; start: Int32Array; shares: Float32Array } {
  const first = new Int32Array(count);
  const start = new Int32Array(count + 1);
  const shares: number[] = [];
  const step = extent / count;
  for (let i = 0; i < count; i += 1) {
    const [from, to] = [i * step, Math.min((i + 1) * step, extent)];
    first[i] = Math.floor(from);
    for (let pixel = first[i]!; pixel < to && pixel < extent; pixel += 1) {
      const covered = Math.min(pixel + 1, to) - Math.max(pixel, from);
      // A sliver that is rounding noise would read one pixel more.
      if (covered > 1e-9 * step) shares.push(covered / (to - from));
    }
    start[i + 1] = shares.length;
  }
  return { first, start, shares: Float32Array.from(shares) };
}

/** Each pixel is the mean over the area that it covers. Rounded to bytes. */
export function resizeArea(image: Image, width: number, height: number): Image {
  checkImage('resizeArea', image);
  checkSize('resizeArea', width, height);
  const { pixels, channels } = image;
  const columns = coverage(width, image.width);
  const rows = coverage(height, image.height);
  const resized = new Uint8Array(width * height * channels);
  // The rows of one band, summed, then cut into cells.
  const band = new Float32Array(image.width * channels);
  for (let y = 0; y < height; y += 1) {
    band.fill(0);
    for (let k = rows.start[y]!; k < rows.start[y + 1]!; k += 1) {
      const share = rows.shares[k]!;
      const from = (rows.first[y]! + k - rows.start[y]!) * band.length;
      for (let i = 0; i < band.length; i += 1) band[i]! += share * pixels[from + i]!;
    }
    for (let x = 0, to = y * width * channels; x < width; x += 1) {
      const begin = columns.start[x]!;
      const end = columns.start[x + 1]!;
      for (let c = 0; c < channels; c += 1, to += 1) {
        let sum = 0;
        let from = columns.first[x]! * channels + c;
        for (let k = begin; k < end; k += 1, from += channels) sum += columns.shares[k]! * band[from]!;
        resized[to] = sum + 0.5;
      }
    }
  }
  return { pixels: resized, width, height, channels };
}
