// Holds out whole groups (subjects, films) of images. Called by the layouts. The rule easy to break: a group never lies on
// both sides, so shares are only about what was asked for.
import { ArgumentError, DataError } from '../errors';
import { Random } from './random';

/**
 * Goes through the groups in random order and holds out each one that brings the held samples closer to `fraction` of all:
 * `part` are their indices, `rest` the others, both ascending. When every group is too large the smallest is held out; at
 * least one stays. The same seed gives the same split. Throws DataError for fewer than two groups.
 */
export function holdOutGroups(
  groups: readonly string[],
  fraction: number,
  seed: number,
): { rest: Uint32Array; part: Uint32Array } {
  if (!(fraction > 0 && fraction < 1)) {
    throw new ArgumentError(`[holdOutGroups] a fraction lies between 0 and 1, got ${fraction}`);
  }
  const names = [...new Set(groups)].sort();
  if (names.length < 2) {
    throw new DataError(`[holdOutGroups] at least 2 groups are needed to hold one out, got ${names.length}`);
  }
  const sizes = new Map<string, number>();
  for (const name of groups) sizes.set(name, (sizes.get(name) ?? 0) + 1);
  const target = fraction * groups.length;
  const held = new Set<string>();
  let size = 0;
  for (const i of new Random(seed, 0x6f07).permutation(names.length)) {
    const more = sizes.get(names[i]!)!;
    const closer = Math.abs(size + more - target) < Math.abs(size - target);
    if (!closer || held.size === names.length - 1) continue;
    held.add(names[i]!);
    size += more;
  }
  if (held.size === 0) held.add(names.reduce((least, name) => (sizes.get(name)! < sizes.get(least)! ? name : least)));
  const indices = Uint32Array.from(groups.keys());
  return { rest: indices.filter((i) => !held.has(groups[i]!)), part: indices.filter((i) => held.has(groups[i]!)) };
}
