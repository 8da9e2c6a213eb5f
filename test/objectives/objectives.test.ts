// What a unit minimises and what that moves, by the float64 oracle: the features an objective sees, the kernels of a
// batch, and above all that no gradient crosses a unit's border. Small nets, one step each.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { composite, dense } from '../../src/layers';
import { cfpn, type ModelFunction } from '../../src/models';
import { type AttachOptions, attachTraining, REPORT_COLUMNS } from '../../src/objectives/attach';
import { batchKernels, pooledOutput, standardize, unitFeatures } from '../../src/objectives/features';
import {
  OBJECTIVE_DEFAULTS,
  OBJECTIVES,
  type ObjectiveName,
  type ObjectiveOptions,
} from '../../src/objectives/options';
import { OPTIMIZERS } from '../../src/optim';
import { type Feed, ReferenceSession } from '../reference/interpreter';
import { generator, tinyNet } from '../train/fixtures';

const LOCAL = OBJECTIVES.filter((name) => name !== 'bp');
const DEPENDENCE = ['hsic', 'nhsic', 'cka', 'phsic'] as const;
const BATCH = 8;
const SIDE = 10;
const CLASSES = 3;

const options = (extra: Partial<ObjectiveOptions>): ObjectiveOptions => ({ ...OBJECTIVE_DEFAULTS, ...extra });

function values(size: number, seed = 5): Float64Array {
  const next = generator(seed);
  return Float64Array.from({ length: size }, () => 4 * next() - 1);
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(actual.length).toBe(expected.length);
  for (let index = 0; index < expected.length; index += 1)
    expect(Math.abs(actual[index]! - expected[index]!), `element ${index}`).toBeLessThanOrEqual(tolerance);
}

const sum = (data: Iterable<number>): number => [...data].reduce((total, value) => total + value, 0);

/** Column `index` of a row-major matrix. */
const column = (data: Float64Array, width: number, index: number): Float64Array =>
  data.filter((_, position) => position % width === index);

describe('pooled output', () => {
  const run = (make: (x: Tensor) => Tensor, shape: number[], cells: number) => {
    const graph = new Graph();
    const z = make(graph.input('x', shape));
    const pooled = pooledOutput(z, cells);
    const reference = ops.avgPool(z, {
      kernel: [Math.ceil(z.shape[1]! / cells), Math.ceil(z.shape[2]! / cells)],
      stride: [Math.ceil(z.shape[1]! / cells), Math.ceil(z.shape[2]! / cells)],
      padding: 'same',
    });
    const step = new ReferenceSession(graph).step({ x: values(shape.reduce((a, b) => a * b, 1)) });
    close(step.get(pooled.id)!.data, step.get(reference.id)!.data, 1e-12);
    return { last: graph.producer(pooled)!.op, shape: pooled.shape };
  };
  const pointwise =
    (stride: number, padding: ops.Padding = 'same', groups = 1) =>
    (x: Tensor): Tensor => {
      const shape = [1, 1, x.shape[3]! / groups, 6];
      const size = shape.reduce((a, b) => a * b, 1);
      const w = x.graph.param('w', shape, Float32Array.from(values(size, 3)));
      return ops.conv2d(x, w, { stride, padding, groups });
    };

  it.each([
    [8, 8],
    [9, 7],
    [5, 12],
  ])('of a pointwise convolution is that convolution of the pooled input, at %ix%i', (height, width) => {
    const { last, shape } = run(pointwise(1), [2, height, width, 4], 4);
    expect(last).toBe('conv2d');
    expect(Math.max(shape[1]!, shape[2]!)).toBeLessThanOrEqual(4);
  });

  it('of T is taken before its pointwise step', () => {
    const { last, shape } = run((x) => composite(x, 5, { stride: 2 }), [2, 18, 18, 3], 4);
    expect(last).toBe('conv2d');
    expect(shape).toEqual([2, 3, 3, 5]);
  });

  it.each([
    ['a 3x3 convolution', (x: Tensor) => ops.conv2d(x, x.graph.param('w', [3, 3, 4, 2], 0.1))],
    ['a strided pointwise one', pointwise(2)],
    ['a grouped pointwise one', pointwise(1, 'same', 2)],
    ['what is no convolution', (x: Tensor) => ops.relu(x)],
  ])('of %s is pooled itself', (_, make) => {
    expect(run(make, [2, 10, 10, 4], 4).last).toBe('avgPool');
  });

  it('of a strided pointwise convolution that padding keeps at its size is pooled itself', () => {
    const padding = { top: 1, bottom: 8, left: 1, right: 8 };
    expect(run(pointwise(2, padding), [2, 9, 9, 4], 4).last).toBe('avgPool');
  });

  it('is the output itself without cells or without space', () => {
    const x = new Graph().input('x', [4, 6]);
    expect(pooledOutput(x, 4)).toBe(x);
    const z = composite(new Graph().input('x', [4, 6, 6, 3]), 2);
    expect(pooledOutput(z, 0)).toBe(z);
  });
});

