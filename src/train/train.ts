// A whole run: data, network, the loop over epochs, checkpoints, log and report. Called by the CLI's `train` and by
// recipes. The rule easy to break: everything that decides the result comes from the step counter in the checkpoint,
// so a resumed run equals an uninterrupted one to the bit.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { loadData } from '../data/load';
import { type DataSplits, type ImageDataset, pixelStatistics } from '../data/types';
import { AbortError, ArgumentError } from '../errors';
import { modelNamed } from '../models';
import type { EndEvent, EpochEvent, Evaluation, TrainEvent, UnitMetrics } from '../report/events';
import { RunLog, readEvents } from '../report/log';
import { writeReport } from '../report/report';
import { loadCheckpoint, type RunState, restore, saveCheckpoint } from './checkpoint';
import { augmentationOf, objectiveOf, resolveConfig, type TrainConfig } from './config';
import type { NetworkSpec } from './evaluator';
import { collectFeatureMaps } from './featureMaps';
import { evaluate as scores } from './metrics';
import { meanReports, type StepsResult, Trainer } from './trainer';

export interface TrainHooks {
  onEvent(event: TrainEvent): void;
  readonly signal?: AbortSignal;
}

export type TrainSettings = Partial<TrainConfig> & Pick<TrainConfig, 'data'>;

/** Seconds between two `step` events, about. */
const REPORT_EVERY = 1;

