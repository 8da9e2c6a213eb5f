// Every system of the five papers on the same faces with 10 % wrong labels, each by its own method: accuracy, seconds a step,
// memory, beside what the papers print.
// Cost: smoke seconds; small about 41 minutes on two cores; full days. Seed 1.
// Expected: nothing like the papers' gaps: on equal data the systems lie within some points, the largest are not the best.
import { type Dataset, type ImageDataset, withChannels } from '../data/types';
import { CheckpointError, DataError } from '../errors';
import { models } from '../models';
import type { ObjectiveName } from '../objectives/options';
import { barChart } from '../report/charts';
import { accuracyOf, divergences, type Group, systemTable } from './charts';
import { faces } from './data';
import { handMadeFeatures } from './handMade';
import { MFF_RATE } from './mffShared';
import { leastInput, scaledNetwork } from './networks';
import { PAPERS, type PaperFigures } from './papers';
import { givenChannels, networkOf, SIDE, sourceOf } from './pretrained';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';
import type { Trial } from './trial';

type More = (stepsPerEpoch: number, epochs: number) => NonNullable<Trial['more']>;

interface System {
  readonly name: string;
  readonly paper: keyof typeof PAPERS;
  readonly model: keyof typeof models & string;
  readonly objective: ObjectiveName;
  readonly lr: number;
  /** Sides it reads images at where they are not the data's own. */
  readonly side?: number;
  readonly more?: More;
}

const cosine: More = (stepsPerEpoch, epochs) => ({
  schedule: { kind: 'cosine', total: stepsPerEpoch * epochs },
});
const flips: More = () => ({ augmentation: { flip: true } });
/** Paper 004's: 0.93^floor(epoch / 3). */
const stairs: More = (stepsPerEpoch) => ({
  schedule: { kind: 'step', every: 3 * stepsPerEpoch, factor: 0.93 },
});

const SYSTEMS: readonly System[] = [
  { name: 'CFPN, NBP', paper: 'cfpn', model: 'cfpn', objective: 'cka', lr: 0.005, more: cosine },
  { name: 'CFPN, BP', paper: 'cfpn', model: 'cfpn', objective: 'bp', lr: 0.005, more: cosine },
  { name: 'dense FPN, NBP', paper: 'denseFpn', model: 'denseFpn', objective: 'cka', lr: 0.005, more: cosine },
  { name: 'AlexNet, BP', paper: 'alexnet', model: 'alexnet', objective: 'bp', lr: 0.001, side: 64 },
  { name: 'Inception v2, BP', paper: 'inceptionV2', model: 'inceptionV2', objective: 'bp', lr: 0.001 },
  { name: 'ResNet-50, BP', paper: 'resnet50', model: 'resnet50', objective: 'bp', lr: 0.001 },
  { name: 'DenseNet-121, BP', paper: 'densenet121', model: 'densenet121', objective: 'bp', lr: 0.001 },
  { name: 'CNN of 002, BP', paper: 'ferCnn', model: 'ferCnn', objective: 'bp', lr: 0.0003 },
  { name: 'VGG of 002, BP', paper: 'ferVgg', model: 'ferVgg', objective: 'bp', lr: 0.0003 },
  { name: 'ResNet-18 of 002, BP', paper: 'ferResnet18', model: 'ferResnet18', objective: 'bp', lr: 0.001 },
  { name: 'CNN of 003, BP', paper: 'sfewCnn', model: 'sfewCnn', objective: 'bp', lr: 0.001, more: flips },
  { name: 'MFF-CNN, BP', paper: 'mffCnn', model: 'mffCnn', objective: 'bp', lr: MFF_RATE, side: 60, more: stairs },
];

const COUNTS = {
  smoke: { train: 12, test: 7 },
  small: { train: 3072, test: 1000 },
  full: { train: 28_709, test: 3589 },
};
const BATCH = { smoke: 6, small: 64, full: 128 };
const EPOCHS = { smoke: 1, small: 4, full: 20 };
/** The perceptron's epochs are one step each. */
const ROW_EPOCHS = { smoke: 10, small: 300, full: 1000 };
async function trainSystem(run: RecipeRun, system: System, train: ImageDataset, test: ImageDataset): Promise<Group> {
  const { name, model, objective, lr, side, more } = system;
  const [batch, epochs] = [run.at(BATCH), run.at(EPOCHS)];
  const own = side === undefined ? ([train.height, train.width] as const) : ([side, side] as const);
  const result = await run.train({
    ...{ key: `${model}-${objective}`, ...scaledNetwork(run, model), objective, train, test },
    ...{ input: run.at({ smoke: leastInput(model), small: own, full: own }), epochs, batch, lr, seed: run.seed },
    ...(more ? { more: more(Math.floor(train.count / batch), epochs) } : {}),
  });
  return { name, results: [result] };
}

const TUNED = 'ResNet-18 of 003, fine-tuned';
const ROWS = { plain: 'LPQ, PHOG, NN', removal: 'LPQ, PHOG, NN with BDR' } as const;

