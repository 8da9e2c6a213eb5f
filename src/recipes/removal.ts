// Bimodal distribution removal with the perceptron of paper 003: how errors are distributed, their variance, what alpha does,
// what is removed. Reproduces paper 003 Figs. 5 to 7 and the BDR rows of Table 1.
// Cost: smoke seconds; small about 2 minutes on two cores; full 20 minutes. Seed 1 and those after it.
// Expected: with removal the variance falls below 0.01 and training ends early; accuracy hardly changes.
import type { FeatureDataset } from '../data/types';
import { mlp } from '../models';
import { barChart, lineChart } from '../report/charts';
import { formatNumber, type Point, type Series } from '../report/svg';
import type { DistributionRemovalOptions } from '../train/distributionRemoval';
import { type Group, meanOf, stepChart } from './charts';
import { type Half, handMadeFeatures, MORE_COMPONENTS, ratesTable, summarizeHalves, twoHalves } from './handMade';
import { SFEW_CLASSES } from './papers';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';
import type { TrialResult } from './trial';

/** `more` has more components than the paper's five and five, standardised. */
const ROWS = ['raw', 'standardised', 'more'] as const;
type Rows = (typeof ROWS)[number];
/** The rows of one half, in each form. */
type Inputs = Readonly<Record<Rows, Half<FeatureDataset>>>;

const SEEDS = { smoke: 1, small: 2, full: 10 };
const ALPHAS = { smoke: [1], small: [0.1, 0.5, 1], full: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] };
/** Many components are learned by heart within 50 epochs, so their outliers have to be found early. */
const SOON = { startEpoch: 10, every: 5 };
/** When removal begins and how often it looks; `full` as in the paper. */
const CHECKS = {
  smoke: { raw: { startEpoch: 20, every: 10 }, standardised: SOON, more: SOON },
  // The raw rows of synthetic faces are learned in a few hundred epochs, so removal begins where their variance falls.
  small: { raw: { startEpoch: 150, every: 50 }, standardised: { startEpoch: 50, every: 10 }, more: SOON },
  full: { raw: { startEpoch: 2000, every: 50 }, standardised: { startEpoch: 50, every: 10 }, more: SOON },
};
const EPOCHS = {
  smoke: { raw: 40, standardised: 30, more: 30 },
  small: { raw: 1000, standardised: 1000, more: 1000 },
  full: { raw: 4000, standardised: 2000, more: 2000 },
};
/** Epochs between two looks at the errors. */
const LOOK = { smoke: 10, small: 50, full: 50 };
const EARLY = { smoke: 10, small: 100, full: 100 };
const BINS = 12;

const variance = (errors: readonly number[]): number => {
  const mean = meanOf(errors);
  return meanOf(errors.map((error) => (error - mean) ** 2));
};

interface Setting {
  readonly rows: Rows;
  /** undefined: no removal. */
  readonly alpha?: number;
}

const nameOf = ({ rows, alpha }: Setting): string => (alpha === undefined ? rows : `${rows}-alpha${alpha}`);

function removalOf(run: RecipeRun, { rows, alpha }: Setting): { removal?: DistributionRemovalOptions } {
  return alpha === undefined ? {} : { removal: { ...run.at(CHECKS)[rows], alpha } };
}

/** Both halves and all seeds of a setting; all rows that are left make one batch. */
async function trainSetting(run: RecipeRun, features: readonly Inputs[], setting: Setting): Promise<TrialResult[]> {
  const results: TrialResult[] = [];
  const epochs = run.at(EPOCHS)[setting.rows];
  const every = run.at(LOOK);
  const looks = Array.from({ length: Math.floor(epochs / every) }, (_, index) => (index + 1) * every);
  const errorsAt = [...new Set([run.at(CHECKS)[setting.rows].startEpoch, ...looks])].sort((a, b) => a - b);
  for (const seed of run.seeds(run.at(SEEDS))) {
    for (const [fold, half] of features.entries()) {
      const { train, test }: Half<FeatureDataset> = half[setting.rows];
      results.push(
        await run.train({
          ...{ key: `${nameOf(setting)}-seed${seed}-half${fold + 1}`, model: mlp, network: 'mlp 200' },
          ...{ objective: 'bp' as const, train, test, epochs, batch: train.count, lr: 0.01, seed },
          ...{ testEvery: epochs, errorsAt, ...removalOf(run, setting) },
        }),
      );
    }
  }
  return results;
}

