// One to four dense blocks in the network of paper 000, trained without back-propagation. Reproduces paper 000 Fig. 12.
// Cost: smoke seconds; small about two minutes on two cores; full hours. Seed 1.
// Expected: accuracy rises up to three blocks; a fourth adds little or takes away.
import { denseFpn } from '../models';
import type { Recipe } from './recipe';
import { sweep } from './sweep';

const PAPER = ['lowest', 'below three', 'best', 'no better than three, slower'];

export const recipe: Recipe = {
  name: 'blocks',
  title: 'Number of dense blocks',
  reproduces: 'paper 000 Fig. 12',
  cost: { smoke: 'seconds', small: 'about two minutes', full: 'hours' },
  seed: 1,
  expected: 'accuracy rises up to three blocks; a fourth adds little or takes away',
  run: (run) =>
    sweep(
      run,
      'blocks',
      PAPER.map((paper, index) => ({
        ...{ name: `${index + 1}`, key: `blocks-${index + 1}`, lr: 0.005, paper },
        network: `denseFpn ${index + 1}`,
        model: (x, options) => denseFpn(x, { ...options, blocks: index + 1 }),
      })),
    ),
};
