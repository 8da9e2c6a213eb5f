// What the recipes of MFF-CNN (paper 004) share: faces of six expressions at 60x60, its folds and its schedule. Called by
// mffCnn.ts, mffAblations.ts and mffGradCam.ts. The rule easy to break: the paper cuts its folds at random, so that frames of
// one person lie on both sides; folds by person are the fair ones, and both are reported.
import { type ImageDataset, select } from '../data/types';
import { type Fold, kFold } from '../evaluation/folds';
import type { FoldResult } from '../evaluation/summary';
import { type ModelFunction, models } from '../models';
import { augmentationOf } from '../train/config';
import { allFaces, type Counts } from './data';
import type { Scale } from './recipe';
import type { RecipeRun } from './run';
import type { TrialResult } from './trial';

const PER_SUBJECT = 10;
const SIDE = { smoke: 40, small: 60, full: 60 };
const BATCH = { smoke: 12, small: 100, full: 100 };
/** 25 on CK+, 40 on the others. */
const EPOCHS = { smoke: 1, small: 20, full: 40 };
const COUNTS: Readonly<Record<Scale, Counts>> = {
  smoke: { train: 30, test: 10 },
  small: { train: 400, test: 100 },
  full: { train: 1300, test: 140 },
};

export type MffName = 'mffCnn' | 'mffCnnUnselected' | 'mffCnnHighLevel' | 'mffCnnConcatenated';

export async function mffFaces(run: RecipeRun): Promise<ImageDataset> {
  const whole = { train: Number.POSITIVE_INFINITY, test: Number.POSITIVE_INFINITY };
  const given = run.options.data !== undefined && run.options.scale !== 'smoke';
  const counts = given ? { ...COUNTS, small: whole, full: whole } : COUNTS;
  const data = await allFaces(run, { counts, perSubject: PER_SUBJECT, neutral: false, size: [60, 60] });
  const { length } = data.classes;
  if (length !== 6)
    run.text(`The data has ${length} classes and not the paper’s six, so its rates by class are left out.`);
  return data;
}

/** Ten folds at scale small and full. */
export function mffFolds(run: RecipeRun, data: ImageDataset, folds: number, grouped: boolean): Fold[] {
  return kFold(data, { folds, seed: run.seed, stratified: grouped, grouped });
}

/** Section 4.2. With channels as narrow as ours the rectifiers of both branches die at it within five epochs. */
export const PRINTED_RATE = 0.01;
export const MFF_RATE = 0.002;

export interface MffTraining {
  readonly key: string;
  readonly name: MffName;
  /** MFF_RATE unless told. */
  readonly lr?: number;
  readonly keepWeights?: boolean;
}

/** One network on one fold, as section 4.2 has it but for the rate: Adam, lr x 0.93^floor(epoch / 3), batches of 100. */
export function trainMff(run: RecipeRun, data: ImageDataset, fold: Fold, training: MffTraining): Promise<TrialResult> {
  const { key, name, lr = MFF_RATE, keepWeights = false } = training;
  const [train, test] = [select(data, fold.train), select(data, fold.test)];
  const batch = Math.min(run.at(BATCH), train.count);
  const epochs = run.at(EPOCHS);
  const side = run.at(SIDE);
  // JAFFE alone is augmented. Here the copies of an image stay in its part, in the paper they are samples of their own.
  const augmentation = augmentationOf(/^jaffe:/.test(run.options.data ?? '') ? 'jaffe' : 'none');
  const stepsPerEpoch = Math.floor((train.count * (augmentation.variants?.length ?? 1)) / batch);
  return run.train({
    ...{ key, model: models[name] as ModelFunction, network: name, objective: 'bp' as const, train, test },
    ...{ input: [side, side] as const, epochs, batch, lr, seed: run.seed, testEvery: 5, keepWeights },
    more: { schedule: { kind: 'step', every: 3 * stepsPerEpoch, factor: 0.93 }, augmentation },
  });
}

export function foldResults(run: RecipeRun, results: readonly TrialResult[]): FoldResult[] {
  return results.map(({ metrics }, fold) => ({ seed: run.seed, fold, metrics }));
}