/** How many errors fall into each of equal stretches, which are named by where they begin. */
function histogram(title: string, errors: readonly number[]): string {
  const top = Math.max(...errors, 1e-9);
  const counts = new Array<number>(BINS).fill(0);
  for (const error of errors) counts[Math.min(BINS - 1, Math.floor((error / top) * BINS))]! += 1;
  const categories = counts.map((_, index) => formatNumber(Number(((index / BINS) * top).toPrecision(2))));
  return barChart({ title, yLabel: 'samples', categories, series: [{ name: 'samples', values: counts }] });
}

/** Figs. 5 (a), (b), 6 (a), (b): the errors of one run early, where removal begins, and at its end. */
function drawErrors(run: RecipeRun, rows: Rows, plain: TrialResult, removed: TrialResult): void {
  const start = run.at(CHECKS)[rows].startEpoch;
  const looks = [
    { id: 'early', epoch: Math.min(run.at(EARLY), start), of: plain, what: 'early in training' },
    { id: 'start', epoch: start, of: removed, what: 'where removal begins' },
    { id: 'end', epoch: Math.max(...Object.keys(removed.errors).map(Number)), of: removed, what: 'late, with removal' },
  ];
  for (const { id, epoch, of, what } of looks) {
    const errors = of.errors[epoch];
    if (!errors) continue;
    const record = of === removed ? of.removal.find((one) => one.epoch === epoch) : undefined;
    const at = record?.threshold ? `; removal takes those from ${formatNumber(record.threshold)} on` : '';
    const caption = `Errors ${what} (epoch ${epoch}, ${rows}): ${errors.length} samples, variance ${formatNumber(variance(errors))}${at}`;
    run.figure(`errors-${rows}-${id}`, caption, histogram(`Errors at epoch ${epoch}`, errors));
  }
}

/** Variance of the errors over epochs without and with removal (Figs. 5 (c), 6 (d), 7 (b)). */
function drawVariance(run: RecipeRun, rows: Rows, groups: readonly Group[]): void {
  const series = groups.map(({ name, results }): Series => {
    const [first] = results;
    const points = Object.entries(first!.errors).map(([epoch, errors]): Point => [Number(epoch), variance(errors)]);
    const checks = first!.removal.map(({ epoch, variance: found }): Point => [epoch, found]);
    const all = new Map([...points, ...checks]);
    return { name, points: [...all].sort(([a], [b]) => a - b), dots: true };
  });
  const chart = {
    title: `Variance of the errors (${rows})`,
    xLabel: 'epoch',
    yLabel: 'variance',
    series,
    wholeX: true,
  };
  run.figure(
    `variance-${rows}`,
    'Variance of the errors of the samples in training, first seed and half',
    lineChart(chart),
  );
}

/** Of all that a setting's runs removed, the share whose labels were wrong; null where nothing was removed. */
function wrongShare(results: readonly TrialResult[], features: readonly Inputs[]): number | null {
  const removed = results.flatMap((result, index) =>
    result.removed.map((sample) => features[index % 2]!.raw.wrong[sample]!),
  );
  return removed.length === 0 ? null : removed.filter(Boolean).length / removed.length;
}

