// One network trained once: what every recipe repeats with other settings. Called through RecipeRun.train(). A trial's result
// is a JSON file, so a run that was stopped goes on with the trials it lacks, and with the epoch a long one was in.
// The rule easy to break: whatever changes a result must enter `identity`, or an old result is taken for a new one.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Dataset, hasRows, pixelStatistics, select } from '../data/types';
import { DataError, DivergedError } from '../errors';
import type { ModelFunction } from '../models';
import { OBJECTIVE_DEFAULTS, type ObjectiveName, type ObjectiveOptions } from '../objectives/options';
import { writeWhole } from '../report/log';
import { type OutlierRemoval, outlierRemoval } from '../train/callbacks';
import type { Weights } from '../train/compileModel';
import type { DistributionRemovalOptions, RemovalRecord } from '../train/distributionRemoval';
import { runSteps } from '../train/epoch';
import type { NetworkSpec } from '../train/evaluator';
import { evaluate, type Metrics } from '../train/metrics';
import { loadSafetensors, saveSafetensors } from '../train/safetensors';
import { Trainer, type TrainerOptions } from '../train/trainer';
import { transferWeights } from '../train/transfer';

export interface Trial {
  /** Unique in its recipe and a file's name: cfpn-bp-seed1. */
  readonly key: string;
  readonly model: ModelFunction;
  /** What the model is, in words that change when it does: its name and options. */
  readonly network: string;
  readonly objective: ObjectiveName | ObjectiveOptions;
  readonly train: Dataset;
  readonly test: Dataset;
  /** Sides the network reads images at; their own when absent. */
  readonly input?: readonly [number, number];
  /** Mean and deviation of pixels in 0..1 that the weights to start from want; those of the training part when absent. */
  readonly pixels?: { readonly mean: readonly number[]; readonly std: readonly number[] };
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
  readonly seed: number;
  readonly more?: Pick<
    TrainerOptions,
    'optimizer' | 'momentum' | 'schedule' | 'freeze' | 'rates' | 'augmentation' | 'weightDecay'
  >;
  /** Weights to start from, but for the classifier, and what they are. */
  readonly init?: { readonly weights: Weights; readonly of: string };
  readonly removal?: DistributionRemovalOptions;
  /** Epochs between two looks at the test part; 1. The last epoch is always looked at. */
  readonly testEvery?: number;
  /** Epochs, from 1, whose training errors are kept, sample by sample; and the one at which removal ends training. */
  readonly errorsAt?: readonly number[];
  /** Keep the weights beside the result. */
  readonly keepWeights?: boolean;
}

export interface TrialEpoch {
  readonly epoch: number;
  readonly step: number;
  /** Means over the epoch's steps. */
  readonly loss: number;
  readonly trainAccuracy: number;
  /** null where the test part was not looked at. */
  readonly testAccuracy: number | null;
}

export interface TrialResult {
  readonly key: string;
  readonly identity: string;
  /** The classifier's cross-entropy and the share of the batch it got right, step by step. */
  readonly losses: readonly number[];
  readonly accuracies: readonly number[];
  readonly epochs: readonly TrialEpoch[];
  /** On the test part, after the last epoch. */
  readonly metrics: Metrics;
  readonly parameters: number;
  /** Bytes of intermediate results in a step, and of parameters, moments and statistics. */
  readonly arenaBytes: number;
  readonly persistentBytes: number;
  readonly removal: readonly RemovalRecord[];
  /** Indices of the training samples that were removed, ascending. */
  readonly removed: readonly number[];
  /** Cross-entropies of the samples then in training, by epoch, before the removal after it. */
  readonly errors: Readonly<Record<string, readonly number[]>>;
  /** Why training ended before its time; null when it did not. The metrics are then those of what was left. */
  readonly diverged: string | null;
  /** Of all steps together, and of a step in the fastest second. */
  readonly timing: { readonly seconds: number; readonly secondsPerStep: number };
}

export interface TrialProgress {
  readonly key: string;
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly imagesPerSecond: number;
  readonly etaSeconds: number;
}

export interface TrialOptions {
  /** Where results are kept. */
  readonly folder: string;
  /** Take a result of the same trial that is there already. */
  readonly resume: boolean;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Seconds of training after which an epoch's end is saved, so that a long trial can go on; 60. */
  readonly saveSeconds?: number;
  onProgress(progress: TrialProgress): void;
}

const SAVE_SECONDS = 60;

const hashes = new WeakMap<object, string>();

