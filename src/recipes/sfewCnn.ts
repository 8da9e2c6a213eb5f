// The CNN of paper 003, trained from nothing on two halves without a common person. Reproduces paper 003 Fig. 8 and the
// self-designed CNN of Table 1.
// Cost: smoke seconds; small about 8 minutes on two cores; full hours. Seed 1.
// Expected: more accurate than the perceptron on hand-made features; its maps grow sparser with depth.

import type { ImageDataset } from '../data/types';
import { pixelStatistics } from '../data/types';
import { classTable, confusionTable } from '../evaluation/tables';
import { models } from '../models';
import { featureGrid, samplePicture } from '../report/features';
import { mapsOf } from '../train/featureMaps';
import { comparison, type Group, stepChart, testChart } from './charts';
import { type Half, ratesTable, summarizeHalves, twoHalves } from './handMade';
import { SFEW_CLASSES } from './papers';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';
import type { TrialResult } from './trial';

/** The paper: 50 epochs of batches of 8. */
const EPOCHS = { smoke: 1, small: 50, full: 50 };
const BATCH = { smoke: 7, small: 8, full: 8 };

/** The smoke test's images are small, the paper's have 160 pixels a side. */
function inputOf(run: RecipeRun, { height, width }: ImageDataset): readonly [number, number] {
  return run.at({ smoke: [8, 8] as const, small: [height, width] as const, full: [160, 160] as const });
}

/** Fig. 8: maps of a shallow, a middle and a final layer for a test face. */
async function drawMaps(run: RecipeRun, half: Half<ImageDataset>): Promise<void> {
  const [height, width] = inputOf(run, half.train);
  const { mean, std } = pixelStatistics(half.train);
  const input = [height, width, half.train.channels] as const;
  const spec = { classes: half.train.classes.length, input, mean, std };
  const { maps, sample } = await mapsOf(models.sfewCnn!, spec, await run.weightsOf('half1'), half.test);
  run.picture('sample', 'The face the maps are of', samplePicture(sample));
  for (const [index, map] of maps.entries()) {
    const place = ['shallow', 'middle', 'final'][index]!;
    const still = map.data.filter((value) => value === 0).length / map.data.length;
    const caption = `${place} maps (${map.name}, ${map.height}x${map.width}), ${(100 * still).toFixed(0)} % of their cells are 0`;
    run.picture(`maps-${place}`, caption, featureGrid(map));
  }
}

export const recipe: Recipe = {
  name: 'sfew-cnn',
  title: 'A CNN from nothing on two halves',
  reproduces: 'paper 003 Fig. 8, Table 1 (self-designed CNN)',
  cost: { smoke: 'seconds', small: 'about 8 minutes', full: 'hours' },
  seed: 1,
  expected: 'more accurate than the perceptron on hand-made features; maps grow sparser with depth',
  async run(run) {
    const halves = await twoHalves(run, 0.04);
    run.expect(halves.length);
    const results: TrialResult[] = [];
    for (const [fold, { train, test }] of halves.entries()) {
      results.push(
        await run.train({
          ...{ key: `half${fold + 1}`, model: models.sfewCnn!, network: 'sfewCnn', objective: 'bp' as const },
          ...{ train, test, input: inputOf(run, train), keepWeights: fold === 0 },
          ...{ epochs: run.at(EPOCHS), batch: run.at(BATCH), lr: 0.001, seed: run.seed, testEvery: 5 },
          more: { augmentation: { flip: true } },
        }),
      );
    }
    const group: Group = { name: 'CNN', results };
    const summary = summarizeHalves(results, [run.seed]);
    run.table(
      'network',
      'Two halves, Adam at 0.001',
      comparison([group], () => '37.03 % SFEW', 'network'),
    );
    const table = ratesTable([{ name: 'self-designed CNN', summary, paper: SFEW_CLASSES.cnn }]);
    run.table('rates', 'Table 1: rates by class in percent, means of two halves; the paper’s are of SFEW', table);
    run.table('classes', 'Rates by class with their deviation between the halves, in percent', classTable(summary));
    run.table('confusion', 'Confusion matrix of both halves, in percent of the true class', confusionTable(summary));
    run.figure('loss', 'Loss of the classifier', stepChart('Loss', 'losses', [group]));
    run.figure('test', 'Accuracy on the other half', testChart('Test accuracy', [group]));
    await drawMaps(run, halves[0]!);
  },
};
