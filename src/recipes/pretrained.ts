// ResNets with weights from other pictures, for the recipes that transfer: given by --weights, or trained here on Fashion-MNIST or
// MNIST. Called by transfer.ts and allSystems.ts. The rule easy to break: a report names where the weights come from.
import { join } from 'node:path';
import { loadData } from '../data/load';
import { type ImageDataset, takeFirst, withChannels } from '../data/types';
import { CheckpointError, DataError } from '../errors';
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
/** A ResNet's first filters, [7,7,channels,width]. */
const STEM = 'stem/conv1/weight';
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

const fileOf = (folder: string, net: Net): string => join(folder, `${net}.safetensors`);

/** Channels that a ResNet's weights read: those of ImageNet read colour. CheckpointError where they are of another network. */
function channelsOf(weights: Weights, file: string): 1 | 3 {
  const shape = Object.hasOwn(weights, STEM) ? weights[STEM]!.shape : [];
  const channels = shape.length === 4 ? shape[2] : undefined;
  if (channels === 1 || channels === 3) return channels;
  const came = shape.length === 0 ? 'there is none' : `it is ${shape.join('x')}`;
  throw new CheckpointError(`[transfer] ${file}: expected "${STEM}" of a ResNet for 1 or 3 channels, but ${came}`);
}

/** What the weights of --weights read; undefined without them, as a source trained here reads what the faces have. */
export async function givenChannels(run: RecipeRun, nets: readonly Net[]): Promise<1 | 3 | undefined> {
  const folder = run.options.weights;
  if (folder === undefined) return undefined;
  const found: (1 | 3)[] = [];
  for (const net of nets) found.push(channelsOf(await weightsAt(fileOf(folder, net)), fileOf(folder, net)));
  if (new Set(found).size <= 1) return found[0];
  const each = nets.map((net, index) => `${net} ${found[index]}`).join(', ');
  throw new CheckpointError(`[transfer] expected weights for images of one kind in ${folder}, got channels: ${each}`);
}

/** Weights to start from, for images of so many channels, and where they are from. DataError where there are none. */
export async function sourceOf(run: RecipeRun, net: Net, channels: number): Promise<{ weights: Weights; of: string }> {
  const given = run.options.weights;
  if (given !== undefined) return { weights: await weightsAt(fileOf(given, net)), of: given };
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
