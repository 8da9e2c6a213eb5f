// A finished run put to use: metrics on a split of some data, and labels for single images. Called by the CLI's `eval`
// and `predict`. Both rebuild the network from the checkpoint's own metadata, so nothing has to be repeated by hand.
import { decodeImage } from '../data/imageFiles';
import { loadData } from '../data/load';
import { type ImageDataset, takeFirst } from '../data/types';
import { ArgumentError } from '../errors';
import type { Evaluation } from '../report/events';
import { loadRun } from './checkpoint';
import { compileRun, loadModel } from './compileModel';
import { imageChannels, logitsOnly, predictClasses } from './evaluator';
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

/** The images' labels as places in `classNames`: data sets list the same classes in different orders, or lack some. */
function labelsOf({ labels, classes }: ImageDataset, classNames: readonly string[], source: string): Int32Array {
  const places = classes.map((name) => classNames.indexOf(name));
  const unknown = classes.filter((_, label) => places[label]! < 0);
  if (unknown.length > 0) {
    const known = classNames.join(', ');
    throw new ArgumentError(`[eval] the run knows the classes ${known}; ${source} has also ${unknown.join(', ')}`);
  }
  return labels.map((label) => places[label]!);
}

/**
 * Metrics of a run's best weights on one split of `options.data`, whose classes are the run's by name. Rejects with
 * ArgumentError for data of a class the run does not know or of other channels.
 */
export async function evaluate(run: string, options: EvaluateOptions): Promise<Evaluation> {
  const saved = await loadRun(run);
  const { spec, config, classNames } = saved.state;
  const [height, width] = spec.input;
  const reads = { size: [height, width] as const, channels: imageChannels(spec) };
  const splits = await loadData(options.data, { seed: config.seed, ...reads });
  const whole = splits[options.split];
  if (!whole) throw new ArgumentError(`[eval] ${options.data} has no ${options.split} split`);
  const data = options.limit === undefined ? whole : takeFirst(whole, options.limit);
  if (data.channels !== spec.input[2]) {
    throw new ArgumentError(
      `[eval] the run reads images of ${spec.input[2]} channels, those of ${options.data} have ${data.channels}`,
    );
  }
  const labels = labelsOf(data, classNames, options.data);
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const model = await compileRun(saved, { size: [data.height, data.width], outputs: logitsOnly, ...threads });
  try {
    return scores(labels, await predictClasses(model, data), classNames);
  } finally {
    model.dispose();
  }
}

/** Label and class probabilities for each image file, in order. */
export async function* predict(
  run: string,
  images: readonly string[],
  options: { threads?: number } = {},
): AsyncGenerator<Prediction> {
  const { model, spec, classNames } = await loadModel(run, options);
  try {
    for (const image of images) {
      const decoded = await decodeImage(image, spec.input);
      const { probabilities } = await model.run(decoded.images);
      const values = Array.from(probabilities!);
      const entries = classNames.map((name, index) => [name, values[index]!] as const);
      const label = classNames[values.indexOf(Math.max(...values))]!;
      yield { image, label, probabilities: Object.fromEntries(entries) };
    }
  } finally {
    model.dispose();
  }
}
