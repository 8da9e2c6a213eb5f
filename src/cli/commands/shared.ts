// Options that several commands have, and the shape every command module has.
import { models } from '../../models';
import type { Engine } from '../engine';
import type { Io } from '../io';
import type { CommandSpec, OptionTable, Parsed } from '../options';

/** What a module in this folder exports as `command`. */
export interface Command<T extends OptionTable = OptionTable> {
  readonly spec: CommandSpec<T>;
  /** Does the work; answers the exit code. */
  run(parsed: Parsed<T>, io: Io, engine: Engine): Promise<number>;
}

export const DATA_FORMS =
  'mnist, fashion-mnist, synthetic[:COUNT], idx:DIR, fer2013:FILE.csv, ckplus:DIR, jaffe:DIR, oulu-casia:DIR, sfew:DIR or ' +
  'folder:DIR';

/** What a network may be called. */
export const MODEL_NAMES: readonly string[] = Object.keys(models);

export const jsonOption = { type: 'flag', help: 'print JSON lines on stdout and nothing else there' } as const;
export const threadsOption = {
  type: 'integer',
  min: 1,
  max: 256,
  help: 'threads to compute with; by default one for each core',
} as const;
export const deviceOption = {
  type: 'choice',
  choices: ['auto', 'cpu', 'cuda'],
  default: 'auto',
  help: 'where to compute',
} as const;

/** Leaves out what is undefined, as optional properties of exact types want it. */
export function present<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