describe('features', () => {
  const Z = [BATCH, 3, 3, 6];
  const run = (extra: Partial<ObjectiveOptions>, shape: readonly number[] = Z) => {
    const graph = new Graph();
    const features = unitFeatures(graph.input('z', shape), options(extra));
    const z = values(
      shape.reduce((a, b) => a * b, 1),
      9,
    );
    return { z, shape: features.shape, data: new ReferenceSession(graph).step({ z }).get(features.id)!.data };
  };

  it('are standardised per channel over batch and space', () => {
    const { data, shape } = run({});
    expect(shape).toEqual([BATCH, 54]);
    for (let channel = 0; channel < 6; channel += 1) {
      const own = column(data, 6, channel);
      expect(Math.abs(sum(own) / own.length)).toBeLessThan(1e-12);
      expect(Math.abs(sum(own.map((value) => value * value)) / own.length - 1)).toBeLessThan(1e-4);
    }
  });

  it('are standardised without space too', () => {
    const { data, shape } = run({}, [BATCH, 6]);
    expect(shape).toEqual([BATCH, 6]);
    expect(Math.abs(sum(column(data, 6, 2)))).toBeLessThan(1e-12);
  });

  it('are one row a sample where each sample has several parts', () => {
    const graph = new Graph();
    const z = graph.input('z', [BATCH * 2, 3, 3, 6]);
    const features = unitFeatures(z, options({ normalize: false, pool: 0 }), BATCH);
    expect(features.shape).toEqual([BATCH, 2 * 54]);
    const data = values(BATCH * 108, 9);
    // The parts follow each other, so their rows only join.
    expect([...new ReferenceSession(graph).step({ z: data }).get(features.id)!.data]).toEqual([...data]);
  });

  it('are the output itself when asked to be plain', () => {
    const { z, data } = run({ normalize: false, pool: 0 });
    expect([...data]).toEqual([...z]);
  });

  it('in groups are mean squares of neighbouring channels', () => {
    const plain = run({ groups: 0 });
    const { data, shape } = run({ groups: 2 });
    expect(shape).toEqual([BATCH, 18]);
    const expected = Array.from({ length: BATCH * 18 }, (_, index) => {
      const group = plain.data.subarray(3 * index, 3 * index + 3);
      return sum(group.map((value) => value * value)) / 3;
    });
    close(data, expected, 1e-12);
  });

  it.each([4, 6, 7])('are left alone by %i groups of 6 channels', (groups) => {
    expect([...run({ groups }).data]).toEqual([...run({}).data]);
  });

  it('of the cosine kernel have unit norm and the same direction', () => {
    const plain = run({}).data;
    const { data } = run({ kernel: 'cosine' });
    for (let row = 0; row < BATCH; row += 1) {
      const [unit, whole] = [data.subarray(54 * row, 54 * row + 54), plain.subarray(54 * row, 54 * row + 54)];
      expect(Math.abs(Math.hypot(...unit) - 1)).toBeLessThan(1e-12);
      const length = Math.hypot(...whole);
      close(
        unit,
        whole.map((value) => value / length),
        1e-12,
      );
    }
  });

  it('standardize leaves its moments to others', () => {
    const graph = new Graph();
    const z = graph.input('z', Z);
    standardize(z);
    standardize(z);
    expect(graph.nodes.filter((node) => node.op === 'moments')).toHaveLength(1);
  });
});

