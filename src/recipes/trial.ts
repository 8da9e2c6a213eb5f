// One network trained once: what every recipe repeats with other settings. Called through RecipeRun.train(). A trial's result
// is a JSON file, so a run that was stopped goes on with the trials it lacks, and with the epoch a long one was in.
// The rule easy to break: whatever changes a result must enter `identity`, or an old result is taken for a new one.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Dataset, hasRows, pixelStatistics, select } from '../data/types';
import { DataError, DivergedError } from '../errors';
import type { TensorData } from '../graph/graph';
import type { ModelFunction } from '../models';
import { OBJECTIVE_DEFAULTS, type ObjectiveName, type ObjectiveOptions } from '../objectives/options';
import { writeWhole } from '../report/log';
import { type OutlierRemoval, outlierRemoval } from '../train/callbacks';
import type { Weights } from '../train/compileModel';
import type { DistributionRemovalOptions, RemovalRecord } from '../train/distributionRemoval';
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
  /** Means over the epoch's steps; null where the loss was lost at its first. */
  readonly loss: number | null;
  readonly trainAccuracy: number | null;
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
  /** At which step and why training ended before its time; null when it did not. The metrics are then those of what that step left. */
  readonly diverged: string | null;
  /** Of all steps together, and of a step in the fastest second or, where all took less than one, in the mean. */
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

/** Seconds of training between two looks at its pace. */
const PACE_SECONDS = 1;

const hashes = new WeakMap<object, string>();

/** SHA-256 over what `of` is made of, once for each. */
function hashOf(of: object, parts: () => Iterable<string | TensorData>): string {
  const known = hashes.get(of);
  if (known) return known;
  const hash = createHash('sha256');
  for (const part of parts()) hash.update(part);
  const made = hash.digest('hex').slice(0, 16);
  hashes.set(of, made);
  return made;
}

/** A data set's numbers and labels. */
const dataHash = (data: Dataset): string => hashOf(data, () => [hasRows(data) ? data.rows : data.images, data.labels]);

/** Names, shapes and numbers, whatever order they are listed in. */
const weightsHash = (weights: Weights): string =>
  hashOf(weights, () =>
    Object.keys(weights)
      .sort()
      .flatMap((name) => {
        const { shape, data } = weights[name]!;
        return [`${name} ${shape.join('x')} `, data as TensorData];
      }),
  );

function objectiveOf({ objective }: Trial): ObjectiveOptions {
  return typeof objective === 'string' ? { ...OBJECTIVE_DEFAULTS, name: objective } : objective;
}

function identityOf(trial: Trial): string {
  const { network, input, pixels, epochs, batch, lr, seed, more, removal, testEvery, errorsAt, init } = trial;
  const training = { epochs, batch, lr, seed, more, removal, testEvery, errorsAt };
  const start = init && { init: [init.of, weightsHash(init.weights)] };
  const settings = { network, input, pixels, ...training, ...start };
  const data = [dataHash(trial.train), dataHash(trial.test)];
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
  /** Seconds a step, of every second or so of training; and the steps since the last one. */
  readonly paces: number[];
  recent: { steps: number; seconds: number };
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
  try {
    const state = await beginning(trial, options, identity, trainer, removal);
    return { trial, options, trainer, removal, state, paces: [], recent: { steps: 0, seconds: 0 } };
  } catch (error) {
    trainer.dispose();
    throw error;
  }
}

/** Brings the trainer to where the trial was left, or to its start. */
async function beginning(
  trial: Trial,
  options: TrialOptions,
  identity: string,
  trainer: Trainer,
  removal: OutlierRemoval | undefined,
): Promise<Progressed> {
  const path = file(options, trial, '.partial.safetensors');
  if (options.resume && existsSync(path)) {
    const { tensors, metadata } = await loadSafetensors(path, { requireChecksum: true });
    const saved = JSON.parse(metadata.trial ?? '{}') as Partial<Progressed>;
    if (saved.identity === identity) {
      const state = saved as Progressed;
      if (removal && state.removal !== null) await removal.resume(state.removal, trainer);
      await trainer.writeState(tensors as Parameters<Trainer['writeState']>[0]);
      return state;
    }
  }
  if (trial.init) await transferWeights(trainer, trial.init.weights);
  return {
    ...{ identity, losses: [], accuracies: [], epochs: [], errors: {} },
    ...{ removal: null, seconds: 0, stopped: false, diverged: null },
  };
}

/** null, which JSON keeps, without values. */
const meanOf = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Trains for an epoch. Where the loss becomes infinite or no number, that is the trial's result and not a failure. */
async function trainEpoch(running: Running, epoch: number): Promise<void> {
  const { state } = running;
  const before = state.losses.length;
  try {
    await takeSteps(running, epoch);
  } catch (error) {
    if (!(error instanceof DivergedError)) throw error;
    state.diverged = `at step ${state.losses.length + 1}, ${error.message}`;
    state.stopped = true;
  }
  state.epochs.push({
    ...{ epoch, step: state.losses.length, testAccuracy: null },
    loss: meanOf(state.losses.slice(before)),
    trainAccuracy: meanOf(state.accuracies.slice(before)),
  });
}

/** One by one, so that where a loss is lost, and what is left then, never hangs on how fast the machine is. */
async function takeSteps(running: Running, epoch: number): Promise<void> {
  const { trial, options, trainer, state, paces } = running;
  const { stepsPerEpoch } = trainer;
  for (let done = 1; done <= stepsPerEpoch; done += 1) {
    const started = performance.now();
    const { losses, accuracy } = await trainer.run(1, options.signal ? { signal: options.signal } : {});
    const seconds = (performance.now() - started) / 1000;
    // The classifier is the last unit.
    state.losses.push(losses.at(-1)!);
    state.accuracies.push(accuracy[0]!);
    state.seconds += seconds;
    const recent = { steps: running.recent.steps + 1, seconds: running.recent.seconds + seconds };
    const full = recent.seconds >= PACE_SECONDS;
    running.recent = full ? { steps: 0, seconds: 0 } : recent;
    if (full) paces.push(recent.seconds / recent.steps);
    if (!full && done > 1 && done < stepsPerEpoch) continue;
    const left = (trial.epochs - epoch) * stepsPerEpoch + stepsPerEpoch - done;
    options.onProgress({
      ...{ key: trial.key, epoch, epochs: trial.epochs, step: state.losses.length },
      ...{ loss: losses.at(-1)!, accuracy: accuracy[0]! },
      imagesPerSecond: (recent.steps * trainer.batch) / recent.seconds,
      etaSeconds: (left * recent.seconds) / recent.steps,
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

/** Of the fastest second: other work on the machine makes the others slower. */
function secondsPerStep({ paces, state }: Running): number {
  return paces.length > 0 ? Math.min(...paces) : state.seconds / Math.max(1, state.losses.length);
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
