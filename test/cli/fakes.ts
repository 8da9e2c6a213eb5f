// Streams and an engine for tests of the command line: everything written is kept, nothing is computed.
import type { MeasureOptions } from '../../src/cli/bench';
import type { Measurement, Setting } from '../../src/cli/bench/reports';
import type { DetectorData, Engine, RecipeOptions } from '../../src/cli/engine';
import type { Io } from '../../src/cli/io';
import type { DuplicateReport } from '../../src/data/duplicates';
import type { WatchOptions } from '../../src/faces/photos';
import type { MtcnnTrainingOptions } from '../../src/faces/training/train';
import type { FaceFrame } from '../../src/faces/types';
import type { EndEvent, Evaluation, TrainEvent } from '../../src/report/events';
import type { TrainHooks, TrainSettings } from '../../src/train/train';

export interface FakeIo extends Io {
  readonly stdout: string;
  readonly stderr: string;
  /** What a Ctrl-C does. */
  interrupt(): void;
  /** Whether the command still listens for Ctrl-C. */
  readonly listening: boolean;
}

export function fakeIo(options: { terminal?: boolean; columns?: number } = {}): FakeIo {
  const written = { stdout: '', stderr: '' };
  let listener: (() => void) | undefined;
  return {
    out: (text) => {
      written.stdout += text;
    },
    err: (text) => {
      written.stderr += text;
    },
    terminal: options.terminal ?? false,
    columns: options.columns ?? 100,
    onInterrupt(first) {
      listener = first;
      return () => {
        listener = undefined;
      };
    },
    interrupt: () => listener?.(),
    get listening() {
      return listener !== undefined;
    },
    get stdout() {
      return written.stdout;
    },
    get stderr() {
      return written.stderr;
    },
  };
}

export const evaluation: Evaluation = {
  accuracy: 0.75,
  balancedAccuracy: 0.7,
  macroF1: 0.72,
  confusion: [
    [3, 1],
    [1, 3],
  ],
  classes: [
    { name: 'cat', precision: 0.75, recall: 0.75, specificity: 0.75, support: 4 },
    { name: 'dog', precision: 0.75, recall: 0.75, specificity: 0.75, support: 4 },
  ],
};

export const events: TrainEvent[] = [
  { event: 'note', text: 'synthetic faces' },
  {
    event: 'step',
    epoch: 0,
    step: 1,
    loss: 2,
    losses: [1, 1],
    imagesPerSecond: 64,
    learningRate: 0.001,
    etaSeconds: 61,
  },
  {
    event: 'epoch',
    epoch: 0,
    step: 2,
    loss: 1.5,
    trainAccuracy: 0.5,
    testAccuracy: 0.25,
    units: ['stem', 'head'].map((name, index) => {
      return { name, loss: 1, x: 0.5, y: 0.1, hsicX: 0.1, hsicY: 0.2, ckaX: 0.3, ckaY: index, effectiveRank: 3 };
    }),
    imagesPerSecond: 64,
    seconds: 4,
  },
];

export function endEvent(run: string, interrupted = false): EndEvent {
  return {
    event: 'end',
    epoch: 1,
    step: 2,
    loss: 1.5,
    testAccuracy: 0.75,
    run,
    seconds: 5,
    imagesPerSecond: 64,
    evaluation,
    interrupted,
  };
}

export const fakeSetting: Setting = {
  environment: {
    ...{ cpu: 'a processor', cores: 2, memoryGiB: 8, isa: 'avx2', threads: 2, node: 'v20.0.0', gramian: '0.0.0' },
    load: [0, 0, 0],
  },
  ceilings: { 'gramian float32': { gflops: 100, gbps: 20 }, 'gramian bf16': { gflops: 200, gbps: 20 } },
  peers: {},
};

const sampled = { bestMs: 1, spreadMs: 0.25, samples: 5 };

export const fakeRow: Measurement = {
  row: 'one',
  title: 'one kernel',
  work: { gflop: 0.018, megabytes: 3 },
  ours: { ...sampled, medianMs: 1.5, gflops: 12, gbps: 2, roofline: 0.12, arenaBytes: 1 << 20 },
  peers: {
    fast: { ...sampled, medianMs: 3, gflops: 6, gbps: 1, roofline: 0.06, deviation: 1e-6 },
    wrong: { deviation: 0.5, disagrees: { ours: [1], theirs: [2] } },
    absent: { failed: 'it has no such op' },
  },
  ratio: 2,
  ratioAnyPrecision: 2,
};

export const duplicateReport: DuplicateReport = {
  parts: [
    { name: 'train', count: 8, exactElsewhere: 1, nearElsewhere: 0 },
    { name: 'test', count: 2, exactElsewhere: 1, nearElsewhere: 0 },
  ],
  exact: { pairs: 1, across: 1, otherLabel: 1 },
  near: { pairs: 1, across: 0, otherLabel: 0 },
  leaks: [{ from: 'train', to: 'test', exact: 1, near: 0 }],
  pairs: [
    {
      kind: 'exact',
      first: { part: 'train', index: 3, label: 'cat' },
      second: { part: 'test', index: 1, label: 'dog', group: 'S005' },
      ...{ bits: 0, difference: 0 },
    },
    {
      kind: 'near',
      first: { part: 'train', index: 4, label: 'cat' },
      second: { part: 'train', index: 5, label: 'cat' },
      ...{ bits: 2, difference: 1.23456 },
    },
  ],
};

