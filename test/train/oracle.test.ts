// The whole step of CFPN and of other networks, engine against float64 oracle: same graph, same start, one step.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { Graph, sizeOf, type TensorInfo } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { cfpn, densenet121, type ModelFunction, mffCnn, resnet18, resnet50, sfewCnn } from '../../src/models';
import { attachTraining } from '../../src/objectives/attach';
import type { ObjectiveName } from '../../src/objectives/options';
import type { OptimizerName } from '../../src/optim';
import { ReferenceSession } from '../reference/interpreter';
import { generator, objective, tinyNet } from './fixtures';

const CLASSES = 4;

function stepGraph(model: ModelFunction, name: ObjectiveName, optimizer: OptimizerName, batch: number, side: number) {
  const graph = new Graph({ training: true, seed: 5 });
  const x = graph.input('image', [batch, side, side, 1]);
  const labels = graph.input('labels', [batch], 'i32');
  const step = graph.state('step', [1], 'i32');
  // Adam's first step is the learning rate in every element, also where the gradient is but rounding and its sign open.
  const lr = ops.schedule(step, { kind: 'constant', base: optimizer === 'sgd' ? 1 : 0.0001 });
  const logits = model(x, { classes: CLASSES, step });
  const training = attachTraining(graph, {
    x,
    labels,
    logits,
    classes: CLASSES,
    objective: objective(name),
    optimizer: { kind: optimizer, lr, step, momentum: 0 },
  });
  ops.increment(step);
  return { graph, training };
}

function feeds(batch: number, side: number) {
  const next = generator(11);
  const labels = Int32Array.from({ length: batch }, (_, index) => index % CLASSES);
  const image = Float32Array.from({ length: batch * side * side }, (_, index) => {
    const label = labels[Math.floor(index / (side * side))]!;
    return (index % (label + 2) === 0 ? 1 : -1) + next();
  });
  return { image, labels };
}

/**
 * |a-b| / max(|b|, floor) in the Euclidean norm. A gain before a normalisation has no gradient but rounding, so
 * gradients are judged against a thousandth of the largest one at least.
 */
function relativeError(a: ArrayLike<number>, b: ArrayLike<number>, floor = 0): number {
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < b.length; index += 1) {
    difference += (a[index]! - b[index]!) ** 2;
    norm += b[index]! ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), floor, 1e-20);
}

function startOf(info: TensorInfo): Float64Array {
  const { data } = info;
  return Float64Array.from({ length: sizeOf(info.shape) }, (_, index) =>
    typeof data === 'number' ? data : (data?.[index] ?? 0),
  );
}

/** How far the oracle moved a parameter in its step. */
function gradientNorm(session: ReferenceSession, info: TensorInfo): number {
  const after = session.read(info.name);
  return Math.sqrt(startOf(info).reduce((sum, value, index) => sum + (after[index]! - value) ** 2, 0));
}

async function compareStep(
  model: ModelFunction,
  name: ObjectiveName,
  optimizer: OptimizerName,
  batch: number,
  side: number,
): Promise<{ worst: number; where: string; parameters: number; gradients: number; losses: number }> {
  const { graph, training } = stepGraph(model, name, optimizer, batch, side);
  const fed = feeds(batch, side);
  const session = new ReferenceSession(graph);
  const expected = session.step(fed);
  const plan = compile(graph, { outputs: { losses: training.losses }, threads: 2 });
  try {
    const { losses } = await plan.step(fed);
    let worst = 0;
    let where = '';
    const all: [number[], number[]] = [[], []];
    const changes: [number[], number[]] = [[], []];
    const largest = Math.max(...graph.tensors.map((info) => (info.kind === 'param' ? gradientNorm(session, info) : 0)));
    for (const info of graph.tensors) {
      if (info.kind !== 'param') continue;
      const after = (await plan.read(info.name)) as Float32Array;
      const reference = session.read(info.name);
      for (const [index, value] of reference.entries()) {
        all[0].push(after[index]!);
        all[1].push(value);
      }
      // For SGD with rate 1 the change is the gradient itself; compare that, not the weight it moved.
      const start = startOf(info);
      const change = (values: ArrayLike<number>) => start.map((value, index) => values[index]! - value);
      const [ours, theirs] = [change(after), change(reference)];
      for (const [index, value] of theirs.entries()) {
        changes[0].push(ours[index]!);
        changes[1].push(value);
      }
      const error = relativeError(ours, theirs, largest / 1000);
      if (error > worst) {
        worst = error;
        where = info.name;
      }
    }
    const parameters = relativeError(...all);
    return {
      worst,
      where,
      parameters,
      gradients: relativeError(...changes),
      losses: relativeError(losses as Float32Array, expected.get(training.losses.id)!.data),
    };
  } finally {
    plan.dispose();
  }
}

describe('a trained step equals the oracle', () => {
  // Adam moves an element whose gradient is but rounding by a full step either way, so the parameters are judged as one
  // vector. Gradients are judged tensor by tensor on the small net below: fifty normalisations over eight images, some of
  // single cells, multiply float32's rounding beyond what a tensor of CFPN could promise.
  it.each(['cka', 'bp'] as const)(
    'cfpn by %s with Adam, parameters to 1e-4',
    async (name) => {
      const { parameters, losses } = await compareStep(cfpn, name, 'adam', 8, 16);
      expect(losses).toBeLessThan(1e-4);
      expect(parameters).toBeLessThan(1e-4);
    },
    180_000,
  );

  // Residual sums, bottlenecks, dense concatenations of conv-BN, dropout, patches and selection; gradients as one vector.
  it.each([
    ['resnet18', (x, options) => resnet18(x, { ...options, width: 4 }), 8, 24],
    ['resnet50', (x, options) => resnet50(x, { ...options, width: 4 }), 8, 64],
    ['densenet121', (x, options) => densenet121(x, { ...options, growth: 4 }), 8, 40],
    ['sfewCnn', sfewCnn, 8, 12],
    ['mffCnn', mffCnn, 8, 40],
  ] as [string, ModelFunction, number, number][])(
    '%s, losses and gradients to 1e-4',
    async (_, model, batch, side) => {
      for (const name of ['cka', 'bp'] as const) {
        const { gradients, losses } = await compareStep(model, name, 'sgd', batch, side);
        expect(losses, name).toBeLessThan(1e-4);
        expect(gradients, name).toBeLessThan(1e-4);
      }
    },
    180_000,
  );

  it.each(['hsic', 'nhsic', 'cka', 'phsic', 'local-ce', 'predsim', 'bp'] as const)(
    'gradients of a small net by %s to 1e-4',
    async (name) => {
      const { worst, where } = await compareStep(tinyNet, name, 'sgd', 12, 10);
      expect(worst, where).toBeLessThan(1e-4);
    },
  );
});
