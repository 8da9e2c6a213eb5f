// ReLU, ELU and tanh in the CFPN trained without back-propagation. Reproduces paper 001 Fig. 9 and paper 000 Fig. 13.
// Cost: smoke seconds; small about 4 minutes on two cores; full hours. Seed 1.
// Expected: ReLU is best, ELU and tanh are close to each other.
import { cfpn } from '../models';
import type { Recipe } from './recipe';
import { sweep } from './sweep';

const PAPER = { relu: 'best', elu: 'below ReLU, as tanh', tanh: 'below ReLU, as ELU' };

export const recipe: Recipe = {
  name: 'activations',
  title: 'Activation functions without back-propagation',
  reproduces: 'paper 001 Fig. 9, paper 000 Fig. 13',
  cost: { smoke: 'seconds', small: 'about 4 minutes', full: 'hours' },
  seed: 1,
  expected: 'ReLU is best; ELU and tanh are close to each other',
  run: (run) =>
    sweep(
      run,
      'activation',
      (['relu', 'elu', 'tanh'] as const).map((activation) => ({
        ...{ name: activation, key: activation, lr: 0.005, paper: PAPER[activation] },
        network: `cfpn ${activation}`,
        model: (x, options) => cfpn(x, { ...options, activation }),
      })),
    ),
};
