// The data of a recipe: what --data names, or synthetic faces and MNIST in the numbers that its scale wants. Called by the
// recipes. The rule easy to break: data that is not there is never replaced by other data without a word.
import { loadData } from '../data/load';
import { syntheticFaces } from '../data/synthetic';
import { type DataSplits, type ImageDataset, merge, takeFirst, withChannels } from '../data/types';
import { DataError } from '../errors';
import type { Scale } from './recipe';
import type { RecipeRun } from './run';

export interface Counts {
  readonly train: number;
  readonly test: number;
}

export interface FaceOptions {
  /** Images of each part at most; scale full takes all of given data. */
  readonly counts: Readonly<Record<Scale, Counts>>;
  /** Share of wrong labels in the training part; those of the test part are right. 0.04. */
  readonly labelNoise?: number;
  /** Images of one person; 0: everyone is drawn once. */
  readonly perSubject?: number;
  /** Sides of images that come as files, when --input does not say. */
  readonly size?: readonly [number, number];
  /** Channels that the network reads; those of the data when absent. */
  readonly channels?: 1 | 3 | undefined;
  /** Whether the neutral faces belong to it; as the data set has it. */
  readonly neutral?: boolean;
}

/** What scale full takes of given data. */
const ALL: Counts = { train: Number.POSITIVE_INFINITY, test: Number.POSITIVE_INFINITY };
const SYNTHETIC_NOTE = 'synthetic faces: drawings made by a program, not photographs';

/** `limit` of loadData for a count that may be all. */
const limitOf = (count: number): { limit?: number } => (Number.isFinite(count) ? { limit: count } : {});

async function given(run: RecipeRun, spec: string, counts: Counts, options: Partial<FaceOptions>): Promise<DataSplits> {
  const { input, signal } = run.options;
  const size = input ?? options.size;
  const splits = await loadData(spec, {
    ...{ seed: run.seed, signal, ...limitOf(Math.max(counts.train, counts.test)) },
    ...(size ? { size } : {}),
    ...{ channels: options.channels, neutral: options.neutral },
  });
  const part = (data: ImageDataset, count: number): ImageDataset => takeFirst(data, Math.min(count, data.count));
  // What was asked for, and not where this machine keeps it.
  return { ...splits, source: spec, train: part(splits.train, counts.train), test: part(splits.test, counts.test) };
}

/** Without those of the seventh class. */
function sharesOf(neutral: boolean | undefined): { shares?: readonly number[] } {
  return neutral === false ? { shares: [1, 1, 1, 1, 1, 1, 0] } : {};
}

/** The six expressions without the neutral one, as paper 004 has them. */
function sixClasses(data: ImageDataset): ImageDataset {
  return { ...data, classes: data.classes.slice(0, 6) };
}

/** What --data names, or synthetic faces. The report says which. */
export async function faces(run: RecipeRun, options: FaceOptions): Promise<DataSplits> {
  const { data, scale } = run.options;
  const counts = data !== undefined && scale === 'full' ? ALL : run.at(options.counts);
  run.stage('reading data');
  if (data !== undefined) {
    const splits = await given(run, data, counts, options);
    run.uses(splits);
    return splits;
  }
  const { labelNoise = 0.04, perSubject = 0, neutral, channels = 1 } = options;
  const shared = { seed: run.seed, perSubject, ...sharesOf(neutral), signal: run.options.signal };
  const kept = (data: ImageDataset): ImageDataset =>
    withChannels(neutral === false ? sixClasses(data) : data, channels);
  // A wrong label could fall into the class that is left out, so there is no noise then.
  const noise = neutral === false ? 0 : labelNoise;
  const train = await syntheticFaces({ ...shared, count: counts.train, labelNoise: noise });
  const test = await syntheticFaces({ ...shared, count: counts.test, first: counts.train, labelNoise: 0 });
  const wrong = `${(100 * noise).toFixed(0)} % of the training labels wrong, none of the test labels`;
  const source = `generator (seed ${run.seed})`;
  const splits = { train: kept(train), test: kept(test), source, notes: [SYNTHETIC_NOTE, wrong] };
  run.uses(splits);
  return splits;
}

/** All images of faces() as one set, for a cross-validation. */
export async function allFaces(run: RecipeRun, options: FaceOptions): Promise<ImageDataset> {
  const { train, test } = await faces(run, options);
  return merge([train, test], train.name);
}

/** MNIST or Fashion-MNIST; undefined, with a line in the report, where it is not installed or other data is asked for. */
export async function pictures(
  run: RecipeRun,
  spec: 'mnist' | 'fashion-mnist',
  counts: Readonly<Record<Scale, Counts>>,
): Promise<DataSplits | undefined> {
  if (run.options.data !== undefined) return undefined;
  try {
    const splits = await given(run, spec, run.at(counts), {});
    run.uses(splits, spec);
    return splits;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    run.text(`${spec} was left out: ${error.message}`);
    return undefined;
  }
}
