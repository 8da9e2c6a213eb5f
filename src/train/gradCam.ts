// Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): where in a unit's maps the evidence for a class lies. Called by recipes
// (paper 004, section 4.7). The rule easy to break: the score is the class's logit, not its probability, whose gradient
// vanishes where the network is sure.
import { compile } from '../compile';
import type { ImageDataset } from '../data/types';
import { ArgumentError } from '../errors';
import { grad } from '../graph/gradients';
import { Graph } from '../graph/graph';
import * as ops from '../graph/ops';
import type { ModelFunction } from '../models';
import { nearest } from '../text';
import { type Weights, writeWeights } from './compileModel';
import type { NetworkSpec } from './evaluator';
import { networkInput } from './featureMaps';

export interface GradCamOptions {
  readonly model: ModelFunction;
  readonly spec: NetworkSpec;
  readonly weights: Weights;
  /** The unit whose output [N,H,W,C] is looked at; N parts of the image where a unit sees it in parts. */
  readonly unit: string;
}

export interface ActivationMap {
  readonly height: number;
  readonly width: number;
  /** height*width values of at least 0. */
  readonly data: Float32Array;
}

export interface GradCam {
  /** One for each part of the image; one in all where the unit sees it whole. */
  readonly maps: readonly ActivationMap[];
  readonly logits: Float32Array;
  /** The class whose evidence it is. */
  readonly target: number;
}

/** relu(sum over channels of (mean over the part's places of the gradient) x activation), part by part. */
function weighted(shape: readonly number[], activation: Float32Array, gradient: Float32Array): ActivationMap[] {
  const [parts, height, width, channels] = shape as [number, number, number, number];
  const places = height * width;
  return Array.from({ length: parts }, (_, part) => {
    const start = part * places * channels;
    const alpha = new Float64Array(channels);
    for (let at = 0; at < places * channels; at += 1) alpha[at % channels]! += gradient[start + at]! / places;
    const data = Float32Array.from({ length: places }, (__, place) => {
      let sum = 0;
      for (let k = 0; k < channels; k += 1) sum += alpha[k]! * activation[start + place * channels + k]!;
      return Math.max(0, sum);
    });
    return { height, width, data };
  });
}

/** The largest logit's class. */
function best(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}

/**
 * Grad-CAM of image `index` of `data` for class `target`, by default the one the network says. Throws ArgumentError for a
 * unit that is not one of the network or has no maps, an image or a class that is not there, and images of other channels
 * than the network reads, CheckpointError for weights that do not fit.
 */
export async function gradCam(
  { model, spec, weights, unit: name }: GradCamOptions,
  data: ImageDataset,
  index: number,
  target?: number,
): Promise<GradCam> {
  const { classes } = spec;
  if (target !== undefined && !(Number.isSafeInteger(target) && target >= 0 && target < classes)) {
    throw new ArgumentError(`[gradCam] target is an integer from 0 to ${classes - 1}, got ${target}`);
  }
  const image = networkInput(data, index, spec);
  const graph = new Graph({ training: false });
  const x = graph.input('image', [1, ...spec.input]);
  const wanted = graph.input('target', [1, classes]);
  const logits = model(x, { classes });
  const output = graph.units.find((one) => one.name === name)?.output;
  if (output?.shape.length !== 4) {
    const names = graph.units.filter((one) => one.output?.shape.length === 4).map((one) => one.name);
    throw new ArgumentError(`[gradCam] expected a unit with maps, got "${name}"${nearest(name, names)}`);
  }
  const [gradient] = grad(ops.reduceSum(ops.mul(logits, wanted)), [output]);
  const plan = compile(graph, { outputs: { logits, activation: output, gradient: gradient! } });
  try {
    await writeWeights(plan, weights);
    const oneHot = (k: number): Float32Array => Float32Array.from({ length: classes }, (_, i) => (i === k ? 1 : 0));
    const run = (k: number) => plan.step({ image, target: oneHot(k) });
    const chosen = target ?? best((await run(0)).logits as Float32Array);
    const found = await run(chosen);
    const maps = weighted(output.shape, found.activation as Float32Array, found.gradient as Float32Array);
    return { maps, logits: found.logits as Float32Array, target: chosen };
  } finally {
    plan.dispose();
  }
}