describe('batch kernels', () => {
  const D = 5;
  const labels = [0, 1, 2, 0, 1, 0, 2, 2];
  const run = (extra: Partial<ObjectiveOptions>) => {
    const graph = new Graph();
    const kernels = batchKernels(graph.input('x', [BATCH, 1, D, 1]), graph.input('y', [BATCH], 'i32'), options(extra));
    const x = values(BATCH * D, 4);
    const step = new ReferenceSession(graph).step({ x, y: labels });
    const row = (index: number): Float64Array => x.subarray(index * D, index * D + D);
    const read = (tensor: Tensor | undefined): Float64Array | undefined => tensor && step.get(tensor.id)!.data;
    return { Ex: read(kernels.Ex)!, Ey: read(kernels.Ey)!, Rx: read(kernels.Rx), Ry: read(kernels.Ry), row };
  };
  /** Compares E with the kernel of each pair up to an additive constant, which HSIC does not see. */
  const expectKernel = (E: Float64Array, kernel: (i: number, j: number) => number): void => {
    const offset = kernel(0, 0) - E[0]!;
    const expected = Array.from(E, (_, index) => kernel(Math.floor(index / BATCH), index % BATCH) - offset);
    close(E, expected, 1e-9);
  };
  const dot = (a: Float64Array, b: Float64Array): number => sum(a.map((value, index) => value * b[index]!));
  const distance = (a: Float64Array, b: Float64Array): number => sum(a.map((value, index) => (value - b[index]!) ** 2));
  const centred = (row: (index: number) => Float64Array): Float64Array[] => {
    const all = Array.from({ length: BATCH }, (_, index) => row(index));
    const mean = all[0]!.map((_, feature) => sum(all.map((item) => item[feature]!)) / BATCH);
    return all.map((item) => item.map((value, feature) => value - mean[feature]!));
  };

  it('of labels say which are equal', () => {
    expectKernel(run({}).Ey, (i, j) => (labels[i] === labels[j] ? 1 : 0));
  });

  it('are Gaussian, with the width scaled by the features', () => {
    const { Ex, row } = run({ sigma: 0.7 });
    expectKernel(Ex, (i, j) => Math.exp(-distance(row(i), row(j)) / (2 * 0.7 ** 2 * D)));
  });

  it('are Gaussian of the median distance by default', () => {
    const { Ex, row } = run({});
    const pairs: number[] = [];
    for (let i = 0; i < BATCH; i += 1) for (let j = i + 1; j < BATCH; j += 1) pairs.push(distance(row(i), row(j)));
    const median = pairs.sort((a, b) => a - b)[Math.floor((pairs.length - 1) / 2)]!;
    expectKernel(Ex, (i, j) => Math.exp(-distance(row(i), row(j)) / (2 * median)));
  });

  it('are linear', () => {
    const { Ex, row } = run({ kernel: 'linear' });
    const rows = centred(row);
    expectKernel(Ex, (i, j) => dot(rows[i]!, rows[j]!));
  });

  it('are linear of unit rows for the cosine kernel', () => {
    const { Ex, row } = run({ kernel: 'cosine' });
    const rows = centred((index) => row(index).map((value) => value / Math.hypot(...row(index))));
    expectKernel(Ex, (i, j) => dot(rows[i]!, rows[j]!));
  });

  it('are normalised for nhsic only', () => {
    for (const name of LOCAL) {
      const { Rx, Ry } = run({ name });
      expect([Rx !== undefined, Ry !== undefined], name).toEqual([name === 'nhsic', name === 'nhsic']);
    }
    const { Ry } = run({ name: 'nhsic', epsilon: 1e-9 });
    // A centred label kernel of three classes has rank 2, and R is nearly the projection on it.
    expect(sum(Ry!.filter((_, index) => index % (BATCH + 1) === 0))).toBeCloseTo(2, 5);
  });
});

