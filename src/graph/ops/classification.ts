// Softmax, cross-entropy and accuracy. crossEntropy also makes the gradient of its logits in the same pass; the rule in
// gradients uses that second output instead of computing it again.
import { ShapeError } from '../../errors';
import type { Graph, Tensor } from '../graph';
import { hasShape, operands, rank, real, show, withDefaults } from './check';

function overLastAxis(op: string, x: Tensor): Tensor {
  const graph = operands(op, { x }, 'f32');
  return graph.append(op, [x], [{ shape: x.shape }])[0] as Tensor;
}

/** exp(x) / sum exp(x) along the last axis. */
export const softmax = (x: Tensor): Tensor => overLastAxis('softmax', x);
/** log(softmax(x)) along the last axis. */
export const logSoftmax = (x: Tensor): Tensor => overLastAxis('logSoftmax', x);

function logitsAndLabels(op: string, logits: Tensor, labels: Tensor): Graph {
  const graph = operands(op, { logits }, 'f32');
  operands(op, { labels }, 'i32', graph);
  rank(op, 'logits', logits, 2, '[N,K]');
  rank(op, 'labels', labels, 1, '[N]');
  if (labels.shape[0] !== logits.shape[0]) {
    throw new ShapeError(
      `[${op}] there are ${logits.shape[0]} rows of logits but ${labels.shape[0]} labels (${show(logits)}, ${show(labels)})`,
    );
  }
  return graph;
}

export interface CrossEntropyOptions {
  /** s in [0, 1): the target is (1-s) onehot + s/K. Default 0. */
  labelSmoothing?: number;
  /** [K]: weight of each class in the mean. Default: all alike. */
  classWeights?: Tensor;
}

/** Mean cross-entropy [1] of softmax(logits[N,K]) against labels i32[N]. A label outside 0..K-1 fails at run time. */
export function crossEntropy(logits: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
  const op = 'crossEntropy';
  const graph = logitsAndLabels(op, logits, labels);
  const given = withDefaults<{ labelSmoothing: number; classWeights: Tensor | undefined }>(op, options, {
    labelSmoothing: 0,
    classWeights: undefined,
  });
  const labelSmoothing = real(op, 'labelSmoothing', given.labelSmoothing, { least: 0, below: 1 });
  const inputs = [logits, labels];
  const { classWeights } = given;
  if (classWeights !== undefined) {
    operands(op, { classWeights }, 'f32', graph);
    hasShape(op, 'classWeights', classWeights, logits.shape.slice(1), `one value per class of ${show(logits)}`);
    inputs.push(classWeights);
  }
  return graph.append(op, inputs, [{ shape: [1] }, { shape: logits.shape }], { labelSmoothing })[0] as Tensor;
}

/** Share [1] of rows whose first arg-max is the label. Not differentiable. */
export function accuracy(logits: Tensor, labels: Tensor): Tensor {
  const graph = logitsAndLabels('accuracy', logits, labels);
  return graph.append('accuracy', [logits, labels], [{ shape: [1] }])[0] as Tensor;
}
