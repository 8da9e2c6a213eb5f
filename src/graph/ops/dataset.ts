// The batch that is drawn, augmented and scaled on the device from a data set that lives there. Called by the
// training loop and by evaluation; docs/ops.md says which sample is where in which batch.
import { ArgumentError, ShapeError } from '../../errors';
import type { Tensor } from '../graph';
import {
  boolean,
  choice,
  describe,
  hasShape,
  integer,
  integers,
  operands,
  rank,
  real,
  reals,
  show,
  type Unchecked,
  withDefaults,
} from './check';

/** Those of paper 001, then the turns of paper 004. */
export const VARIANTS = [
  ...(['identity', 'flip', 'rotate+45', 'rotate-45', 'half', 'double', 'noise'] as const),
  ...(['rotate+5', 'rotate-5', 'rotate+10', 'rotate-10', 'rotate+15', 'rotate-15'] as const),
] as const;
export type Variant = (typeof VARIANTS)[number];

export interface DatasetBatchOptions {
  /** Samples per batch. */
  batch: number;
  /** Output [height, width]. Default: the images'. */
  size?: readonly number[];
  /** Integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
  /** Draw in a new random order each epoch. Default true. */
  shuffle?: boolean;
  /** Use the first `count` images. Default: all. */
  count?: number;
  /** Subtracted from and dividing pixel/255, one value or one per channel. Default [0] and [1]. */
  mean?: readonly number[];
  std?: readonly number[];
  /** Fixed variants by which every image is multiplied. Default none. */
  variants?: readonly Variant[];
  /** Mirror half of the samples. Default false. */
  flip?: boolean;
  /** Largest rotation in degrees, 0 to 180. Default 0. */
  rotate?: number;
  /** Range of the random scale, > 0. Default 1 and 1. */
  scaleMin?: number;
  scaleMax?: number;
  /** Largest shift in pixels. Default 0. */
  shift?: number;
  /** Standard deviation of Gaussian noise, full scale 1. Default 0. */
  noise?: number;
}

function variantList(op: string, value: unknown): string {
  if (!Array.isArray(value)) throw new ArgumentError(`[${op}] variants is a list of names, got ${describe(value)}`);
  const names = value.map((name, index) => choice(op, `variants[${index}]`, name, VARIANTS));
  if (new Set(names).size !== names.length) throw new ArgumentError(`[${op}] variants repeat in ${describe(value)}`);
  return names.join(',');
}

/** images u8[T,H,W,C], labels i32[T], step i32[1] -> x f32[B,OH,OW,C] and labels i32[B] of batch number `step`. */
export function datasetBatch(
  images: Tensor,
  labels: Tensor,
  step: Tensor,
  options: DatasetBatchOptions,
): { x: Tensor; labels: Tensor } {
  const op = 'datasetBatch';
  const graph = operands(op, { images }, 'u8');
  operands(op, { labels, step }, 'i32', graph);
  rank(op, 'images', images, 4, '[T,H,W,C]');
  const [total, height, width, channels] = images.shape as [number, number, number, number];
  hasShape(op, 'labels', labels, [total], `one label per image of ${show(images)}`);
  hasShape(op, 'step', step, [1], 'a counter');
  const given = withDefaults<Unchecked<DatasetBatchOptions>>(op, options, {
    ...{ batch: undefined, size: [height, width], seed: 0, shuffle: true, count: total, mean: [0], std: [1] },
    ...{ variants: [], flip: false, rotate: 0, scaleMin: 1, scaleMax: 1, shift: 0, noise: 0 },
  });
  const batch = integer(op, 'batch', given.batch, 1);
  const [outHeight, outWidth] = integers(op, 'size', given.size, 1, 2) as [number, number];
  const count = integer(op, 'count', given.count, 1);
  if (count > total)
    throw new ShapeError(`[${op}] count is at most ${total}, the images of ${show(images)}, got ${count}`);
  const scaleMin = real(op, 'scaleMin', given.scaleMin, { above: 0 });
  const attrs = {
    seed: integer(op, 'seed', given.seed, 0, Number.MAX_SAFE_INTEGER),
    shuffle: boolean(op, 'shuffle', given.shuffle),
    count,
    mean: reals(op, 'mean', given.mean, [1, channels]),
    std: reals(op, 'std', given.std, [1, channels], { above: 0 }),
    variants: variantList(op, given.variants),
    flip: boolean(op, 'flip', given.flip),
    rotate: real(op, 'rotate', given.rotate, { least: 0, most: 180 }),
    scaleMin,
    scaleMax: real(op, 'scaleMax', given.scaleMax, { least: scaleMin }),
    shift: real(op, 'shift', given.shift, { least: 0 }),
    noise: real(op, 'noise', given.noise, { least: 0 }),
  };
  const outputs = [{ shape: [batch, outHeight, outWidth, channels] }, { shape: [batch], dtype: 'i32' as const }];
  const [x, y] = graph.append(op, [images, labels, step], outputs, attrs) as [Tensor, Tensor];
  return { x, labels: y };
}
