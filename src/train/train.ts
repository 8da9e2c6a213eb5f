// A whole run: data, network, the loop over epochs, checkpoints, log and report. Called by the CLI's `train` and by
// recipes. The rule easy to break: everything that decides the result comes from the step counter in the checkpoint,
// so a resumed run equals an uninterrupted one to the bit.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { loadData } from '../data/load';
import { type DataSplits, type ImageDataset, pixelStatistics } from '../data/types';
import { AbortError, ArgumentError } from '../errors';
import { modelNamed } from '../models';
import type { EndEvent, EpochEvent, Evaluation, TrainEvent } from '../report/events';
import { RunLog, readEvents } from '../report/log';
import { writeReport } from '../report/report';
import { type EpochCallback, outlierRemoval } from './callbacks';
import { loadCheckpoint, type RunState, restore, saveCheckpoint } from './checkpoint';
import { augmentationOf, checkNames, objectiveOf, resolveConfig, scheduleOf, type TrainConfig } from './config';
import { type EpochSums, EpochTotals, mean, runSteps } from './epoch';
import { imageChannels, type NetworkSpec } from './evaluator';
import { collectFeatureMaps } from './featureMaps';
import { evaluate as scores } from './metrics';
import { Trainer } from './trainer';
import { SAMPLES_STEP } from './trainingGraph';
import { startAt, transferWeights } from './transfer';

export interface TrainHooks {
  onEvent(event: TrainEvent): void;
  readonly signal?: AbortSignal;
  /** Called after each epoch and its evaluation, behind the removal of outliers that the settings may ask for. */
  readonly callbacks?: readonly EpochCallback[];
}

export type TrainSettings = Partial<TrainConfig> & Pick<TrainConfig, 'data'>;

/** @param known of the checkpoint to go on from or the run to start from, whose weights want their pixels scaled as they were. */
function networkSpec(config: TrainConfig, data: ImageDataset, known: NetworkSpec | undefined): NetworkSpec {
  const { mean, std } = known?.input[2] === data.channels ? known : pixelStatistics(data);
  const [height, width] = config.input ?? [data.height, data.width];
  return { classes: data.classes.length, input: [height, width, data.channels], mean, std };
}

/** Weights inverse to class frequency with mean 1; a class without samples weighs 1. */
function inverseFrequencies(data: ImageDataset): Float32Array {
  const counts = new Float64Array(data.classes.length);
  for (const label of data.labels) counts[label]! += 1;
  return Float32Array.from(counts, (count) => (count === 0 ? 1 : data.count / (counts.length * count)));
}

function createTrainer(config: TrainConfig, spec: NetworkSpec, data: ImageDataset): Trainer {
  const { batch, seed, lr } = config;
  const augmentation = augmentationOf(config.augment);
  const copies = augmentation.variants?.length ?? 1;
  const stepsPerEpoch = Math.floor((data.count * copies) / batch);
  return new Trainer({
    model: modelNamed(config.model),
    spec,
    data,
    objective: objectiveOf(config),
    batch,
    seed,
    lr,
    optimizer: config.optimizer,
    momentum: config.momentum,
    weightDecay: config.weightDecay,
    schedule: scheduleOf(config, stepsPerEpoch),
    freeze: config.freeze,
    rates: Object.entries(config.rates).map(([name, factor]) => ({ names: [name], factor })),
    augmentation,
    device: config.device,
    precision: config.precision,
    ...(config.classWeights ? { classWeights: inverseFrequencies(data) } : {}),
    ...(config.threads === undefined ? {} : { threads: config.threads }),
  });
}

/** An epoch without what its evaluation adds. */
type EpochSummary = Omit<EpochEvent, 'testAccuracy' | 'validationAccuracy' | 'evaluation'>;

/** What a run's checkpoint holds for the loop. */
interface LoopState extends RunState {
  /** The epoch that is trained but whose evaluation was interrupted: a resumed run evaluates it first. */
  readonly unevaluated?: EpochSummary;
  /** Names of the callbacks that were asked about that epoch. */
  readonly asked?: readonly string[];
  /** Epochs finished, and the step at which the one in progress began. */
  readonly finished?: { readonly epochs: number; readonly step: number };
  /** What the steps of the epoch in progress came to. */
  readonly sums?: EpochSums;
  /** States of the callbacks by name. */
  readonly callbacks?: Readonly<Record<string, unknown>>;
  /** A callback ended the run. */
  readonly stopped?: boolean;
}

