// Grad-CAM against what it must be for two networks: with a global mean and a linear classifier it is the class activation map
// of Zhou et al. 2016 (weights of the class, divided by the places), and by finite differences for a deeper one.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ArgumentError, CheckpointError } from '../../src/errors';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { convolution } from '../../src/layers/plain';
import { dense } from '../../src/layers/separable';
import { type ModelFunction, mffCnn } from '../../src/models';
import { writeWeights } from '../../src/train/compileModel';
import { networkInput } from '../../src/train/featureMaps';
import { gradCam } from '../../src/train/gradCam';
import { generator, stripeDataset } from './fixtures';

const data = stripeDataset(4, 8, 3);
const spec = { classes: 3, input: [8, 8, 1] as const, mean: [0.3], std: [0.2] };

const meanNet: ModelFunction = (x, { classes }) => {
  const maps = x.graph.unit('maps', () => ops.relu(convolution('conv', x, 5)));
  return x.graph.unit('head', () => dense('fc', ops.globalAvgPool(maps), classes));
};

/** Random weights, and a plan of part of the network with them. */
async function start(model: ModelFunction, input: readonly number[], pick: (graph: Graph, logits: Tensor) => Tensor) {
  const graph = new Graph({ training: false, seed: 3 });
  const x = graph.input('image', [1, ...input]);
  const picked = pick(graph, model(x, { classes: spec.classes }));
  const plan = compile(graph, { outputs: { picked } });
  // A classifier starts from zeros, which say nothing.
  const next = generator(9);
  const random = (shape: readonly number[]): Float32Array =>
    Float32Array.from({ length: sizeOf(shape) }, () => next() - 0.4);
  const entries = plan.tensors().map(({ name, shape }) => [name, { shape, data: random(shape) }] as const);
  const weights = Object.fromEntries(entries);
  await writeWeights(plan, weights);
  return { plan, weights };
}

describe('gradCam', () => {
  it('of a global mean and a linear classifier is the class activation map', async () => {
    const { plan, weights } = await start(meanNet, spec.input, (graph) => graph.units[0]!.output!);
    const { picked } = await plan.step({ image: networkInput(data, 1, spec) });
    plan.dispose();
    const activation = picked as Float32Array;
    const classifier = weights['head/fc/weight']!.data as Float32Array;
    for (const target of [0, 1, 2]) {
      const { maps, logits } = await gradCam({ model: meanNet, spec, weights, unit: 'maps' }, data, 1, target);
      expect(maps.length).toBe(1);
      const wanted = Array.from({ length: 64 }, (_, place) => {
        const sum = [0, 1, 2, 3, 4].reduce((s, k) => s + classifier[k * 3 + target]! * activation[place * 5 + k]!, 0);
        return Math.max(0, sum / 64);
      });
      expect(Math.max(...wanted)).toBeGreaterThan(0);
      for (const [place, value] of maps[0]!.data.entries()) expect(value).toBeCloseTo(wanted[place]!, 6);
      expect(logits.length).toBe(3);
    }
    const chosen = await gradCam({ model: meanNet, spec, weights, unit: 'maps' }, data, 1);
    expect(chosen.target).toBe(chosen.logits.indexOf(Math.max(...chosen.logits)));
  });

  it('weighs channels by the mean of finite differences of the logit', async () => {
    // The unit's maps are fed in, moved a little, and the rest of the network is run on.
    const rest = (maps: Tensor): Tensor => {
      const y = ops.tanh(convolution('late', maps, 4, { stride: 2 }));
      return dense('fc', ops.flatten(y), 3);
    };
    const deep: ModelFunction = (x) => {
      const maps = x.graph.unit('maps', () => ops.tanh(convolution('conv', x, 3)));
      return x.graph.unit('head', () => rest(maps));
    };
    const { plan, weights } = await start(deep, spec.input, (graph) => graph.units[0]!.output!);
    const activation = (await plan.step({ image: networkInput(data, 2, spec) })).picked as Float32Array;
    plan.dispose();
    const tail = new Graph({ training: false });
    const fed = tail.input('maps', [1, 8, 8, 3]);
    const logits = tail.unit('head', () => rest(fed));
    const tailPlan = compile(tail, { outputs: { logits } });
    await writeWeights(tailPlan, weights);
    const target = 1;
    const logit = async (maps: Float32Array): Promise<number> =>
      ((await tailPlan.step({ maps })).logits as Float32Array)[target]!;
    const alpha: number[] = [];
    for (let k = 0; k < 3; k += 1) {
      // The mean of the partial derivatives is the derivative along the channel as a whole, divided by its places.
      const moved = (by: number): Float32Array => activation.map((value, at) => (at % 3 === k ? value + by : value));
      alpha.push(((await logit(moved(0.01))) - (await logit(moved(-0.01)))) / 0.02 / 64);
    }
    tailPlan.dispose();
    const { maps } = await gradCam({ model: deep, spec, weights, unit: 'maps' }, data, 2, target);
    for (const [place, value] of maps[0]!.data.entries()) {
      const sum = alpha.reduce((s, weight, k) => s + weight * activation[place * 3 + k]!, 0);
      expect(value).toBeCloseTo(Math.max(0, sum), 3);
    }
  });

  it('has a map for each of MFF-CNN’s patches, and none where nothing was selected', async () => {
    const faces = stripeDataset(2, 40, 3);
    const input = [40, 40, 1] as const;
    const model: ModelFunction = (x, options) => mffCnn(x, { ...options, selected: 8 });
    const { plan, weights } = await start(model, input, (_, logits) => logits);
    plan.dispose();
    const wide = { ...spec, input };
    const { maps } = await gradCam({ model, spec: wide, weights, unit: 'patch/conv4' }, faces, 0, 0);
    expect(maps.length).toBe(16);
    // Eight vectors of 512 cannot lie in all sixteen patches.
    const dark = maps.filter(({ data: values }) => values.every((value) => value === 0));
    expect(dark.length).toBeGreaterThanOrEqual(8);
  });

  it('refuses a unit without maps, and weights that do not fit', async () => {
    const { plan, weights } = await start(meanNet, spec.input, (_, logits) => logits);
    plan.dispose();
    const at = (unit: string, own = weights) => gradCam({ model: meanNet, spec, weights: own, unit }, data, 0);
    await expect(at('head')).rejects.toThrow(ArgumentError);
    await expect(at('map')).rejects.toThrow(/expected a unit with maps, got "map"; did you mean "maps"/);
    await expect(at('maps', {})).rejects.toThrow(CheckpointError);
  });

  it.each([
    ['an image that is not there', data, data.count, 0, /index is an integer from 0 to \d+, got/],
    ['half an image', data, 0.5, 0, /index is an integer/],
    ['a class that is not there', data, 0, spec.classes, /target is an integer from 0 to \d+, got/],
    ['no class', data, 0, Number.NaN, /target is an integer/],
    [
      'images of other channels',
      { ...data, width: data.width / 2, channels: 2 },
      0,
      0,
      /reads images of 1 channels, .* 2/,
    ],
  ])('refuses %s', async (_, images, index, target, message) => {
    const { plan, weights } = await start(meanNet, spec.input, (__, logits) => logits);
    plan.dispose();
    const answer = gradCam({ model: meanNet, spec, weights, unit: 'maps' }, images, index, target);
    await expect(answer).rejects.toThrow(ArgumentError);
    await expect(answer).rejects.toThrow(message);
  });
});
