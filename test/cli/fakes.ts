// Streams and an engine for tests of the command line: everything written is kept, nothing is computed.
import type { Engine } from '../../src/cli/engine';
import type { Io } from '../../src/cli/io';
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

export interface FakeEngine extends Engine {
  /** Settings `train` was called with, one for each call. */
  readonly trained: TrainSettings[];
}

/** An engine that answers at once; `changes` replaces single functions. */
export function fakeEngine(changes: Partial<Engine> = {}): FakeEngine {
  const trained: TrainSettings[] = [];
  return {
    trained,
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
      };
    },
    async modelNames() {
      return ['cfpn', 'denseFpn'];
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
    async *measure(options) {
      const where = { device: 'cpu', isa: 'avx2', threads: 2 };
      yield { bench: options.target, name: 'one', ...where, medianMs: 1.5, bestMs: 1, samples: 5, gflops: 12 };
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
