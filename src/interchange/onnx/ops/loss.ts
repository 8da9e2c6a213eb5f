// The losses that exported training graphs have. Called through ops/index.ts. Both look at one class of each cell, which is a
// product with its one-hot code. The rule easy to break: a mean is over the weights of the cells that count.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { countOf } from '../../tensors';
import type { OnnxNode, OperatorTable } from '../node';
import { type Computed, computed, type Value } from '../values';
import { equal, scalar } from './elementwise';
import { reshaped, transposed } from './movement';
import { oneHotOf } from './reduce';

/** Scores [N,C,...] as rows [cells,C]. */
function classRows(node: OnnxNode, x: Computed): Tensor {
  const rank = x.shape.length;
  const last = transposed(x, [0, ...Array.from({ length: rank - 2 }, (_, axis) => axis + 2), 1]);
  const classes = x.shape[1] ?? node.fail(`its scores are [${x.shape.join(', ')}], expected a batch of classes`);
  return reshaped(node, last, [countOf(x.shape) / classes, classes]).tensor;
}

/** -weight * the log-likelihood of each cell's own class, reduced. */
function likelihoodLoss(node: OnnxNode, logs: Tensor, shape: readonly number[]): Value {
  const labels = node.computed(1);
  const cells = countOf(labels.shape);
  const classes = logs.shape[1]!;
  if (cells !== logs.shape[0]) node.fail(`there are ${cells} labels for ${logs.shape[0]} cells`);
  const flat = reshaped(node, labels, [cells]);
  // A label that is ignored is none of the classes, also where it would be one.
  const ignored = node.has('ignore_index') ? node.int('ignore_index', 0) : undefined;
  const hot = oneHotOf(node, flat, classes, 1).tensor;
  const counts =
    ignored === undefined
      ? hot
      : ops.mul(
          hot,
          ops.reshape(ops.affine(equal(flat.tensor, scalar(logs, ignored)), { scale: -1, offset: 1 }), [cells, 1]),
        );
  const weights = node.inputs[2] ? ops.mul(counts, node.plain(node.inputs[2])) : counts;
  const rows = (x: Tensor): Tensor => ops.reduceSum(x, { axes: [1] });
  const losses = ops.affine(rows(ops.mul(weights, logs)), { scale: -1 });
  const reduction = node.text('reduction', 'mean');
  if (reduction === 'none') return reshaped(node, computed(losses, 'float32', [cells]), labels.shape);
  const total = ops.reduceSum(losses, { axes: [0] });
  if (reduction === 'sum') return computed(total, 'float32', []);
  if (reduction !== 'mean') node.fail(`its reduction is ${JSON.stringify(reduction)} over [${shape.join(', ')}]`);
  const counted = node.inputs[2] || ignored !== undefined;
  if (!counted) return computed(ops.affine(total, { scale: 1 / cells }), 'float32', []);
  return computed(ops.div(total, ops.reduceSum(rows(weights), { axes: [0] })), 'float32', []);
}

function negativeLogLikelihood(node: OnnxNode): Value {
  const x = node.computed(0);
  return likelihoodLoss(node, classRows(node, x), x.shape);
}

function softmaxCrossEntropy(node: OnnxNode): readonly Value[] {
  const x = node.computed(0);
  const rows = ops.logSoftmax(classRows(node, x));
  const loss = likelihoodLoss(node, rows, x.shape);
  if (!node.wants(1)) return [loss];
  const [n, c] = x.shape as [number, number];
  const space = x.shape.slice(2);
  const last = computed(ops.reshape(rows, [n, ...space, c]), x.type, [n, ...space, c]);
  const rank = x.shape.length;
  return [loss, transposed(last, [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, axis) => axis + 1)])];
}

export const losses: OperatorTable = {
  NegativeLogLikelihoodLoss: negativeLogLikelihood,
  SoftmaxCrossEntropyLoss: softmaxCrossEntropy,
};
