// Float64 reference of the counter-based random numbers, dropout and datasetBatch (docs/ops.md, "Random numbers" and
// "Data on the device"). Called by interpreter.ts. Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011. The rule easy to break: counters and keys are unsigned 32-bit; JavaScript's << and ^ are signed.
import type { Attrs } from '../../src/graph/graph';
import { at, bool, list, num, type Reference, str, type Value, zeros } from './value';

export type Words = readonly [number, number, number, number];

function multiply32(a: number, b: number): { high: number; low: number } {
  const exact = BigInt(a) * BigInt(b);
  return { high: Number(exact >> 32n), low: Number(exact & 0xffffffffn) };
}

/** Ten rounds of Philox4x32 over a counter, with a two-word key. */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const left = multiply32(0xd2511f53, c0);
    const right = multiply32(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(right.high ^ c1 ^ k0) >>> 0, right.low, (left.high ^ c3 ^ k1) >>> 0, left.low];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

function keyOf(seed: number): readonly [number, number] {
  return [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
}

export function uniform(word: number): number {
  return (word >>> 8) / 2 ** 24;
}

/** Where position i of 0..n-1 goes in this epoch's order. */
export function permute(n: number, seed: number, epoch: number, i: number): number {
  let half = 1;
  while (4 ** half < n) half += 1;
  const size = 2 ** half;
  let place = i;
  do {
    let left = Math.floor(place / size);
    let right = place % size;
    for (let round = 0; round < 6; round++) {
      const [word] = philox([right, round, epoch, 3], keyOf(seed));
      [left, right] = [right, (left ^ (word % size)) >>> 0];
    }
    place = left * size + right;
  } while (place >= n);
  return place;
}

const dropout: Reference = ([x, step], _shapes, attrs) => {
  const rate = num(attrs, 'rate');
  const key = keyOf(num(attrs, 'seed'));
  const data = x!.data.map((value, e) => {
    const words = philox([Math.floor(e / 4), num(attrs, 'node'), step!.data[0]!, 0], key);
    return uniform(words[e % 4]!) >= rate ? value / (1 - rate) : 0;
  });
  return [{ shape: x!.shape, data }];
};

/** The affine map and noise of one training image. */
interface Draw {
  readonly flip: boolean;
  /** Radians, counter-clockwise as seen. */
  readonly angle: number;
  readonly zoom: number;
  readonly shiftX: number;
  readonly shiftY: number;
  readonly noise: number;
}

const VARIANTS: Record<string, { flip?: boolean; degrees?: number; zoom?: number; noise?: number }> = {
  identity: {},
  flip: { flip: true },
  'rotate+45': { degrees: 45 },
  'rotate-45': { degrees: -45 },
  'rotate+5': { degrees: 5 },
  'rotate-5': { degrees: -5 },
  'rotate+10': { degrees: 10 },
  'rotate-10': { degrees: -10 },
  'rotate+15': { degrees: 15 },
  'rotate-15': { degrees: -15 },
  half: { zoom: 0.5 },
  double: { zoom: 2 },
  noise: { noise: 0.05 },
};

function draw(variant: string, index: number, epoch: number, attrs: Attrs): Draw {
  const fixed = VARIANTS[variant];
  if (!fixed) throw new Error(`reference: unknown variant ${variant}`);
  const key = keyOf(num(attrs, 'seed'));
  const u = [...philox([0, index, epoch, 1], key), ...philox([1, index, epoch, 1], key)].map(uniform);
  const randomFlip = bool(attrs, 'flip') && u[0]! < 0.5;
  const degrees = (2 * u[1]! - 1) * num(attrs, 'rotate') + (fixed.degrees ?? 0);
  const zoom = num(attrs, 'scaleMin') + u[2]! * (num(attrs, 'scaleMax') - num(attrs, 'scaleMin'));
  return {
    flip: randomFlip !== (fixed.flip ?? false),
    angle: (degrees * Math.PI) / 180,
    zoom: zoom * (fixed.zoom ?? 1),
    shiftX: (2 * u[3]! - 1) * num(attrs, 'shift'),
    shiftY: (2 * u[4]! - 1) * num(attrs, 'shift'),
    noise: Math.sqrt(num(attrs, 'noise') ** 2 + (fixed.noise ?? 0) ** 2),
  };
}

/** Normal number of element e of image (index, epoch). */
function normal(e: number, index: number, epoch: number, seed: number): number {
  const words = philox([Math.floor(e / 4), index, epoch, 2], keyOf(seed));
  const [p, q] = e % 4 < 2 ? [words[0], words[1]] : [words[2], words[3]];
  const radius = Math.sqrt(-2 * Math.log(((p >>> 8) + 1) / 2 ** 24));
  const turn = 2 * Math.PI * uniform(q);
  return e % 2 === 0 ? radius * Math.cos(turn) : radius * Math.sin(turn);
}

/** Bilinear sample of channel c of image `sample` at (y, x), which is clamped to the image. */
function sampleAt(images: Value, sample: number, y: number, x: number, c: number): number {
  const [, height, width, channels] = images.shape as [number, number, number, number];
  const cy = Math.min(Math.max(y, 0), height - 1);
  const cx = Math.min(Math.max(x, 0), width - 1);
  const [y0, x0] = [Math.floor(cy), Math.floor(cx)];
  const [y1, x1] = [Math.min(y0 + 1, height - 1), Math.min(x0 + 1, width - 1)];
  const pixel = (row: number, col: number) => images.data[((sample * height + row) * width + col) * channels + c]!;
  const top = pixel(y0, x0) * (1 - (cx - x0)) + pixel(y0, x1) * (cx - x0);
  const bottom = pixel(y1, x0) * (1 - (cx - x0)) + pixel(y1, x1) * (cx - x0);
  return top * (1 - (cy - y0)) + bottom * (cy - y0);
}

/** Which index of 0..n-1 each row of the batch takes. */
function batchIndices(batch: number, n: number, step: number, attrs: Attrs): { epoch: number; indices: number[] } {
  const stepsPerEpoch = Math.max(1, Math.floor(n / batch));
  const epoch = Math.floor(step / stepsPerEpoch);
  const indices = Array.from({ length: batch }, (_, row) => {
    const position = ((step % stepsPerEpoch) * batch + row) % n;
    return bool(attrs, 'shuffle') ? permute(n, num(attrs, 'seed'), epoch, position) : position;
  });
  return { epoch, indices };
}

const datasetBatch: Reference = ([images, labels, stepValue], shapes, attrs) => {
  const x = zeros(at(shapes, 0));
  const y = zeros(at(shapes, 1));
  const [batch, outH, outW, channels] = x.shape as [number, number, number, number];
  const [, height, width] = images!.shape as [number, number, number, number];
  const names = str(attrs, 'variants');
  const variants = names === '' ? ['identity'] : names.split(',');
  const total = num(attrs, 'count');
  const [mean, std] = [list(attrs, 'mean'), list(attrs, 'std')];
  const { epoch, indices } = batchIndices(batch, total * variants.length, stepValue!.data[0]!, attrs);
  indices.forEach((index, row) => {
    const sample = index % total;
    const d = draw(variants[Math.floor(index / total)]!, index, epoch, attrs);
    y.data[row] = labels!.data[sample]!;
    for (let e = 0; e < outH * outW * channels; e++) {
      const c = e % channels;
      const ox = Math.floor(e / channels) % outW;
      const oy = Math.floor(e / channels / outW);
      let b = ((ox + 0.5) * width) / outW - 0.5 - (width - 1) / 2 - d.shiftX;
      const v = ((oy + 0.5) * height) / outH - 0.5 - (height - 1) / 2 - d.shiftY;
      if (d.flip) b = -b;
      const sx = (b * Math.cos(d.angle) - v * Math.sin(d.angle)) / d.zoom + (width - 1) / 2;
      const sy = (b * Math.sin(d.angle) + v * Math.cos(d.angle)) / d.zoom + (height - 1) / 2;
      let value = sampleAt(images!, sample, sy, sx, c) / 255;
      if (d.noise > 0) value += d.noise * normal(e, index, epoch, num(attrs, 'seed'));
      x.data[row * outH * outW * channels + e] = (value - mean[c % mean.length]!) / std[c % std.length]!;
    }
  });
  return [x, y];
};

export const random: Record<string, Reference> = { dropout, datasetBatch };
