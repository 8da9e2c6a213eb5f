// What each part of MFF-CNN adds: without mid-level features, without joint tuning, without selection. Reproduces paper 004
// Table 6.
// Cost: smoke seconds; small about 7 minutes on two cores; full two hours. Seed 1.
// Expected: without mid-level features accuracy falls most; the other two change little.
import { summarizeRuns } from '../evaluation/summary';
import { barChart } from '../report/charts';
import { divergences, type Group, meanOf } from './charts';
import { foldResults, type MffName, mffFaces, mffFolds, trainMff } from './mffShared';
import { MFF_ABLATIONS } from './papers';
import type { Recipe } from './recipe';
import type { TrialResult } from './trial';

const FOLDS = { smoke: 2, small: 5, full: 10 };

const FORMS: readonly { name: string; model: MffName }[] = [
  { name: 'MFF-CNN', model: 'mffCnn' },
  { name: 'without mid-level features', model: 'mffCnnHighLevel' },
  { name: 'without joint tuning', model: 'mffCnnConcatenated' },
  { name: 'without selection', model: 'mffCnnUnselected' },
];

export const recipe: Recipe = {
  name: 'mff-ablations',
  title: 'Parts of MFF-CNN left out',
  reproduces: 'paper 004 Table 6',
  cost: { smoke: 'seconds', small: 'about 7 minutes', full: 'two hours' },
  seed: 1,
  expected: 'without mid-level features accuracy falls most; joint tuning and selection change little',
  async run(run) {
    const data = await mffFaces(run);
    const folds = mffFolds(run, data, run.at(FOLDS), data.groups !== undefined);
    run.expect(FORMS.length * folds.length);
    const groups: (Group & { model: MffName })[] = [];
    for (const { name, model } of FORMS) {
      const results: TrialResult[] = [];
      for (const [index, fold] of folds.entries()) {
        results.push(await trainMff(run, data, fold, { key: `${model}-fold${index + 1}`, name: model }));
      }
      groups.push({ name, model, results });
    }
    const cut = data.groups ? 'by person' : 'at random';
    const caption = `${folds.length} folds ${cut}: share of each class that is found, in percent. The paper’s lines are of Oulu-CASIA.`;
    run.table('ablations', caption, {
      columns: [
        { name: 'form', kind: 'text' },
        { name: 'parameters', kind: 'text' },
        ...data.classes.map((name) => ({ name, kind: 'percent' }) as const),
        { name: 'accuracy', kind: 'spread' },
        { name: 'seconds a step', kind: 'number', digits: 3 },
      ],
      rows: groups.flatMap(({ name, model, results }) => {
        const { classes, scores } = summarizeRuns(foldResults(run, results));
        const paper = MFF_ABLATIONS[model];
        const own = [
          ...[name, String(results[0]!.parameters), ...classes.map(({ recall }) => recall.mean), scores.accuracy],
          meanOf(results.map(({ timing }) => timing.secondsPerStep)),
        ];
        if (classes.length !== paper.rates.length) return [own];
        const printed = { mean: paper.accuracy / 100, deviation: Number.NaN, count: 10 };
        return [own, [`paper: ${name}`, paper.parameters, ...paper.rates.map((rate) => rate / 100), printed, null]];
      }),
    });
    run.figure(
      'classes',
      'Share of each class that is found, means over the folds',
      barChart({
        ...{ title: 'Recall by class', yLabel: 'recall', categories: data.classes, width: 900 },
        series: groups.map(({ name, results }) => {
          const { classes } = summarizeRuns(foldResults(run, results));
          return { name, values: classes.map(({ recall }) => recall.mean) };
        }),
      }),
    );
    const lost = divergences(groups);
    if (lost !== '') run.text(lost);
  },
};
