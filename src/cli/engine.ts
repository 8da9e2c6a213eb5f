// What the commands need from the rest of Gramian, behind one interface, so that tests can put a fake in its place. The
// rule easy to break: everything is loaded when first called, so that help and mistakes are answered without the addon.
import type { DeviceInfo } from '../compile';
import type { DuplicateReport } from '../data/duplicates';
import { CheckpointError } from '../errors';
import type { DetectedFaces, DetectOptions, WatchOptions } from '../faces/photos';
import type { MtcnnTrainingOptions } from '../faces/training/train';
import type { Recipe, RunOptions } from '../recipes';
import type { EndEvent, Evaluation } from '../report/events';
import type { EvaluateOptions, Prediction } from '../train/evaluate';
import type { ExportedRun, ExportRunOptions } from '../train/exportRun';
import type { ImportedRun, ImportRunOptions } from '../train/importRun';
import type { Summary, SummaryOptions } from '../train/summarize';
import type { TrainHooks, TrainSettings } from '../train/train';
import type { MeasureOptions } from './bench';
import type { Report } from './bench/reports';
import type { Served, ServeSettings } from './serve';

export interface SynthOptions {
  readonly count: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** @param share 0 to 1 of the work. */
  onProgress(stage: string, share: number): void;
}

export interface DuplicateSearch {
  /** Look across this many folds, cut by class, instead of the splits. */
  readonly folds?: number;
  readonly bySubject: boolean;
  readonly bits: number;
  readonly difference: number;
  readonly size?: readonly [number, number];
  readonly limit?: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** @param share 0 to 1 of the stage. */
  onProgress(stage: string, share: number): void;
}

export type { RecipeProgress } from '../recipes';

/** A recipe's run as the command line asks for it; the machine is this one. */
export type RecipeOptions = Omit<RunOptions, 'machine'>;

/** What MTCNN is trained on: a folder with boxes.csv, or so many drawn scenes. */
export type DetectorData = { readonly folder: string } | { readonly scenes: number };

export interface Engine {
  /** What a list of recipes says of each. */
  recipes(): Promise<readonly Omit<Recipe, 'run'>[]>;
  /** Answers the path of the report. */
  runRecipe(name: string, options: RecipeOptions): Promise<string>;
  train(settings: TrainSettings, hooks: TrainHooks): Promise<EndEvent>;
  evaluate(run: string, options: EvaluateOptions): Promise<Evaluation>;
  predict(run: string, images: readonly string[], options: { threads?: number }): AsyncIterable<Prediction>;
  importRun(file: string, options: ImportRunOptions): Promise<ImportedRun>;
  exportRun(run: string, options: ExportRunOptions): Promise<ExportedRun>;
  /** The faces of each photograph, in order. */
  detectFaces(photos: readonly string[], options: DetectOptions): AsyncIterable<DetectedFaces>;
  /** The faces of every frame of a folder of images or a film. */
  watchFaces(source: string, options: WatchOptions): AsyncIterable<DetectedFaces>;
  /** Trains MTCNN, writes its weights, and answers what it learnt from. */
  trainDetector(
    data: DetectorData,
    options: MtcnnTrainingOptions & { readonly out: string },
  ): Promise<{ images: number; faces: number }>;
  summarize(model: string, options: SummaryOptions): Promise<Summary>;
  devices(): Promise<readonly DeviceInfo[]>;
  /** Draws faces and writes them as a FER2013 CSV; answers the images in each split. */
  synthesize(path: string, options: SynthOptions): Promise<Record<string, number>>;
  duplicates(data: string, options: DuplicateSearch): Promise<DuplicateReport>;
  measure(options: MeasureOptions): AsyncIterable<Report>;
  /** Serves until it is closed; `onProblem` is told what goes wrong meanwhile. */
  serve(settings: ServeSettings, onProblem: (text: string) => void): Promise<Served>;
}

async function synthesize(path: string, options: SynthOptions): Promise<Record<string, number>> {
  const { syntheticSplits } = await import('../data/synthetic.js');
  const { writeFerCsv } = await import('../data/ferCsvWriter.js');
  const { count, seed, signal } = options;
  const onProgress = (progress: { stage: string; done: number; total: number }): void =>
    options.onProgress(progress.stage, progress.done / progress.total);
  const splits = await syntheticSplits(count, { seed, signal, onProgress });
  await writeFerCsv(path, splits, { signal, onProgress });
  const { train, validation, test } = splits;
  return { train: train.count, ...(validation ? { validation: validation.count } : {}), test: test.count };
}