function networkSpec(config: TrainConfig, data: ImageDataset): NetworkSpec {
  const { mean, std } = pixelStatistics(data);
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
  const total = Math.floor((data.count * copies) / batch) * config.epochs;
  return new Trainer({
    model: modelNamed(config.model),
    spec,
    data,
    objective: objectiveOf(config),
    batch,
    seed,
    lr,
    optimizer: config.optimizer,
    weightDecay: config.weightDecay,
    schedule: { kind: config.schedule, warmup: config.warmup, total, every: Math.ceil(total / 3), factor: 0.1 },
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
}

/** One run in progress: what the loop's functions share. */
interface Run {
  readonly config: TrainConfig;
  readonly spec: NetworkSpec;
  readonly data: DataSplits;
  readonly trainer: Trainer;
  readonly log: RunLog;
  readonly hooks: TrainHooks;
  step: number;
  best: { accuracy: number; epoch: number };
  unevaluated: EpochSummary | undefined;
}

function emit(run: Run, event: TrainEvent): void {
  run.log.event(event);
  run.hooks.onEvent(event);
}

function stateOf(run: Run): LoopState {
  const { config, spec, step, best, unevaluated } = run;
  const state = { config, spec, classNames: run.data.train.classes, step, best };
  return unevaluated ? { ...state, unevaluated } : state;
}

async function evaluate(run: Run, data: ImageDataset): Promise<Evaluation> {
  const predictions = await run.trainer.predict(data, run.hooks.signal ? { signal: run.hooks.signal } : {});
  return scores(data.labels, predictions, data.classes);
}

const mean = (values: Float32Array): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** Collects an epoch's chunks into one epoch event. */
class EpochTotals {
  readonly #chunks: StepsResult[] = [];
  readonly #started = performance.now();

  add(chunk: StepsResult): void {
    this.#chunks.push(chunk);
  }

  event(run: Run, epoch: number): EpochSummary {
    const seconds = (performance.now() - this.#started) / 1000;
    const steps = this.#chunks.reduce((sum, chunk) => sum + chunk.steps, 0);
    const join = (key: 'losses' | 'reports' | 'accuracy'): Float32Array =>
      Float32Array.from(this.#chunks.flatMap((chunk) => Array.from(chunk[key])));
    const names = run.trainer.reportNames;
    const units: UnitMetrics[] = meanReports(join('reports'), names.length).map((report, index) => ({
      name: names[index]!,
      ...report,
    }));
    return {
      event: 'epoch',
      epoch,
      step: run.step,
      loss: mean(join('losses')),
      trainAccuracy: mean(join('accuracy')),
      units,
      imagesPerSecond: (steps * run.config.batch) / seconds,
      seconds,
    };
  }
}

/** Runs to the end of the current epoch; returns false when the signal stopped it. */
async function runEpoch(run: Run, epoch: number, totals: EpochTotals): Promise<boolean> {
  const { trainer, config, hooks } = run;
  const end = (epoch + 1) * trainer.stepsPerEpoch;
  const total = config.epochs * trainer.stepsPerEpoch;
  let chunk = 1;
  while (run.step < end) {
    const steps = Math.min(chunk, end - run.step);
    const started = performance.now();
    let result: StepsResult;
    try {
      result = await trainer.run(steps, hooks.signal ? { signal: hooks.signal } : {});
    } catch (error) {
      if (!(error instanceof AbortError)) throw error;
      run.step += error.completedSteps;
      return false;
    }
    const seconds = (performance.now() - started) / 1000;
    run.step += steps;
    totals.add(result);
    emit(run, {
      event: 'step',
      epoch,
      step: run.step,
      loss: mean(result.losses),
      losses: lastRow(result.losses, trainer.unitNames.length),
      unitNames: trainer.unitNames,
      imagesPerSecond: (steps * config.batch) / seconds,
      learningRate: result.learningRate,
      etaSeconds: ((total - run.step) * seconds) / steps,
    });
    chunk = Math.max(1, Math.round((REPORT_EVERY * steps) / Math.max(seconds, 1e-6)));
  }
  return true;
}

function lastRow(values: Float32Array, width: number): number[] {
  return Array.from(values.subarray(values.length - width));
}

async function finishEpoch(run: Run, epoch: number, summary: () => EpochSummary): Promise<true> {
  const { data, config } = run;
  const validation = data.validation ? await evaluate(run, data.validation) : undefined;
  const test = await evaluate(run, data.test);
  // The event goes first: a resume drops events that are newer than the checkpoint, but cannot make up a missing one.
  emit(run, {
    ...summary(),
    testAccuracy: test.accuracy,
    ...(validation ? { validationAccuracy: validation.accuracy } : {}),
    evaluation: test,
  });
  run.unevaluated = undefined;
  // Without a validation split the newest weights count as best: choosing by test accuracy would leak it.
  if (!validation || validation.accuracy > run.best.accuracy) {
    run.best = { accuracy: validation?.accuracy ?? 0, epoch };
    await saveCheckpoint(join(config.out, 'best.safetensors'), run.trainer, stateOf(run));
  }
  await saveCheckpoint(join(config.out, 'last.safetensors'), run.trainer, stateOf(run));
  return true;
}

/** Opens or resumes the run's folder. */
async function openRun(config: TrainConfig, hooks: TrainHooks): Promise<Run> {
  const data = await loadData(config.data, {
    seed: config.seed,
    ...(config.limit === undefined ? {} : { limit: config.limit }),
    ...(config.input ? { size: config.input } : {}),
    ...(hooks.signal ? { signal: hooks.signal } : {}),
  });
  const spec = networkSpec(config, data.train);
  mkdirSync(config.out, { recursive: true });
  const last = join(config.out, 'last.safetensors');
  const saved = config.resume && existsSync(last) ? await loadCheckpoint(last) : undefined;
  if (saved) checkResumable(last, saved.state.config, config);
  const trainer = createTrainer(config, spec, data.train);
  if (saved) await restore(last, trainer, saved.tensors);
  const step = saved?.state.step ?? 0;
  const log = new RunLog(config.out, { resume: saved !== undefined, step, args: config });
  const run: Run = {
    config,
    spec,
    data,
    trainer,
    log,
    hooks,
    step,
    best: saved?.state.best ?? { accuracy: -1, epoch: -1 },
    unevaluated: (saved?.state as LoopState | undefined)?.unevaluated,
  };
  for (const text of data.notes) emit(run, { event: 'note', text });
  if (config.resume && !saved) emit(run, { event: 'note', text: `no checkpoint in ${config.out}: starting anew` });
  return run;
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
  const best = join(run.config.out, 'best.safetensors');
  await restore(best, run.trainer, (await loadCheckpoint(best)).tensors);
  return evaluate(run, run.data.test);
}

function endEvent(run: Run, seconds: number, evaluation: Evaluation | undefined): EndEvent {
  const { config, trainer } = run;
  const events = readEvents(join(config.out, 'metrics.jsonl'));
  const epochs = events.filter((event) => event.event === 'epoch');
  const images = epochs.reduce((sum, event) => sum + event.imagesPerSecond * event.seconds, 0);
  const busy = epochs.reduce((sum, event) => sum + event.seconds, 0);
  const last = events.findLast((event) => event.event === 'epoch' || event.event === 'step');
  return {
    event: 'end',
    epoch: Math.floor(run.step / trainer.stepsPerEpoch),
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
  // No epoch is evaluated yet, so this could only be what an earlier run left in the folder.
  if (run.best.epoch < 0) rmSync(join(run.config.out, 'best.safetensors'), { force: true });
}

/** Evaluates an epoch; false when the signal stopped it, with the state saved. It changes no weight. */
async function evaluateEpoch(run: Run, epoch: number, summary: () => EpochSummary): Promise<boolean> {
  if (await unlessAborted(finishEpoch(run, epoch, summary))) return true;
  run.unevaluated = summary();
  await saveInterrupted(run);
  return false;
}

/** The epochs that are left; false when the signal stopped them, with the state saved. */
async function runEpochs(run: Run): Promise<boolean> {
  const { unevaluated } = run;
  if (unevaluated && !(await evaluateEpoch(run, unevaluated.epoch, () => unevaluated))) return false;
  const first = Math.floor(run.step / run.trainer.stepsPerEpoch);
  for (let epoch = first; epoch < run.config.epochs; epoch += 1) {
    const totals = new EpochTotals();
    if (!(await runEpoch(run, epoch, totals))) {
      await saveInterrupted(run);
      return false;
    }
    if (!(await evaluateEpoch(run, epoch, () => totals.event(run, epoch)))) return false;
  }
  return true;
}

/**
 * Trains as `settings` say and leaves args.json, metrics.csv, metrics.jsonl, last.safetensors, best.safetensors and
 * report.html in the run's folder. When the signal fires the step in progress is finished, the state saved and the
 * result marked `interrupted`; it then has no evaluation and no report.
 */
export async function train(settings: TrainSettings, hooks: TrainHooks): Promise<EndEvent> {
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
    run.log.close();
    run.trainer.dispose();
  }
}
