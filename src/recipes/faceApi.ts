// A real network on other faces: face-api's published expression net as it is, with its classifier alone trained anew, and
// fine-tuned without back-propagation (cka) and by it, beside the same network from nothing. Of no paper; transfer by both
// methods. Weights: the npm package @vladmandic/face-api, or a folder of them by --weights.
// Cost: smoke seconds; small about 19 minutes on two cores; full hours. Seed 1 and those after it.
// Expected: the net as published tells most drawings apart already; BP gains by far the most from fine-tuning; from nothing, none
// of the two methods learns in as many steps.
import type { ImageDataset } from '../data/types';
import type { Spread } from '../evaluation/summary';
import type { Cell } from '../evaluation/tables';
import { faceApiWeights } from '../faces/faceApi';
import { FACE_API_EXPRESSIONS, FACE_API_PIXELS, faceExpressionNet } from '../models';
import { compileModel, type Weights } from '../train/compileModel';
import { logitsOnly, predictClasses } from '../train/evaluator';
import { COMPARISON, comparisonCells, divergences, type Group, stepChart, testChart } from './charts';
import { faces } from './data';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';
import type { Trial } from './trial';

/** The side that face-api trained it at; it takes any from 8 on. */
const SIDE = { smoke: 16, small: 112, full: 112 };
const COUNTS = {
  smoke: { train: 24, test: 14 },
  small: { train: 1536, test: 500 },
  full: { train: 28_709, test: 3589 },
};
const BATCH = { smoke: 12, small: 64, full: 64 };
const EPOCHS = { smoke: 1, small: 4, full: 10 };
const SEEDS = { smoke: 1, small: 3, full: 3 };
/** Of 0.0005 and 0.001 the better for both methods. The network has no batch normalisation, so no more was tried. */
const RATE = 0.001;

interface Way {
  readonly key: string;
  readonly name: string;
  readonly objective: 'cka' | 'bp';
  readonly published: boolean;
  readonly freeze?: readonly string[];
}

const WAYS: readonly Way[] = [
  { key: 'frozen', name: 'classifier alone', objective: 'bp', published: true, freeze: ['*', '!head'] },
  { key: 'tuned-cka', name: 'fine-tuned, NBP (cka)', objective: 'cka', published: true },
  { key: 'tuned-bp', name: 'fine-tuned, BP', objective: 'bp', published: true },
  { key: 'nothing-cka', name: 'from nothing, NBP (cka)', objective: 'cka', published: false },
  { key: 'nothing-bp', name: 'from nothing, BP', objective: 'bp', published: false },
];

/** face-api says angry where data sets say anger; three letters tell all seven apart. */
const stem = (name: string): string => name.slice(0, 3).toLowerCase();

/** Accuracy of the network as it was published; undefined where the data has other classes. */
async function accuracyAsPublished(run: RecipeRun, weights: Weights, test: ImageDataset): Promise<number | undefined> {
  const places = FACE_API_EXPRESSIONS.map((name) => test.classes.findIndex((one) => stem(one) === stem(name)));
  if (test.classes.some((_, place) => !places.includes(place))) return undefined;
  const side = run.at(SIDE);
  using model = await compileModel(faceExpressionNet, {
    ...{ input: [side, side, 3], classes: places.length, weights, outputs: logitsOnly },
    pixels: { size: [test.height, test.width], ...FACE_API_PIXELS },
    ...(run.options.threads === undefined ? {} : { threads: run.options.threads }),
  });
  const { signal } = run.options;
  const called = await predictClasses(model, test, signal ? { signal } : {});
  return called.filter((label, index) => places[label] === test.labels[index]).length / test.count;
}

async function trainWays(run: RecipeRun, weights: Weights, train: ImageDataset, test: ImageDataset): Promise<Group[]> {
  const [side, batch, epochs] = [run.at(SIDE), run.at(BATCH), run.at(EPOCHS)];
  const shared = {
    ...{ model: faceExpressionNet, network: 'faceExpressionNet', train, test, batch, epochs },
    ...{ input: [side, side] as const, pixels: FACE_API_PIXELS, lr: RATE },
  } as const;
  const groups: Group[] = [];
  for (const { key, name, objective, published, freeze } of WAYS) {
    const results = [];
    for (const seed of run.seeds(run.at(SEEDS))) {
      const trial: Trial = {
        ...{ ...shared, key: `${key}-seed${seed}`, objective, seed },
        ...(published ? { init: { weights, of: '@vladmandic/face-api' } } : {}),
        ...(freeze ? { more: { freeze } } : {}),
      };
      results.push(await run.train(trial));
    }
    groups.push({ name, results });
  }
  return groups;
}

export const recipe: Recipe = {
  name: 'face-api',
  title: 'A published network fine-tuned by both methods',
  reproduces: 'no paper: face-api’s expression net on other faces',
  cost: { smoke: 'seconds', small: 'about 19 minutes', full: 'hours' },
  seed: 1,
  expected:
    'the net as published tells most drawings apart; BP gains most by fine-tuning; from nothing neither learns as fast',
  async run(run) {
    const weights = await faceApiWeights('face_expression', run.options.weights);
    const { train, test } = await faces(run, { counts: COUNTS, size: [112, 112], channels: 3 });
    run.expect(WAYS.length * run.at(SEEDS));
    const asItIs = await accuracyAsPublished(run, weights, test);
    const groups = await trainWays(run, weights, train, test);
    const caption =
      `faceExpressionNet at ${run.at(SIDE)}x${run.at(SIDE)} with the weights of @vladmandic/face-api or from nothing, a new ` +
      `classifier but in the first line, Adam at ${RATE}, batch ${run.at(BATCH)}.`;
    const first: Cell[] = ['as published', { mean: asItIs ?? Number.NaN, deviation: Number.NaN, count: 1 } as Spread];
    const rows = groups.map((group): Cell[] => [group.name, ...comparisonCells(group)]);
    run.table('ways', caption, {
      columns: [{ name: 'how', kind: 'text' }, ...COMPARISON],
      rows: asItIs === undefined ? rows : [[...first, ...COMPARISON.slice(1).map(() => null)], ...rows],
    });
    if (asItIs === undefined)
      run.text('The data has other classes than face-api, so the network as published has no line.');
    run.figure('accuracy', 'Accuracy on the training batches', stepChart('Accuracy', 'accuracies', groups));
    run.figure('loss', 'Loss of the classifier', stepChart('Loss', 'losses', groups));
    run.figure('test', 'Accuracy on the test part', testChart('Test accuracy', groups));
    const lost = divergences(groups);
    if (lost !== '') run.text(lost);
  },
};
