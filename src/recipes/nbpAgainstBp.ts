// NBP against BP: the CFPN trained unit by unit and by back-propagation, accuracy and loss over steps.
// Reproduces paper 001 Fig. 8 and paper 000 Figs. 1 to 3, 10 and 11.
// Cost: smoke seconds; small about 28 minutes on two cores; full days on a CPU. Seed 1 and the two after it.
// Expected: both learn; back-propagation is at least as accurate, the local step is faster and needs less memory.

import type { DataSplits } from '../data/types';
import { pixelStatistics } from '../data/types';
import { spread } from '../evaluation/summary';
import { models } from '../models';
import { OBJECTIVE_DEFAULTS, type ObjectiveName } from '../objectives/options';
import { featureGrid, samplePicture } from '../report/features';
import { augmentationOf } from '../train/config';
import { mapsOf } from '../train/featureMaps';
import { comparison, divergences, type Group, meanOf, stepChart, stepsTo, testChart } from './charts';
import { faces, pictures } from './data';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';

const METHODS: readonly { name: string; objective: ObjectiveName }[] = [
  { name: 'NBP (cka)', objective: 'cka' },
  { name: 'NBP (plain hsic)', objective: 'hsic' },
  { name: 'BP', objective: 'bp' },
];

const FACES = {
  smoke: { train: 64, test: 32 },
  small: { train: 4096, test: 1000 },
  full: { train: 28_709, test: 3589 },
};
const DIGITS = {
  smoke: { train: 64, test: 32 },
  small: { train: 7680, test: 2000 },
  full: { train: 60_000, test: 10_000 },
};
const BATCH = { smoke: 32, small: 128, full: 128 };
const EPOCHS = { smoke: 1, small: 4, full: 7 };
/** Repetitions by seeds. */
const SEEDS = { smoke: 2, small: 3, full: 3 };

/** What the paper's Fig. 8 shows of FER2013, by method. */
const PAPER = {
  nbp: '99.46 % in training, settled at 2,500 steps',
  bp: 'lower, not settled at 10,000 steps',
};

/** Accuracies of training batches whose first reaching is reported. */
const SHARES = [0.5, 0.7, 0.9] as const;

async function trainAll(run: RecipeRun, data: DataSplits, what: string, plain: boolean): Promise<Group[]> {
  const { train, test } = data;
  const batch = run.at(BATCH);
  const epochs = run.at(EPOCHS);
  const native: readonly [number, number] = [train.height, train.width];
  const input = run.at({ smoke: [8, 8] as const, small: native, full: [224, 224] as const });
  const augmentation = run.at({ smoke: {}, small: {}, full: augmentationOf('paper') });
  const total = epochs * Math.floor((train.count * (augmentation.variants?.length ?? 1)) / batch);
  const groups: Group[] = [];
  for (const { name, objective } of METHODS.filter((one) => plain || one.objective !== 'hsic')) {
    const results = [];
    for (const seed of run.seeds(run.at(SEEDS))) {
      results.push(
        await run.train({
          key: `${what}-${objective}-seed${seed}`,
          ...{ model: models.cfpn!, network: 'cfpn', objective: { ...OBJECTIVE_DEFAULTS, name: objective } },
          ...{ train, test, input, epochs, batch, lr: 0.005, seed },
          more: { schedule: { kind: 'cosine', total }, augmentation },
          keepWeights: seed === run.seed && objective === 'cka',
        }),
      );
    }
    groups.push({ name, results });
  }
  return groups;
}

/** Shallow, middle and final maps of the first test image (paper 000, Figs. 1 to 3). */
async function drawMaps(run: RecipeRun, data: DataSplits, what: string): Promise<void> {
  const { train, test } = data;
  const native: readonly [number, number] = [train.height, train.width];
  const [height, width] = run.at({ smoke: [8, 8] as const, small: native, full: [224, 224] as const });
  const spec = {
    classes: train.classes.length,
    input: [height, width, train.channels] as const,
    ...pixelStatistics(train),
  };
  const weights = await run.weightsOf(`${what}-cka-seed${run.seed}`);
  const { maps, sample } = await mapsOf(models.cfpn!, spec, weights, test);
  run.picture(`${what}-sample`, 'The image the maps are of', samplePicture(sample));
  for (const [index, map] of maps.entries()) {
    const place = ['shallow', 'middle', 'final'][index]!;
    const caption = `${place} maps (${map.name}, ${map.height}x${map.width}), each stretched by itself`;
    run.picture(`${what}-maps-${place}`, caption, featureGrid(map));
  }
}

/** @param plain whether plain HSIC is a line too, which one data set is enough for. */
async function report(run: RecipeRun, data: DataSplits, what: string, plain: boolean): Promise<void> {
  const groups = await trainAll(run, data, what, plain);
  run.heading(what);
  const paper = ({ name }: Group): string => (name === 'BP' ? PAPER.bp : PAPER.nbp);
  const caption = `CFPN on ${what}: mean and deviation over seeds. The paper’s figures are of FER2013.`;
  run.table(`${what}-methods`, caption, comparison(groups, paper, 'method'));
  run.table(`${what}-convergence`, 'Steps until ten batches in a row are right in that share, means over seeds', {
    columns: [
      { name: 'method', kind: 'text' },
      ...SHARES.map((share) => ({ name: `steps to ${100 * share} %`, kind: 'number', digits: 0 }) as const),
      { name: `seconds to ${100 * SHARES[0]} %`, kind: 'number', digits: 1 },
    ],
    rows: groups.map((group) => {
      const steps = SHARES.map((share) => stepsTo(share, group));
      const pace = meanOf(group.results.map(({ timing }) => timing.secondsPerStep));
      return [group.name, ...steps, steps[0] == null ? null : steps[0] * pace];
    }),
  });
  run.figure(`${what}-accuracy`, 'Accuracy on the training batches', stepChart('Accuracy', 'accuracies', groups));
  run.figure(`${what}-loss`, 'Loss of the classifier', stepChart('Loss', 'losses', groups));
  run.figure(`${what}-test`, 'Accuracy on the test part', testChart('Test accuracy', groups));
  const [nbp, bp] = [groups[0]!, groups.at(-1)!];
  const gains = bp.results.map(({ metrics }, index) => metrics.accuracy - nbp.results[index]!.metrics.accuracy);
  const { mean, deviation } = spread(gains);
  const points = (value: number): string => (100 * value).toFixed(2);
  const times = bp.results[0]!.arenaBytes / nbp.results[0]!.arenaBytes;
  run.text(
    `BP minus NBP (cka), seed by seed: ${points(mean)} points, deviation ${points(deviation)}. ` +
      `Intermediate results of a step: BP needs ${times.toFixed(1)} times the memory of NBP. ${divergences(groups)}`,
  );
  await drawMaps(run, data, what);
}

export const recipe: Recipe = {
  name: 'nbp-vs-bp',
  title: 'NBP against BP',
  reproduces: 'paper 001 Fig. 8, paper 000 Figs. 1 to 3, 10, 11',
  cost: { smoke: 'seconds', small: 'about 28 minutes', full: 'days' },
  seed: 1,
  expected: 'both learn; BP is at least as accurate, NBP takes less time and memory a step; plain HSIC lags behind',
  async run(run) {
    const digits = await pictures(run, 'mnist', DIGITS);
    const people = await faces(run, { counts: FACES });
    run.expect((METHODS.length + (digits ? 2 : 0)) * run.at(SEEDS));
    if (digits) await report(run, digits, 'mnist', true);
    await report(run, people, 'faces', digits === undefined);
  },
};
