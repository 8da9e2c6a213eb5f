// ResNets with weights from other pictures, for the recipes that transfer: given by --weights, or trained here on Fashion-MNIST or
// MNIST. Called by transfer.ts and allSystems.ts. The rule easy to break: a report names where the weights come from.
import { join } from 'node:path';
import { loadData } from '../data/load';
import { type ImageDataset, takeFirst, withChannels } from '../data/types';
import { DataError } from '../errors';
import { type ModelFunction, models, type ResnetOptions, resnet18, resnet50, resnet101 } from '../models';
import { type Weights, weightsAt } from '../train/compileModel';
import type { RecipeRun } from './run';

const NETS = { resnet18, resnet50, resnet101 } as const;
export type Net = keyof typeof NETS;

/** Side that sources read; at 32 pixels a ResNet's last map is one cell, which batches of 8 do not normalise well. */
export const SIDE = { smoke: 8, small: 48, full: 224 };
const SOURCE = {
  smoke: { count: 32, epochs: 1 },
  small: { count: 4096, epochs: 2 },
  full: { count: 60_000, epochs: 10 },
};
/** Of the smoke test's networks, which have the layers but not the channels. */
const NARROW = 4;

export function networkOf(run: RecipeRun, net: Net): { model: ModelFunction; network: string } {
  const narrow: ModelFunction = (x, options) => NETS[net](x, { ...options, width: NARROW } as ResnetOptions);
  return run.options.scale === 'smoke'
    ? { model: narrow, network: `${net} ${NARROW}` }
    : { model: models[net]!, network: net };
}

/** Pictures of another kind, with the channels of the faces. */
async function sourceData(run: RecipeRun, channels: number): Promise<ImageDataset> {
  const { count } = run.at(SOURCE);
  for (const spec of ['fashion-mnist', 'mnist']) {
    try {
      const { train } = await loadData(spec, { seed: run.seed, limit: count });
      return { ...withChannels(train, channels), name: spec };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
  }
  throw new DataError(
    '[transfer] expected Fashion-MNIST or MNIST to train a source on, or --weights; neither is installed',
  );
}

/** Weights to start from, for images of so many channels, and where they are from. DataError where there are none. */
export async function sourceOf(run: RecipeRun, net: Net, channels: number): Promise<{ weights: Weights; of: string }> {
  const given = run.options.weights;
  if (given !== undefined) return { weights: await weightsAt(join(given, `${net}.safetensors`)), of: given };
  const data = await sourceData(run, channels);
  const side = run.at(SIDE);
  const { epochs } = run.at(SOURCE);
  const key = `source-${net}`;
  const batch = run.at({ smoke: 16, small: 64, full: 64 });
  await run.train({
    ...{ key, ...networkOf(run, net), objective: 'bp' as const, train: data, test: takeFirst(data, 256) },
    ...{ input: [side, side] as const, epochs, batch, lr: 0.001, seed: run.seed, keepWeights: true, testEvery: epochs },
  });
  return { weights: await run.weightsOf(key), of: `${data.name}, ${data.count} images, ${epochs} epochs` };
}
