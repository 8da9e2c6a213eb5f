// Non-maximum suppression: of boxes that overlap too much only the best one stays. Called by the detectors. The rule easy to
// break: equal scores go to the earlier box, so that the answer does not depend on the sort.
import { intersection, iou } from './image';
import type { Box } from './types';

/** What two boxes' shared area is measured by: their union, or the smaller one's area. */
export type Overlap = 'union' | 'min';

function overlapOf(a: Box, b: Box, measure: Overlap): number {
  if (measure === 'union') return iou(a, b);
  const smaller = Math.min(a.width * a.height, b.width * b.height);
  return smaller > 0 ? intersection(a, b) / smaller : 0;
}

/**
 * Indices of the boxes that stay, best score first.
 * @param most overlap up to which two boxes both stay, 0 to 1.
 */
export function suppress(boxes: readonly Box[], scores: ArrayLike<number>, most: number, measure: Overlap): number[] {
  const waiting = boxes.map((_, index) => index).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const kept: number[] = [];
  for (const index of waiting) {
    const box = boxes[index]!;
    if (kept.every((other) => overlapOf(boxes[other]!, box, measure) <= most)) kept.push(index);
  }
  return kept;
}
