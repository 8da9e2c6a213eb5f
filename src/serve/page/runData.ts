// What /api/run answers: everything the run view shows, as text and drawings. Types only; the server fills it and the page
// draws it. The rule easy to break: names in it come from files and are shown as text, never as markup.
import type { Figure } from '../../report/figures';
import type { Rows } from '../../report/rows';

export interface RunData {
  readonly folder: string;
  readonly title: string;
  /** How it is trained, in words. */
  readonly method: string;
  /** Images drawn by a generator, not photographs of people. */
  readonly synthetic: boolean;
  readonly status: 'waiting' | 'training' | 'finished' | 'interrupted';
  /** Milliseconds since 1970 of the last write; 0 before the first. */
  readonly written: number;
  /** Share of the work that is done, 0 to 1; absent when it is unknown. */
  readonly progress?: number;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly figures: readonly Figure[];
  readonly units?: Rows;
  readonly classes?: Rows;
  readonly args: readonly (readonly [name: string, value: string])[];
  readonly notes: readonly string[];
}
