// The perceptron of paper 003 on LPQ and PHOG components: learning rate, hidden neurons, Adam against SGD, standardisation.
// Reproduces paper 003 Fig. 4 and the first rows of its Table 1.
// Cost: smoke seconds; small about 2 minutes on two cores; full half an hour. Seed 1 and those after it.
// Expected: a rate of 1 fails and 0.001 is slow; more neurons help up to some; Adam’s loss falls faster than SGD’s; standardised
// rows learn faster.
import type { FeatureDataset, ImageDataset } from '../data/types';
import type { spread } from '../evaluation/summary';
import { mlp } from '../models';
import { lineChart } from '../report/charts';
import type { Point } from '../report/svg';
import { accuracyOf, type Group, lastTraining, stepChart } from './charts';
import {
  type Features,
  type Half,
  handMadeFeatures,
  MORE_COMPONENTS,
  ratesTable,
  summarizeHalves,
  twoHalves,
} from './handMade';
import { SFEW_CLASSES } from './papers';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';
import type { Trial, TrialResult } from './trial';

/** The paper repeats each setting ten times. */
const SEEDS = { smoke: 1, small: 2, full: 10 };
const EPOCHS = { smoke: 20, small: 1000, full: 2000 };
const RATES = { smoke: [0.01, 1], small: [0.001, 0.005, 0.01, 0.05, 1], full: [0.001, 0.005, 0.01, 0.05, 1] };
const HIDDEN = { smoke: [2, 20], small: [2, 10, 50, 200, 300], full: [2, 5, 10, 20, 50, 100, 150, 200, 250, 300] };
const HIDDEN_RATES = { smoke: [0.01], small: [0.005, 0.01, 0.05], full: [0.005, 0.01, 0.05] };

interface Setting {
  readonly key: string;
  readonly rows: 'raw' | 'standardised';
  readonly hidden: number;
  readonly lr: number;
  readonly more?: Trial['more'];
}

/** Both halves and all seeds of a setting. All rows make one batch. */
async function trainSetting(run: RecipeRun, features: readonly Features[], setting: Setting): Promise<TrialResult[]> {
  const { key, rows, hidden, lr, more } = setting;
  const results: TrialResult[] = [];
  const epochs = run.at(EPOCHS);
  for (const seed of run.seeds(run.at(SEEDS))) {
    for (const [fold, half] of features.entries()) {
      const { train, test }: Half<FeatureDataset> = half[rows];
      results.push(
        await run.train({
          ...{ key: `${key}-seed${seed}-half${fold + 1}`, network: `mlp ${hidden}` },
          model: (x, options) => mlp(x, { ...options, hidden }),
          ...{ objective: 'bp' as const, train, test, epochs, batch: train.count, lr, seed, testEvery: epochs },
          ...(more ? { more } : {}),
        }),
      );
    }
  }
  return results;
}

async function learningRates(run: RecipeRun, features: readonly Features[]): Promise<void> {
  const groups: Group[] = [];
  for (const lr of run.at(RATES)) {
    const setting = { key: `lr${lr}`, rows: 'standardised', hidden: 10, lr } as const;
    groups.push({ name: String(lr), results: await trainSetting(run, features, setting) });
  }
  run.figure('learning-rates', 'Fig. 4 (a): ten hidden neurons', stepChart('Loss by learning rate', 'losses', groups));
  run.table('learning-rates', 'Ten hidden neurons. The paper: 1 gets stuck near a loss of 2, 0.001 falls slowly.', {
    columns: [
      { name: 'learning rate', kind: 'text' },
      { name: 'last loss', kind: 'number', digits: 3 },
      { name: 'test accuracy', kind: 'spread' },
    ],
    rows: groups.map((group) => [group.name, lastTraining(group).loss, accuracyOf(group)]),
  });
}

