// Learning rates of the CFPN trained without back-propagation. Reproduces paper 001 Fig. 10 and paper 000 Fig. 14.
// Cost: smoke seconds; small about 3 minutes on two cores; full hours. Seed 1.
// Expected: 0.001 and 0.005 converge alike, 0.005 ends best, 0.0005 is slower.
import { cfpn } from '../models';
import type { Recipe } from './recipe';
import { sweep } from './sweep';

const RATES = [
  { lr: 0.001, paper: 'converges as 0.005 does' },
  { lr: 0.005, paper: 'best in the end' },
  { lr: 0.0005, paper: 'clearly slower' },
];

export const recipe: Recipe = {
  name: 'learning-rates',
  title: 'Learning rates without back-propagation',
  reproduces: 'paper 001 Fig. 10, paper 000 Fig. 14',
  cost: { smoke: 'seconds', small: 'about 3 minutes', full: 'hours' },
  seed: 1,
  expected: '0.001 and 0.005 converge alike, 0.005 ends best, 0.0005 is slower',
  run: (run) =>
    sweep(
      run,
      'learning rate',
      RATES.map(({ lr, paper }) => ({
        ...{ name: String(lr), key: `lr-${lr}`, lr, paper },
        ...{ network: 'cfpn', model: cfpn },
      })),
    ),
};