interface Step {
  readonly graph: Graph;
  readonly training: ReturnType<typeof attachTraining>;
  readonly logits: Tensor;
  readonly feeds: { image: Feed; labels: Feed };
}

function stepGraph(
  extra: Partial<ObjectiveOptions>,
  more: {
    model?: ModelFunction;
    optimizer?: Partial<AttachOptions['optimizer']>;
    side?: number;
    classWeights?: number[];
  } = {},
): Step {
  const { model = tinyNet, side = SIDE, classWeights } = more;
  const graph = new Graph({ training: true, seed: 5 });
  const x = graph.input('image', [BATCH, side, side, 1]);
  const labels = graph.input('labels', [BATCH], 'i32');
  const step = graph.state('step', [1], 'i32');
  const lr = ops.schedule(step, { kind: 'constant', base: 0.01 });
  const logits = model(x, { classes: CLASSES });
  const training = attachTraining(graph, {
    x,
    labels,
    logits,
    classes: CLASSES,
    objective: options(extra),
    optimizer: { kind: 'adam', lr, step, ...more.optimizer },
    ...(classWeights ? { classWeights: graph.constant('weights', [CLASSES], Float32Array.from(classWeights)) } : {}),
  });
  const feeds = {
    image: values(BATCH * side * side, 2),
    labels: Array.from({ length: BATCH }, (_, index) => (index * index + 1) % CLASSES),
  };
  return { graph, training, logits, feeds };
}

const unitOf = (graph: Graph, name: string) => graph.units.find((unit) => unit.name === name)!;

/** Persistent tensors that a unit's updates write, after one step with some parameters changed before. */
function afterStep(made: Step, unit: string, change: Record<string, number> = {}): Map<string, Float64Array> {
  const session = new ReferenceSession(made.graph);
  for (const [name, factor] of Object.entries(change)) {
    session.write(
      name,
      session.read(name).map((value, index) => value * factor + (index % 3) * (factor - 1)),
    );
  }
  session.step(made.feeds);
  const { index } = unitOf(made.graph, unit);
  const written = made.graph.nodes
    .filter((node) => node.unit === index)
    .flatMap((node) => node.outputs)
    .map((id) => made.graph.tensors[id]!)
    .filter((info) => info.kind !== 'temp');
  return new Map(written.map((info) => [info.name, session.read(info.name)]));
}

/** Indices of the nodes that a node's result depends on, within one step; itself included. */
function ancestors(graph: Graph, from: number[]): Set<number> {
  const makers = new Map<number, number>();
  graph.nodes.forEach((node, index) => {
    for (const id of node.outputs) if (graph.tensors[id]!.kind === 'temp') makers.set(id, index);
  });
  const found = new Set(from);
  const open = [...from];
  while (open.length > 0) {
    for (const id of graph.nodes[open.pop()!]!.inputs) {
      const maker = makers.get(id);
      if (maker === undefined || found.has(maker)) continue;
      found.add(maker);
      open.push(maker);
    }
  }
  return found;
}

const UPDATES: readonly string[] = ['adam', 'sgd'];

