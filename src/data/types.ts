// What every loader returns and the trainer feeds: images as bytes (NHWC) with labels, in memory, plus the few pure
// functions on them. The rule easy to break: synthetic data stays marked `synthetic` through every function here.
import { AbortError, ArgumentError, DataError } from '../errors';
import { Random } from './random';

export interface ImageDataset {
  readonly name: string;
  /** count*height*width*channels bytes, NHWC. */
  readonly images: Uint8Array;
  /** One class index per image, 0..classes.length-1. */
  readonly labels: Int32Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly classes: readonly string[];
  readonly synthetic: boolean;
  /** Whom (or which film) each image shows, where the data says it: [count]. Fair tests keep a group on one side. */
  readonly groups?: readonly string[];
}

/** Samples that are rows of numbers instead of images, such as hand-made features; a network reads them as 1x1xcolumns. */
export interface FeatureDataset
  extends Pick<ImageDataset, 'name' | 'labels' | 'count' | 'classes' | 'synthetic' | 'groups'> {
  /** count*columns numbers, row by row. */
  readonly rows: Float32Array;
  readonly columns: number;
}

export type Dataset = ImageDataset | FeatureDataset;

export function hasRows(dataset: Dataset): dataset is FeatureDataset {
  return 'rows' in dataset;
}

export interface DataSplits {
  readonly train: ImageDataset;
  readonly validation?: ImageDataset;
  readonly test: ImageDataset;
  /** Where the data came from, for logs and reports. */
  readonly source: string;
  /** Sentences a report must repeat: lines rejected, splits made up, synthetic data. */
  readonly notes: string[];
}

export interface Progress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

/** What every long job of this folder takes. */
export interface JobOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The seven expressions in FER2013's label order. */
export const EXPRESSIONS = ['anger', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'] as const;

/** Raises AbortError when the caller's signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw new AbortError(`[${what}] stopped by the caller`, 0, { cause: signal.reason });
}

/** Checks that a data set's parts fit together and every label names a class; returns it. */
export function checkDataset(dataset: ImageDataset): ImageDataset {
  const { name, count, height, width, channels, images, labels, classes, groups } = dataset;
  if (count < 1) throw new DataError(`[dataset] ${name}: no images`);
  if (images.length !== count * height * width * channels || labels.length !== count) {
    throw new DataError(
      `[dataset] ${name}: ${count} images of ${height}x${width}x${channels} need ` +
        `${count * height * width * channels} bytes and ${count} labels, got ${images.length} and ${labels.length}`,
    );
  }
  if (groups && groups.length !== count) {
    throw new DataError(`[dataset] ${name}: ${count} images need ${count} groups, got ${groups.length}`);
  }
  const wrong = labels.findIndex((label) => label < 0 || label >= classes.length);
  if (wrong >= 0) {
    throw new DataError(
      `[dataset] ${name}: label ${labels[wrong]} of image ${wrong} is outside 0..${classes.length - 1}`,
    );
  }
  return dataset;
}

/**
 * Mean and standard deviation of each channel in units of full scale (0..1), exact: a histogram of bytes is summed.
 * A constant channel has a deviation of 0 but is answered with 1, so that normalising gives 0 and not NaN.
 */
export function pixelStatistics(dataset: ImageDataset): { mean: number[]; std: number[] } {
  const { images, channels } = dataset;
  if (images.length === 0) throw new ArgumentError(`[pixelStatistics] ${dataset.name}: no images`);
  const mean: number[] = [];
  const std: number[] = [];
  const histogram = new Float64Array(256);
  for (let channel = 0; channel < channels; channel++) {
    histogram.fill(0);
    for (let i = channel; i < images.length; i += channels) histogram[images[i]!]!++;
    const count = images.length / channels;
    const average = histogram.reduce((sum, times, value) => sum + times * value, 0) / count;
    const squares = histogram.reduce((sum, times, value) => sum + times * (value - average) ** 2, 0);
    const deviation = Math.sqrt(squares / count) / 255;
    mean.push(average / 255);
    std.push(deviation > 0 ? deviation : 1);
  }
  return { mean, std };
}

/** The first n images (all when there are fewer). Shares memory with the whole. */
export function takeFirst(dataset: ImageDataset, n: number): ImageDataset {
  if (!Number.isSafeInteger(n) || n < 1) {
    throw new ArgumentError(`[takeFirst] a count is a whole number of at least 1, got ${n}`);
  }
  if (n >= dataset.count) return dataset;
  const bytes = dataset.height * dataset.width * dataset.channels;
  return {
    ...dataset,
    images: dataset.images.subarray(0, n * bytes),
    labels: dataset.labels.subarray(0, n),
    count: n,
    ...(dataset.groups ? { groups: dataset.groups.slice(0, n) } : {}),
  };
}

/** Grey images with that many equal channels, for a network that reads colour; others as they are. */
export function withChannels(data: ImageDataset, channels: number): ImageDataset {
  if (data.channels !== 1 || channels === 1) return data;
  const images = new Uint8Array(data.images.length * channels);
  for (let place = 0; place < images.length; place += 1) images[place] = data.images[Math.floor(place / channels)]!;
  return { ...data, images, channels };
}

/** Without the samples of one class and its name; as it is where no class is called so. */
export function withoutClass(data: ImageDataset, name: string): ImageDataset {
  const gone = data.classes.indexOf(name);
  if (gone < 0) return data;
  const kept = Array.from(data.labels.keys()).filter((index) => data.labels[index] !== gone);
  if (kept.length === 0) throw new DataError(`[dataset] ${data.name}: no images but those of ${JSON.stringify(name)}`);
  const rest = select(data, kept);
  const labels = rest.labels.map((label) => (label > gone ? label - 1 : label));
  return { ...rest, labels, classes: data.classes.filter((_, label) => label !== gone) };
}

/** The samples of the given indices, copied, in that order. */
export function select<T extends Dataset>(dataset: T, indices: ArrayLike<number>, name = dataset.name): T {
  const { count, labels, groups } = dataset;
  const values = hasRows(dataset) ? dataset.rows : dataset.images;
  const size = values.length / count;
  const chosen = new (values.constructor as new (length: number) => typeof values)(indices.length * size);
  const chosenLabels = new Int32Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]!;
    if (!Number.isSafeInteger(from) || from < 0 || from >= count) {
      throw new ArgumentError(`[select] index ${from} is outside 0..${count - 1} of ${dataset.name}`);
    }
    chosen.set(values.subarray(from * size, (from + 1) * size), i * size);
    chosenLabels[i] = labels[from]!;
  }
  return {
    ...dataset,
    name,
    labels: chosenLabels,
    count: indices.length,
    [hasRows(dataset) ? 'rows' : 'images']: chosen,
    ...(groups ? { groups: Array.from(indices, (from) => groups[from]!) } : {}),
  };
}

