// A trial: stopped and resumed it ends as if it had not been, a finished one is not trained again, and a lost loss is a result.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { writeFerCsv } from '../../src/data/ferCsvWriter';
import { syntheticSplits } from '../../src/data/synthetic';
import { AbortError, ArgumentError, CheckpointError } from '../../src/errors';
import { recipes, runRecipe } from '../../src/recipes';
import { twoHalves } from '../../src/recipes/handMade';
import { mffFaces } from '../../src/recipes/mffShared';
import { RecipeRun } from '../../src/recipes/run';
import { runTrial, type Trial, type TrialOptions, type TrialResult, weightsOf } from '../../src/recipes/trial';
import { Trainer } from '../../src/train/trainer';
import { stripeDataset, tinyNet } from '../train/fixtures';

const folder = mkdtempSync(join(tmpdir(), 'gramian-trials-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const trial: Trial = {
  ...{ key: 'tiny', model: tinyNet, network: 'tiny', objective: 'bp' as const },
  ...{ train: stripeDataset(96, 8, 4), test: stripeDataset(40, 8, 4, 99), epochs: 4, batch: 16, lr: 0.01, seed: 2 },
  more: { augmentation: { flip: true } },
  removal: { startEpoch: 1, every: 1, alpha: 0.2, haltVariance: 0 },
  errorsAt: [2],
  keepWeights: true,
};

function options(name: string, more: Partial<TrialOptions> = {}): TrialOptions {
  return { folder: join(folder, name), resume: true, saveSeconds: 0, onProgress: () => {}, ...more };
}

/** Weights of the trial's network after some training. */
async function startOf(
  name: string,
  seed = 1,
): Promise<Record<string, { shape: readonly number[]; data: Float32Array }>> {
  const { removal: _, errorsAt: __, ...plain } = trial;
  await runTrial({ ...plain, seed, epochs: 1 }, options(name));
  return (await weightsOf('tiny', options(name))) as Awaited<ReturnType<typeof startOf>>;
}

const withoutTime = ({ timing: _, ...rest }: TrialResult): object => rest;

describe('a trial', () => {
  it('stopped in its third epoch and resumed ends as one that was not', async () => {
    const whole = await runTrial(trial, options('whole'));
    expect(whole.removed.length).toBeGreaterThan(0);
    expect(whole.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    expect(whole.losses.length).toBe(whole.epochs.at(-1)!.step);
    expect(whole.errors[2]!.length).toBeLessThan(96);
    const stop = new AbortController();
    const onProgress: TrialOptions['onProgress'] = ({ epoch }) => epoch === 3 && stop.abort();
    const stopped = runTrial(trial, options('parts', { signal: stop.signal, onProgress }));
    await expect(stopped).rejects.toThrow(AbortError);
    const epochs: number[] = [];
    const resumed = await runTrial(trial, options('parts', { onProgress: ({ epoch }) => epochs.push(epoch) }));
    expect(withoutTime(resumed)).toEqual(withoutTime(whole));
    expect(Math.min(...epochs)).toBe(3);
    const [a, b] = [await weightsOf('tiny', options('whole')), await weightsOf('tiny', options('parts'))];
    expect(b).toEqual(a);
  });

  it('that is done is answered from its file, unless it is another', async () => {
    let steps = 0;
    const counting = options('known', { onProgress: () => (steps += 1) });
    const { removal: _, errorsAt: __, ...plain } = trial;
    const first = await runTrial(plain, counting);
    expect(first.removal).toEqual([]);
    const trained = steps;
    expect(await runTrial(plain, counting)).toEqual(first);
    expect(steps).toBe(trained);
    const other = await runTrial({ ...plain, seed: 3 }, counting);
    expect(steps).toBeGreaterThan(trained);
    expect(other.losses).not.toEqual(first.losses);
    const darker = await runTrial({ ...plain, pixels: { mean: [0.9], std: [0.2] } }, counting);
    expect(darker.losses).not.toEqual(first.losses);
    const again = await runTrial(plain, { ...counting, resume: false });
    expect(withoutTime(again)).toEqual(withoutTime(first));
  });

  it('whose loss is lost says so and is a result', async () => {
    const { removal: _, ...plain } = trial;
    const more = { optimizer: 'sgd', momentum: 0 } as const;
    const result = await runTrial({ ...plain, key: 'lost', lr: 1e30, more }, options('lost'));
    expect(result.diverged).toMatch(/^at step 2, .*the loss of unit "network" became/);
    expect(result.epochs.length).toBe(1);
    expect(result.losses.every(Number.isFinite)).toBe(true);
    expect(result.metrics.accuracy).toBeGreaterThanOrEqual(0);
  });

  it('whose loss is lost late keeps every step before, whatever they took', async () => {
    const { removal: _, ...plain } = trial;
    // Grows until float32 has no room for it, within the first epoch.
    const lost = { ...plain, key: 'late', lr: 100, more: { optimizer: 'sgd', momentum: 0 } } as const;
    const result = await runTrial(lost, options('late'));
    const step = Number(/^at step (\d+), /.exec(result.diverged ?? '')?.[1]);
    expect(step).toBeGreaterThan(3);
    expect([result.losses.length, result.accuracies.length, result.epochs.at(-1)!.step]).toEqual(
      Array(3).fill(step - 1),
    );
    expect(result.epochs.at(-1)!.loss).toBe(result.losses.reduce((sum, loss) => sum + loss, 0) / (step - 1));
    expect(await runTrial(lost, options('late'))).toEqual(result);
  });

  it('whose loss is lost at the first step has no means', async () => {
    const weights = { ...(await startOf('nan')) };
    for (const [name, { shape, data }] of Object.entries(weights)) weights[name] = { shape, data: data.map(() => NaN) };
    const { removal: _, ...plain } = trial;
    const lost = { ...plain, key: 'first', init: { weights, of: 'nothing' } };
    const result = await runTrial(lost, options('first'));
    expect(result.losses).toEqual([]);
    expect(result.epochs).toMatchObject([{ epoch: 1, step: 0, loss: null, trainAccuracy: null }]);
    // As its file says it too.
    expect(await runTrial(lost, options('first'))).toEqual(result);
  });

  it('is trained again when the weights it starts from are others', async () => {
    const { removal: _, errorsAt: __, ...plain } = { ...trial, key: 'start', epochs: 1 };
    const [one, other] = [await startOf('one'), await startOf('other', 9)];
    const first = await runTrial({ ...plain, init: { weights: one, of: 'a folder' } }, options('start'));
    const again = await runTrial({ ...plain, init: { weights: { ...one }, of: 'a folder' } }, options('start'));
    expect(again).toEqual(first);
    const second = await runTrial({ ...plain, init: { weights: other, of: 'a folder' } }, options('start'));
    expect(second.losses).not.toEqual(first.losses);
  });

  it('that cannot begin leaves no trainer behind', async () => {
    const dispose = vi.spyOn(Trainer.prototype, 'dispose');
    await expect(runTrial({ ...trial, init: { weights: {}, of: 'nothing' } }, options('bare'))).rejects.toThrow(
      CheckpointError,
    );
    expect(dispose).toHaveBeenCalledTimes(1);
    dispose.mockRestore();
  });
});

describe('a run', () => {
  const shared = { scale: 'smoke', machine: {}, command: 'gramian run this', onProgress: () => {} } as const;

  it('refuses ids that are no file names or are taken', () => {
    const run = new RecipeRun(recipes[0]!, { ...shared, out: join(folder, 'ids'), resume: false });
    const table = { columns: [{ name: 'a', kind: 'text' }], rows: [['b']] } as const;
    run.table('one', 'A table', table);
    expect(() => run.table('one', 'A table', table)).toThrow(/the table "one" is there already/);
    expect(() => run.table('../two', 'A table', table)).toThrow(ArgumentError);
    run.figure('one', 'A figure of the same name', '<svg></svg>');
  });

  it('of an unknown recipe names the nearest', async () => {
    const made = runRecipe('nbp-vs-pb', { ...shared, out: join(folder, 'none'), resume: false });
    await expect(made).rejects.toThrow(/there is no recipe "nbp-vs-pb"; did you mean "nbp-vs-bp"/);
  });

  it('on given data says so, and that halves without people may share some', async () => {
    const csv = join(folder, 'faces.csv');
    await writeFerCsv(csv, await syntheticSplits(120), {});
    const out = join(folder, 'given');
    await runRecipe('sfew-cnn', { ...shared, out, resume: false, data: `fer2013:${csv}` });
    const report = readFileSync(join(out, 'report.md'), 'utf8');
    // The generator marks its files, and the mark survives.
    expect(report).toContain(`data: fer2013:${csv}, 48x48x1 synthetic faces (drawings, not photographs), `);
    expect(report).toContain('does not say whom an image shows');
    expect(report).not.toContain('generator');
  });

  it('on two halves of an odd number says how many are in each', async () => {
    const run = new RecipeRun(recipes[0]!, { ...shared, scale: 'full', out: join(folder, 'halves'), resume: false });
    const [half] = await twoHalves(run, 0.1);
    const counts = `${half!.train.count} to train on, ${half!.test.count} to test on`;
    expect(half!.train.count + half!.test.count).toBe(675);
    expect(readFileSync(run.finish(), 'utf8')).toContain(counts);
  });

  it('of six expressions takes six of given data', async () => {
    const csv = join(folder, 'seven.csv');
    await writeFerCsv(csv, await syntheticSplits(120), {});
    const given = { ...shared, out: join(folder, 'six'), resume: false, data: `fer2013:${csv}` };
    const run = new RecipeRun(recipes[0]!, given);
    expect((await mffFaces(run)).classes.length).toBe(6);
    expect(readFileSync(run.finish(), 'utf8')).not.toContain('left out');
    const digits = new RecipeRun(recipes[0]!, { ...given, data: 'mnist' });
    expect((await mffFaces(digits)).classes.length).toBe(10);
    expect(readFileSync(digits.finish(), 'utf8')).toContain('The data has 10 classes and not the paper’s six');
  });

  it('resumed does not train again', async () => {
    const out = join(folder, 'resumed');
    const seen: string[] = [];
    const onProgress = ({ trial: one }: { trial?: { key: string } }): void => void (one && seen.push(one.key));
    await runRecipe('mff-gradcam', { ...shared, out, resume: false, onProgress });
    expect(new Set(seen)).toEqual(new Set(['mffCnn', 'mffCnnUnselected']));
    seen.length = 0;
    await runRecipe('mff-gradcam', { ...shared, out, resume: true, onProgress });
    expect(seen).toEqual([]);
    await runRecipe('mff-gradcam', { ...shared, out, resume: true, seed: 5, onProgress });
    expect(seen.length).toBeGreaterThan(0);
  });
});
