// Words of a command line: what is measured, and names of rows or peers, an id, or the beginning of ids up to a dash. Called by rows.ts, peer.ts
// and the command, which asks before anything is loaded. The rule easy to break: a word that is an id names that one alone.
import { nearest } from '../../text';

/** What `gramian bench` measures. */
export const TARGETS = ['kernels', 'step', 'infer', 'growth', 'peers'] as const;
export type Target = (typeof TARGETS)[number];

interface Named {
  readonly id: string;
}

/** `a,b` -> a, b. */
export function wordsOf(list: string): string[] {
  return list.split(',').filter(Boolean);
}

function namedBy<T extends Named>(all: readonly T[], word: string): readonly T[] {
  const exact = all.filter(({ id }) => id === word);
  return exact.length > 0 ? exact : all.filter(({ id }) => id.startsWith(`${word}-`));
}

/** What is wrong with `words`, with the nearest id; undefined when each names something. */
export function unknownWord(all: readonly Named[], words: readonly string[]): string | undefined {
  if (words.length === 0) return 'none was given';
  const unknown = words.find((word) => namedBy(all, word).length === 0);
  if (unknown === undefined) return undefined;
  const ids = all.map(({ id }) => id);
  return `there is no "${unknown}"${nearest(unknown, ids)}`;
}

/** What `words` name, in the order of `all`; without words all of it. */
export function selectById<T extends Named>(all: readonly T[], words?: readonly string[]): readonly T[] {
  if (!words) return all;
  const chosen = new Set(words.flatMap((word) => namedBy(all, word)));
  return all.filter((one) => chosen.has(one));
}