/** One run in progress: what the loop's functions share. */
interface Run {
  readonly config: TrainConfig;
  readonly spec: NetworkSpec;
  readonly data: DataSplits;
  readonly trainer: Trainer;
  readonly log: RunLog;
  readonly hooks: TrainHooks;
  readonly callbacks: readonly EpochCallback[];
  step: number;
  best: { accuracy: number; epoch: number };
  unevaluated: EpochSummary | undefined;
  asked: readonly string[];
  finished: { epochs: number; step: number };
  sums: EpochSums | undefined;
  stopped: boolean;
}

function emit(run: Run, event: TrainEvent): void {
  run.log.event(event);
  run.hooks.onEvent(event);
}

function stateOf(run: Run): LoopState {
  const { config, spec, step, best, unevaluated, asked, finished, sums, stopped } = run;
  const callbacks = Object.fromEntries(run.callbacks.map(({ name, state }) => [name, state]));
  const state = { config, spec, classNames: run.data.train.classes, step, best, finished, callbacks, stopped };
  return { ...state, ...(unevaluated ? { unevaluated, asked } : {}), ...(sums ? { sums } : {}) };
}

async function evaluate(run: Run, data: ImageDataset): Promise<Evaluation> {
  const predictions = await run.trainer.predict(data, run.hooks.signal ? { signal: run.hooks.signal } : {});
  return scores(data.labels, predictions, data.classes);
}

function summaryOf(run: Run, epoch: number, totals: EpochTotals): EpochSummary {
  return { event: 'epoch', epoch, step: run.step, ...totals.means(run.trainer) };
}

/** Runs to the end of the current epoch; returns false when the signal stopped it. */
async function runEpoch(run: Run, epoch: number, totals: EpochTotals): Promise<boolean> {
  const { trainer, config, hooks } = run;
  const end = run.finished.step + trainer.stepsPerEpoch;
  const total = end + (config.epochs - epoch - 1) * trainer.stepsPerEpoch;
  try {
    for await (const { result, seconds } of runSteps(trainer, end - run.step, hooks)) {
      const { steps } = result;
      run.step += steps;
      totals.add(result);
      emit(run, {
        event: 'step',
        epoch,
        step: run.step,
        loss: mean(result.losses),
        losses: lastRow(result.losses, trainer.unitNames.length),
        unitNames: trainer.unitNames,
        imagesPerSecond: (steps * trainer.batch) / seconds,
        learningRate: result.learningRate,
        etaSeconds: ((total - run.step) * seconds) / steps,
      });
    }
    return true;
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    run.step += error.completedSteps;
    return false;
  }
}

function lastRow(values: Float32Array, width: number): number[] {
  return Array.from(values.subarray(values.length - width));
}

/**
 * Asks every callback once about an epoch. One that is aborted has changed nothing: after a resume it and those behind it
 * are asked, while what those before it changed is in the checkpoint.
 */
async function callBack(run: Run, epoch: number): Promise<void> {
  const { trainer, hooks, data } = run;
  for (const callback of run.callbacks) {
    if (run.asked.includes(callback.name)) continue;
    const context = { epoch: epoch + 1, trainer, data: data.train, signal: hooks.signal };
    const { stop, note } = await callback.afterEpoch(context);
    run.stopped ||= stop;
    run.asked = [...run.asked, callback.name];
    if (note !== undefined) emit(run, { event: 'note', text: note });
  }
}

async function finishEpoch(run: Run, summary: EpochSummary): Promise<true> {
  const { data, config } = run;
  const { epoch } = summary;
  const validation = data.validation ? await evaluate(run, data.validation) : undefined;
  const test = await evaluate(run, data.test);
  await callBack(run, epoch);
  // The event goes first: a resume drops events that are newer than the checkpoint, but cannot make up a missing one.
  emit(run, {
    ...summary,
    testAccuracy: test.accuracy,
    ...(validation ? { validationAccuracy: validation.accuracy } : {}),
    evaluation: test,
  });
  run.unevaluated = undefined;
  run.asked = [];
  run.finished = { epochs: epoch + 1, step: run.step };
  // Without a validation split the newest weights count as best: choosing by test accuracy would leak it.
  if (!validation || validation.accuracy > run.best.accuracy) {
    run.best = { accuracy: validation?.accuracy ?? 0, epoch };
    await saveCheckpoint(join(config.out, 'best.safetensors'), run.trainer, stateOf(run));
  }
  await saveCheckpoint(join(config.out, 'last.safetensors'), run.trainer, stateOf(run));
  return true;
}

