// Crops that MTCNN's networks are trained on (Zhang et al. 2016, section III.A): negatives (IoU below 0.3), parts (0.4 to 0.65),
// positives (above), and with them the edges' offsets and the landmarks. Called by train.ts. The rule easy to break: crops are
// cut as in detection, or what was learnt does not hold there.
import type { Random } from '../../data/random';
import { cutCandidates } from '../candidates';
import { iou } from '../image';
import type { Pyramid } from '../pyramid';
import type { Box } from '../types';
import type { AnnotatedFace } from './annotations';

export const KINDS = ['negative', 'positive', 'part'] as const;
export type Kind = (typeof KINDS)[number];

export const OFFSETS = 4;
export const LANDMARKS = 10;

export interface Sample {
  /** side x side x 3 bytes. */
  readonly pixels: Uint8Array;
  readonly kind: Kind;
  /** What is to be added to the left, top, right and lower edge, in shares of the crop's side; zeros for negatives. */
  readonly offsets: readonly number[];
  /** Five x, then five y, in shares of the crop; where the face has them. */
  readonly landmarks?: readonly number[];
}

const NEGATIVE = 0.3;
const PART = 0.4;
const POSITIVE = 0.65;

/** Crops at random places of an image, tries about a face, and those near it that miss it. */
const ANYWHERE = 20;
const ABOUT = 14;
const NEAR = 4;

/** The face that a crop overlaps most, and by how much. */
function nearest(box: Box, faces: readonly AnnotatedFace[]): { face: AnnotatedFace | undefined; overlap: number } {
  let best: { face: AnnotatedFace | undefined; overlap: number } = { face: undefined, overlap: 0 };
  for (const face of faces) {
    const overlap = iou(box, face.box);
    if (overlap > best.overlap) best = { face, overlap };
  }
  return best;
}

/** What a crop is; undefined between the kinds. */
function kindOf(overlap: number): Kind | undefined {
  if (overlap < NEGATIVE) return 'negative';
  if (overlap >= POSITIVE) return 'positive';
  return overlap >= PART ? 'part' : undefined;
}

function offsetsTo(box: Box, target: Box): number[] {
  return [
    (target.x - box.x) / box.width,
    (target.y - box.y) / box.height,
    (target.x + target.width - box.x - box.width) / box.width,
    (target.y + target.height - box.y - box.height) / box.height,
  ];
}

function landmarksIn(box: Box, { landmarks }: AnnotatedFace): number[] | undefined {
  if (!landmarks) return undefined;
  const points = [landmarks.leftEye, landmarks.rightEye, landmarks.nose, landmarks.mouthLeft, landmarks.mouthRight];
  return [...points.map(({ x }) => (x - box.x) / box.width), ...points.map(({ y }) => (y - box.y) / box.height)];
}

const squareAt = (x: number, y: number, side: number): Box => ({
  x: x - side / 2,
  y: y - side / 2,
  width: side,
  height: side,
});

/** Squares to cut at random: anywhere, about each face, and beside it. */
export function randomSquares(
  width: number,
  height: number,
  faces: readonly AnnotatedFace[],
  least: number,
  random: Random,
): Box[] {
  const squares: Box[] = [];
  const largest = Math.max(least + 1, Math.min(width, height));
  for (let count = 0; count < ANYWHERE; count += 1) {
    const side = random.between(least, largest / (1 + random.uniform()));
    squares.push(
      squareAt(random.between(side / 2, width - side / 2), random.between(side / 2, height - side / 2), side),
    );
  }
  for (const { box } of faces) {
    const side = Math.max(box.width, box.height);
    if (side < least) continue;
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const shifted = (reach: number, from: number, to: number): Box =>
      squareAt(
        x + reach * side * random.between(-1, 1),
        y + reach * side * random.between(-1, 1),
        side * random.between(from, to),
      );
    for (let count = 0; count < ABOUT; count += 1) squares.push(shifted(0.2, 0.8, 1.25));
    for (let count = 0; count < NEAR; count += 1) squares.push(shifted(1, 0.5, 1.4));
  }
  return squares;
}

/** Those of the squares that are of a kind, cut to side x side. */
export function samplesOf(
  pyramid: Pyramid,
  squares: readonly Box[],
  faces: readonly AnnotatedFace[],
  side: number,
): Sample[] {
  const kinds = squares.flatMap((box) => {
    const { face, overlap } = nearest(box, faces);
    const kind = kindOf(overlap);
    return kind ? [{ box, kind, face }] : [];
  });
  const cut = cutCandidates(
    pyramid,
    kinds.map(({ box }) => box),
    side,
  );
  const bytes = side * side * 3;
  return kinds.map(({ box, kind, face }, index): Sample => {
    const pixels = cut.subarray(index * bytes, (index + 1) * bytes);
    if (kind === 'negative' || !face) return { pixels, kind, offsets: new Array<number>(OFFSETS).fill(0) };
    const landmarks = landmarksIn(box, face);
    return { pixels, kind, offsets: offsetsTo(box, face.box), ...(landmarks ? { landmarks } : {}) };
  });
}

/** The sample seen in a mirror: left and right change places, in pixels, edges and landmarks. */
export function mirrored({ pixels, kind, offsets, landmarks }: Sample, side: number): Sample {
  const turned = new Uint8Array(pixels.length);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const from = (y * side + x) * 3;
      turned.set(pixels.subarray(from, from + 3), (y * side + side - 1 - x) * 3);
    }
  }
  const [left, top, right, bottom] = offsets as [number, number, number, number];
  const swap = [1, 0, 2, 4, 3];
  const points = landmarks && [...swap.map((i) => 1 - landmarks[i]!), ...swap.map((i) => landmarks[5 + i]!)];
  return {
    pixels: turned,
    kind,
    offsets: [0 - right, top, 0 - left, bottom],
    ...(points ? { landmarks: points } : {}),
  };
}
