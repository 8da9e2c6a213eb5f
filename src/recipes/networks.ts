// Networks at the size that a scale wants. Called by recipes that compare many. The rule easy to break: small and full train
// the networks as they are; only the smoke test's are narrow, because drawing and updating tens of millions of weights would
// take longer than all the rest.
import { type ModelFunction, modelNamed } from '../models';
import type { RecipeRun } from './run';

const NARROW: Readonly<Record<string, object>> = {
  ...{ alexnet: { hidden: 64 }, ferCnn: { hidden: 64 }, ferVgg: { hidden: 64 } },
  ...{ resnet50: { width: 8 }, ferResnet18: { width: 8 }, densenet121: { growth: 8 } },
};
/** Smallest sides at which they are built; 8 of the others. */
const LEAST: Readonly<Record<string, number>> = { alexnet: 64, densenet121: 32, mffCnn: 40 };

/** The model of that name for this run, and its words for a trial. */
export function scaledNetwork(run: RecipeRun, name: string): { model: ModelFunction; network: string } {
  const whole = modelNamed(name);
  const cut = run.options.scale === 'smoke' ? NARROW[name] : undefined;
  if (!cut) return { model: whole, network: name };
  return { model: (x, options) => whole(x, { ...options, ...cut }), network: `${name} ${JSON.stringify(cut)}` };
}

export function leastInput(name: string): readonly [number, number] {
  const side = LEAST[name] ?? 8;
  return [side, side];
}
