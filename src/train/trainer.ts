// One network in training: its step graph, its plan and the inference that shares its weights. Called by train.ts
// and by users who write their own loop. The data set lives on the device; a step needs no data from JavaScript.
import { type CompileOptions, compile, type Plan } from '../compile';
import { type Dataset, hasRows, select } from '../data/types';
import { ArgumentError, DivergedError } from '../errors';
import type { TensorData } from '../graph/graph';
import { CompiledModel } from './compiledModel';
import { crossEntropies, logitsOnly, predictClasses } from './evaluator';
import { SAMPLES_STEP, type TrainerOptions, trainingGraph } from './trainingGraph';

export { type RateGroup, type TrainerOptions, trainingGraph } from './trainingGraph';

/** Result of some steps. Arrays are step after step. */
export interface StepsResult {
  readonly steps: number;
  /** [steps][units] */
  readonly losses: Float32Array;
  /** [steps][reported units][8] */
  readonly reports: Float32Array;
  /** [steps] */
  readonly accuracy: Float32Array;
  readonly learningRate: number;
}

export class Trainer {
  /** Units with a loss, in order. */
  readonly unitNames: readonly string[];
  readonly reportNames: readonly string[];
  readonly #options: TrainerOptions;
  /** By size of the images. */
  readonly #inference = new Map<string, CompiledModel>();
  /** Those in progress, which may need several calls of a model. */
  readonly #predictions = new Set<Promise<unknown>>();
  #plan: Plan;
  #samples: Uint32Array;

  constructor(options: TrainerOptions) {
    const { count, name } = options.data;
    if (count < options.batch) {
      throw new ArgumentError(`[trainer] the batch is ${options.batch} but "${name}" has ${count} samples`);
    }
    this.#options = options;
    this.#samples = Uint32Array.from({ length: count }, (_, index) => index);
    const { graph, training, outputs } = trainingGraph(options);
    this.#plan = compile(graph, { outputs, ...this.#placement() });
    this.unitNames = training.names;
    this.reportNames = training.reportNames;
  }

  /** The step's plan. keepOnly() replaces it by one of the same weights. */
  get plan(): Plan {
    return this.#plan;
  }

  /** Samples in a step. */
  get batch(): number {
    return Math.min(this.#options.batch, this.#samples.length);
  }

  get stepsPerEpoch(): number {
    const copies = this.#options.augmentation?.variants?.length ?? 1;
    return Math.floor((this.#samples.length * copies) / this.batch);
  }

  /** Indices into the data set of the samples that are trained on. */
  get samples(): Uint32Array {
    return this.#samples.slice();
  }

  /**
   * From the next step on only these samples of the data set are trained on, in epochs that begin anew; where they are
   * fewer than a batch, all of them make a batch. Weights, moments and the step counter stay. A checkpoint fits a trainer
   * that was told to keep as many samples.
   */
  async keepOnly(samples: ArrayLike<number>): Promise<void> {
    const { data, batch } = this.#options;
    if (samples.length === 0) throw new ArgumentError(`[keepOnly] expected samples of "${data.name}", got none`);
    const kept = select(data, samples);
    const options = { ...this.#options, data: kept, batch: Math.min(batch, kept.count) };
    const { graph, outputs } = trainingGraph(options, true);
    const before = this.#plan;
    this.#plan = compile(graph, { outputs, share: before });
    this.#samples = Uint32Array.from(samples);
    // Those of inference have their weights from the plan that goes. Predictions in progress end with it.
    const old = [...this.#inference.values()];
    this.#inference.clear();
    void Promise.allSettled(this.#predictions).then(() => {
      for (const inference of old) inference.dispose();
    });
    before.dispose();
    await this.#plan.write(SAMPLES_STEP, new Int32Array(1));
  }

  #placement(): Pick<CompileOptions, 'device' | 'threads' | 'precision'> {
    const { device, threads, precision } = this.#options;
    return {
      ...(device ? { device } : {}),
      ...(threads === undefined ? {} : { threads }),
      ...(precision ? { precision } : {}),
    };
  }

  /** Runs `steps` training steps on the plan's own thread. Throws DivergedError naming the unit on a NaN or infinity. */
  async run(steps: number, options: { signal?: AbortSignal } = {}): Promise<StepsResult> {
    const out = await this.plan.run(steps, options);
    const losses = out.losses as Float32Array;
    const bad = losses.findIndex((loss) => !Number.isFinite(loss));
    if (bad >= 0) {
      const units = this.unitNames.length;
      throw new DivergedError(
        `[train] the loss of unit "${this.unitNames[bad % units]}" became ${losses[bad]}; lower the learning rate`,
      );
    }
    return {
      steps,
      losses,
      reports: (out.reports as Float32Array | undefined) ?? new Float32Array(0),
      accuracy: out.accuracy as Float32Array,
      learningRate: (out.lr as Float32Array).at(-1)!,
    };
  }

  /** Class predicted for each sample of `data`, with running statistics and the current weights. */
  async predict(data: Dataset, options: { signal?: AbortSignal } = {}): Promise<Int32Array> {
    return this.#predicting(predictClasses(this.#inferenceFor(data), data, options));
  }

  /** Cross-entropy of each sample of `data`, in nats, with running statistics and the current weights. */
  async errors(data: Dataset, options: { signal?: AbortSignal } = {}): Promise<Float64Array> {
    return this.#predicting(crossEntropies(this.#inferenceFor(data), data, options));
  }

  async #predicting<T>(work: Promise<T>): Promise<T> {
    this.#predictions.add(work);
    try {
      return await work;
    } finally {
      this.#predictions.delete(work);
    }
  }

  #inferenceFor(data: Dataset): CompiledModel {
    const { model, spec } = this.#options;
    const { input, classes, mean, std } = spec;
    const [height, width, channels] = hasRows(data) ? [1, 1, data.columns] : [data.height, data.width, data.channels];
    if (channels !== input[2] || hasRows(data) !== hasRows(this.#options.data)) {
      const kind = hasRows(data) ? 'rows' : 'images';
      const wanted = hasRows(this.#options.data) ? `${input[2]} features` : `${input[2]} channels`;
      throw new ArgumentError(`[predict] the network reads ${wanted}, the ${kind} of "${data.name}" have ${channels}`);
    }
    const size = `${height}x${width}`;
    let inference = this.#inference.get(size);
    if (!inference) {
      const pixels = hasRows(data) ? {} : { pixels: { size: [height, width] as const, mean, std } };
      inference = new CompiledModel(model, { input, classes, ...pixels, outputs: logitsOnly, share: this.#plan });
      this.#inference.set(size, inference);
    }
    return inference;
  }

  #disposeInference(): void {
    for (const inference of this.#inference.values()) inference.dispose();
    this.#inference.clear();
  }

  /**
   * Everything a checkpoint holds: parameters, optimiser moments, running statistics and the step counter, all of the step
   * that was queued last.
   */
  async readState(): Promise<Record<string, { shape: readonly number[]; data: TensorData }>> {
    const { plan } = this;
    const values = await plan.readAll();
    return Object.fromEntries(plan.tensors().map(({ name, shape }) => [name, { shape, data: values[name]! }]));
  }

  /** Replaces what `state` names, before the step that is queued next. Rejects with ArgumentError; nothing is changed then. */
  async writeState(state: Record<string, { data: TensorData }>): Promise<void> {
    await this.plan.writeAll(Object.fromEntries(Object.entries(state).map(([name, { data }]) => [name, data])));
  }

  dispose(): void {
    this.#disposeInference();
    this.plan.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