function alphaTable(
  run: RecipeRun,
  groups: readonly (Group & { setting: Setting })[],
  features: readonly Inputs[],
): void {
  run.table(
    'alpha',
    `What removal does, means over halves and seeds; rows called more have ${run.at(MORE_COMPONENTS).join(' + ')} components.`,
    {
      columns: [
        { name: 'rows', kind: 'text' },
        { name: 'alpha', kind: 'number', digits: 1 },
        { name: 'last epoch', kind: 'number', digits: 0 },
        { name: 'ended by variance < 0.01', kind: 'percent', digits: 0 },
        { name: 'last variance', kind: 'number', digits: 4 },
        { name: 'samples removed', kind: 'number', digits: 1 },
        { name: 'of those with a wrong label', kind: 'percent', digits: 0 },
        { name: 'test accuracy', kind: 'percent' },
      ],
      rows: groups.map(({ setting, results }) => [
        setting.rows,
        setting.alpha ?? null,
        meanOf(results.map(({ epochs }) => epochs.at(-1)!.epoch)),
        meanOf(results.map(({ removal }) => (removal.at(-1)?.action === 'halt' ? 1 : 0))),
        results.every(({ removal }) => removal.length > 0)
          ? meanOf(results.map(({ removal }) => removal.at(-1)!.variance))
          : null,
        meanOf(results.map(({ removed }) => removed.length)),
        wrongShare(results, features),
        meanOf(results.map(({ metrics }) => metrics.accuracy)),
      ]),
    },
  );
}

export const recipe: Recipe = {
  name: 'removal',
  title: 'Bimodal distribution removal',
  reproduces: 'paper 003 Figs. 5 to 7, Table 1 (NN with BDR)',
  cost: { smoke: 'seconds', small: 'about 2 minutes', full: '20 minutes' },
  seed: 1,
  expected: 'with removal the variance of the errors falls below 0.01 and training ends early; accuracy hardly changes',
  async run(run) {
    const features: Inputs[] = [];
    for (const half of await twoHalves(run, 0.1)) {
      const more = await handMadeFeatures(run, half, run.at(MORE_COMPONENTS));
      features.push({ ...(await handMadeFeatures(run, half)), more: more.standardised });
    }
    const alphas = run.at(ALPHAS);
    run.expect(2 * run.at(SEEDS) * ROWS.length * (1 + alphas.length));
    const seeds = run.seeds(run.at(SEEDS));
    const all: (Group & { setting: Setting })[] = [];
    for (const rows of ROWS) {
      const settings: Setting[] = [{ rows }, ...alphas.map((alpha) => ({ rows, alpha }))];
      const groups: (Group & { setting: Setting })[] = [];
      for (const setting of settings) {
        groups.push({ name: nameOf(setting), setting, results: await trainSetting(run, features, setting) });
      }
      const [plain, strictest] = [groups[0]!, groups.at(-1)!];
      drawErrors(run, rows, plain.results[0]!, strictest.results[0]!);
      drawVariance(run, rows, groups);
      run.figure(
        `loss-${rows}`,
        'Loss with and without removal',
        stepChart(`Loss (${rows})`, 'losses', [plain, strictest]),
      );
      all.push(...groups);
    }
    alphaTable(run, all, features);
    const summaryOf = (rows: Rows, alpha: number | undefined) =>
      summarizeHalves(all.find(({ setting }) => setting.rows === rows && setting.alpha === alpha)!.results, seeds);
    const table = ratesTable([
      { name: 'NN, raw', summary: summaryOf('raw', undefined), paper: SFEW_CLASSES.raw },
      { name: 'NN with BDR, raw', summary: summaryOf('raw', 1), paper: SFEW_CLASSES.rawRemoval },
      { name: 'NN, standardised', summary: summaryOf('standardised', undefined), paper: SFEW_CLASSES.standardised },
      {
        name: 'NN with BDR, standardised',
        summary: summaryOf('standardised', 1),
        paper: SFEW_CLASSES.standardisedRemoval,
      },
      { name: 'NN, more', summary: summaryOf('more', undefined) },
      { name: 'NN with BDR, more', summary: summaryOf('more', 1) },
    ]);
    run.table('rates', 'Table 1: rates by class in percent; the paper’s are of SFEW', table);
  },
};
