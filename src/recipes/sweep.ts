// One network trained without back-propagation under several settings: what the sweeps of papers 000 and 001 have in common.
// Called by activations.ts, learningRates.ts and blocks.ts. The rule easy to break: settings differ in one thing only.
import type { ModelFunction } from '../models';
import { comparison, divergences, type Group, stepChart, testChart } from './charts';
import { faces, pictures } from './data';
import type { RecipeRun } from './run';

export interface Setting {
  /** In the table. */
  readonly name: string;
  /** In a trial's key. */
  readonly key: string;
  readonly model: ModelFunction;
  readonly network: string;
  readonly lr: number;
  /** What the paper found. */
  readonly paper: string;
}

const DIGITS = {
  smoke: { train: 64, test: 32 },
  small: { train: 7680, test: 2000 },
  full: { train: 60_000, test: 10_000 },
};
const FACES = {
  smoke: { train: 64, test: 32 },
  small: { train: 3840, test: 1000 },
  full: { train: 28_709, test: 3589 },
};
const BATCH = { smoke: 32, small: 128, full: 128 };
const EPOCHS = { smoke: 1, small: 3, full: 10 };

/**
 * Trains each setting by local objectives (cka) and reports accuracy over steps, as the papers draw it. On MNIST where it is
 * installed, which is quicker than faces at 48x48; on --data or synthetic faces else.
 */
export async function sweep(run: RecipeRun, what: string, settings: readonly Setting[]): Promise<void> {
  const { train, test } = (await pictures(run, 'mnist', DIGITS)) ?? (await faces(run, { counts: FACES }));
  run.expect(settings.length);
  const groups: Group[] = [];
  for (const { name, key, model, network, lr } of settings) {
    const result = await run.train({
      ...{ key, model, network, objective: 'cka' as const, train, test },
      ...run.at({ smoke: { input: [8, 8] as const }, small: {}, full: {} }),
      ...{ epochs: run.at(EPOCHS), batch: run.at(BATCH), lr, seed: run.seed },
    });
    groups.push({ name, results: [result] });
  }
  const paper = ({ name }: Group): string => settings.find((one) => one.name === name)!.paper;
  run.table(what.replace(/ /g, '-'), `By ${what}, one run each.`, comparison(groups, paper, what));
  run.figure('accuracy', 'Accuracy on the training batches', stepChart(`Accuracy by ${what}`, 'accuracies', groups));
  run.figure('test', 'Accuracy on the test part', testChart(`Test accuracy by ${what}`, groups));
  const lost = divergences(groups);
  if (lost !== '') run.text(lost);
}