/**
 * All images of data sets of equal image shape and classes, one set behind the other: what a cross-validation cuts anew.
 * Groups are kept when every set has them; the result is synthetic when any is. Throws DataError for sets that differ.
 */
export function merge(datasets: readonly ImageDataset[], name: string): ImageDataset {
  const [first] = datasets;
  if (!first) throw new ArgumentError(`[merge] ${name}: expected at least one data set, got none`);
  const kind = ({ height, width, channels, classes }: ImageDataset) =>
    `${height}x${width}x${channels} images of ${classes.join(', ')}`;
  const odd = datasets.find((one) => kind(one) !== kind(first));
  if (odd) throw new DataError(`[merge] ${name}: expected ${kind(first)} as in ${first.name}, got ${kind(odd)}`);
  const count = datasets.reduce((sum, one) => sum + one.count, 0);
  const images = new Uint8Array(count * first.height * first.width * first.channels);
  const labels = new Int32Array(count);
  let at = 0;
  for (const one of datasets) {
    images.set(one.images, (at * images.length) / count);
    labels.set(one.labels, at);
    at += one.count;
  }
  const { groups: _, ...rest } = first;
  const groups = datasets.every((one) => one.groups) ? datasets.flatMap((one) => one.groups!) : undefined;
  const synthetic = datasets.some((one) => one.synthetic);
  return { ...rest, name, images, labels, count, synthetic, ...(groups ? { groups } : {}) };
}

/**
 * Splits 0..count-1 at random: `part` holds round(fraction*count) of them (at least 1, and at least 1 stays), `rest` the
 * others, both ascending. The same seed gives the same split. `name` is what errors call the set.
 */
export function splitIndices(
  name: string,
  count: number,
  fraction: number,
  seed: number,
): { rest: Uint32Array; part: Uint32Array } {
  if (!(fraction > 0 && fraction < 1)) {
    throw new ArgumentError(`[splitOff] a fraction lies between 0 and 1, got ${fraction}`);
  }
  if (count < 2) throw new DataError(`[splitOff] ${name}: at least 2 images are needed to split, got ${count}`);
  const size = Math.min(count - 1, Math.max(1, Math.round(fraction * count)));
  const order = new Random(seed, 0x5b11).permutation(count);
  return { part: order.slice(0, size).sort(), rest: order.slice(size).sort() };
}

/** splitIndices() of a data set's images, which keep their order. */
export function splitOff(
  dataset: ImageDataset,
  fraction: number,
  seed: number,
): { rest: ImageDataset; part: ImageDataset } {
  const { rest, part } = splitIndices(dataset.name, dataset.count, fraction, seed);
  return { rest: select(dataset, rest), part: select(dataset, part) };
}