export interface FakeEngine extends Engine {
  /** Settings `train` was called with, one for each call. */
  readonly trained: TrainSettings[];
  /** What `measure` was called with. */
  readonly measured: MeasureOptions[];
  /** What `detectFaces` and `watchFaces` were called with. */
  readonly faced: WatchOptions[];
  /** What `trainDetector` was called with. */
  readonly detectorsTrained: { data: DetectorData; options: MtcnnTrainingOptions }[];
  /** What `runRecipe` was called with. */
  readonly recipesRun: { name: string; options: RecipeOptions }[];
}

export function fakeFrame(index: number): FaceFrame {
  const face = {
    ...{ id: 1, box: { x: 10.4, y: 20, width: 30, height: 40.6 }, score: 0.9, confidence: 1, age: 30.7 },
    expressions: { happy: 0.875, sad: 0.125 },
    gender: { label: 'female' as const, probability: 0.75 },
  };
  return {
    ...{ index, width: 64, height: 48, detected: index === 0, faces: [face] },
    timings: { detect: 4, track: 1, crop: 1, classify: 2, total: 8 },
  };
}

/** An engine that answers at once; `changes` replaces single functions. */
export function fakeEngine(changes: Partial<Engine> = {}): FakeEngine {
  const trained: TrainSettings[] = [];
  const measured: MeasureOptions[] = [];
  const faced: WatchOptions[] = [];
  const detectorsTrained: FakeEngine['detectorsTrained'] = [];
  const recipesRun: { name: string; options: RecipeOptions }[] = [];
  return {
    trained,
    recipesRun,
    measured,
    faced,
    detectorsTrained,
    async train(settings: TrainSettings, hooks: TrainHooks) {
      trained.push(settings);
      const end = endEvent(settings.out ?? 'runs/none');
      for (const event of [...events, end]) hooks.onEvent(event);
      return end;
    },
    async evaluate() {
      return evaluation;
    },
    async *predict(_, images) {
      for (const image of images) yield { image, label: 'cat', probabilities: { cat: 0.875, dog: 0.125 } };
    },
    async importRun(_, { model, out }) {
      return { run: out, model, tensors: 3, parameters: 1234, classes: 7 };
    },
    async exportRun(_, { format, out }) {
      const made = { file: out, bytes: 2048, tensors: 3 };
      return format === 'onnx' ? { ...made, comparison: { version: '1.2', difference: 3e-7 } } : made;
    },
    async *detectFaces(photos, options) {
      faced.push(options);
      for (const image of photos) yield { image, ...fakeFrame(0), annotated: `${options.out}/x.png` };
    },
    async *watchFaces(image, options) {
      faced.push(options);
      for (let index = 0; index < 3; index += 1) yield { image, ...fakeFrame(index) };
    },
    async trainDetector(data, { onProgress, ...options }) {
      detectorsTrained.push({ data, options });
      onProgress?.({ stage: 'sample', net: 'pnet', done: 2, total: 2 });
      onProgress?.({ stage: 'train', net: 'pnet', step: 50, steps: 50, loss: 0.25 });
      return { images: 2, faces: 3 };
    },
    async summarize(model, options) {
      return {
        model,
        input: options.input,
        batch: options.batch,
        parameters: 1234,
        macs: 5_600_000,
        units: [{ name: 'stem', shape: [24, 24, 8], parameters: 1234, macs: 5_600_000 }],
        arenaBytes: { hsic: 1 << 20, bp: 3 << 20 },
        layers: [
          { name: 'stem/conv', op: 'conv2d', shape: [24, 24, 8], parameters: 1234, macs: 5_600_000, unit: 'stem' },
        ],
        ...(model === 'mffCnn'
          ? { published: { paper: '004', parameters: '1.21 M', operations: '4.87 GFLOP' } }
          : model === 'alexnet'
            ? { published: { paper: '000', parameters: '60 M' } }
            : {}),
      };
    },
    async devices() {
      return [
        { id: 'cpu', available: true, isa: 'avx2', threads: 2 },
        { id: 'cuda', available: false, reason: 'no driver' },
      ];
    },
    async synthesize(_, options) {
      options.onProgress('draw', 0.5);
      return { train: options.count - 2, validation: 1, test: 1 };
    },
    async recipes() {
      const cost = { smoke: 'seconds', small: '2 minutes', full: 'days' };
      return ['first', 'second'].map((name) => ({
        ...{ name, title: `The ${name}`, reproduces: 'paper 001 Fig. 8', cost, seed: 1, expected: 'something' },
      }));
    },
    async runRecipe(name, options) {
      recipesRun.push({ name, options });
      const trial = { key: 'cfpn-bp', epoch: 1, epochs: 2, step: 3, loss: 0.5, accuracy: 0.25 };
      const speed = { imagesPerSecond: 100, etaSeconds: 5 };
      options.onProgress({ recipe: name, done: 0, trials: 2, stage: 'reading data' });
      options.onProgress({ recipe: name, done: 0, trials: 2, trial: { ...trial, ...speed } });
      options.onProgress({ recipe: name, done: 1, trials: 2, trial: { ...trial, key: 'cfpn-cka', ...speed } });
      return `${options.out}/report.md`;
    },
    async duplicates() {
      return duplicateReport;
    },
    async *measure(options) {
      measured.push(options);
      yield fakeSetting;
      yield fakeRow;
    },
    async serve({ port, needsFaces }) {
      const url = `http://127.0.0.1:${port}/#token`;
      return { url, port, ...(needsFaces ? { about: 'A fake.' } : { missing: 'no weights' }), async close() {} };
    },
    ...changes,
  };
}

/** The lines of a stream as JSON; throws when one is not. */
export function jsonLines(text: string): Record<string, unknown>[] {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('the last line has no end');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
