// The structure of what grad() appends: which nodes, in which unit, and which not. That the numbers are right is the
// float64 oracle's business (test/reference).
import { describe, expect, it } from 'vitest';
import { GraphError } from '../../src/errors';
import { grad } from '../../src/graph/gradients';
import { Graph, type Node, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { build, samples } from './samples';

/** Nodes appended while `body` runs. */
function appended(graph: Graph, body: () => unknown): Node[] {
  const before = graph.nodes.length;
  body();
  return graph.nodes.slice(before);
}

const opsOf = (nodes: readonly Node[]): string[] => nodes.map((node) => node.op);

interface Network {
  readonly graph: Graph;
  readonly x: Tensor;
  readonly labels: Tensor;
  readonly logits: Tensor;
}

/** Two units: convolution with batch normalisation, then a classifier. */
function network(): Network {
  const graph = new Graph();
  const x = graph.input('x', [4, 6, 6, 2]);
  const labels = graph.input('labels', [4], 'i32');
  const stem = graph.unit('stem', () => {
    const y = ops.conv2d(x, graph.param('w', [3, 3, 2, 5], 0));
    const learned = { gamma: graph.param('gamma', [5], 1), beta: graph.param('beta', [5], 0) };
    return ops.batchNorm(y, { ...ops.moments(y), ...learned, activation: 'relu' });
  });
  const logits = graph.unit('head', () => {
    return ops.dense(ops.globalAvgPool(stem), graph.param('w', [5, 3], 0), graph.param('b', [3], 0));
  });
  return { graph, x, labels, logits };
}

function outputsOf(graph: Graph, op: string): number[] {
  return graph.nodes.filter((node) => node.op === op).flatMap((node) => node.outputs);
}

describe('every differentiable builder', () => {
  const differentiable = Object.entries(samples).flatMap(([name, list]) => {
    return list.map((sample, index) => [`${name} ${index}`, sample] as const);
  });
  const cases = differentiable.filter(([, sample]) => build(sample).output !== undefined);

  it.each(cases)('%s: each leaf gets a gradient of its own shape, made by real nodes', (_name, sample) => {
    const { graph, leaves, output } = build(sample);
    const seed = graph.input('seed', output!.shape);
    const gradients = grad(output!, leaves, { seed });
    expect(gradients.map((gradient) => gradient.shape)).toEqual(leaves.map((leaf) => leaf.shape));
    for (const gradient of gradients) expect(graph.producer(gradient)?.attrs).not.toEqual({ value: 0 });
  });

  it.each(cases)('%s: takes the default seed, and one wanted leaf costs no more than all', (_name, sample) => {
    const all = build(sample);
    const everything = appended(all.graph, () => grad(all.output!, all.leaves));
    all.leaves.forEach((_, index) => {
      const one = build(sample);
      const wanted = appended(one.graph, () => grad(one.output!, [one.leaves[index]!]));
      expect(wanted.length).toBeLessThanOrEqual(everything.length);
    });
  });
});

describe('within a unit', () => {
  it('appends in the unit and never looks past its border', () => {
    const { graph, labels, logits } = network();
    const [stem, head] = graph.units as [(typeof graph.units)[0], (typeof graph.units)[0]];
    const loss = graph.inUnit(head, () => ops.crossEntropy(logits, labels));
    const nodes = appended(graph, () => grad(loss, head.params, { within: head }));
    expect(nodes.map((node) => node.unit)).toEqual(nodes.map(() => head.index));
    expect(opsOf(nodes)).toEqual(['reduceSum', 'matmul']);
    const crossing = appended(graph, () => grad(loss, stem.params, { within: head }));
    expect(opsOf(crossing)).toEqual(['fill', 'fill', 'fill']);
    expect(crossing.every((node) => node.attrs.value === 0)).toBe(true);
  });

  it('is back-propagation without the restriction', () => {
    const { graph, labels, logits } = network();
    const loss = ops.crossEntropy(logits, labels);
    const params = graph.units.flatMap((unit) => unit.params);
    const gradients = grad(loss, params);
    expect(gradients.map((gradient) => gradient.shape)).toEqual(params.map((param) => param.shape));
    expect(gradients.map((gradient) => graph.producer(gradient)?.op)).toEqual([
      'conv2dGradFilter',
      'batchNormGradParams',
      'batchNormGradParams',
      'matmul',
      'reduceSum',
    ]);
  });
});

describe('pruning', () => {
  it('makes no conv2dGradInput unless the input is wanted', () => {
    const { graph, x, labels, logits } = network();
    const loss = ops.crossEntropy(logits, labels);
    const params = graph.units.flatMap((unit) => unit.params);
    expect(opsOf(appended(graph, () => grad(loss, params)))).not.toContain('conv2dGradInput');
    const nodes = opsOf(appended(graph, () => grad(loss, [x])));
    expect(nodes).toContain('conv2dGradInput');
    expect(nodes).not.toContain('conv2dGradFilter');
  });

  it('makes no batchNormGradInput for gamma and beta alone, and none of moments with it', () => {
    const { graph, labels, logits } = network();
    const loss = ops.crossEntropy(logits, labels);
    const [w, gamma, beta] = graph.units[0]!.params as [Tensor, Tensor, Tensor];
    const alone = opsOf(appended(graph, () => grad(loss, [gamma, beta])));
    expect(alone.filter((op) => op.startsWith('batchNorm'))).toEqual(['batchNormGradParams']);
    const deep = opsOf(appended(graph, () => grad(loss, [w])));
    expect(deep.filter((op) => op.startsWith('batchNorm'))).toEqual(['batchNormGradParams', 'batchNormGradInput']);
    // All that follows batchNormGradInput is the filter's gradient: nothing came back through mean and variance.
    expect(deep.slice(deep.indexOf('batchNormGradInput') + 1)).toEqual(['conv2dGradFilter']);
  });

  it('uses the saved gradients of the losses as they are', () => {
    const { graph, labels, logits } = network();
    const loss = ops.crossEntropy(logits, labels);
    expect(grad(loss, [logits])[0]?.id).toBe(graph.nodes.at(-1)?.outputs[1]);
    const z = graph.input('z', [4, 7]);
    const G = ops.gram(z);
    const objective = { G, Ex: graph.input('Ex', [4, 4]), Ey: ops.labelKernel(labels) };
    const { loss: dependence } = ops.hsicObjective(objective, { kind: 'cka', features: 7 });
    const nodes = appended(graph, () => grad(dependence, [z]));
    expect(opsOf(nodes)).toEqual(['gramGrad']);
    expect(nodes[0]?.inputs).toEqual([outputsOf(graph, 'hsicObjective')[2], z.id]);
  });

  it('folds constant factors of a loss into one scale', () => {
    const { graph, labels, logits } = network();
    const loss = ops.affine(ops.crossEntropy(logits, labels), { scale: 0.25 });
    const nodes = appended(graph, () => grad(loss, [logits]));
    expect(nodes.map((node) => [node.op, node.attrs])).toEqual([['affine', { scale: 0.25, offset: 0 }]]);
  });

  it('multiplies by a seed that is a tensor', () => {
    const { graph, labels, logits } = network();
    const loss = ops.crossEntropy(logits, labels);
    const seed = graph.input('seed', [1]);
    const nodes = appended(graph, () => grad(loss, [logits], { seed }));
    expect(nodes.map((node) => [node.op, node.inputs])).toEqual([
      ['mul', [outputsOf(graph, 'crossEntropy')[1], seed.id]],
    ]);
  });

  it('leaves out what the loss does not depend on', () => {
    const graph = new Graph();
    const [a, b] = [graph.input('a', [3]), graph.input('b', [2])];
    const unused = ops.tanh(a);
    const nodes = appended(graph, () => {
      const [da, db] = grad(ops.reduceSum(ops.relu(a)), [a, b]);
      expect([da?.shape, db?.shape]).toEqual([[3], [2]]);
      expect(graph.producer(db!)?.attrs).toEqual({ value: 0 });
    });
    expect(opsOf(nodes)).toEqual(['relu', 'reduceSum', 'fill', 'reluGrad', 'fill']);
    expect(graph.producer(unused)?.op).toBe('tanh');
  });
});

describe('contributions', () => {
  it('are summed once for each use', () => {
    const graph = new Graph();
    const x = graph.input('x', [3]);
    const loss = ops.reduceSum(ops.add(ops.add(ops.exp(x), ops.tanh(x)), ops.relu(x)));
    const nodes = appended(graph, () => grad(loss, [x]));
    expect(opsOf(nodes).filter((op) => op === 'add').length).toBe(2);
  });

  it('reach an inner tensor and what lies before it at once', () => {
    const graph = new Graph();
    const x = graph.input('x', [3]);
    const y = ops.tanh(x);
    const nodes = appended(graph, () => {
      const [dx, dy] = grad(ops.exp(y), [x, y]);
      expect(graph.producer(dx!)?.inputs[0]).toBe(dy?.id);
    });
    // The gradient of exp is its own output, so the one new node is tanh's.
    expect(opsOf(nodes)).toEqual(['exp', 'tanhGrad']);
  });

  it('are the seed itself where the loss is asked about', () => {
    const graph = new Graph();
    const x = graph.input('x', [3]);
    const seed = graph.input('seed', [3]);
    expect(grad(x, [x], { seed })).toEqual([seed]);
    expect(graph.producer(grad(x, [x])[0]!)?.attrs).toEqual({ value: 1 });
  });
});

describe('what gradients do not pass', () => {
  it('stopGradient, indices and the kernels of a batch', () => {
    const graph = new Graph();
    const x = graph.input('x', [4, 5]);
    const stopped = ops.stopGradient(x);
    const { kernel } = ops.kernelMatrix(ops.gram(x), { features: 5 });
    const normalized = ops.hsicNormalize(kernel);
    for (const loss of [stopped, kernel, normalized]) {
      expect(graph.producer(grad(ops.square(loss), [x])[0]!)?.attrs).toEqual({ value: 0 });
    }
  });

  it('throws on a second derivative and names the node', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const [dx] = grad(ops.tanh(x), [x]);
    expect(() => grad(dx!, [x])).toThrow(GraphError);
    expect(() => grad(dx!, [x])).toThrow('[grad] "grad/tanh/tanhGrad" (tanhGrad) lies on the way to the loss');
  });

  it('throws where an operand that counts as a constant depends on what is asked about', () => {
    const graph = new Graph({ training: false });
    const x = graph.input('x', [4, 3]);
    const w = graph.param('w', [3], 1);
    const y = ops.mul(x, w);
    const norm = { gamma: graph.param('gamma', [3], 1), beta: graph.param('beta', [3], 0) };
    const normed = (training: boolean) =>
      ops.reduceSum(ops.batchNorm(y, { ...ops.moments(y), ...norm, training }), { axes: [0, 1] });
    expect(() => grad(normed(false), [w])).toThrow(/^\[grad\] "batchNorm.*no gradient by mean/);
    expect(() => grad(normed(false), [norm.gamma])).not.toThrow();
    expect(() => grad(normed(true), [w])).not.toThrow();
    const labels = graph.input('labels', [4], 'i32');
    const weighted = ops.crossEntropy(x, labels, { classWeights: w });
    expect(() => grad(weighted, [w])).toThrow(/no gradient by classWeights/);
    expect(() => grad(weighted, [x])).not.toThrow();
    const [G, Ex, Ey] = [ops.gram(x), ops.gram(y), ops.labelKernel(labels)];
    const options = { kind: 'cka', kernel: 'linear', features: 3 } as const;
    const objective = (kernel: Tensor) => ops.hsicObjective({ G, Ex: kernel, Ey }, options).loss;
    expect(() => grad(objective(Ex), [w])).toThrow(/no gradient by Ex/);
    expect(() => grad(objective(ops.stopGradient(Ex)), [w])).not.toThrow();
  });

  it('throws on the report of an objective', () => {
    const graph = new Graph();
    const z = graph.input('z', [4, 5]);
    const objective = { G: ops.gram(z), Ex: graph.input('Ex', [4, 4]), Ey: graph.input('Ey', [4, 4]) };
    const { report } = ops.hsicObjective(objective, { kind: 'cka', features: 5 });
    expect(() => grad(ops.reduceSum(report), [z])).toThrow('is differentiable in its first output only');
  });
});

describe('updates', () => {
  it('are refused before the gradients that need the old value', () => {
    const graph = new Graph();
    const x = graph.input('x', [4, 5]);
    const w = graph.param('w', [5, 3], 0);
    const y = ops.matmul(x, w);
    ops.sgd(w, graph.input('g', [5, 3]), { velocity: graph.state('v', [5, 3]), lr: graph.input('lr', [1]) });
    expect(() => grad(y, [x])).toThrow('[grad] "w" is updated after "matmul" uses it');
    expect(grad(y, [w])[0]?.shape).toEqual([5, 3]);
  });

  it('of the step counter are refused before the gradient of a dropout', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const step = graph.state('step', [1], 'i32');
    const y = ops.dropout(x, step, { rate: 0.5, seed: 1 });
    const nodes = appended(graph, () => grad(y, [x]));
    expect(nodes.at(-1)?.attrs).toEqual(graph.producer(y)?.attrs);
    ops.increment(step);
    expect(() => grad(y, [x])).toThrow('"step" is updated after "dropout" uses it');
  });
});

