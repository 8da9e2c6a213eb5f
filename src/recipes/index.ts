// The recipes by name, as `gramian run` knows them, and what runs one. Add a recipe here and nowhere else.
import { ArgumentError } from '../errors';
import { nearest } from '../text';
import { recipe as activations } from './activations';
import { recipe as allSystems } from './allSystems';
import { recipe as baselines } from './baselines';
import { recipe as blocks } from './blocks';
import { recipe as faceApi } from './faceApi';
import { recipe as featuresMlp } from './featuresMlp';
import { recipe as ferNets } from './ferNets';
import { recipe as learningRates } from './learningRates';
import { recipe as mffAblations } from './mffAblations';
import { recipe as mffCnn } from './mffCnn';
import { recipe as mffGradCam } from './mffGradCam';
import { recipe as nbpAgainstBp } from './nbpAgainstBp';
import type { Recipe } from './recipe';
import { recipe as removal } from './removal';
import { RecipeRun, type RunOptions } from './run';
import { recipe as sfewCnn } from './sfewCnn';
import { recipe as transfer } from './transfer';

export { type Recipe, SCALES, type Scale } from './recipe';
export type { Machine, RecipeProgress, RunOptions } from './run';

export const recipes: readonly Recipe[] = [
  nbpAgainstBp,
  activations,
  learningRates,
  blocks,
  baselines,
  ferNets,
  featuresMlp,
  removal,
  sfewCnn,
  transfer,
  mffCnn,
  mffAblations,
  mffGradCam,
  faceApi,
  allSystems,
];

/** The recipe of that name; an unknown one is answered with the nearest. */
export function recipeNamed(name: string): Recipe {
  const found = recipes.find((recipe) => recipe.name === name);
  if (found) return found;
  const names = recipes.map((recipe) => recipe.name);
  throw new ArgumentError(`[run] there is no recipe "${name}"${nearest(name, names)}`);
}

/** Runs a recipe and returns the path of its report. */
export async function runRecipe(name: string, options: RunOptions): Promise<string> {
  const recipe = recipeNamed(name);
  const run = new RecipeRun(recipe, options);
  await recipe.run(run);
  return run.finish();
}
