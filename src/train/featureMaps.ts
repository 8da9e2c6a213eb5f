// Shallow, middle and final feature maps of one image (papers 000, Figures 1 to 3), for a run's report.
import { compile, type Plan } from '../compile';
import type { ImageDataset } from '../data/types';
import { ArgumentError } from '../errors';
import { Graph, type Tensor, type Unit } from '../graph/graph';
import type { ModelFunction } from '../models';
import { type Weights, writeWeights } from './compileModel';
import type { NetworkSpec } from './evaluator';
import type { Trainer } from './trainer';

export interface FeatureMap {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** height*width*channels, NHWC. */
  readonly data: Float32Array;
}

export interface FeatureMaps {
  readonly maps: FeatureMap[];
  readonly sample: {
    readonly height: number;
    readonly width: number;
    readonly channels: number;
    readonly data: Float32Array;
  };
}

/** Nearest-neighbour resize of one image to the network's input, normalised as in training. Throws ArgumentError. */
export function networkInput(
  data: Pick<ImageDataset, 'images' | 'height' | 'width' | 'channels'>,
  index: number,
  spec: NetworkSpec,
): Float32Array {
  const [height, width, channels] = spec.input;
  const count = data.images.length / (data.height * data.width * data.channels);
  if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
    throw new ArgumentError(`[networkInput] index is an integer from 0 to ${count - 1}, got ${index}`);
  }
  if (data.channels !== channels) {
    throw new ArgumentError(
      `[networkInput] the network reads images of ${channels} channels, those of the data have ${data.channels}`,
    );
  }
  const size = data.height * data.width * data.channels;
  const image = data.images.subarray(index * size, (index + 1) * size);
  const values = new Float32Array(height * width * channels);
  for (let row = 0; row < height; row += 1) {
    const fromRow = Math.floor(((row + 0.5) * data.height) / height);
    for (let column = 0; column < width; column += 1) {
      const fromColumn = Math.floor(((column + 0.5) * data.width) / width);
      for (let channel = 0; channel < channels; channel += 1) {
        const pixel = image[(fromRow * data.width + fromColumn) * channels + channel]! / 255;
        const of = (list: readonly number[]): number => list[list.length === 1 ? 0 : channel]!;
        values[(row * width + column) * channels + channel] = (pixel - of(spec.mean)) / of(spec.std);
      }
    }
  }
  return values;
}

/** The units with spatial extent, by the network's graph for one image. */
function spatialMaps(model: ModelFunction, spec: NetworkSpec): { graph: Graph; chosen: Unit[] } {
  const graph = new Graph({ training: false });
  const x = graph.input('image', [1, ...spec.input]);
  model(x, { classes: spec.classes });
  // Of the whole image: the maps of a network's patches have more than one row.
  const spatial = graph.units.filter(({ output }) => output!.shape.length === 4 && output!.shape[0] === 1);
  const places = new Set([0, spatial.length >> 1, spatial.length - 1]);
  return { graph, chosen: [...places].flatMap((index) => spatial[index] ?? []) };
}

async function mapsIn(
  plan: Plan,
  chosen: readonly Unit[],
  spec: NetworkSpec,
  data: ImageDataset,
): Promise<FeatureMaps> {
  const values = await plan.step({ image: networkInput(data, 0, spec) });
  const maps = chosen.map((unit) => {
    const [, height, width, channels] = unit.output!.shape as [number, number, number, number];
    return { name: unit.name, height, width, channels, data: values[unit.name] as Float32Array };
  });
  const size = data.height * data.width * data.channels;
  const { height, width, channels } = data;
  return { maps, sample: { height, width, channels, data: Float32Array.from(data.images.subarray(0, size)) } };
}

const outputsOf = (chosen: readonly Unit[]): Record<string, Tensor> =>
  Object.fromEntries(chosen.map((unit) => [unit.name, unit.output!]));

/** Maps of three units with spatial extent: the first, the middle one and the last, for the first image of `data`; none where none has. */
export async function collectFeatureMaps(
  model: ModelFunction,
  spec: NetworkSpec,
  trainer: Trainer,
  data: ImageDataset,
): Promise<FeatureMaps> {
  const { graph, chosen } = spatialMaps(model, spec);
  const plan = compile(graph, { outputs: outputsOf(chosen), share: trainer.plan });
  try {
    return await mapsIn(plan, chosen, spec, data);
  } finally {
    plan.dispose();
  }
}

/** The same of weights that are no longer in training. */
export async function mapsOf(
  model: ModelFunction,
  spec: NetworkSpec,
  weights: Weights,
  data: ImageDataset,
): Promise<FeatureMaps> {
  const { graph, chosen } = spatialMaps(model, spec);
  const plan = compile(graph, { outputs: outputsOf(chosen) });
  try {
    await writeWeights(plan, weights);
    return await mapsIn(plan, chosen, spec, data);
  } finally {
    plan.dispose();
  }
}
