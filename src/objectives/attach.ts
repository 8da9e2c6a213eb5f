// Appends to a forward graph what trains it: each unit's objective, its local gradients and its updates, or one
// cross-entropy over everything for `bp`. Called by train/. The rule easy to break: everything of a unit is appended
// inside `graph.inUnit`, so that the planner can run and free it before the next unit begins.
import { ArgumentError } from '../errors';
import { grad } from '../graph/gradients';
import type { Graph, Tensor, Unit } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalLater } from '../layers/init';
import { dense } from '../layers/separable';
import { type OptimizerOptions, update } from '../optim';
import {
  type BatchKernels,
  batchKernels,
  nativeKernel,
  perSample,
  pooledOutput,
  standardize,
  unitFeatures,
} from './features';
import type { ObjectiveOptions } from './options';

/** Columns of a unit's report, in the order of docs/ops.md's `hsicObjective`. */
export const REPORT_COLUMNS = ['loss', 'x', 'y', 'hsicX', 'hsicY', 'ckaX', 'ckaY', 'effectiveRank'] as const;

export interface TrainingGraph {
  /** [units with a loss]: one loss each, in the order of `names`. */
  readonly losses: Tensor;
  readonly names: readonly string[];
  /** [reported units, 8] and their names; absent for `bp` and for a network that is a classifier alone. */
  readonly reports?: Tensor;
  readonly reportNames: readonly string[];
  /** [1]: share of the batch the classifier got right. */
  readonly accuracy: Tensor;
}

export interface AttachOptions {
  readonly x: Tensor;
  readonly labels: Tensor;
  readonly logits: Tensor;
  readonly classes: number;
  readonly objective: ObjectiveOptions;
  readonly optimizer: OptimizerOptions;
  /** [classes]: weights of the classes in the classifier's cross-entropy. */
  readonly classWeights?: Tensor;
}

interface UnitLoss {
  readonly loss: Tensor;
  readonly report?: Tensor;
}

function dependence(features: Tensor, kernels: BatchKernels, options: ObjectiveOptions): UnitLoss {
  const G = ops.gram(features);
  // The cross-entropy rules are measured by cka too, so that runs can be compared.
  const kind = options.name === 'local-ce' || options.name === 'predsim' ? 'cka' : options.name;
  return ops.hsicObjective(
    { G, ...kernels },
    {
      kind: kind as 'hsic' | 'nhsic' | 'cka' | 'phsic',
      kernel: nativeKernel(options),
      sigma: options.sigma,
      features: features.shape[1]!,
      beta: options.beta,
      gamma: options.gamma,
      power: options.power,
      eps: options.epsilon,
      unbiased: options.unbiased,
    },
  );
}

/** Softmax head of a unit's own (Nokland and Eidnes 2019, pred). */
function localCrossEntropy(features: Tensor, attach: AttachOptions): Tensor {
  const logits = dense('local_head', features, attach.classes);
  return ops.crossEntropy(logits, attach.labels, { labelSmoothing: attach.objective.labelSmoothing });
}

/**
 * Similarity matching (Nokland and Eidnes 2019, eq. 4): mean squared difference of the cosine similarities of the
 * features, seen through a 3x3 convolution of the unit's own, and of the centred one-hot labels.
 */
function similarityMatching(pooled: Tensor, kernels: BatchKernels, attach: AttachOptions): Tensor {
  const { graph } = pooled;
  let seen = pooled;
  if (pooled.shape.length === 4) {
    const channels = pooled.shape[3]!;
    const shape = [3, 3, channels, channels];
    const deviation = Math.sqrt(2 / (9 * channels));
    const filter = graph.param('similarity', shape, normalLater(graph, 'similarity', shape, deviation));
    seen = ops.conv2d(pooled, filter);
  }
  seen = perSample(seen, attach.labels.shape[0]!);
  const centred = ops.sub(seen, ops.reduceMean(seen, { axes: [1], keepDims: true }));
  const similarity = ops.gram(ops.rowNormalize(centred), { center: false });
  // Cosine of centred one-hot vectors: 1 for the same class, -1/(K-1) for another.
  const other = -1 / Math.max(1, attach.classes - 1);
  const wanted = ops.affine(kernels.Ey, { scale: 1 - other, offset: other });
  return ops.reduceMean(ops.square(ops.sub(similarity, wanted)));
}

