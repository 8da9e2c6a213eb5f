// Dense blocks under back-propagation: what mean and variance contribute to the gradient by an input is subtracted once,
// from the channels that are read, when they are (native/plan/defer_correction.cpp). What is planned, and that it is what
// the oracle's graph of single ops says, on each ISA.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { grad } from '../../src/graph/gradients';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { expectOracle, expectSameBits, oracle, randomFeeds, stepped, type Tensors } from '../kernels/against';
import { availableIsas } from '../kernels/isas';
import { firstMismatch } from '../kernels/tolerance';

interface Block {
  readonly layers: number;
  readonly growth: number;
  readonly channels: number;
  /** Running statistics instead of those of the batch. */
  readonly inference?: boolean;
  /** Images, rows and columns. */
  readonly map?: readonly [number, number, number];
  /** What the first layer normalises that the later ones do not: another map, or the same by another mean. */
  readonly apart?: 'map' | 'mean';
}

const last = availableIsas().at(-1)!;

const MAP = [2, 6, 5] as const;

/** A dense block of BN, activation, depthwise and pointwise, its filters' gradients and those of the block's input. */
function dense({ layers, growth, channels, inference = false, map = MAP, apart }: Block) {
  const graph = new Graph();
  const shape = [...map, channels];
  const input = graph.input('x', shape);
  const parameters: Tensor[] = [];
  const fed = (name: string, of: readonly number[]): Tensor => {
    const tensor = graph.input(name, of);
    parameters.push(tensor);
    return tensor;
  };
  // Read through an op, as a convolution's result would be, so that it is a map of the plan's own.
  let x = ops.affine(input, { scale: 0.5 });
  for (let layer = 0; layer < layers; layer += 1) {
    const c = x.shape[3]!;
    const { mean, variance } = inference
      ? { mean: graph.input(`mean${layer}`, [c]), variance: graph.input(`variance${layer}`, [c]) }
      : ops.moments(x);
    const own = layer === 0 && apart === 'mean' ? graph.input('mean of its own', [c]) : mean;
    const [gamma, beta] = [fed(`gamma${layer}`, [c]), fed(`beta${layer}`, [c])];
    const a = ops.batchNorm(x, {
      ...{ mean: own, variance, gamma, beta },
      ...{ eps: 1e-3, activation: 'tanh', alpha: 0, training: !inference },
    });
    const u = ops.depthwiseConv2d(a, fed(`w${layer}`, [3, 3, 1, c]));
    if (layer === 0 && apart === 'map') x = ops.add(x, graph.input('added', shape));
    x = ops.concat([x, ops.conv2d(u, fed(`v${layer}`, [1, 1, c, growth]))]);
  }
  const loss = ops.reduceSum(ops.mul(x, graph.input('dy', x.shape)));
  const gradients = grad(loss, [input, ...parameters]);
  const outputs: Tensors = Object.fromEntries(gradients.map((tensor, index) => [`gradient ${index}`, tensor]));
  return { graph, outputs };
}

const BLOCKS: Block[] = [
  { layers: 2, growth: 4, channels: 7 },
  { layers: 4, growth: 24, channels: 32 },
  { layers: 3, growth: 16, channels: 16 },
  { layers: 3, growth: 5, channels: 18, inference: true },
];

describe('the corrections of a dense block', () => {
  it.each(BLOCKS.map((block) => [JSON.stringify(block), block] as const))('are made once for %s', (_, block) => {
    const { graph, outputs } = dense(block);
    const { launches } = analyze(graph, { outputs, device: 'cpu' });
    const bytes = (op: string) => launches.filter((launch) => launch.op === op).map((launch) => launch.bytes);
    expect(bytes('depthwiseBackward')).toHaveLength(block.layers);
    expect(bytes('batchNormGradInput')).toEqual([]);
    if (block.inference) return expect(bytes('batchNormGradCorrect')).toEqual([]);
    expect(bytes('batchNormGradTerms')).toHaveLength(block.layers);
    // The last channels of each layer but the last, then those of the block's input.
    const map = (channels: number) => 4 * (3 * 2 * 6 * 5 * channels + 3 * channels);
    const grown = Array.from({ length: block.layers - 1 }, () => map(block.growth));
    expect(bytes('batchNormGradCorrect')).toEqual([...grown, map(block.channels)]);
  });

  it.each(BLOCKS.map((block) => [JSON.stringify(block), block] as const))(
    'give the gradients of %s',
    async (_, block) => {
      const { graph, outputs } = dense(block);
      const feeds = randomFeeds(graph, 41);
      const want = oracle(graph, outputs, feeds);
      for (const isa of availableIsas()) await expectOracle(graph, outputs, feeds, want, isa);
    },
  );

  // What the second layer would leave for the first to subtract is linear in the map and the mean of the second.
  it.each(['map', 'mean'] as const)('stay with a layer whose %s the one before does not share', async (apart) => {
    const { graph, outputs } = dense({ layers: 3, growth: 4, channels: 7, apart });
    const feeds = randomFeeds(graph, 43);
    const want = oracle(graph, outputs, feeds);
    for (const isa of availableIsas()) await expectOracle(graph, outputs, feeds, want, isa);
  });

  // 8 MiB and more of corrected channels go past the caches where the ISA can.
  it('are the same where they are streamed', async () => {
    const { graph, outputs } = dense({ layers: 2, growth: 24, channels: 16, map: [1, 300, 301] });
    const feeds = randomFeeds(graph, 42);
    const [want, got] = [
      await stepped(graph, outputs, feeds, 'scalar', 2),
      await stepped(graph, outputs, feeds, last, 2),
    ];
    for (const [name, { shape }] of Object.entries(outputs)) {
      const expected = Float64Array.from(want[name]!);
      expect(firstMismatch(got[name]!, expected, { shape, relative: 2e-5 }), name).toBeUndefined();
    }
    expectSameBits(await stepped(graph, outputs, feeds, last, 3), got, outputs, '3 threads');
  });
});
