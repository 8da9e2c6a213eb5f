// One network in training: its step graph, its plan and the inference that shares its weights. Called by train.ts
// and by users who write their own loop. The data set lives on the device; a step needs no data from JavaScript.
import { type CompileOptions, compile, type Plan, type Precision } from '../compile';
import type { ImageDataset } from '../data/types';
import { ArgumentError, DivergedError } from '../errors';
import { Graph, type Tensor, type TensorData } from '../graph/graph';
import * as ops from '../graph/ops';
import type { ModelFunction } from '../models';
import { attachTraining, REPORT_COLUMNS, type TrainingGraph } from '../objectives/attach';
import type { ObjectiveOptions } from '../objectives/options';
import type { OptimizerName } from '../optim';
import { CompiledModel } from './compiledModel';
import type { AugmentationOptions } from './config';
import { logitsOnly, type NetworkSpec, predictClasses } from './evaluator';

export interface TrainerOptions {
  readonly model: ModelFunction;
  readonly spec: NetworkSpec;
  readonly data: ImageDataset;
  readonly objective: ObjectiveOptions;
  readonly batch: number;
  readonly seed: number;
  readonly lr: number;
  readonly optimizer?: OptimizerName;
  readonly weightDecay?: number;
  /** Attributes of ops.schedule beside `base`. */
  readonly schedule?: {
    kind: 'constant' | 'step' | 'cosine' | 'exponential';
    warmup?: number;
    total?: number;
    /** step and exponential: the rate is multiplied by `factor` every `every` steps. */
    every?: number;
    factor?: number;
  };
  /** Attributes of ops.datasetBatch that describe the augmentation. */
  readonly augmentation?: AugmentationOptions;
  readonly classWeights?: Float32Array;
  readonly device?: 'auto' | 'cpu' | 'cuda';
  readonly threads?: number;
  /** What products take their factors as; see CompileOptions. */
  readonly precision?: Precision;
}

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

/** The whole training step as a graph; also what `summary` and the benchmarks measure. */
export function trainingGraph(options: TrainerOptions): {
  graph: Graph;
  training: TrainingGraph;
  outputs: Record<string, Tensor>;
} {
  const graph = new Graph({ training: true, seed: options.seed });
  const { spec, data, batch } = options;
  const step = graph.state('step', [1], 'i32');
  const lr = ops.schedule(step, { kind: 'constant', ...options.schedule, base: options.lr });
  const { count, height, width, channels } = data;
  const images = graph.constant('training/images', [count, height, width, channels], data.images);
  const labels = graph.constant('training/labels', [count], data.labels);
  const fed = ops.datasetBatch(images, labels, step, {
    batch,
    size: [spec.input[0], spec.input[1]],
    seed: options.seed,
    shuffle: true,
    count,
    mean: spec.mean,
    std: spec.std,
    ...options.augmentation,
  });
  const logits = options.model(fed.x, { classes: spec.classes, step });
  const training = attachTraining(graph, {
    x: fed.x,
    labels: fed.labels,
    logits,
    classes: spec.classes,
    objective: options.objective,
    optimizer: { kind: options.optimizer ?? 'adam', lr, step, weightDecay: options.weightDecay ?? 0 },
    ...(options.classWeights
      ? { classWeights: graph.constant('class_weights', [spec.classes], options.classWeights) }
      : {}),
  });
  ops.increment(step);
  const outputs: Record<string, Tensor> = { losses: training.losses, accuracy: training.accuracy, lr };
  if (training.reports) outputs.reports = training.reports;
  return { graph, training, outputs };
}

export class Trainer {
  readonly plan: Plan;
  /** Units with a loss, in order. */
  readonly unitNames: readonly string[];
  readonly reportNames: readonly string[];
  readonly stepsPerEpoch: number;
  readonly #options: TrainerOptions;
  /** By size of the images. */
  readonly #inference = new Map<string, CompiledModel>();

  constructor(options: TrainerOptions) {
    if (options.data.count < options.batch) {
      throw new ArgumentError(
        `[trainer] the batch is ${options.batch} but "${options.data.name}" has ${options.data.count} images`,
      );
    }
    this.#options = options;
    const { graph, training, outputs } = trainingGraph(options);
    this.plan = compile(graph, { outputs, ...this.#placement() });
    this.unitNames = training.names;
    this.reportNames = training.reportNames;
    const copies = options.augmentation?.variants?.length ?? 1;
    this.stepsPerEpoch = Math.floor((options.data.count * copies) / options.batch);
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

  /** Class predicted for each image of `data`, with running statistics and the current weights. */
  async predict(data: ImageDataset, options: { signal?: AbortSignal } = {}): Promise<Int32Array> {
    const { height, width, channels } = data;
    const { model, spec } = this.#options;
    if (channels !== spec.input[2]) {
      throw new ArgumentError(
        `[predict] the network reads ${spec.input[2]} channels, the images of "${data.name}" have ${channels}`,
      );
    }
    const size = `${height}x${width}`;
    let inference = this.#inference.get(size);
    if (!inference) {
      const { input, classes, mean, std } = spec;
      const pixels = { size: [height, width] as const, mean, std };
      inference = new CompiledModel(model, { input, classes, pixels, outputs: logitsOnly, share: this.plan });
      this.#inference.set(size, inference);
    }
    return predictClasses(inference, data, options);
  }

  /** Everything a checkpoint holds: parameters, optimiser moments, running statistics and the step counter. */
  async readState(): Promise<Record<string, { shape: readonly number[]; data: TensorData }>> {
    const state: Record<string, { shape: readonly number[]; data: TensorData }> = {};
    for (const { name, shape } of this.plan.tensors()) state[name] = { shape, data: await this.plan.read(name) };
    return state;
  }

  async writeState(state: Record<string, { data: TensorData }>): Promise<void> {
    for (const [name, { data }] of Object.entries(state)) await this.plan.write(name, data);
  }

  dispose(): void {
    for (const inference of this.#inference.values()) inference.dispose();
    this.plan.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Mean over steps of each unit's report, as objects keyed by REPORT_COLUMNS. */
export function meanReports(reports: Float32Array, units: number): Record<(typeof REPORT_COLUMNS)[number], number>[] {
  const columns = REPORT_COLUMNS.length;
  const steps = units === 0 ? 0 : reports.length / (units * columns);
  return Array.from({ length: units }, (_, unit) => {
    const entries = REPORT_COLUMNS.map((column, index) => {
      let sum = 0;
      for (let step = 0; step < steps; step += 1) sum += reports[(step * units + unit) * columns + index]!;
      return [column, sum / Math.max(1, steps)];
    });
    return Object.fromEntries(entries);
  });
}