describe('some rules by value', () => {
  it('matmul, all four transpositions', () => {
    for (const sample of samples.matmul!) {
      const { graph, leaves, output } = build(sample);
      const [da, db] = grad(output!, leaves);
      const products = [da!, db!].map((gradient) => graph.producer(gradient)!);
      const sizes = products.map((node) => node.inputs.reduce((sum, id) => sum + sizeOf(graph.tensor(id).shape), 0));
      // dA needs dY and B, dB needs dY and A, whatever the order: 8 + 12 and 8 + 6 elements.
      expect(sizes).toEqual([20, 14]);
    }
  });

  it('concat gives slices, slice gives pad, pad gives slice', () => {
    const graph = new Graph();
    const [a, b] = [graph.input('a', [2, 3]), graph.input('b', [2, 4])];
    const seeded = (y: Tensor, wrt: Tensor[]): Node[] => {
      const seed = graph.input(`seed${y.id}`, y.shape);
      return appended(graph, () => grad(y, wrt, { seed }));
    };
    expect(seeded(ops.concat([a, b]), [a, b]).map((node) => node.attrs)).toEqual([
      { begin: [0, 0], size: [2, 3] },
      { begin: [0, 3], size: [2, 4] },
    ]);
    expect(seeded(ops.slice(b, [1, 1], [1, 2]), [b])[0]?.attrs).toEqual({ before: [1, 1], after: [0, 1], value: 0 });
    expect(seeded(ops.pad(a, [0, 1], [2, 0]), [a])[0]?.attrs).toEqual({ begin: [0, 1], size: [2, 3] });
    expect(seeded(ops.transpose(ops.reshape(b, [2, 2, 2]), [2, 0, 1]), [b])[0]?.attrs).toEqual({ perm: [1, 2, 0] });
  });
});