function callbacksOf(config: TrainConfig, data: ImageDataset, hooks: TrainHooks): EpochCallback[] {
  const { removeFrom: startEpoch, removeEvery: every, removeAlpha: alpha } = config;
  const removal = startEpoch === 0 ? [] : [outlierRemoval(data.count, { startEpoch, every, alpha })];
  return [...removal, ...(hooks.callbacks ?? [])];
}

/** What a new run removes of an earlier one in its folder, whose settings it replaces: no one is to take them for its own. */
const OUTCOMES = ['best.safetensors', 'last.safetensors', 'report.html'];

/** Opens or resumes the run's folder. */
async function openRun(config: TrainConfig, hooks: TrainHooks): Promise<Run> {
  const last = join(config.out, 'last.safetensors');
  const saved = config.resume && existsSync(last) ? await loadCheckpoint(last) : undefined;
  if (saved) checkResumable(last, resolveConfig(saved.state.config), config);
  const start = saved || config.init === undefined ? undefined : await startAt(config.init);
  const known = saved?.state.spec ?? start?.spec;
  const { seed, limit, input: size } = config;
  const channels = config.channels ?? imageChannels(known);
  const data = await loadData(config.data, { seed, limit, size, channels, signal: hooks.signal });
  const spec = networkSpec(config, data.train, known);
  mkdirSync(config.out, { recursive: true });
  const trainer = createTrainer(config, spec, data.train);
  let log: RunLog | undefined;
  try {
    const state = saved?.state as LoopState | undefined;
    const callbacks = callbacksOf(config, data.train, hooks);
    for (const callback of callbacks) {
      const own = state?.callbacks?.[callback.name];
      if (own !== undefined) await callback.resume(own, trainer);
    }
    if (saved) await restore(last, trainer, saved.tensors);
    else if (start) await transferWeights(trainer, start.weights, { from: config.init! });
    const step = state?.step ?? 0;
    if (!saved) for (const name of OUTCOMES) rmSync(join(config.out, name), { force: true });
    log = new RunLog(config.out, { resume: saved !== undefined, step, args: config });
    const run: Run = {
      ...{ config, spec, data, trainer, log, hooks, callbacks, step },
      best: state?.best ?? { accuracy: -1, epoch: -1 },
      unevaluated: state?.unevaluated,
      asked: state?.asked ?? [],
      finished: state?.finished ?? { epochs: 0, step: 0 },
      sums: state?.sums,
      stopped: state?.stopped ?? false,
    };
    // A resumed run has them in its record.
    const tell = saved ? hooks.onEvent : (event: TrainEvent) => emit(run, event);
    for (const text of data.notes) tell({ event: 'note', text });
    if (config.resume && !saved) emit(run, { event: 'note', text: `no checkpoint in ${config.out}: starting anew` });
    return run;
  } catch (error) {
    closeBoth(log, trainer);
    throw error;
  }
}

function closeBoth(log: RunLog | undefined, trainer: Trainer): void {
  try {
    log?.close();
  } finally {
    trainer.dispose();
  }
}

/** Settings that may change between a run and its resumption: where and how fast. */
const FREE_SETTINGS = new Set(['out', 'resume', 'threads', 'device']);

function checkResumable(path: string, before: TrainConfig, now: TrainConfig): void {
  const plain = (config: TrainConfig): Record<string, unknown> => ({ ...config });
  for (const [key, value] of Object.entries({ ...plain(before), ...plain(now) })) {
    if (FREE_SETTINGS.has(key)) continue;
    const old = plain(before)[key];
    if (JSON.stringify(old) !== JSON.stringify(plain(now)[key])) {
      throw new ArgumentError(
        `[train] ${path} was trained with ${key} ${old}, now ${value}; resume needs the same settings`,
      );
    }
  }
}

/** Test metrics of the best weights. */
async function finalEvaluation(run: Run): Promise<Evaluation> {
  const { trainer } = run;
  const best = join(run.config.out, 'best.safetensors');
  const { tensors } = await loadCheckpoint(best);
  // Weights from before the first removal of samples have no counter of the samples that are left.
  const counter = (await trainer.readState())[SAMPLES_STEP];
  await restore(best, trainer, counter ? { [SAMPLES_STEP]: counter, ...tensors } : tensors);
  return evaluate(run, run.data.test);
}

