// What the recipes of paper 003 share: faces of several people in two halves without a common person (SPI), their LPQ and PHOG
// components, and the paper's table of rates by class. Called by featuresMlp.ts, removal.ts, sfewCnn.ts and others.
// The rule easy to break: PCA and the standardizer see the training half only, and the test half has no wrong labels.
import { syntheticFaces } from '../data/synthetic';
import { type DataSplits, type FeatureDataset, type ImageDataset, merge, select, withChannels } from '../data/types';
import { type Fold, kFold, twoFoldSpi } from '../evaluation/folds';
import { type ExperimentSummary, type FoldResult, summarizeRuns } from '../evaluation/summary';
import type { Table } from '../evaluation/tables';
import { describeImages, featureDataset, joinColumns, lpq, type Matrix, Pca, phog, Standardizer } from '../features';
import { faces } from './data';
import type { PaperClasses } from './papers';
import type { Scale } from './recipe';
import type { RecipeRun } from './run';
import type { TrialResult } from './trial';

/** SFEW has 675 images of 95 people. */
const COUNT = { smoke: 42, small: 672, full: 675 };
const PER_SUBJECT = 7;
/** Five components hold light and pose where those vary much, and no expression (docs/features.md). */
const MILD = { light: 0.3, pose: 0.3, occlusion: 0 };
/** Components of LPQ and of PHOG in the paper. */
const COMPONENTS = [5, 5] as const;
/** As many as hold the expression too. */
export const MORE_COMPONENTS: Readonly<Record<Scale, readonly [number, number]>> = {
  smoke: [4, 4],
  small: [60, 20],
  full: [60, 20],
};

/** Rows that PCA sees at most; its time grows with their third power, to minutes for 3,000. */
const FITTED = 1024;

export interface Half<T> {
  readonly train: T;
  readonly test: T;
  /** Whether the label of a training sample was drawn wrong; false where nobody knows. */
  readonly wrong: readonly boolean[];
}

/** Grey version of colour images, for descriptors: the mean of the channels. */
function grey(data: ImageDataset): ImageDataset {
  const { channels, count, height, width } = data;
  if (channels === 1) return data;
  const images = new Uint8Array(count * height * width);
  for (let pixel = 0; pixel < images.length; pixel += 1) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel += 1) sum += data.images[pixel * channels + channel]!;
    images[pixel] = Math.round(sum / channels);
  }
  return { ...data, images, channels: 1 };
}

/** All faces with the labels to train on, and the same with those to test on; where they were drawn, what the report is to say. */
async function labelledTwice(
  run: RecipeRun,
  labelNoise: number,
  channels: 1 | 3 | undefined,
): Promise<{ noisy: ImageDataset; clean: ImageDataset; drawn?: Pick<DataSplits, 'source' | 'notes'> }> {
  const count = run.at(COUNT);
  if (run.options.data !== undefined) {
    const whole = { train: Number.POSITIVE_INFINITY, test: Number.POSITIVE_INFINITY };
    const counts = { smoke: { train: count, test: count }, small: whole, full: whole };
    const { train, test } = await faces(run, { counts, channels });
    const all = merge([train, test], train.name);
    return { noisy: all, clean: all };
  }
  const shared = { count, seed: run.seed, perSubject: PER_SUBJECT, shares: [1, 1, 1, 1, 1, 1, 1], ...MILD };
  const draw = async (noise: number): Promise<ImageDataset> =>
    withChannels(await syntheticFaces({ ...shared, labelNoise: noise }), channels ?? 1);
  const [noisy, clean] = [await draw(labelNoise), await draw(0)];
  const notes = [
    'light and pose vary little, nothing is in front',
    `${PER_SUBJECT} images of each person, two halves without a common person`,
    `${(100 * labelNoise).toFixed(0)} % of the labels wrong in training, none in testing`,
  ];
  return { noisy, clean, drawn: { source: `generator (seed ${run.seed})`, notes } };
}

function halvesOf(run: RecipeRun, data: ImageDataset): Fold[] {
  if (data.groups) return twoFoldSpi(data, run.seed);
  run.text('The data does not say whom an image shows, so the halves are cut by class only and may share people.');
  return kFold(data, { folds: 2, seed: run.seed, stratified: true });
}

