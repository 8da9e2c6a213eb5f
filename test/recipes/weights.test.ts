// Recipes that start from the weights of --weights: of colour images, missing, of another network.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { syntheticFaces } from '../../src/data/synthetic';
import { type ModelFunction, resnet18 } from '../../src/models';
import { recipes, runRecipe } from '../../src/recipes';
import { tuneResnet } from '../../src/recipes/allSystems';
import { RecipeRun } from '../../src/recipes/run';
import { compileModel } from '../../src/train/compileModel';
import { saveSafetensors } from '../../src/train/safetensors';
import { tempFolder } from '../data/tempFolder';

const folder = tempFolder();
const shared = {
  ...({ scale: 'smoke', machine: {}, command: 'gramian run this' } as const),
  ...{ resume: false, onProgress: () => {} },
};

/** A folder with resnet18.safetensors of so many channels, of a network as narrow as the smoke test's. */
async function weightsFor(name: string, channels: number, width = 4): Promise<string> {
  const narrow: ModelFunction = (x, options) => resnet18(x, { ...options, width });
  using compiled = await compileModel(narrow, { input: [8, 8, channels], classes: 1000 });
  const tensors: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  for (const { name: tensor, shape } of compiled.plan.tensors()) {
    tensors[tensor] = { shape, data: (await compiled.plan.read(tensor)) as Float32Array };
  }
  mkdirSync(join(folder, name));
  await saveSafetensors(join(folder, name, 'resnet18.safetensors'), tensors);
  return join(folder, name);
}

describe('weights given to transfer', () => {
  it('may read colour, which faces then have', async () => {
    const out = join(folder, 'out-colour');
    await runRecipe('transfer', { ...shared, out, weights: await weightsFor('colour', 3) });
    const report = readFileSync(join(out, 'report.md'), 'utf8');
    expect(report).toContain('48x48x3 synthetic faces');
    expect(report).toMatch(/\| resnet18 \| fine-tuned \|/);
  });

  it('are read before anything is trained', async () => {
    mkdirSync(join(folder, 'bad'));
    writeFileSync(join(folder, 'bad', 'resnet18.safetensors'), 'no');
    const trained: object[] = [];
    const onProgress = ({ trial }: { trial?: object }): void => void (trial && trained.push(trial));
    const made = runRecipe('transfer', {
      ...shared,
      out: join(folder, 'out'),
      weights: join(folder, 'bad'),
      onProgress,
    });
    await expect(made).rejects.toThrow(/resnet18\.safetensors/);
    expect(trained).toEqual([]);
  });
});

describe('weights given to all-systems', () => {
  const tune = async (weights: string, name: string) => {
    const run = new RecipeRun(recipes.at(-1)!, { ...shared, out: join(folder, name), weights });
    const faces = await syntheticFaces({ count: 21 });
    const groups = await tuneResnet(run, faces, faces);
    return { groups, report: readFileSync(run.finish(), 'utf8') };
  };

  it('may read colour', async () => {
    const { groups, report } = await tune(await weightsFor('colour-too', 3), 'tuned');
    expect(groups.length).toBe(1);
    expect(report).toContain(`starts from: ${join(folder, 'colour-too')}`);
  });

  it('are left out with a line where they are missing or do not fit', async () => {
    const missing = await tune(join(folder, 'nowhere'), 'missing');
    expect(missing.groups).toEqual([]);
    expect(missing.report).toMatch(/fine-tuned, was left out: .*resnet18\.safetensors/);
    const other = await tune(await weightsFor('wide', 1, 8), 'other');
    expect(other.groups).toEqual([]);
    expect(other.report).toMatch(/was left out: .*"stem\/conv1\/weight" of shape 7x7x1x4/);
  });
});
