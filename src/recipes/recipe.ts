// What a recipe is: one of the papers' experiments as a function that trains, measures and reports. Each file beside this one
// holds one; index.ts lists them; run.ts gives them what they need. The rule easy to break: a recipe prints nothing of its
// own and reads no clock; everything it has to say goes through its run, so that the same seed gives the same tables.
import type { RecipeRun } from './run';

/** smoke: seconds, shows that it runs; small: minutes on two cores; full: the paper's own sizes, hours and more. */
export const SCALES = ['smoke', 'small', 'full'] as const;
export type Scale = (typeof SCALES)[number];

export interface Recipe {
  /** As the command line calls it. */
  readonly name: string;
  /** What is compared, in a line. */
  readonly title: string;
  /** The papers' tables and figures it reproduces. */
  readonly reproduces: string;
  /** Time on two cores, in words. */
  readonly cost: Readonly<Record<Scale, string>>;
  /** Of the first repetition; others follow it. */
  readonly seed: number;
  /** What a reader should find, in a sentence. */
  readonly expected: string;
  run(run: RecipeRun): Promise<void>;
}