/** SHA-256 over a data set's numbers and labels, once for each. */
function hashOf(data: Dataset): string {
  const known = hashes.get(data);
  if (known) return known;
  const values = hasRows(data) ? data.rows : data.images;
  const hash = createHash('sha256');
  for (const part of [values, data.labels]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  const made = hash.digest('hex').slice(0, 16);
  hashes.set(data, made);
  return made;
}

function objectiveOf({ objective }: Trial): ObjectiveOptions {
  return typeof objective === 'string' ? { ...OBJECTIVE_DEFAULTS, name: objective } : objective;
}

function identityOf(trial: Trial): string {
  const { network, input, pixels, epochs, batch, lr, seed, more, removal, testEvery, errorsAt, init } = trial;
  const training = { epochs, batch, lr, seed, more, removal, testEvery, errorsAt, init: init?.of };
  const settings = { network, input, pixels, ...training };
  const data = [hashOf(trial.train), hashOf(trial.test)];
  return createHash('sha256')
    .update(JSON.stringify({ ...settings, objective: objectiveOf(trial), data }))
    .digest('hex')
    .slice(0, 16);
}

function specOf({ train, input, pixels }: Trial): NetworkSpec {
  const classes = train.classes.length;
  if (hasRows(train)) return { classes, input: [1, 1, train.columns], mean: [0], std: [1] };
  const [height, width] = input ?? [train.height, train.width];
  return { classes, input: [height, width, train.channels], ...(pixels ?? pixelStatistics(train)) };
}

/** What an unfinished trial has so far; plain JSON. */
interface Progressed {
  identity: string;
  losses: number[];
  accuracies: number[];
  epochs: TrialEpoch[];
  errors: Record<string, number[]>;
  removal: unknown;
  seconds: number;
  stopped: boolean;
  diverged: string | null;
}

interface Running {
  readonly trial: Trial;
  readonly options: TrialOptions;
  readonly trainer: Trainer;
  readonly removal: OutlierRemoval | undefined;
  readonly state: Progressed;
  /** What each chunk took. */
  readonly paces: { steps: number; seconds: number }[];
}

const file = (options: TrialOptions, trial: Trial, end: string): string => join(options.folder, `${trial.key}${end}`);

async function openTrial(trial: Trial, options: TrialOptions, identity: string): Promise<Running> {
  const { model, train, batch, lr, seed, more = {} } = trial;
  const trainer = new Trainer({
    ...{ model, spec: specOf(trial), data: train, objective: objectiveOf(trial), batch, seed, lr },
    ...more,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  const removal = trial.removal && outlierRemoval(train.count, trial.removal);
  let state: Progressed = {
    ...{ identity, losses: [], accuracies: [], epochs: [], errors: {} },
    ...{ removal: null, seconds: 0, stopped: false, diverged: null },
  };
  const path = file(options, trial, '.partial.safetensors');
  if (options.resume && existsSync(path)) {
    const { tensors, metadata } = await loadSafetensors(path, { requireChecksum: true });
    const saved = JSON.parse(metadata.trial ?? '{}') as Partial<Progressed>;
    if (saved.identity === identity) {
      state = saved as Progressed;
      if (removal && state.removal !== null) await removal.resume(state.removal, trainer);
      await trainer.writeState(tensors as Parameters<Trainer['writeState']>[0]);
      return { trial, options, trainer, removal, state, paces: [] };
    }
  }
  if (trial.init) await transferWeights(trainer, trial.init.weights);
  return { trial, options, trainer, removal, state, paces: [] };
}

/** The classifier's loss of each step: the last unit's. */
function classifierLosses(losses: Float32Array, units: number): number[] {
  return Array.from({ length: losses.length / units }, (_, step) => losses[(step + 1) * units - 1]!);
}

/** NaN without values. */
const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Trains for an epoch. Where the loss becomes infinite or no number, that is the trial's result and not a failure. */
async function trainEpoch(running: Running, epoch: number): Promise<void> {
  const { state } = running;
  const before = state.losses.length;
  try {
    await takeSteps(running, epoch);
  } catch (error) {
    if (!(error instanceof DivergedError)) throw error;
    state.diverged = error.message;
    state.stopped = true;
  }
  state.epochs.push({
    ...{ epoch, step: state.losses.length, testAccuracy: null },
    loss: meanOf(state.losses.slice(before)),
    trainAccuracy: meanOf(state.accuracies.slice(before)),
  });
}

async function takeSteps(running: Running, epoch: number): Promise<void> {
  const { trial, options, trainer, state, paces } = running;
  const before = state.losses.length;
  const left = (trial.epochs - epoch) * trainer.stepsPerEpoch;
  for await (const { result, seconds } of runSteps(trainer, trainer.stepsPerEpoch, { signal: options.signal })) {
    state.losses.push(...classifierLosses(result.losses, trainer.unitNames.length));
    state.accuracies.push(...result.accuracy);
    state.seconds += seconds;
    paces.push({ steps: result.steps, seconds });
    const done = state.losses.length - before;
    options.onProgress({
      ...{ key: trial.key, epoch, epochs: trial.epochs, step: state.losses.length },
      loss: state.losses.at(-1)!,
      accuracy: result.accuracy.at(-1)!,
      imagesPerSecond: (result.steps * trainer.batch) / seconds,
      etaSeconds: ((left + trainer.stepsPerEpoch - done) * seconds) / result.steps,
    });
  }
}

/** Looks at training errors and at the test part where it is due, and asks the removal of outliers. */
async function endEpoch(running: Running, epoch: number): Promise<void> {
  const { trial, options, trainer, removal, state } = running;
  const signal = options.signal ? { signal: options.signal } : {};
  const look = async (): Promise<void> => {
    const errors = await trainer.errors(select(trial.train, trainer.samples), signal);
    state.errors[epoch] = Array.from(errors, (value) => Number(value.toPrecision(6)));
  };
  if (trial.errorsAt?.includes(epoch)) await look();
  const verdict = await removal?.afterEpoch({ epoch, trainer, data: trial.train, signal: options.signal });
  state.stopped = verdict?.stop ?? false;
  if (trial.errorsAt && state.stopped) await look();
  if (epoch % (trial.testEvery ?? 1) !== 0) return;
  const called = await trainer.predict(trial.test, signal);
  const hits = called.filter((label, index) => label === trial.test.labels[index]).length;
  state.epochs[state.epochs.length - 1] = { ...state.epochs.at(-1)!, testAccuracy: hits / trial.test.count };
}

async function savePartial(running: Running): Promise<void> {
  const { trial, options, trainer, removal, state } = running;
  const saved = { ...state, removal: removal ? removal.state : null };
  const path = file(options, trial, '.partial.safetensors');
  await saveSafetensors(path, await trainer.readState(), { trial: JSON.stringify(saved) });
}

/**
 * Of the fastest chunk, about a second long: other work on the machine makes the others slower. The first chunk is one step and
 * warms up, so it counts only where there is no other.
 */
function secondsPerStep({ paces, state }: Running): number {
  if (paces.length === 0) return state.seconds / Math.max(1, state.losses.length);
  const counted = paces.length > 1 ? paces.slice(1) : paces;
  return Math.min(...counted.map(({ steps, seconds }) => seconds / steps));
}

async function resultOf(running: Running): Promise<TrialResult> {
  const { trial, options, trainer, removal, state } = running;
  const { key, test } = trial;
  const predictions = await trainer.predict(test, options.signal ? { signal: options.signal } : {});
  const tensors = trainer.plan.tensors().filter(({ kind }) => kind === 'param');
  const { arenaBytes, persistentBytes } = trainer.plan.describe();
  const { losses, accuracies, epochs, errors, diverged } = state;
  const kept = new Set(trainer.samples);
  const metrics = evaluate(test.labels, predictions, test.classes);
  const measured = epochs.map((one, index) =>
    index === epochs.length - 1 ? { ...one, testAccuracy: metrics.accuracy } : one,
  );
  return {
    ...{ key, identity: state.identity, losses, accuracies },
    epochs: measured,
    metrics,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    ...{ arenaBytes, persistentBytes, errors, diverged },
    removal: removal?.records ?? [],
    removed: Array.from(trial.train.labels.keys()).filter((index) => !kept.has(index)),
    timing: { seconds: state.seconds, secondsPerStep: secondsPerStep(running) },
  };
}

/** A result that is there and of the same trial. */
function knownResult(trial: Trial, options: TrialOptions, identity: string): TrialResult | undefined {
  const path = file(options, trial, '.json');
  if (!options.resume || !existsSync(path)) return undefined;
  if (trial.keepWeights && !existsSync(file(options, trial, '.safetensors'))) return undefined;
  try {
    const result = JSON.parse(readFileSync(path, 'utf8')) as TrialResult;
    return result.identity === identity ? result : undefined;
  } catch (cause) {
    throw new DataError(`[trial] ${path} is not a result of a trial`, { cause });
  }
}

/** Trains the network of a trial, or answers with the result that is there. Rejects as trainer.run() does. */
export async function runTrial(trial: Trial, options: TrialOptions): Promise<TrialResult> {
  const identity = identityOf(trial);
  const known = knownResult(trial, options, identity);
  if (known) return known;
  mkdirSync(options.folder, { recursive: true });
  const running = await openTrial(trial, options, identity);
  const { trainer, state } = running;
  try {
    let saved = state.seconds;
    while (state.epochs.length < trial.epochs && !state.stopped) {
      const epoch = state.epochs.length + 1;
      await trainEpoch(running, epoch);
      if (state.diverged === null) await endEpoch(running, epoch);
      if (state.seconds - saved < (options.saveSeconds ?? SAVE_SECONDS) || epoch === trial.epochs) continue;
      await savePartial(running);
      saved = state.seconds;
    }
    const result = await resultOf(running);
    if (trial.keepWeights) await saveSafetensors(file(options, trial, '.safetensors'), await trainer.readState(), {});
    writeWhole(file(options, trial, '.json'), JSON.stringify(result));
    rmSync(file(options, trial, '.partial.safetensors'), { force: true });
    return result;
  } finally {
    trainer.dispose();
  }
}

/** The weights that a trial with `keepWeights` left. */
export async function weightsOf(key: string, options: Pick<TrialOptions, 'folder'>): Promise<Weights> {
  return (await loadSafetensors(join(options.folder, `${key}.safetensors`))).tensors;
}