/** What a chart's axis has room for, by name. */
const LABELS: Readonly<Record<string, string>> = {
  ...{ 'dense FPN, NBP': 'dense FPN', 'AlexNet, BP': 'AlexNet', 'Inception v2, BP': 'Inception' },
  ...{ 'ResNet-50, BP': 'ResNet-50', 'DenseNet-121, BP': 'DenseNet', 'CNN of 002, BP': 'CNN, 002' },
  ...{ 'VGG of 002, BP': 'VGG, 002', 'ResNet-18 of 002, BP': 'ResNet, 002', 'CNN of 003, BP': 'CNN, 003' },
  ...{ 'MFF-CNN, BP': 'MFF-CNN', [TUNED]: 'tuned, 003', [ROWS.plain]: 'NN, 003', [ROWS.removal]: 'BDR, 003' },
};

/** The smallest of paper 003's networks from other pictures, with its stairs of rates; none where no weights are there or fit. */
export async function tuneResnet(run: RecipeRun, train: ImageDataset, test: ImageDataset): Promise<Group[]> {
  const [batch, epochs, side] = [run.at(BATCH), run.at(EPOCHS), run.at(SIDE)];
  const milestones = [Math.ceil((epochs * 2) / 3) * Math.floor(train.count / batch)];
  try {
    const channels = (await givenChannels(run, ['resnet18'])) ?? train.channels;
    const init = await sourceOf(run, 'resnet18', channels);
    const parts = { train: withChannels(train, channels), test: withChannels(test, channels) };
    const result = await run.train({
      ...{ key: 'resnet18-tuned', ...networkOf(run, 'resnet18'), objective: 'bp' as const, ...parts, init },
      ...{ input: [side, side] as const, epochs, batch, lr: 0.001, seed: run.seed },
      more: { schedule: { kind: 'milestones', milestones, factor: 0.1 }, augmentation: { flip: true } },
    });
    run.text(`The fine-tuned network starts from: ${init.of}; the paper’s from ImageNet.`);
    return [{ name: TUNED, results: [result] }];
  } catch (error) {
    if (!(error instanceof DataError || error instanceof CheckpointError)) throw error;
    run.text(`${TUNED}, was left out: ${error.message}`);
    return [];
  }
}

/** The perceptron on LPQ and PHOG, without and with removal of outliers. All rows make one batch. */
async function trainRows(run: RecipeRun, train: ImageDataset, test: ImageDataset): Promise<Group[]> {
  const { standardised } = await handMadeFeatures(run, { train, test, wrong: [] });
  const [rows, held]: Dataset[] = [standardised.train, standardised.test];
  const epochs = run.at(ROW_EPOCHS);
  const groups: Group[] = [];
  for (const removes of [false, true]) {
    const start = run.at({ smoke: 5, small: 50, full: 50 });
    const result = await run.train({
      ...{ key: removes ? 'mlp-removal' : 'mlp', model: models.mlp!, network: 'mlp', objective: 'bp' as const },
      ...{ train: rows!, test: held!, epochs, batch: rows!.count, lr: 0.01, seed: run.seed, testEvery: epochs },
      ...(removes ? { removal: { startEpoch: start, every: 10, alpha: 1 } } : {}),
    });
    groups.push({ name: removes ? ROWS.removal : ROWS.plain, results: [result] });
  }
  return groups;
}

function paperOf({ name }: Group): PaperFigures {
  const system = SYSTEMS.find((one) => one.name === name);
  if (system) return PAPERS[system.paper];
  if (name === TUNED) return PAPERS.resnet18Tuned;
  return PAPERS[name.endsWith('BDR') ? 'mlpRemoval' : 'mlp'];
}

export const recipe: Recipe = {
  name: 'all-systems',
  title: 'Every system on the same faces with 10 % wrong labels',
  reproduces: 'the five papers’ accuracies, on equal data',
  cost: { smoke: 'seconds', small: 'about 41 minutes', full: 'days' },
  seed: 1,
  expected: 'on equal data the systems lie closer together than their papers say, and size does not decide',
  async run(run) {
    const { train, test } = await faces(run, { counts: COUNTS, labelNoise: 0.1 });
    run.expect(SYSTEMS.length + 4);
    const groups: Group[] = [];
    for (const system of SYSTEMS) groups.push(await trainSystem(run, system, train, test));
    groups.push(...(await tuneResnet(run, train, test)), ...(await trainRows(run, train, test)));
    const caption =
      `Each by its own method, ${run.at(EPOCHS)} epochs (the perceptron: ${run.at(ROW_EPOCHS)} of one batch), one run each. ` +
      'The papers’ seconds are of an RTX 2080 at 224x224 and batch 128.';
    run.table('systems', caption, systemTable(groups, paperOf));
    run.figure(
      'accuracy',
      'Accuracy on the test part, whose labels are all right',
      barChart({
        ...{ title: 'Test accuracy by system', yLabel: 'accuracy', width: 1140 },
        categories: groups.map(({ name }) => LABELS[name] ?? name),
        series: [{ name: 'test accuracy', values: groups.map((group) => accuracyOf(group).mean) }],
      }),
    );
    const lost = divergences(groups);
    if (lost !== '') run.text(lost);
  },
};
