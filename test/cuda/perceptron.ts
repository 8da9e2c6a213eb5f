// A small training step for tests of plans on device cuda: a perceptron with one hidden layer, cross-entropy, Adam, accuracy.
import { grad } from '../../src/graph/gradients';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { update } from '../../src/optim';
import { generator } from '../kernels/fills';

const [BATCH, INPUTS, HIDDEN, CLASSES] = [16, 20, 24, 5];

export function perceptron() {
  const random = generator(3);
  const draw = (count: number) => Float32Array.from({ length: count }, () => (random() - 0.5) / 2);
  const graph = new Graph();
  const x = graph.input('x', [BATCH, INPUTS]);
  const labels = graph.input('labels', [BATCH], 'i32');
  const lr = graph.input('lr', [1]);
  const step = graph.state('step', [1], 'i32');
  const first = graph.param('first', [INPUTS, HIDDEN], draw(INPUTS * HIDDEN));
  const second = graph.param('second', [HIDDEN, CLASSES], draw(HIDDEN * CLASSES));
  const logits = ops.matmul(ops.relu(ops.matmul(x, first)), second);
  const loss = ops.crossEntropy(logits, labels, { labelSmoothing: 0.1 });
  const right = ops.accuracy(logits, labels);
  const params = [first, second];
  for (const [i, gradient] of grad(loss, params).entries()) update(params[i]!, gradient, { kind: 'adam', lr, step });
  ops.increment(step);
  return { graph, outputs: { loss, right, logits } };
}

/** What step number `step` is fed. */
export function feedsOf(step: number) {
  const random = generator(100 + step);
  return {
    x: Float32Array.from({ length: BATCH * INPUTS }, () => random() - 0.5),
    labels: Int32Array.from({ length: BATCH }, () => Math.floor(random() * CLASSES)),
    lr: Float32Array.of(0.05),
  };
}
