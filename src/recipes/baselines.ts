// CFPN-NBP and its predecessor against AlexNet, Inception v2, ResNet-50 and DenseNet-121 at the same rate and batch: accuracy
// over steps, seconds a step, parameters, memory. Reproduces paper 001 Fig. 11 and Table II, paper 000 Fig. 15 and Table 1.
// Cost: smoke seconds; small about 10 minutes on two cores; full days. Seed 1.
// Expected: the local step of the small networks takes a fraction of the others' time and memory; at equal steps, they lead.
import type { models } from '../models';
import type { ObjectiveName } from '../objectives/options';
import { divergences, type Group, stepChart, systemTable, testChart } from './charts';
import { faces } from './data';
import { leastInput, scaledNetwork } from './networks';
import { PAPERS, type PaperFigures } from './papers';
import type { Recipe } from './recipe';

interface System {
  readonly name: string;
  readonly model: keyof typeof PAPERS & keyof typeof models;
  readonly objective: ObjectiveName;
}

const SYSTEMS: readonly System[] = [
  { name: 'CFPN-NBP', model: 'cfpn', objective: 'cka' },
  { name: 'dense FPN, NBP', model: 'denseFpn', objective: 'cka' },
  { name: 'AlexNet, BP', model: 'alexnet', objective: 'bp' },
  { name: 'Inception v2, BP', model: 'inceptionV2', objective: 'bp' },
  { name: 'ResNet-50, BP', model: 'resnet50', objective: 'bp' },
  { name: 'DenseNet-121, BP', model: 'densenet121', objective: 'bp' },
];

const COUNTS = {
  smoke: { train: 12, test: 8 },
  small: { train: 4096, test: 1000 },
  full: { train: 28_709, test: 3589 },
};
const BATCH = { smoke: 6, small: 64, full: 128 };
const EPOCHS = { smoke: 1, small: 3, full: 10 };
/** AlexNet needs 63 pixels; the paper has 224. */
const SIDE = { smoke: 64, small: 64, full: 224 };

export const recipe: Recipe = {
  name: 'baselines',
  title: 'Against AlexNet, Inception v2, ResNet-50 and DenseNet',
  reproduces: 'paper 001 Fig. 11 and Table II, paper 000 Fig. 15 and Table 1',
  cost: { smoke: 'seconds', small: 'about 10 minutes', full: 'days' },
  seed: 1,
  expected: 'NBP takes a fraction of the baselines’ time and memory a step and leads at equal steps',
  async run(run) {
    const { train, test } = await faces(run, { counts: COUNTS });
    run.expect(SYSTEMS.length);
    const side = run.at(SIDE);
    const groups: Group[] = [];
    for (const { name, model, objective } of SYSTEMS) {
      const whole = [side, side] as const;
      const result = await run.train({
        ...{ key: `${model}-${objective}`, ...scaledNetwork(run, model), objective, train, test },
        input: run.at({ smoke: leastInput(model), small: whole, full: whole }),
        ...{ epochs: run.at(EPOCHS), batch: run.at(BATCH), lr: 0.005, seed: run.seed },
      });
      groups.push({ name, results: [result] });
    }
    const paper = ({ name }: Group): PaperFigures => PAPERS[SYSTEMS.find((one) => one.name === name)!.model];
    const caption =
      `${side}x${side}, batch ${run.at(BATCH)}, learning rate 0.005 for all, one run each. ` +
      'The papers’ figures are of 224x224, batch 128, an RTX 2080 and FER2013; the text of 001 gives none of its Table II.';
    run.table('baselines', caption, systemTable(groups, paper));
    run.figure('accuracy', 'Accuracy on the training batches', stepChart('Accuracy', 'accuracies', groups));
    run.figure('loss', 'Loss of the classifier', stepChart('Loss', 'losses', groups));
    run.figure('test', 'Accuracy on the test part', testChart('Test accuracy', groups));
    const lost = divergences(groups);
    if (lost !== '') run.text(lost);
  },
};
