// Patterns for the names of parameters: which are frozen, which have a learning rate of their own. Read by train/trainer.ts.
// The rule easy to break: of several patterns the last that fits decides, so an exception stands behind its rule.
import { ArgumentError } from '../errors';
import { nearest } from '../text';

/**
 * `layer1` fits the parameter of that name and all below it (layer1/0/conv1/weight); `*` stands for any characters. A
 * leading `!` takes out what fits: ['*', '!head'] is everything but the head.
 */
export type NamePattern = string;

interface Parsed {
  readonly fits: (name: string) => boolean;
  readonly taken: boolean;
}

function parse(op: string, pattern: unknown): Parsed {
  const taken = typeof pattern === 'string' && !pattern.startsWith('!');
  const body = typeof pattern === 'string' ? pattern.slice(taken ? 0 : 1) : '';
  if (body === '')
    throw new ArgumentError(`[${op}] a pattern is a name such as layer1 or !head, got ${String(pattern)}`);
  const parts = body.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const expression = new RegExp(`^${parts.join('.*')}(/|$)`);
  return { fits: (name) => expression.test(name), taken };
}

/** Whether a name is among those that the patterns take. Throws ArgumentError for one that is no pattern. */
export function nameMatcher(op: string, patterns: readonly NamePattern[]): (name: string) => boolean {
  const parsed = patterns.map((pattern) => parse(op, pattern));
  return (name) => parsed.findLast(({ fits }) => fits(name))?.taken ?? false;
}

/** Throws ArgumentError for a pattern that fits none of the names: a slip that would change nothing, unseen. */
export function checkPatterns(op: string, patterns: readonly NamePattern[], names: readonly string[]): void {
  for (const pattern of patterns) {
    const { fits } = parse(op, pattern);
    if (names.some(fits)) continue;
    const known = [...new Set(names.flatMap((name) => [name, name.split('/')[0]!]))];
    throw new ArgumentError(`[${op}] no parameter fits "${pattern}"${nearest(pattern.replace(/^!/, ''), known)}`);
  }
}
