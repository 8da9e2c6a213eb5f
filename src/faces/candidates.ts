// Face candidates of MTCNN's stages: read off a network's answers, corrected, made square, cut out. Called by mtcnn.ts and its
// training. The rule easy to break: offsets are of the box that the network looked at, in shares of its extents, and landmarks
// too, so a box is corrected after both were read.
import { MTCNN_HEADS, PNET_STRIDE, PNET_WINDOW } from '../models';
import { sample } from '../pixels';
import type { Pyramid } from './pyramid';
import { interpolation } from './resize';
import { type Overlap, suppress } from './suppress';
import type { Box, Landmarks, Point } from './types';

export interface Candidate {
  readonly box: Box;
  readonly score: number;
  /** What is to be added to the left, top, right and lower edge. */
  readonly offsets: readonly [number, number, number, number];
  readonly landmarks?: Landmarks;
}

/** Probability of a face by the logits (no face, face) at `at`: the second entry of their softmax. */
function faceShare(values: Float32Array, at: number): number {
  const [first] = MTCNN_HEADS.logits;
  return 1 / (1 + Math.exp(values[at + first]! - values[at + first + 1]!));
}

function offsetsAt(values: Float32Array, at: number): Candidate['offsets'] {
  const from = at + MTCNN_HEADS.offsets[0];
  return [values[from]!, values[from + 1]!, values[from + 2]!, values[from + 3]!];
}

/**
 * Windows of P-Net's answer [h,w,6] that score more than `threshold`, in pixels of the frame.
 * @param across frame pixels a pixel of the scaled image P-Net saw, `down` the same along y.
 */
export function proposals(
  map: Float32Array,
  columns: number,
  across: number,
  down: number,
  threshold: number,
): Candidate[] {
  const width = MTCNN_HEADS.offsets[0] + MTCNN_HEADS.offsets[1];
  const found: Candidate[] = [];
  for (let cell = 0, at = 0; at < map.length; cell += 1, at += width) {
    const score = faceShare(map, at);
    if (!(score > threshold)) continue;
    const [x, y] = [PNET_STRIDE * (cell % columns), PNET_STRIDE * Math.floor(cell / columns)];
    const box = { x: x * across, y: y * down, width: PNET_WINDOW * across, height: PNET_WINDOW * down };
    found.push({ box, score, offsets: offsetsAt(map, at) });
  }
  return found;
}

function landmarksAt(values: Float32Array, at: number, box: Box): Landmarks {
  const [first, count] = MTCNN_HEADS.landmarks;
  const point = (index: number): Point => ({
    x: box.x + values[at + first + index]! * box.width,
    y: box.y + values[at + first + count / 2 + index]! * box.height,
  });
  return { leftEye: point(0), rightEye: point(1), nose: point(2), mouthLeft: point(3), mouthRight: point(4) };
}

/** Which of these boxes R-Net or O-Net, whose answer is [boxes,width], takes for faces: score above `threshold`. */
export function judged(answer: Float32Array, boxes: readonly Box[], threshold: number): Candidate[] {
  const width = answer.length / boxes.length;
  return boxes.flatMap((box, index) => {
    const at = index * width;
    const score = faceShare(answer, at);
    if (!(score > threshold)) return [];
    const points = width > MTCNN_HEADS.landmarks[0] ? { landmarks: landmarksAt(answer, at, box) } : {};
    return [{ box, score, offsets: offsetsAt(answer, at), ...points }];
  });
}

/** The candidates that stay. */
export function suppressed<T extends Candidate>(candidates: readonly T[], most: number, measure: Overlap): T[] {
  const kept = suppress(
    candidates.map(({ box }) => box),
    candidates.map(({ score }) => score),
    most,
    measure,
  );
  return kept.map((index) => candidates[index]!);
}

/** The box with its edges moved as the network says. */
export function corrected({ box, offsets }: Candidate): Box {
  const [left, top, right, bottom] = offsets;
  return {
    x: box.x + left * box.width,
    y: box.y + top * box.height,
    width: box.width * (1 + right - left),
    height: box.height * (1 + bottom - top),
  };
}

/** The square of the longer side about the box's centre. */
export function square({ x, y, width, height }: Box): Box {
  const side = Math.max(width, height);
  return { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
}

/** Whether any of it is in the frame, and it is as large as a pixel. */
export function usable({ x, y, width, height }: Box, frameWidth: number, frameHeight: number): boolean {
  return width >= 1 && height >= 1 && x + width > 0 && y + height > 0 && x < frameWidth && y < frameHeight;
}

/** Which of `count` samples along an axis lie in an image of that extent: the first one, and the one behind the last. */
function visible(count: number, extent: number, at: (i: number) => number): [number, number] {
  let [first, end] = [0, count];
  while (first < count && at(first) <= -0.5) first += 1;
  while (end > first && at(end - 1) >= extent - 0.5) end -= 1;
  return [first, end];
}

/** Blackens what of a square of `side` pixels and three channels lies outside the rows and columns that are visible. */
function blacken(cut: Uint8Array, side: number, rows: [number, number], columns: [number, number]): void {
  for (let row = 0; row < side; row += 1) {
    const line = cut.subarray(row * side * 3, (row + 1) * side * 3);
    if (row < rows[0] || row >= rows[1]) line.fill(0);
    line.fill(0, 0, columns[0] * 3);
    line.fill(0, columns[1] * 3);
  }
}

/** Cuts boxes out of an RGB frame and stretches each (bilinear) to side x side x 3 bytes; outside the frame is black. */
export function cutCandidates(pyramid: Pyramid, boxes: readonly Box[], side: number): Uint8Array {
  const bytes = side * side * 3;
  const out = new Uint8Array(boxes.length * bytes);
  boxes.forEach((box, index) => {
    const region = { left: box.x, top: box.y, right: box.x + box.width, bottom: box.y + box.height };
    const level = pyramid.level(Math.max(box.width, box.height) / side, region);
    const source = (from: number, extent: number) => (i: number) =>
      (from + ((i + 0.5) * extent) / side) / level.factor - 0.5;
    const [atX, atY] = [source(box.x, box.width), source(box.y, box.height)];
    const columns = interpolation(side, level.width, atX);
    sample(level, columns, interpolation(side, level.height, atY), out, index * bytes);
    const [shownRows, shownColumns] = [visible(side, level.height, atY), visible(side, level.width, atX)];
    blacken(out.subarray(index * bytes, (index + 1) * bytes), side, shownRows, shownColumns);
  });
  return out;
}
