// face-api's expression net with its published weights, fine-tuned: training starts from exactly those weights, both methods
// learn from there, and each unit of the imported network is trained by an objective of its own under the local one.
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { MODELS } from '../../bench/peers/faceApi';
import { syntheticFaces } from '../../src/data/synthetic';
import { type ImageDataset, withChannels } from '../../src/data/types';
import { fromFaceApi } from '../../src/interchange/faceApi';
import { loadTfjsWeights } from '../../src/interchange/tfjs';
import { FACE_API_PIXELS, faceExpressionNet } from '../../src/models';
import type { ObjectiveName } from '../../src/objectives/options';
import { compileModel } from '../../src/train/compileModel';
import { logitsOnly, predictClasses } from '../../src/train/evaluator';
import { Trainer } from '../../src/train/trainer';
import { transferWeights } from '../../src/train/transfer';
import { objective } from '../train/fixtures';

const INPUT = [32, 32, 3] as const;
const manifest = path.join(MODELS, 'face_expression_model-weights_manifest.json');
const weights = loadTfjsWeights(manifest).then(fromFaceApi);
const faces = syntheticFaces({ count: 28, seed: 4, labelNoise: 0 }).then((data) => withChannels(data, 3));

async function trainerFor(name: ObjectiveName, data: ImageDataset, lr: number): Promise<Trainer> {
  return new Trainer({
    ...{ model: faceExpressionNet, data, objective: objective(name), batch: data.count, seed: 1, lr, threads: 2 },
    spec: { classes: 7, input: INPUT, mean: FACE_API_PIXELS.mean, std: FACE_API_PIXELS.std },
  });
}

describe('fine-tuning', () => {
  it('starts from the published network', async () => {
    const data = await faces;
    using trainer = await trainerFor('cka', data, 0.001);
    await transferWeights(trainer, await weights, { except: [] });
    using published = await compileModel(faceExpressionNet, {
      ...{ input: INPUT, classes: 7, weights: await weights, outputs: logitsOnly },
      pixels: { size: [data.height, data.width], ...FACE_API_PIXELS },
    });
    const called = await predictClasses(published, data);
    expect([...(await trainer.predict(data))]).toEqual([...called]);
    // Not the same answer for every face, which wrong weights give too.
    expect(new Set(called).size).toBeGreaterThan(1);
  });

  it.each(['cka', 'bp'] as const)('by %s learns, and changes every weight', async (name) => {
    using trainer = await trainerFor(name, await faces, 0.001);
    await transferWeights(trainer, await weights);
    expect(trainer.unitNames.length).toBe(name === 'cka' ? 17 : 1);
    const steps = 30;
    const { losses, accuracy } = await trainer.run(steps);
    const classifier = (step: number): number => losses[(step + 1) * trainer.unitNames.length - 1]!;
    expect(classifier(steps - 1)).toBeLessThan(0.8 * classifier(0));
    expect(accuracy.at(-1)).toBeGreaterThan(accuracy[0]!);
    for (const [tensor, { data: before }] of Object.entries(await weights)) {
      expect([...((await trainer.plan.read(tensor)) as Float32Array)], tensor).not.toEqual([...before]);
    }
  });
});