describe('a unit’s border', () => {
  const later = unitOf(stepGraph({}).graph, 'second').params.map((param) => param.name);

  it.each(LOCAL)('%s: other weights of later units leave the updates of earlier ones, to the bit', (name) => {
    const made = stepGraph({ name });
    const all = [...later, 'head/fc/weight', 'head/fc/bias'];
    const before = afterStep(made, 'first');
    const after = afterStep(made, 'first', Object.fromEntries(all.map((param) => [param, 1.7])));
    expect(before.has('first/weight/adam_m')).toBe(true);
    expect(after).toEqual(before);
    // The change is one that the changed units feel.
    const headBefore = afterStep(made, 'head').get('head/fc/weight/adam_m');
    const headAfter = afterStep(made, 'head', { 'second/pointwise': 1.7 }).get('head/fc/weight/adam_m');
    expect(headAfter).not.toEqual(headBefore);
  });

  it.each(LOCAL)('%s: not even NaN in a later unit reaches an earlier one', (name) => {
    const made = stepGraph({ name });
    const poisoned = { 'second/pointwise': Number.NaN, 'head/fc/weight': Number.NaN };
    const first = afterStep(made, 'first', poisoned);
    expect(first).toEqual(afterStep(made, 'first'));
    expect([...afterStep(made, 'second', poisoned).get('second/depthwise')!].some(Number.isNaN)).toBe(true);
    const second = afterStep(made, 'second', { 'head/fc/weight': Number.NaN });
    expect(second).toEqual(afterStep(made, 'second'));
  });

  it('bp crosses it', () => {
    const made = stepGraph({ name: 'bp' });
    // With one unit all updates are the head's.
    const before = afterStep(made, 'head').get('first/weight/adam_m');
    const after = afterStep(made, 'head', { 'head/fc/weight': 1.7 }).get('first/weight/adam_m');
    expect(before!.some((value) => value !== 0)).toBe(true);
    expect(after).not.toEqual(before);
  });

  it.each([...LOCAL.map((name) => [name, 'tinyNet', tinyNet, SIDE] as const), ['cka', 'cfpn', cfpn, 16] as const])(
    '%s on %s: an update reads nothing of later units and nothing but forward nodes of earlier ones',
    (name, _, model, side) => {
      const { graph } = stepGraph({ name }, { model: model as ModelFunction, side });
      const forward = graph.nodes.findIndex((node) => node.name === 'accuracy');
      expect(forward).toBeGreaterThan(0);
      for (const unit of graph.units) {
        const own = graph.nodes.flatMap((node, index) =>
          node.unit === unit.index && UPDATES.includes(node.op) ? [index] : [],
        );
        expect(own.length, unit.name).toBe(unit.params.length);
        for (const index of ancestors(graph, own)) {
          const node = graph.nodes[index]!;
          // Whoever normalises a unit's output first measures it, for the unit's own objective too.
          const measuresOwn = node.op === 'moments' && node.inputs[0] === unit.output!.id;
          if (!measuresOwn) expect(node.unit, node.name).toBeLessThanOrEqual(unit.index);
          if (node.unit >= 0 && node.unit < unit.index) expect(index, node.name).toBeLessThan(forward);
        }
      }
    },
  );
});

describe('updates', () => {
  it.each(OBJECTIVES)('%s updates every parameter once, and moves it', (name) => {
    const made = stepGraph({ name });
    const { graph } = made;
    const params = graph.tensors.flatMap((info, id) => (info.kind === 'param' ? [id] : []));
    const updated = graph.nodes.filter((node) => UPDATES.includes(node.op)).map((node) => node.outputs[0]!);
    expect([...updated].sort((a, b) => a - b)).toEqual(params);
    const session = new ReferenceSession(graph);
    const before = params.map((id) => session.read(graph.tensors[id]!.name));
    session.step(made.feeds);
    for (const [index, id] of params.entries()) {
      const after = session.read(graph.tensors[id]!.name);
      const moved = after.filter((value, element) => value !== before[index]![element]).length;
      expect(moved, graph.tensors[id]!.name).toBeGreaterThan(0);
      expect(after.every(Number.isFinite)).toBe(true);
    }
  });

  it.each(OPTIMIZERS)('%s keeps its moments under the parameter’s name', (kind) => {
    const { graph } = stepGraph({}, { optimizer: { kind } });
    const states = graph.tensors.filter((info) => info.kind === 'state' && info.name.startsWith('second/pointwise/'));
    const suffixes = kind === 'sgd' ? ['sgd_velocity'] : ['adam_m', 'adam_v'];
    expect(states.map((info) => info.name)).toEqual(suffixes.map((suffix) => `second/pointwise/${suffix}`));
    for (const info of states) expect(info.shape).toEqual([1, 1, 8, 12]);
  });

  it.each([
    ['local-ce', ['local_head/weight 72x3', 'local_head/bias 3']],
    ['predsim', ['similarity 3x3x8x8', 'local_head/weight 72x3', 'local_head/bias 3']],
    ['cka', []],
  ] as const)('%s declares what it adds inside the unit', (name, expected) => {
    const { graph } = stepGraph({ name }, { side: 9, model: tinyNet });
    const added = (unit: string): string[] =>
      unitOf(graph, unit)
        .params.filter((param) => param.name.startsWith(`${unit}/objective/`))
        .map((param) => `${param.name.slice(`${unit}/objective/`.length)} ${param.shape.join('x')}`);
    expect(added('first')).toEqual(expected);
    expect(added('second')).toHaveLength(expected.length);
    expect(added('head')).toEqual([]);
  });
});

