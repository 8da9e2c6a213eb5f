// The three networks of paper 002 on FER2013 or synthetic faces: training curves, confusion matrix, rates by class.
// Reproduces paper 002 Figs. 2 to 4 and Table I.
// Cost: smoke seconds; small about 13 minutes on two cores; full a day. Seed 1.
// Expected: the three are close to each other; happy and surprise are found best, the rare disgust and the mild sad worst.
import { type ExperimentSummary, summarizeRuns } from '../evaluation/summary';
import { classTable, confusionTable } from '../evaluation/tables';
import { confusionFigure } from '../report/figures';
import { divergences, type Group, stepChart, systemTable, testChart } from './charts';
import { faces } from './data';
import { scaledNetwork } from './networks';
import { FER_CONFUSION, PAPERS, type PaperFigures } from './papers';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';

/** Rates at which each learns; at 0.001 the fully connected layers of the first two die within a few steps. */
const NETS = [
  { name: 'CNN', model: 'ferCnn', lr: 0.0003 },
  { name: 'VGG', model: 'ferVgg', lr: 0.0003 },
  { name: 'ResNet-18', model: 'ferResnet18', lr: 0.001 },
] as const;

const COUNTS = {
  smoke: { train: 32, test: 14 },
  small: { train: 4096, test: 1000 },
  full: { train: 28_709, test: 3589 },
};
const BATCH = { smoke: 16, small: 64, full: 64 };
/** The paper's VGG: 30 epochs and 60 more without effect. */
const EPOCHS = { smoke: 1, small: 3, full: 30 };

/** The best net's matrix and rates, beside the paper's Table I where the classes are the same. */
function reportClasses(run: RecipeRun, name: string, summary: ExperimentSummary): void {
  const classes = summary.classes.map((one) => one.name);
  const shares = { ...summary, accuracy: 0, balancedAccuracy: 0, macroF1: 0, classes: [] };
  run.figure('confusion', `Confusion matrix of ${name}`, confusionFigure(shares, classes).svg);
  run.table('confusion', `Confusion matrix of ${name}, in percent of the true class`, confusionTable(summary));
  run.table('classes', `Rates of ${name} by class, in percent`, classTable(summary));
  if (classes.length !== FER_CONFUSION.length) return;
  run.table('classes-paper', 'Share of each class that is found, in percent', {
    columns: [
      { name: 'class', kind: 'text' },
      { name: 'here', kind: 'percent' },
      { name: 'paper, Table I', kind: 'percent', digits: 0 },
    ],
    rows: classes.map((one, k) => [one, summary.classes[k]!.recall.mean, FER_CONFUSION[k]![k]!]),
  });
  run.text(
    'The paper’s Table I does not fit its own accuracies: its rows do not add up to 1, and its diagonal, weighted by the ' +
      'classes of FER2013, would be 69 % where the text says 60.00 %.',
  );
}

export const recipe: Recipe = {
  name: 'fer-nets',
  title: 'CNN, VGG and ResNet-18 on FER2013',
  reproduces: 'paper 002 Figs. 2 to 4, Table I',
  cost: { smoke: 'seconds', small: 'about 13 minutes', full: 'a day' },
  seed: 1,
  expected: 'the three are close to each other; expressive classes are found best, rare ones worst',
  async run(run) {
    const { train, test } = await faces(run, { counts: COUNTS });
    run.expect(NETS.length);
    const groups: Group[] = [];
    for (const { name, model, lr } of NETS) {
      const result = await run.train({
        ...{ key: model, ...scaledNetwork(run, model), objective: 'bp' as const, train, test },
        ...run.at({ smoke: { input: [8, 8] as const }, small: {}, full: {} }),
        ...{ epochs: run.at(EPOCHS), batch: run.at(BATCH), lr, seed: run.seed },
        more: { augmentation: run.at({ smoke: {}, small: {}, full: { flip: true } }) },
      });
      groups.push({ name, results: [result] });
    }
    const paper = ({ name }: Group): PaperFigures => PAPERS[NETS.find((one) => one.name === name)!.model];
    const caption =
      'By back-propagation, Adam at 0.0003, ResNet-18 at 0.001, one run each. The paper names neither optimiser nor rate.';
    run.table('networks', caption, systemTable(groups, paper));
    run.figure('loss', 'Loss of the classifier', stepChart('Loss', 'losses', groups));
    run.figure('accuracy', 'Accuracy on the training batches', stepChart('Accuracy', 'accuracies', groups));
    run.figure('test', 'Accuracy on the test part', testChart('Test accuracy', groups));
    const accuracy = ({ results }: Group): number => results[0]!.metrics.accuracy;
    const best = groups.reduce((one, other) => (accuracy(other) > accuracy(one) ? other : one));
    const [result] = best.results;
    reportClasses(run, best.name, summarizeRuns([{ seed: run.seed, fold: 0, metrics: result!.metrics }]));
    const lost = divergences(groups);
    if (lost !== '') run.text(lost);
  },
};