async function hiddenNeurons(run: RecipeRun, features: readonly Features[]): Promise<void> {
  const rates = run.at(HIDDEN_RATES);
  const lines: { lr: number; points: Point[]; spreads: ReturnType<typeof spread>[] }[] = [];
  for (const lr of rates) {
    const spreads = [];
    for (const hidden of run.at(HIDDEN)) {
      const setting = { key: `hidden${hidden}-lr${lr}`, rows: 'standardised', hidden, lr } as const;
      spreads.push(accuracyOf({ name: '', results: await trainSetting(run, features, setting) }));
    }
    const points = spreads.map(({ mean }, index): Point => [run.at(HIDDEN)[index]!, mean]);
    lines.push({ lr, points, spreads });
  }
  run.figure(
    'hidden',
    'Fig. 4 (b): accuracy by hidden neurons',
    lineChart({
      ...{ title: 'Test accuracy by hidden neurons', xLabel: 'hidden neurons', yLabel: 'test accuracy', wholeX: true },
      series: lines.map(({ lr, points }) => ({ name: `rate ${lr}`, points, dots: true })),
      yFormat: (value) => `${(100 * value).toFixed(0)}%`,
    }),
  );
  run.table('hidden', 'Test accuracy by hidden neurons and learning rate. The paper chooses 200 and 0.01.', {
    columns: [
      { name: 'hidden', kind: 'number', digits: 0 },
      ...rates.map((lr) => ({ name: `rate ${lr}`, kind: 'spread' }) as const),
    ],
    rows: run.at(HIDDEN).map((hidden, index) => [hidden, ...lines.map(({ spreads }) => spreads[index]!)]),
  });
}

/** Two settings beside each other, as the paper's Figs. 4 (c) and (d). */
async function two(run: RecipeRun, features: readonly Features[], id: string, caption: string, settings: Setting[]) {
  const groups: Group[] = [];
  for (const setting of settings) {
    groups.push({ name: setting.key, results: await trainSetting(run, features, setting) });
  }
  run.figure(id, caption, stepChart(caption.replace(/^[^:]*: /, ''), 'losses', groups));
  run.table(id, caption, {
    columns: [
      { name: 'setting', kind: 'text' },
      { name: 'last loss', kind: 'number', digits: 3 },
      { name: 'test accuracy', kind: 'spread' },
    ],
    rows: groups.map((group) => [group.name, lastTraining(group).loss, accuracyOf(group)]),
  });
  return groups;
}

async function report(run: RecipeRun, halves: readonly Half<ImageDataset>[]): Promise<void> {
  const features: Features[] = [];
  for (const half of halves) features.push(await handMadeFeatures(run, half));
  const repetitions = 2 * run.at(SEEDS);
  run.expect(repetitions * (run.at(RATES).length + run.at(HIDDEN).length * run.at(HIDDEN_RATES).length + 5));
  await learningRates(run, features);
  await hiddenNeurons(run, features);
  const base = { hidden: 200, lr: 0.01 };
  await two(run, features, 'optimizer', 'Fig. 4 (c): Adam against SGD', [
    { key: 'adam', rows: 'standardised', ...base },
    { key: 'sgd', rows: 'standardised', ...base, more: { optimizer: 'sgd', momentum: 0 } },
  ]);
  const [raw, standardised] = await two(run, features, 'normalisation', 'Fig. 4 (d): rows as they are, standardised', [
    { key: 'raw', rows: 'raw', ...base },
    { key: 'standardised', rows: 'standardised', ...base },
  ]);
  const seeds = run.seeds(run.at(SEEDS));
  const more: Features[] = [];
  for (const half of halves) more.push(await handMadeFeatures(run, half, run.at(MORE_COMPONENTS)));
  const rich = await trainSetting(run, more, { key: 'more', rows: 'standardised', ...base });
  const table = ratesTable([
    { name: 'NN, raw', summary: summarizeHalves(raw!.results, seeds), paper: SFEW_CLASSES.raw },
    {
      ...{ name: 'NN, standardised', summary: summarizeHalves(standardised!.results, seeds) },
      paper: SFEW_CLASSES.standardised,
    },
    { name: `NN, ${run.at(MORE_COMPONENTS).join(' + ')} components`, summary: summarizeHalves(rich, seeds) },
  ]);
  run.table(
    'rates',
    'Table 1: rates by class in percent, means of two halves and of the seeds; the paper’s of SFEW',
    table,
  );
}

export const recipe: Recipe = {
  name: 'features-mlp',
  title: 'A perceptron on LPQ and PHOG',
  reproduces: 'paper 003 Fig. 4, Table 1 (NN)',
  cost: { smoke: 'seconds', small: 'about 2 minutes', full: 'half an hour' },
  seed: 1,
  expected:
    'a rate of 1 fails, 0.001 is slow; Adam’s loss falls faster than SGD’s; standardised rows are learned faster',
  async run(run) {
    await report(run, await twoHalves(run, 0.1));
  },
};