/** Smoothed, weighted cross-entropy of logits, by definition. */
function crossEntropy(logits: Float64Array, labels: ArrayLike<number>, smoothing: number, weights: number[]): number {
  let loss = 0;
  let total = 0;
  for (let row = 0; row < BATCH; row += 1) {
    const own = logits.subarray(row * CLASSES, row * CLASSES + CLASSES);
    const log = Math.log(sum(own.map(Math.exp)));
    const weight = weights[labels[row]!]!;
    for (let k = 0; k < CLASSES; k += 1) {
      const target = (labels[row] === k ? 1 - smoothing : 0) + smoothing / CLASSES;
      loss += weight * target * (log - own[k]!);
    }
    total += weight;
  }
  return loss / total;
}

describe('losses', () => {
  const classifierLoss = (made: Step): { loss: number; logits: Float64Array } => {
    const step = new ReferenceSession(made.graph).step(made.feeds);
    return { loss: step.get(made.training.losses.id)!.data.at(-1)!, logits: step.get(made.logits.id)!.data };
  };

  it.each([
    ['cka', 0, undefined],
    ['cka', 0.2, undefined],
    ['cka', 0, [1, 5, 0.25]],
    ['bp', 0.1, [1, 5, 0.25]],
    ['local-ce', 0.3, [2, 0, 1]],
  ] as [ObjectiveName, number, number[] | undefined][])(
    '%s: the classifier’s has smoothing %d and class weights %j',
    (name, labelSmoothing, classWeights) => {
      const made = stepGraph({ name, labelSmoothing }, classWeights ? { classWeights } : {});
      const { loss, logits } = classifierLoss(made);
      const labels = made.feeds.labels as number[];
      const expected = crossEntropy(logits, labels, labelSmoothing, classWeights ?? [1, 1, 1]);
      expect(loss).toBeCloseTo(expected, 9);
      if (labelSmoothing > 0 || classWeights)
        expect(Math.abs(loss - crossEntropy(logits, labels, 0, [1, 1, 1]))).toBeGreaterThan(1e-4);
    },
  );

  it('local heads have the smoothing too', () => {
    const { graph } = stepGraph({ name: 'local-ce', labelSmoothing: 0.3 });
    const heads = graph.nodes.filter((node) => node.op === 'crossEntropy');
    expect(heads).toHaveLength(3);
    for (const node of heads) expect(node.attrs.labelSmoothing).toBe(0.3);
  });

  it('predsim is 0.99 similarity matching and 0.01 cross-entropy', () => {
    const flat: ModelFunction = (x, { classes }) => {
      const hidden = x.graph.unit('first', () => dense('fc', ops.flatten(x), 5));
      return x.graph.unit('head', () => dense('fc', hidden, classes));
    };
    const made = stepGraph({ name: 'predsim' }, { model: flat, side: 8 });
    const { graph, training, feeds } = made;
    const labels = feeds.labels as number[];
    const step = new ReferenceSession(graph).step(feeds);
    const first = unitOf(graph, 'first');
    const local = graph.nodes.find((node) => node.op === 'crossEntropy' && node.unit === first.index)!;
    const prediction = crossEntropy(step.get(local.inputs[0]!)!.data, labels, 0, [1, 1, 1]);
    const z = step.get(first.output!.id)!.data;
    const standard = Array.from({ length: 5 }, (_, c) => {
      const own = column(z, 5, c);
      const mean = sum(own) / BATCH;
      const variance = sum(own.map((value) => (value - mean) ** 2)) / BATCH;
      return own.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
    });
    const rows = Array.from({ length: BATCH }, (_, row) => {
      const values = standard.map((own) => own[row]!);
      const mean = sum(values) / 5;
      const centred = values.map((value) => value - mean);
      const norm = Math.hypot(...centred);
      return centred.map((value) => value / norm);
    });
    let similarity = 0;
    for (let i = 0; i < BATCH; i += 1) {
      for (let j = 0; j < BATCH; j += 1) {
        const cosine = sum(rows[i]!.map((value, feature) => value * rows[j]![feature]!));
        similarity += (cosine - (labels[i] === labels[j] ? 1 : -1 / (CLASSES - 1))) ** 2 / BATCH ** 2;
      }
    }
    expect(step.get(training.losses.id)!.data[0]).toBeCloseTo(0.99 * similarity + 0.01 * prediction, 6);
  });

  it.each(DEPENDENCE)('%s: the first column of the reports is the losses', (name) => {
    const { graph, training, feeds } = stepGraph({ name });
    expect(training.names).toEqual(['first', 'second', 'head']);
    expect(training.reportNames).toEqual(['first', 'second']);
    expect(training.reports!.shape).toEqual([2, REPORT_COLUMNS.length]);
    const step = new ReferenceSession(graph).step(feeds);
    const losses = step.get(training.losses.id)!.data;
    const reports = step.get(training.reports!.id)!.data;
    expect([...column(reports, REPORT_COLUMNS.length, 0)]).toEqual([...losses.subarray(0, 2)]);
    expect(new Set(losses).size).toBe(3);
  });

  it.each(['local-ce', 'predsim'] as const)('%s is measured by cka', (name) => {
    const measured = (objective: ObjectiveName): { reports: number[]; losses: number[] } => {
      const { graph, training, feeds } = stepGraph({ name: objective });
      const step = new ReferenceSession(graph).step(feeds);
      return { reports: [...step.get(training.reports!.id)!.data], losses: [...step.get(training.losses.id)!.data] };
    };
    expect(measured(name).reports).toEqual(measured('cka').reports);
    expect(measured(name).losses[0]).not.toBe(measured('cka').losses[0]);
  });

  it('bp has one, named network, and no reports', () => {
    const { graph, training, feeds, logits } = stepGraph({ name: 'bp' });
    expect(training).toMatchObject({ names: ['network'], reportNames: [] });
    expect(training.reports).toBeUndefined();
    const step = new ReferenceSession(graph).step(feeds);
    const own = step.get(logits.id)!.data;
    const hits = (feeds.labels as number[]).filter((label, row) => {
      const scores = own.subarray(row * CLASSES, row * CLASSES + CLASSES);
      return scores.indexOf(Math.max(...scores)) === label;
    });
    expect(step.get(training.accuracy.id)!.data[0]).toBeCloseTo(hits.length / BATCH, 12);
  });
});

describe('unusual models', () => {
  const linear: ModelFunction = (x, { classes }) => x.graph.unit('head', () => dense('fc', ops.flatten(x), classes));

  it.each(OBJECTIVES)('%s trains a classifier without other units', (name) => {
    const { training, graph, feeds } = stepGraph({ name }, { model: linear });
    expect(training.reports).toBeUndefined();
    expect(training.reportNames).toEqual([]);
    expect(new ReferenceSession(graph).step(feeds).get(training.losses.id)!.data).toHaveLength(1);
  });

  it('logits that are no unit’s output are refused', () => {
    const outside: ModelFunction = (x, { classes }) => dense('fc', ops.flatten(x), classes);
    expect(() => stepGraph({}, { model: outside })).toThrow(ArgumentError);
    expect(() => stepGraph({}, { model: outside })).toThrow('the logits are not the output of a unit');
  });
});
