// Every model in training, at its smallest input: by back-propagation and by local objectives the losses are finite
// and fall over a few steps on two kinds of stripes, and the inference graph reads the same weights.
import { describe, expect, it } from 'vitest';
import type { ImageDataset } from '../../src/data/types';
import { models } from '../../src/models';
import type { ObjectiveName } from '../../src/objectives/options';
import { Trainer } from '../../src/train/trainer';
import { objective, stripeDataset } from '../train/fixtures';
import { leastShape, narrowed } from './built';

/** The whole set is one batch, so that steps differ by what was learnt and by dropout alone. */
const COUNT = 8;
const STEPS = 12;

/** Two kinds of stripes; a model of feature vectors gets them as one row of pixels. */
function dataFor(name: string): ImageDataset {
  if (leastShape(name).length === 1) return { ...stripeDataset(COUNT, 8, 2), height: 1, width: 64 };
  // Below 32 pixels most of the 101 layers normalise eight single cells, and a dozen steps show noise.
  return stripeDataset(COUNT, name === 'resnet101' ? 32 : leastShape(name)[0]!, 2);
}

function trainerOf(name: string, objectiveName: ObjectiveName, lr: number): Trainer {
  const data = dataFor(name);
  return new Trainer({
    model: narrowed(name),
    spec: { classes: 2, input: [data.height, data.width, 1], mean: [0.35], std: [0.25] },
    data,
    objective: objective(objectiveName),
    batch: COUNT,
    seed: 5,
    lr,
    threads: 1,
  });
}

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe.each(Object.keys(models))('%s', (name) => {
  it.each([
    ['bp', 0.0005],
    ['cka', 0.0005],
  ] as const)('learns by %s', async (method, lr) => {
    using trainer = trainerOf(name, method, lr);
    const { losses, accuracy } = await trainer.run(STEPS);
    expect([...losses, ...accuracy].every(Number.isFinite)).toBe(true);
    const units = trainer.unitNames.length;
    const third = (STEPS / 3) * units;
    expect(mean(losses.subarray(-third))).toBeLessThan(mean(losses.subarray(0, third)));
    const labels = await trainer.predict(dataFor(name));
    expect(labels).toHaveLength(COUNT);
    expect([...labels].every((label) => label === 0 || label === 1)).toBe(true);
  });
});