async function duplicates(data: string, options: DuplicateSearch): Promise<DuplicateReport> {
  const { loadData } = await import('../data/load.js');
  const { merge, select } = await import('../data/types.js');
  const { findDuplicates } = await import('../data/duplicates.js');
  const { kFold } = await import('../evaluation/folds.js');
  const { folds, bySubject, bits, difference, size, limit, seed, signal } = options;
  const onProgress = (progress: { stage: string; done: number; total: number }): void =>
    options.onProgress(progress.stage, progress.done / progress.total);
  const job = { signal, onProgress };
  const { train, validation, test } = await loadData(data, { seed, size, limit, ...job });
  const splits = [
    { ...train, name: 'train' },
    ...(validation ? [{ ...validation, name: 'validation' }] : []),
    { ...test, name: 'test' },
  ];
  if (folds === undefined) return findDuplicates(splits, { bits, difference, ...job });
  const whole = merge(splits, data);
  const cut = kFold(whole, { folds, seed, stratified: true, grouped: bySubject });
  const parts = cut.map((fold, k) => select(whole, fold.test, `fold ${k + 1}`));
  return findDuplicates(parts, { bits, difference, ...job });
}

async function runRecipe(name: string, options: RecipeOptions): Promise<string> {
  const { devices } = await import('../compile.js');
  const { environment } = await import('./bench/environment.js');
  const device = devices().find(({ id }) => id === 'cpu');
  const found = environment({ isa: device?.isa ?? 'unknown', threads: options.threads ?? device?.threads ?? 1 });
  const { cpu, isa, threads, node, gramian, commit, load } = found;
  const version = commit ? `${gramian} (${commit})` : gramian;
  const machine = { cpu, isa, threads, node, gramian: version, 'load before': load[0] };
  return (await import('../recipes/index.js')).runRecipe(name, { ...options, machine });
}

const trainDetector: Engine['trainDetector'] = async (data, { out, ...options }) => {
  const { ensureWritable } = await import('../data/atomicFile.js');
  const { annotatedFolder } = await import('../faces/training/annotations.js');
  const { drawnScenes } = await import('../faces/training/scenes.js');
  const { saveMtcnn, trainMtcnn } = await import('../faces/training/train.js');
  const { seed, signal } = options;
  const images =
    'folder' in data
      ? await annotatedFolder(data.folder)
      : await drawnScenes(data.scenes, { ...(seed === undefined ? {} : { seed }), signal });
  await ensureWritable(out).catch((cause: Error) => {
    throw new CheckpointError(`[train-detector] ${out}: cannot be saved: ${cause.message}`, { cause });
  });
  await saveMtcnn(out, await trainMtcnn(images, options));
  return { images: images.length, faces: images.reduce((sum, { faces }) => sum + faces.length, 0) };
};

export const engine: Engine = {
  trainDetector,
  recipes: async () => (await import('../recipes/index.js')).recipes.map(({ run: _, ...rest }) => rest),
  runRecipe,
  train: async (settings, hooks) => (await import('../train/train.js')).train(settings, hooks),
  evaluate: async (run, options) => (await import('../train/evaluate.js')).evaluate(run, options),
  async *predict(run, images, options) {
    yield* (await import('../train/evaluate.js')).predict(run, images, options);
  },
  importRun: async (file, options) => (await import('../train/importRun.js')).importRun(file, options),
  exportRun: async (run, options) => (await import('../train/exportRun.js')).exportRun(run, options),
  async *detectFaces(photos, options) {
    yield* (await import('../faces/photos.js')).detectFaces(photos, options);
  },
  async *watchFaces(source, options) {
    yield* (await import('../faces/photos.js')).watchFaces(source, options);
  },
  summarize: async (model, options) => (await import('../train/summarize.js')).summarize(model, options),
  devices: async () => (await import('../compile.js')).devices(),
  synthesize,
  duplicates,
  async *measure(options) {
    yield* (await import('./bench.js')).measure(options);
  },
  serve: async (settings, onProblem) => (await import('./serve.js')).startServing(settings, onProblem),
};
