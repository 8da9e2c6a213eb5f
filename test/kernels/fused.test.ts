// The depthwise kernels that normalise as they load (batchNorm folded into them by the planner) against the oracle's
// unfolded graph, on each ISA and with one to three threads. The rule they most easily break: padding stays zero, it
// is not what the batchNorm would make of a zero.
import { expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import { ReferenceSession } from '../reference/interpreter';
import { generator } from './fills';
import { availableIsas } from './isas';
import { firstDifference, firstMismatch } from './tolerance';

interface Config {
  readonly x: [number, number, number, number];
  readonly kernel: [number, number];
  readonly stride?: number;
  readonly dilation?: number;
  readonly multiplier?: number;
  readonly activation: string;
}

const ACTIVATIONS = ['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'];

const CONFIGS: Config[] = [
  ...[3, 5, 16, 17, 33, 64, 100].map(
    (c, index): Config => ({ x: [2, 7, 6, c], kernel: [3, 3], activation: ACTIVATIONS[index % 6]! }),
  ),
  ...ACTIVATIONS.map((activation): Config => ({ x: [1, 6, 9, 20], kernel: [3, 3], stride: 2, activation })),
  { x: [1, 9, 8, 12], kernel: [5, 5], activation: 'relu' },
  { x: [1, 9, 8, 7], kernel: [3, 3], dilation: 2, activation: 'sigmoid' },
  { x: [2, 5, 5, 6], kernel: [3, 3], multiplier: 2, activation: 'relu' },
  { x: [2, 5, 4, 9], kernel: [1, 1], activation: 'elu' },
  { x: [1, 2, 2, 8], kernel: [5, 5], activation: 'sigmoid' },
  { x: [3, 20, 21, 24], kernel: [3, 3], activation: 'relu' },
];

function appendConfig(graph: Graph, config: Config, index: number): Tensor[] {
  const { x: shape, kernel, stride = 1, dilation = 1, multiplier = 1, activation } = config;
  const [n, h, w, c] = shape;
  const outs = c * multiplier;
  const before = kernel.map((extent) => Math.floor(((extent - 1) * dilation) / 2));
  const outExtent = (size: number, axis: number) =>
    Math.floor((size + 2 * before[axis]! - dilation * (kernel[axis]! - 1) - 1) / stride) + 1;
  const y = [n, outExtent(h, 0), outExtent(w, 1), outs];
  const feed = (name: string, of: number[]) => graph.input(`${name}${index}`, of);
  const filter = [kernel[0], kernel[1], 1, outs];
  const x = feed('x', shape);
  const stats = ['mean', 'variance', 'gamma', 'beta'].map((name) => feed(name, [c]));
  const norm = { eps: 1e-3, activation, alpha: 0.3, training: true };
  const [normal] = graph.append('batchNorm', [x, ...stats], [{ shape }], norm);
  const attrs = {
    ...{ strideH: stride, strideW: stride, dilationH: dilation, dilationW: dilation, groups: c },
    ...{ padTop: before[0]!, padBottom: before[0]!, padLeft: before[1]!, padRight: before[1]! },
  };
  const [forward] = graph.append('conv2d', [normal!, feed('w', filter)], [{ shape: y }], attrs);
  const [gradient] = graph.append('conv2dGradFilter', [normal!, feed('dy', y)], [{ shape: filter }], attrs);
  return [forward!, gradient!];
}

function build() {
  const graph = new Graph();
  const outputs: Record<string, Tensor> = {};
  CONFIGS.forEach((config, index) => {
    const [forward, gradient] = appendConfig(graph, config, index);
    outputs[`forward ${JSON.stringify(config)}`] = forward!;
    outputs[`gradient ${JSON.stringify(config)}`] = gradient!;
  });
  const random = generator(3);
  const feeds: Record<string, Float32Array> = {};
  for (const { kind, name, shape } of graph.tensors) {
    if (kind !== 'input') continue;
    const low = name.startsWith('variance') ? 0.3 : -1;
    feeds[name] = Float32Array.from({ length: sizeOf(shape) }, () => low + random() * (1 - low));
  }
  return { graph, outputs, feeds };
}

const { graph, outputs, feeds } = build();
const values = new ReferenceSession(graph).step(feeds);

it.each(availableIsas())('%s', async (isa) => {
  expect(analyze(graph, { outputs, device: 'cpu', isa }).launches.filter(({ op }) => op === 'batchNorm')).toEqual([]);
  let first: Record<string, ArrayLike<number>> | undefined;
  for (const threads of [1, 2, 3]) {
    using plan = compile(graph, { outputs, device: 'cpu', isa, threads });
    const results: Record<string, ArrayLike<number>> = await plan.step(feeds);
    for (const [name, tensor] of Object.entries(outputs)) {
      const { shape } = tensor;
      const mismatch = firstMismatch(results[name]!, values.get(tensor.id)!.data, { shape, relative: 1e-5 });
      expect(mismatch, name).toBeUndefined();
      if (first) expect(firstDifference(first[name]!, results[name]!, shape), name).toBeUndefined();
    }
    first ??= results;
  }
});
