// A finished run put to use: metrics on a split of some data, and labels for single images. Called by the CLI's `eval`
// and `predict`. Both rebuild the network from the checkpoint's own metadata, so nothing has to be repeated by hand.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compile, type Plan } from '../compile';
import { decodeImage } from '../data/imageFiles';
import { loadData } from '../data/load';
import { takeFirst } from '../data/types';
import { ArgumentError, CheckpointError } from '../errors';
import { Graph } from '../graph/graph';
import * as ops from '../graph/ops';
import { modelNamed } from '../models';
import type { Evaluation } from '../report/events';
import { loadCheckpoint, type RunState, type SavedTensors } from './checkpoint';
import { EVALUATION_PREFIX, Evaluator } from './evaluator';
import { networkInput } from './featureMaps';
import { evaluate as scores } from './metrics';

export interface EvaluateOptions {
  readonly data: string;
  readonly split: 'train' | 'validation' | 'test';
  readonly threads?: number;
  readonly limit?: number;
}

export interface Prediction {
  readonly image: string;
  readonly label: string;
  readonly probabilities: Readonly<Record<string, number>>;
}

/** The best weights of a run's folder, or the last ones when training was stopped before its first epoch. */
async function loadRun(run: string): Promise<{ path: string; state: RunState; tensors: SavedTensors }> {
  for (const name of ['best.safetensors', 'last.safetensors']) {
    const path = join(run, name);
    if (existsSync(path)) return { path, ...(await loadCheckpoint(path)) };
  }
  throw new CheckpointError(`[run] ${run} holds neither best.safetensors nor last.safetensors; train writes them`);
}

/** Writes the saved tensors into the plan; every parameter and running statistic must be among them. */
async function fill(plan: Plan, path: string, tensors: SavedTensors): Promise<void> {
  for (const { name, kind, shape } of plan.tensors()) {
    if (kind === 'const' || name.startsWith(EVALUATION_PREFIX)) continue;
    const saved = tensors[name];
    if (saved?.shape.join('x') !== shape.join('x')) {
      throw new CheckpointError(`[run] ${path} lacks "${name}" of shape ${shape.join('x')}`);
    }
    await plan.write(name, saved.data);
  }
}

/** Metrics of a run's best weights on one split of `options.data`. */
export async function evaluate(run: string, options: EvaluateOptions): Promise<Evaluation> {
  const { path, state, tensors } = await loadRun(run);
  const { spec, config, classNames } = state;
  const splits = await loadData(options.data, { seed: config.seed, size: [spec.input[0], spec.input[1]] });
  const whole = splits[options.split];
  if (!whole) throw new ArgumentError(`[eval] ${options.data} has no ${options.split} split`);
  const data = options.limit === undefined ? whole : takeFirst(whole, options.limit);
  if (data.classes.length !== spec.classes || data.channels !== spec.input[2]) {
    throw new ArgumentError(
      `[eval] the run knows ${spec.classes} classes of ${spec.input[2]}-channel images, ` +
        `${options.data} has ${data.classes.length} of ${data.channels}`,
    );
  }
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const evaluator = new Evaluator(modelNamed(config.model), spec, data, { batch: config.batch, ...threads });
  try {
    await fill(evaluator.plan, path, tensors);
    return scores(data.labels, await evaluator.predict(), classNames);
  } finally {
    evaluator.dispose();
  }
}

/** Label and class probabilities for each image file, in order. */
export async function* predict(
  run: string,
  images: readonly string[],
  options: { threads?: number } = {},
): AsyncGenerator<Prediction> {
  const { path, state, tensors } = await loadRun(run);
  const { spec, config, classNames } = state;
  const graph = new Graph({ training: false });
  const x = graph.input('image', [1, ...spec.input]);
  const probabilities = ops.softmax(modelNamed(config.model)(x, { classes: spec.classes }));
  const plan = compile(graph, {
    outputs: { probabilities },
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  try {
    await fill(plan, path, tensors);
    for (const image of images) {
      const decoded = await decodeImage(image, spec.input);
      const out = await plan.step({ image: networkInput(decoded, 0, spec) });
      const values = Array.from(out.probabilities as Float32Array);
      const entries = classNames.map((name, index) => [name, values[index]!] as const);
      const label = classNames[values.indexOf(Math.max(...values))]!;
      yield { image, label, probabilities: Object.fromEntries(entries) };
    }
  } finally {
    plan.dispose();
  }
}
