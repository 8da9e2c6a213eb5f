// ResNets trained on other pictures, then as a fixed extractor of features or fine-tuned on faces. Reproduces paper 003 Fig. 9,
// Table 2 and the ResNet-50 of Table 1. The paper's start from ImageNet: give a folder with resnet18.safetensors and so on by
// --weights, or have sources trained here on other pictures, which the report then names.
// Cost: smoke seconds; small about 7 minutes on two cores; full days. Seed 1.
// Expected: fine-tuning beats frozen features by far; a deeper network is not better on so few faces.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageDataset } from '../data/types';
import { DataError } from '../errors';
import type { Weights } from '../train/compileModel';
import { accuracyOf, type Group, meanOf, stepChart, testChart } from './charts';
import { type Half, ratesTable, summarizeHalves, twoHalves } from './handMade';
import { SFEW_CLASSES, SFEW_TRANSFER } from './papers';
import { givenChannels, type Net, networkOf, SIDE, sourceOf } from './pretrained';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';
import type { TrialResult } from './trial';

const BATCH = { smoke: 7, small: 8, full: 8 };
/** The paper: 150 epochs, a tenth of the rate from 100 and again from 120. */
const EPOCHS = { smoke: 2, small: 9, full: 150 };
const MILESTONES = { smoke: [1], small: [6, 7], full: [100, 120] };

const CHANGES = {
  nothing: 'from nothing',
  frozen: 'frozen',
  tuned: 'fine-tuned',
} as const;
type Change = keyof typeof CHANGES;

async function trainHalves(
  run: RecipeRun,
  halves: readonly Half<ImageDataset>[],
  net: Net,
  change: Change,
  init: { weights: Weights; of: string },
): Promise<TrialResult[]> {
  const results: TrialResult[] = [];
  const side = run.at(SIDE);
  const [batch, epochs] = [run.at(BATCH), run.at(EPOCHS)];
  for (const [fold, { train, test }] of halves.entries()) {
    const milestones = run.at(MILESTONES).map((epoch) => epoch * Math.floor(train.count / batch));
    results.push(
      await run.train({
        ...{ key: `${net}-${change}-half${fold + 1}`, ...networkOf(run, net), objective: 'bp' as const, train, test },
        ...{ input: [side, side] as const, epochs, batch, lr: 0.001, seed: run.seed },
        more: {
          schedule: { kind: 'milestones', milestones, factor: 0.1 },
          augmentation: { flip: true },
          ...(change === 'frozen' ? { freeze: ['*', '!head'] } : {}),
        },
        ...(change === 'nothing' ? {} : { init }),
      }),
    );
  }
  return results;
}

interface Row extends Group {
  readonly net: Net;
  readonly change: Change;
}

function report(run: RecipeRun, rows: readonly Row[], origin: string): void {
  const caption =
    `Starting weights: ${origin}. The paper’s ResNets come from ImageNet and its figures are of SFEW; ` +
    'the rate falls to a tenth at two thirds of the epochs and again soon after, as in the paper.';
  run.table('transfer', caption, {
    columns: [
      { name: 'network', kind: 'text' },
      { name: 'how', kind: 'text' },
      { name: 'test accuracy', kind: 'spread' },
      { name: 'last training accuracy', kind: 'percent' },
      { name: 'seconds a step', kind: 'number', digits: 3 },
      { name: 'paper', kind: 'text' },
    ],
    rows: rows.map((row) => [
      row.net,
      CHANGES[row.change],
      accuracyOf(row),
      meanOf(row.results.map(({ epochs }) => epochs.at(-1)!.trainAccuracy ?? Number.NaN)),
      meanOf(row.results.map(({ timing }) => timing.secondsPerStep)),
      row.change === 'nothing' ? null : SFEW_TRANSFER[row.net][row.change],
    ]),
  });
  const tuned = rows.filter(({ change }) => change === 'tuned');
  run.figure('loss', 'Fig. 9: loss while fine-tuning', stepChart('Loss', 'losses', tuned));
  run.figure('test', 'Fig. 9: accuracy on the other half', testChart('Test accuracy', tuned));
  const resnet = tuned.find(({ net }) => net === 'resnet50');
  if (!resnet) return;
  const summary = summarizeHalves(resnet.results, [run.seed]);
  const table = ratesTable([{ name: 'ResNet-50 (fine tune)', summary, paper: SFEW_CLASSES.resnet50 }]);
  run.table('rates', 'Table 1: rates by class in percent, means of two halves; the paper’s are of SFEW', table);
}

export const recipe: Recipe = {
  name: 'transfer',
  title: 'ResNets frozen and fine-tuned',
  reproduces: 'paper 003 Fig. 9, Table 2, Table 1 (ResNet-50)',
  cost: { smoke: 'seconds', small: 'about 7 minutes', full: 'days' },
  seed: 1,
  expected: 'fine-tuning beats frozen features by far; a deeper network is not better on so few faces',
  async run(run) {
    const { weights } = run.options;
    const wanted = run.at<readonly Net[]>({
      smoke: ['resnet18', 'resnet50'],
      small: ['resnet18', 'resnet50'],
      full: ['resnet18', 'resnet50', 'resnet101'],
    });
    const nets =
      weights === undefined ? wanted : wanted.filter((net) => existsSync(join(weights, `${net}.safetensors`)));
    if (nets.length === 0) throw new DataError(`[transfer] ${weights} holds none of ${wanted.join(', ')}.safetensors`);
    const halves = await twoHalves(run, 0.04, await givenChannels(run, nets));
    run.expect(nets.length * (2 * halves.length + (weights === undefined ? 1 : 0)) + halves.length);
    const rows: Row[] = [];
    let origin = '';
    for (const net of nets) {
      const init = await sourceOf(run, net, halves[0]!.train.channels);
      origin = init.of;
      const changes: Change[] = net === 'resnet18' ? ['nothing', 'frozen', 'tuned'] : ['frozen', 'tuned'];
      for (const change of changes) {
        const results = await trainHalves(run, halves, net, change, init);
        rows.push({ name: `${net} ${CHANGES[change]}`, net, change, results });
      }
    }
    report(run, rows, origin);
  },
};
