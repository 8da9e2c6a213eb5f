// Small data sets and networks shared by the training tests. Everything is a function of a seed.
import { createHash } from 'node:crypto';
import type { ImageDataset } from '../../src/data/types';
import type { Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { composite, dense, stem } from '../../src/layers/separable';
import { OBJECTIVE_DEFAULTS, type ObjectiveName, type ObjectiveOptions } from '../../src/objectives/options';
import { Trainer, type TrainerOptions } from '../../src/train/trainer';

/** Seeded 32-bit generator for test data. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Stripes with noise, a direction and a period for each class: a small net learns them in a few dozen steps. */
export function stripeDataset(count: number, side: number, classes: number, seed = 7): ImageDataset {
  const next = generator(seed);
  const images = new Uint8Array(count * side * side);
  const labels = new Int32Array(count);
  for (let index = 0; index < count; index += 1) {
    const label = index % classes;
    labels[index] = label;
    const period = 2 + 2 * (label >> 1);
    for (let row = 0; row < side; row += 1) {
      for (let column = 0; column < side; column += 1) {
        const lit = (label % 2 === 0 ? row : column) % period < period / 2;
        images[(index * side + row) * side + column] = (lit ? 150 : 30) + next() * 90;
      }
    }
  }
  const names = Array.from({ length: classes }, (_, index) => `class ${index}`);
  return {
    name: 'stripes',
    images,
    labels,
    count,
    height: side,
    width: side,
    channels: 1,
    classes: names,
    synthetic: true,
  };
}

/** Two units and a classifier. */
export function tinyNet(x: Tensor, options: { classes: number }): Tensor {
  const { graph } = x;
  const first = graph.unit('first', () => stem(x, 8));
  const second = graph.unit('second', () => composite(first, 12, { stride: 2 }));
  return graph.unit('head', () => dense('fc', ops.globalAvgPool(second), options.classes));
}

export function objective(name: ObjectiveName, extra: Partial<ObjectiveOptions> = {}): ObjectiveOptions {
  return { ...OBJECTIVE_DEFAULTS, name, ...extra };
}

export function tinyTrainer(
  name: ObjectiveName,
  extra: Partial<TrainerOptions> & { data?: ImageDataset } = {},
): Trainer {
  const data = extra.data ?? stripeDataset(96, 8, 4);
  return new Trainer({
    model: tinyNet,
    spec: { classes: data.classes.length, input: [data.height, data.width, data.channels], mean: [0.3], std: [0.2] },
    data,
    objective: objective(name),
    batch: 16,
    seed: 3,
    lr: 0.005,
    threads: 2,
    ...extra,
  });
}

/** SHA-256 over every tensor of a checkpoint, in name order. */
export async function stateHash(trainer: Trainer): Promise<string> {
  const state = await trainer.readState();
  const hash = createHash('sha256');
  for (const name of Object.keys(state).sort()) {
    const { data } = state[name]!;
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
