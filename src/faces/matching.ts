// Which detection is which known face. Called by knownFaces.ts at each detection. The rule easy to break: one face, one
// detection; the best pair is taken first, so that two faces side by side do not swap their numbers.
import { iou } from './image';
import type { Box } from './types';

/**
 * For each box of `seen` the index of its partner in `known`, or -1: pairs are made by falling IoU, down to `least`.
 * Equal IoUs go to the lower indices.
 */
export function matchBoxes(known: readonly Box[], seen: readonly Box[], least: number): number[] {
  const pairs = seen.flatMap((box, to) => known.map((other, from) => ({ from, to, overlap: iou(other, box) })));
  pairs.sort((a, b) => b.overlap - a.overlap || a.from - b.from || a.to - b.to);
  const partner = seen.map(() => -1);
  const taken = new Set<number>();
  for (const { from, to, overlap } of pairs) {
    if (overlap < least) break;
    if (partner[to] !== -1 || taken.has(from)) continue;
    partner[to] = from;
    taken.add(from);
  }
  return partner;
}
