// A network for inference on a data set that lives on the device, in the data set's own order. Called by trainer.ts (with
// the weights of the plan in training) and by evaluate.ts (with those of a checkpoint).
import { compile, type Plan } from '../compile';
import type { ImageDataset } from '../data/types';
import { Graph, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import type { ModelFunction } from '../models';

/** What a network is, apart from its weights: enough to rebuild it for evaluation. */
export interface NetworkSpec {
  readonly classes: number;
  /** Height, width, channels the network reads. */
  readonly input: readonly [number, number, number];
  /** Mean and standard deviation of the training pixels per channel, in 0..1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface EvaluatorOptions {
  readonly batch: number;
  /** Put before the names of the data set's tensors, which must not meet those of a sharing plan. */
  readonly prefix?: string;
  /** Plan whose weights are used. */
  readonly share?: Plan;
  readonly device?: 'auto' | 'cpu' | 'cuda';
  readonly threads?: number;
}

/** Where evaluators keep their data and counters; checkpoints leave it out. */
export const EVALUATION_PREFIX = 'evaluation/';

/** Batches in one crossing into native code. */
const CHUNK = 8;

/** Plans that share weights share every persistent tensor by name, so each data set needs names of its own. */
export function datasetTensors(graph: Graph, prefix: string, data: ImageDataset): { images: Tensor; labels: Tensor } {
  const { count, height, width, channels } = data;
  return {
    images: graph.constant(`${prefix}/images`, [count, height, width, channels], data.images),
    labels: graph.constant(`${prefix}/labels`, [count], data.labels),
  };
}

/** Repeats the last image until the count is a multiple of `batch`, so that every image is in a whole batch. */
function padded(data: ImageDataset, batch: number): ImageDataset {
  const count = Math.ceil(data.count / batch) * batch;
  if (count === data.count) return data;
  const size = data.height * data.width * data.channels;
  const images = new Uint8Array(count * size);
  images.set(data.images);
  const labels = new Int32Array(count);
  labels.set(data.labels);
  for (let index = data.count; index < count; index += 1) {
    images.copyWithin(index * size, (data.count - 1) * size, data.count * size);
    labels[index] = data.labels[data.count - 1]!;
  }
  return { ...data, images, labels, count };
}

function argMax(values: ArrayLike<number>, start: number, length: number): number {
  let best = 0;
  for (let index = 1; index < length; index += 1) if (values[start + index]! > values[start + best]!) best = index;
  return best;
}

export class Evaluator {
  readonly plan: Plan;
  readonly #data: ImageDataset;
  readonly #batch: number;
  readonly #counter: string;
  readonly #classes: number;

  constructor(model: ModelFunction, spec: NetworkSpec, data: ImageDataset, options: EvaluatorOptions) {
    const { prefix = EVALUATION_PREFIX.slice(0, -1), batch, ...placement } = options;
    this.#data = data;
    this.#batch = Math.min(batch, data.count);
    this.#counter = `${prefix}/step`;
    this.#classes = spec.classes;
    const graph = new Graph({ training: false });
    const step = graph.state(this.#counter, [1], 'i32');
    const whole = padded(data, this.#batch);
    const { images, labels } = datasetTensors(graph, prefix, whole);
    const fed = ops.datasetBatch(images, labels, step, {
      batch: this.#batch,
      size: [spec.input[0], spec.input[1]],
      shuffle: false,
      mean: spec.mean,
      std: spec.std,
    });
    const logits = model(fed.x, { classes: spec.classes });
    ops.increment(step);
    this.plan = compile(graph, { outputs: { logits }, ...placement });
  }

  /** Class predicted for each image, with running statistics. */
  async predict(options: { signal?: AbortSignal } = {}): Promise<Int32Array> {
    const predictions = new Int32Array(this.#data.count);
    const batches = Math.ceil(predictions.length / this.#batch);
    for (let done = 0; done < batches; done += CHUNK) {
      const steps = Math.min(CHUNK, batches - done);
      // Queued back to back, so that no other prediction moves the counter in between.
      const [, { logits }] = await Promise.all([
        this.plan.write(this.#counter, Int32Array.of(done)),
        this.plan.run(steps, options),
      ]);
      const first = done * this.#batch;
      for (let row = 0; row < steps * this.#batch && first + row < predictions.length; row += 1) {
        predictions[first + row] = argMax(logits!, row * this.#classes, this.#classes);
      }
    }
    return predictions;
  }

  dispose(): void {
    this.plan.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
