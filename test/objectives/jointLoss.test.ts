// Units with a cross-entropy of their own: trained by it alone under local objectives, summed under back-propagation.
import { describe, expect, it } from 'vitest';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { dense } from '../../src/layers';
import { attachTraining } from '../../src/objectives/attach';
import type { ObjectiveName } from '../../src/objectives/options';
import { ReferenceSession } from '../reference/interpreter';
import { generator, objective } from '../train/fixtures';

const BATCH = 6;
const CLASSES = 3;
const LABELS = [0, 2, 1, 1, 0, 2];

/** One step of two classifiers on the same features and of their sum; weights of `left` may be scaled before. */
function stepped(name: ObjectiveName, scale = 1) {
  const graph = new Graph({ seed: 5 });
  const x = graph.input('x', [BATCH, 4]);
  const labels = graph.input('labels', [BATCH], 'i32');
  const step = graph.state('step', [1], 'i32');
  const lr = ops.schedule(step, { kind: 'constant', base: 0.01 });
  const side = (unit: string, crossEntropy: number): Tensor =>
    graph.unit(unit, () => dense('fc', x, CLASSES), { crossEntropy });
  const [left, right] = [side('left', 2), side('right', 0.5)];
  const logits = graph.unit('head', () => ops.add(left, right), { crossEntropy: 0.1 });
  const training = attachTraining(graph, {
    ...{ x, labels, logits, classes: CLASSES },
    objective: objective(name),
    optimizer: { kind: 'adam', lr, step },
  });
  const session = new ReferenceSession(graph);
  session.write(
    'left/fc/weight',
    session.read('left/fc/weight').map((value) => value * scale),
  );
  const next = generator(3);
  const values = session.step({ x: Float64Array.from({ length: BATCH * 4 }, next), labels: LABELS });
  const entropy = (tensor: Tensor): number => {
    const { data } = values.get(tensor.id)!;
    const rows = LABELS.map((label, row) => {
      const own = data.subarray(row * CLASSES, (row + 1) * CLASSES);
      return Math.log(own.reduce((sum, value) => sum + Math.exp(value), 0)) - own[label]!;
    });
    return rows.reduce((sum, value) => sum + value, 0) / BATCH;
  };
  return {
    training,
    losses: [...values.get(training.losses.id)!.data],
    entropies: [left, right, logits].map(entropy) as [number, number, number],
    /** A tenth of the gradient, kept by Adam's first moment. */
    rightMoment: [...session.read('right/fc/weight/adam_m')],
  };
}

describe('units with a cross-entropy of their own', () => {
  it('are trained by it, weighted, and report nothing else', () => {
    const { training, losses, entropies, rightMoment } = stepped('cka');
    expect(training.names).toEqual(['left', 'right', 'head']);
    expect(losses).toHaveLength(3);
    [2, 0.5, 0.1].forEach((weight, unit) => {
      expect(losses[unit]).toBeCloseTo(weight * entropies[unit]!, 12);
    });
    expect(training.reports).toBeUndefined();
    // No gradient crosses a border: the right side does not see the sum.
    expect(stepped('cka', 3).rightMoment).toEqual(rightMoment);
  });

  it('add to the loss of back-propagation', () => {
    const { training, losses, entropies, rightMoment } = stepped('bp');
    const [left, right, sum] = entropies;
    expect(training.names).toEqual(['network']);
    expect(losses).toHaveLength(1);
    expect(losses[0]).toBeCloseTo(2 * left + 0.5 * right + 0.1 * sum, 12);
    expect(stepped('bp', 3).rightMoment).not.toEqual(rightMoment);
  });
});
