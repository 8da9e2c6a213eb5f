// The classes a compiled model calls the images of a data set. Called by trainer.ts (with the weights in training) and
// by evaluate.ts (with those of a run). The rule easy to break: the model must have been compiled for the data's image
// size and return `logits`.
import type { Dataset, ImageDataset } from '../data/types';
import type { Tensor, TensorData } from '../graph/graph';
import type { CompiledModel } from './compiledModel';

/** What a network is, apart from its weights: enough to rebuild it for evaluation. */
export interface NetworkSpec {
  readonly classes: number;
  /** Height, width, channels the network reads. */
  readonly input: readonly [number, number, number];
  /** Mean and standard deviation of the training pixels per channel, in 0..1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Channels that loadData() is to bring a network's images to; undefined where it knows no images of so many. */
export function imageChannels(spec: NetworkSpec | undefined): 1 | 3 | undefined {
  const channels = spec?.input[2];
  return channels === 1 || channels === 3 ? channels : undefined;
}

/** Images handed over at once: they are copied, and an abort waits for what is copied at most. */
const ROUND = 1024;

/** The outputs of a model that predictClasses() can read. */
export function logitsOnly(logits: Tensor): Record<string, Tensor> {
  return { logits };
}

function argMax(values: ArrayLike<number>, start: number, length: number): number {
  let best = 0;
  for (let index = 1; index < length; index += 1) if (values[start + index]! > values[start + best]!) best = index;
  return best;
}

/** Calls `use` with the logits of a round of samples and the number of the first of them. */
async function everyRound(
  model: CompiledModel,
  data: Dataset | Pick<ImageDataset, 'images' | 'count'>,
  options: { signal?: AbortSignal },
  use: (logits: TensorData, first: number, count: number) => void,
): Promise<void> {
  const values = 'rows' in data ? data.rows : data.images;
  const size = values.length / data.count;
  for (let first = 0; first < data.count; first += ROUND) {
    const count = Math.min(ROUND, data.count - first);
    const { logits } = await model.run(values.subarray(first * size, (first + count) * size), options);
    use(logits!, first, count);
  }
}

/** Class predicted for each sample of `data`, in its order: the first of the largest logits. */
export async function predictClasses(
  model: CompiledModel,
  data: Dataset | Pick<ImageDataset, 'images' | 'count'>,
  options: { signal?: AbortSignal } = {},
): Promise<Int32Array> {
  const predictions = new Int32Array(data.count);
  await everyRound(model, data, options, (logits, first, count) => {
    const classes = logits.length / count;
    for (let row = 0; row < count; row += 1) predictions[first + row] = argMax(logits, row * classes, classes);
  });
  return predictions;
}

/** -log softmax(logits)[label] of each sample of `data`, in its order. */
export async function crossEntropies(
  model: CompiledModel,
  data: Dataset,
  options: { signal?: AbortSignal } = {},
): Promise<Float64Array> {
  const errors = new Float64Array(data.count);
  await everyRound(model, data, options, (logits, first, count) => {
    const classes = logits.length / count;
    for (let row = 0; row < count; row += 1) {
      const own = Array.from(logits.subarray(row * classes, (row + 1) * classes));
      const top = Math.max(...own);
      const sum = own.reduce((total, value) => total + Math.exp(value - top), 0);
      errors[first + row] = Math.log(sum) + top - own[data.labels[first + row]!]!;
    }
  });
  return errors;
}
