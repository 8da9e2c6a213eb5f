// The whole training step as a graph: a batch of the data set, the network, its objectives and updates, the counter. Called
// by trainer.ts, and by what measures a step without taking it (summary, benchmarks). The rule easy to break: whatever
// decides a step is a function of the counters, which are states, so that a checkpoint holds all of it.
import type { Precision } from '../compile';
import { type Dataset, type FeatureDataset, hasRows, type ImageDataset } from '../data/types';
import { ArgumentError } from '../errors';
import { Graph, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import type { ModelFunction } from '../models';
import { attachTraining, type TrainingGraph } from '../objectives/attach';
import type { ObjectiveOptions } from '../objectives/options';
import {
  checkPatterns,
  learningRate,
  type NamePattern,
  nameMatcher,
  type OptimizerName,
  type ScheduleSettings,
} from '../optim';
import type { AugmentationOptions } from './config';
import type { NetworkSpec } from './evaluator';

/** A learning rate of their own for some parameters. */
export interface RateGroup {
  readonly names: readonly NamePattern[];
  /** What the learning rate is multiplied by, 0 or more. */
  readonly factor: number;
}

export interface TrainerOptions {
  readonly model: ModelFunction;
  readonly spec: NetworkSpec;
  /** Images, or rows of features, which the network reads as 1x1xcolumns. */
  readonly data: Dataset;
  readonly objective: ObjectiveOptions;
  readonly batch: number;
  readonly seed: number;
  readonly lr: number;
  readonly optimizer?: OptimizerName;
  /** Of sgd, 0 to below 1; 0.9. */
  readonly momentum?: number;
  readonly weightDecay?: number;
  /** How the rate changes from `lr`, in steps; constant when absent. */
  readonly schedule?: ScheduleSettings;
  /**
   * Parameters that stay as they are. A normalisation below such a name reads its running statistics and leaves them as
   * they are; a unit frozen as a whole has no objective.
   */
  readonly freeze?: readonly NamePattern[];
  /** The first group with a parameter's name decides. */
  readonly rates?: readonly RateGroup[];
  /** Attributes of ops.datasetBatch that describe the augmentation. Rows of features have none. */
  readonly augmentation?: AugmentationOptions;
  readonly classWeights?: Float32Array;
  readonly device?: 'auto' | 'cpu' | 'cuda';
  readonly threads?: number;
  /** What products take their factors as; see CompileOptions. */
  readonly precision?: Precision;
}

export interface StepGraph {
  readonly graph: Graph;
  readonly training: TrainingGraph;
  readonly outputs: Record<string, Tensor>;
}

/** Counts the batches of a data set that came after training began; a state only of a trainer that was given one. */
export const SAMPLES_STEP = 'samples/step';

interface Batch {
  readonly x: Tensor;
  readonly labels: Tensor;
}

/** Rows are drawn as images are: the order of a data set of one-pixel images whose labels are the rows' numbers. */
function featureBatch(graph: Graph, data: FeatureDataset, options: TrainerOptions, step: Tensor): Batch {
  const { batch, seed, augmentation } = options;
  if (Object.keys(augmentation ?? {}).length > 0) {
    throw new ArgumentError(`[trainer] images are augmented, but "${data.name}" has rows of features`);
  }
  const { count, columns } = data;
  const pixels = graph.constant('training/pixels', [count, 1, 1, 1], new Uint8Array(count));
  const draw = (name: string, values: Int32Array): Tensor =>
    ops.datasetBatch(pixels, graph.constant(name, [count], values), step, { batch, seed }).labels;
  const chosen = draw(
    'training/numbers',
    Int32Array.from({ length: count }, (_, row) => row),
  );
  const rows = graph.constant('training/rows', [1, count, columns], data.rows);
  const x = ops.reshape(ops.gather(rows, ops.reshape(chosen, [1, batch])), [batch, 1, 1, columns]);
  return { x, labels: draw('training/labels', data.labels) };
}

function imageBatch(graph: Graph, data: ImageDataset, options: TrainerOptions, step: Tensor): Batch {
  const { spec, batch, seed, augmentation } = options;
  const { count, height, width, channels } = data;
  const images = graph.constant('training/images', [count, height, width, channels], data.images);
  const labels = graph.constant('training/labels', [count], data.labels);
  const size = [spec.input[0], spec.input[1]];
  const { mean, std } = spec;
  return ops.datasetBatch(images, labels, step, {
    ...{ batch, size, seed, shuffle: true, count, mean, std },
    ...augmentation,
  });
}

/** Names of the network's parameters that patterns may mean. */
function checkNames(graph: Graph, { freeze = [], rates = [] }: TrainerOptions): void {
  const names = graph.tensors.filter(({ kind }) => kind === 'param').map(({ name }) => name);
  checkPatterns('freeze', freeze, names);
  for (const group of rates) checkPatterns('rates', group.names, names);
  if (names.every((name) => graph.isFrozen(name))) {
    throw new ArgumentError('[freeze] expected at least one parameter that is trained, but all are frozen');
  }
}

/** For a parameter's name, the learning rate of its group. */
function groupRates(lr: Tensor, rates: readonly RateGroup[]): (name: string) => Tensor | undefined {
  const groups = rates.map(({ names, factor }) => {
    if (!(Number.isFinite(factor) && factor >= 0)) {
      throw new ArgumentError(`[rates] expected a factor of at least 0 for ${names.join(', ')}, got ${factor}`);
    }
    return { fits: nameMatcher('rates', names), lr: ops.affine(lr, { scale: factor }) };
  });
  return (name) => groups.find(({ fits }) => fits(name))?.lr;
}

/** @param newSamples the data set came after training began, so its epochs are counted by a state of their own. */
export function trainingGraph(options: TrainerOptions, newSamples = false): StepGraph {
  const { spec, freeze = [], rates = [] } = options;
  const graph = new Graph({ training: true, seed: options.seed, frozen: nameMatcher('freeze', freeze) });
  const step = graph.state('step', [1], 'i32');
  const lr = learningRate(step, options.lr, options.schedule);
  const rateOf = groupRates(lr, rates);
  const drawn = newSamples ? graph.state(SAMPLES_STEP, [1], 'i32') : step;
  const { data } = options;
  const fed = hasRows(data) ? featureBatch(graph, data, options, drawn) : imageBatch(graph, data, options, drawn);
  const logits = options.model(fed.x, { classes: spec.classes, step });
  checkNames(graph, options);
  const training = attachTraining(graph, {
    x: fed.x,
    labels: fed.labels,
    logits,
    classes: spec.classes,
    objective: options.objective,
    optimizer: {
      ...{ kind: options.optimizer ?? 'adam', lr, rateOf, step, weightDecay: options.weightDecay ?? 0 },
      ...(options.momentum === undefined ? {} : { momentum: options.momentum }),
    },
    ...(options.classWeights
      ? { classWeights: graph.constant('class_weights', [spec.classes], options.classWeights) }
      : {}),
  });
  ops.increment(step);
  if (newSamples) ops.increment(drawn);
  const outputs: Record<string, Tensor> = { losses: training.losses, accuracy: training.accuracy, lr };
  if (training.reports) outputs.reports = training.reports;
  return { graph, training, outputs };
}