function unitLoss(unit: Unit, head: Unit, kernels: BatchKernels, attach: AttachOptions): UnitLoss {
  const z = unit.output!;
  if (unit === head || unit.crossEntropy !== undefined) return { loss: classifierLoss(z, attach, unit.crossEntropy) };
  const options = attach.objective;
  const samples = attach.labels.shape[0]!;
  const features = unitFeatures(z, options, samples);
  const measured = dependence(features, kernels, options);
  if (options.name === 'local-ce') return { ...measured, loss: localCrossEntropy(features, attach) };
  if (options.name === 'predsim') {
    const pooled = pooledOutput(z, options.pool);
    const similarity = similarityMatching(options.normalize ? standardize(pooled) : pooled, kernels, attach);
    const prediction = localCrossEntropy(features, attach);
    const loss = ops.add(ops.affine(similarity, { scale: 0.99 }), ops.affine(prediction, { scale: 0.01 }));
    return { ...measured, loss };
  }
  return measured;
}

function classifierLoss(logits: Tensor, attach: AttachOptions, weight = 1): Tensor {
  const loss = ops.crossEntropy(logits, attach.labels, {
    labelSmoothing: attach.objective.labelSmoothing,
    ...(attach.classWeights ? { classWeights: attach.classWeights } : {}),
  });
  return weight === 1 ? loss : ops.affine(loss, { scale: weight });
}

/** The weighted cross-entropies of all units that have one, summed (paper 004, eq. 5); the last unit always has. */
function jointLoss(graph: Graph, head: Unit, attach: AttachOptions): Tensor {
  return graph.units
    .filter((unit) => unit === head || unit.crossEntropy !== undefined)
    .map((unit) => classifierLoss(unit.output!, attach, unit.crossEntropy))
    .reduce((sum, loss) => ops.add(sum, loss));
}

/** Appends objectives, gradients and updates for every unit; returns what a step reports. */
export function attachTraining(graph: Graph, attach: AttachOptions): TrainingGraph {
  const head = graph.units.find((unit) => unit.output === attach.logits);
  if (!head) throw new ArgumentError('[attach] the logits are not the output of a unit');
  const accuracy = graph.inUnit(head, () => ops.accuracy(attach.logits, attach.labels));
  return attach.objective.name === 'bp'
    ? attachBackPropagation(graph, head, attach, accuracy)
    : attachUnits(graph, head, attach, accuracy);
}

/** The unit's parameters that training changes. */
function trained(unit: Unit): Tensor[] {
  return unit.params.filter((param) => !param.graph.isFrozen(param.name));
}

function attachBackPropagation(graph: Graph, head: Unit, attach: AttachOptions, accuracy: Tensor): TrainingGraph {
  return graph.inUnit(head, () => {
    const loss = jointLoss(graph, head, attach);
    const params = graph.units.flatMap(trained);
    const gradients = grad(loss, params);
    for (const [index, param] of params.entries()) update(param, gradients[index]!, attach.optimizer);
    return { losses: loss, names: ['network'], reportNames: [], accuracy };
  });
}

function attachUnits(graph: Graph, head: Unit, attach: AttachOptions, accuracy: Tensor): TrainingGraph {
  const kernels = graph.scope('batch', () => batchKernels(attach.x, attach.labels, attach.objective));
  const losses: Tensor[] = [];
  const reports: Tensor[] = [];
  const reportNames: string[] = [];
  // A unit that is frozen as a whole has nothing to minimise.
  const units = graph.units.filter((unit) => unit === head || unit.params.length === 0 || trained(unit).length > 0);
  for (const unit of units) {
    graph.inUnit(unit, () =>
      graph.scope(`/${unit.name}/objective`, () => {
        const { loss, report } = unitLoss(unit, head, kernels, attach);
        const params = trained(unit);
        const gradients = grad(loss, params, { within: unit });
        for (const [index, param] of params.entries()) update(param, gradients[index]!, attach.optimizer);
        losses.push(loss);
        if (report) {
          reports.push(report);
          reportNames.push(unit.name);
        }
      }),
    );
  }
  return {
    losses: ops.concat(losses),
    names: units.map((unit) => unit.name),
    // Vectors are joined by placement, whatever their number.
    ...(reports.length > 0
      ? { reports: ops.reshape(ops.concat(reports), [reports.length, REPORT_COLUMNS.length]) }
      : {}),
    reportNames,
    accuracy,
  };
}