function endEvent(run: Run, seconds: number, evaluation: Evaluation | undefined): EndEvent {
  const { config } = run;
  const events = readEvents(join(config.out, 'metrics.jsonl'));
  const epochs = events.filter((event) => event.event === 'epoch');
  const images = epochs.reduce((sum, event) => sum + event.imagesPerSecond * event.seconds, 0);
  const busy = epochs.reduce((sum, event) => sum + event.seconds, 0);
  const last = events.findLast((event) => event.event === 'epoch' || event.event === 'step');
  return {
    event: 'end',
    epoch: run.finished.epochs,
    step: run.step,
    loss: last?.loss ?? 0,
    run: config.out,
    seconds,
    imagesPerSecond: busy > 0 ? images / busy : 0,
    interrupted: evaluation === undefined,
    ...(evaluation ? { testAccuracy: evaluation.accuracy, evaluation } : {}),
  };
}

function labelCounts(data: DataSplits): Record<string, number[]> {
  const splits: [string, ImageDataset | undefined][] = [
    ['train', data.train],
    ['validation', data.validation],
    ['test', data.test],
  ];
  return Object.fromEntries(
    splits.flatMap(([name, split]) => {
      if (!split) return [];
      const counts = split.classes.map(() => 0);
      for (const label of split.labels) counts[label]! += 1;
      return [[name, counts]];
    }),
  );
}

async function report(run: Run, evaluation: Evaluation): Promise<void> {
  const { config, data, trainer, spec } = run;
  const { maps, sample } = await collectFeatureMaps(modelNamed(config.model), spec, trainer, data.test);
  await writeReport(config.out, {
    events: readEvents(join(config.out, 'metrics.jsonl')),
    config: { ...config },
    evaluation,
    classes: data.train.classes,
    labelCounts: labelCounts(data),
    featureMaps: maps,
    sample,
    source: data.source,
    synthetic: data.train.synthetic,
  });
}

/** What `work` answers, or undefined when the signal stopped it. */
async function unlessAborted<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AbortError) return undefined;
    throw error;
  }
}

/** Saves what a resumed run goes on from. */
async function saveInterrupted(run: Run): Promise<void> {
  await saveCheckpoint(join(run.config.out, 'last.safetensors'), run.trainer, stateOf(run));
}

/** Evaluates an epoch; false when the signal stopped it, with the state saved. It changes no weight. */
async function evaluateEpoch(run: Run, summary: EpochSummary): Promise<boolean> {
  if (await unlessAborted(finishEpoch(run, summary))) return true;
  run.unevaluated = summary;
  await saveInterrupted(run);
  return false;
}

/** The epochs that are left; false when the signal stopped them, with the state saved. */
async function runEpochs(run: Run): Promise<boolean> {
  if (run.unevaluated && !(await evaluateEpoch(run, run.unevaluated))) return false;
  while (run.finished.epochs < run.config.epochs && !run.stopped) {
    const epoch = run.finished.epochs;
    const totals = new EpochTotals(run.sums);
    if (!(await runEpoch(run, epoch, totals))) {
      run.sums = totals.sums;
      await saveInterrupted(run);
      return false;
    }
    run.sums = undefined;
    if (!(await evaluateEpoch(run, summaryOf(run, epoch, totals)))) return false;
  }
  return true;
}

/**
 * Trains as `settings` say and leaves args.json, metrics.csv, metrics.jsonl, last.safetensors, best.safetensors and
 * report.html in the run's folder. When the signal fires the step in progress is finished, the state saved and the
 * result marked `interrupted`; it then has no evaluation and no report.
 */
export async function train(settings: TrainSettings, hooks: TrainHooks): Promise<EndEvent> {
  checkNames(settings);
  const config = resolveConfig(settings);
  const started = performance.now();
  const run = await openRun(config, hooks);
  try {
    const evaluation = (await runEpochs(run)) ? await unlessAborted(finalEvaluation(run)) : undefined;
    const end = endEvent(run, (performance.now() - started) / 1000, evaluation);
    emit(run, end);
    if (evaluation) await report(run, evaluation);
    return end;
  } finally {
    closeBoth(run.log, run.trainer);
  }
}
