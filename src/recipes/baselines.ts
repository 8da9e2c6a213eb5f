// CFPN-NBP and its predecessor against AlexNet, Inception v2, ResNet-50 and DenseNet-121 at the same rate and batch: accuracy
// over steps, seconds a step, parameters, memory. Reproduces paper 001 Fig. 11 and Table II, paper 000 Fig. 15 and Table 1.
// Cost: smoke seconds; small about 7 minutes on two cores; full days. Seed 1.
// Expected: the local step of the small networks takes a fraction of the others' time and memory; at equal steps, they lead.
import { type AlexnetOptions, alexnet, type ModelFunction, models } from '../models';
import type { ObjectiveName } from '../objectives/options';
import { comparison, divergences, type Group, stepChart, testChart } from './charts';
import { faces } from './data';
import type { Recipe } from './recipe';

interface System {
  readonly name: string;
  readonly key: string;
  readonly objective: ObjectiveName;
  readonly model: ModelFunction;
  /** Paper 000, Table 1: seconds a step at 224x224 and batch 128 on an RTX 2080, parameters, test accuracy. */
  readonly paper: string;
}

const of = (name: string): ModelFunction => models[name]!;

const SYSTEMS: readonly System[] = [
  {
    ...{ name: 'CFPN-NBP (001)', key: 'cfpn-cka', objective: 'cka', model: of('cfpn') },
    paper: '001: faster than all, no fewer hits',
  },
  {
    ...{ name: 'dense FPN, NBP (000)', key: 'denseFpn-cka', objective: 'cka', model: of('denseFpn') },
    paper: '0.049 s, 7 M, 97 %',
  },
  {
    ...{ name: 'AlexNet, BP', key: 'alexnet-bp', objective: 'bp', model: of('alexnet') },
    paper: '0.243 s, 60 M, 89 %',
  },
  {
    ...{ name: 'Inception v2, BP', key: 'inceptionV2-bp', objective: 'bp', model: of('inceptionV2') },
    paper: '0.565 s, 11 M, 93 %',
  },
  {
    ...{ name: 'ResNet-50, BP', key: 'resnet50-bp', objective: 'bp', model: of('resnet50') },
    paper: '0.180 s, 24 M, 95 %',
  },
  {
    ...{ name: 'DenseNet-121, BP', key: 'densenet121-bp', objective: 'bp', model: of('densenet121') },
    paper: '001: slower, fewer hits',
  },
];

const COUNTS = {
  smoke: { train: 12, test: 8 },
  small: { train: 4096, test: 1000 },
  full: { train: 28_709, test: 3589 },
};
const BATCH = { smoke: 6, small: 64, full: 128 };
const EPOCHS = { smoke: 1, small: 1, full: 10 };
/** AlexNet needs 63 pixels; the paper has 224. */
const SIDE = { smoke: 64, small: 64, full: 224 };
/** For the smoke test AlexNet's hidden layers are cut, or drawing their weights would take longer than all the rest. */
const narrow: ModelFunction = (x, options) => alexnet(x, { ...options, hidden: 64 } as AlexnetOptions);

export const recipe: Recipe = {
  name: 'baselines',
  title: 'Against AlexNet, Inception v2, ResNet-50 and DenseNet',
  reproduces: 'paper 001 Fig. 11 and Table II, paper 000 Fig. 15 and Table 1',
  cost: { smoke: 'seconds', small: 'about 7 minutes', full: 'days' },
  seed: 1,
  expected: 'NBP takes a fraction of the baselines’ time and memory a step and leads at equal steps',
  async run(run) {
    const { train, test } = await faces(run, { counts: COUNTS });
    run.expect(SYSTEMS.length);
    const side = run.at(SIDE);
    const groups: Group[] = [];
    for (const { name, key, objective, model } of SYSTEMS) {
      const cut = run.options.scale === 'smoke' && key === 'alexnet-bp';
      const result = await run.train({
        ...{ key, model: cut ? narrow : model, network: cut ? `${key} narrow` : key, objective, train, test },
        input: [side, side],
        ...{ epochs: run.at(EPOCHS), batch: run.at(BATCH), lr: 0.005, seed: run.seed },
      });
      groups.push({ name, results: [result] });
    }
    const paper = ({ name }: Group): string => SYSTEMS.find((one) => one.name === name)!.paper;
    const caption =
      `${side}x${side}, batch ${run.at(BATCH)}, learning rate 0.005 for all, one run each. ` +
      'The paper’s figures: seconds a step at 224x224 and batch 128 on an RTX 2080, parameters, test accuracy on FER2013.';
    run.table('baselines', caption, comparison(groups, paper));
    run.figure('accuracy', 'Accuracy on the training batches', stepChart('Accuracy', 'accuracies', groups));
    run.figure('loss', 'Loss of the classifier', stepChart('Loss', 'losses', groups));
    run.figure('test', 'Accuracy on the test part', testChart('Test accuracy', groups));
    const lost = divergences(groups);
    if (lost !== '') run.text(lost);
  },
};