/** The two halves, each to train on and to test on once; of so many channels, or as the data has them. */
export async function twoHalves(run: RecipeRun, labelNoise: number, channels?: 1 | 3): Promise<Half<ImageDataset>[]> {
  run.stage('drawing faces');
  const { noisy, clean, drawn } = await labelledTwice(run, labelNoise, channels);
  const halves = halvesOf(run, clean).map(({ train, test }, fold) => ({
    train: select(noisy, train, `half ${fold + 1}`),
    test: select(clean, test, `half ${2 - fold}`),
    wrong: Array.from(train, (index) => noisy.labels[index] !== clean.labels[index]),
  }));
  if (drawn) run.uses({ ...drawn, train: halves[0]!.train, test: halves[0]!.test });
  return halves;
}

export interface Features {
  readonly raw: Half<FeatureDataset>;
  readonly standardised: Half<FeatureDataset>;
}

function firstRows(rows: Matrix, most: number): Matrix {
  const count = Math.min(most, rows.rows);
  return { ...rows, rows: count, data: rows.data.subarray(0, count * rows.columns) };
}

/**
 * Components of LPQ and of PHOG for each half, five and five as in paper 003 (section 2.1) unless told, as they come out and
 * standardised.
 */
export async function handMadeFeatures(
  run: RecipeRun,
  half: Half<ImageDataset>,
  components: readonly [number, number] = COMPONENTS,
): Promise<Features> {
  const blocks = run.at({ smoke: [1, 1] as const, small: [4, 4] as const, full: [4, 4] as const });
  const descriptors = [lpq({ window: 7, blocks }), phog({ levels: 3, bins: 8, range: 360 })];
  const parts: { train: Matrix; test: Matrix }[] = [];
  for (const [index, descriptor] of descriptors.entries()) {
    run.stage(`describing faces by ${['LPQ', 'PHOG'][index]}`);
    const job = { signal: run.options.signal };
    const train = await describeImages(grey(half.train), descriptor, job);
    const test = await describeImages(grey(half.test), descriptor, job);
    const pca = Pca.fit(firstRows(train, FITTED), components[index]!);
    parts.push({ train: pca.transform(train), test: pca.transform(test) });
  }
  const joined = (part: 'train' | 'test'): Matrix => joinColumns(parts.map((one) => one[part]));
  const [train, test] = [joined('train'), joined('test')];
  const standardizer = Standardizer.fit(train);
  const made = (trainRows: Matrix, testRows: Matrix): Half<FeatureDataset> => ({
    train: featureDataset(half.train, trainRows),
    test: featureDataset(half.test, testRows),
    wrong: half.wrong,
  });
  return { raw: made(train, test), standardised: made(standardizer.transform(train), standardizer.transform(test)) };
}

/** Results of both halves and all seeds, which stand in `results` half by half for each seed. */
export function summarizeHalves(results: readonly TrialResult[], seeds: readonly number[]): ExperimentSummary {
  const folds = results.map(({ metrics }, index): FoldResult => {
    return { seed: seeds[Math.floor(index / 2)]!, fold: index % 2, metrics };
  });
  return summarizeRuns(folds);
}

/** Rows of paper 003's Table 1: precision, recall and specificity by class, here and in the paper. */
export function ratesTable(
  systems: readonly { name: string; summary: ExperimentSummary; paper?: PaperClasses }[],
): Table {
  const classes = systems[0]!.summary.classes.map(({ name }) => name);
  const scores = ['precision', 'recall', 'specificity'] as const;
  return {
    columns: [
      { name: 'system', kind: 'text' },
      { name: 'rate', kind: 'text' },
      ...classes.map((name) => ({ name, kind: 'percent', digits: 0 }) as const),
      { name: 'accuracy', kind: 'spread' },
    ],
    rows: systems.flatMap(({ name, summary, paper }) => [
      ...scores.map((score, index) => [
        ...[name, score, ...summary.classes.map((one) => one[score].mean)],
        index === 0 ? summary.seeds.accuracy : null,
      ]),
      ...(paper && classes.length === paper.recall.length
        ? scores.map((score, index) => [
            ...[`paper: ${name}`, score, ...paper[score]],
            index === 0 ? { mean: paper.accuracy, deviation: Number.NaN, count: 1 } : null,
          ])
        : []),
    ]),
  };
}
