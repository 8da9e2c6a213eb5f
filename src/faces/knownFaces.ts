// The faces that a stream knows, as a value: every step answers a new one, so that a frame which fails leaves the old one as it
// was. Called by stream.ts. The rule easy to break: numbers are given in the order of the detections and never twice.
import type { GrayFrame } from './grayFrame';
import { iou } from './image';
import type { KcfTracker, Track } from './kcf';
import { matchBoxes } from './matching';
import type { Reading } from './reader';
import type { Box, Detection, Landmarks, Point } from './types';

/** IoU from which a detection is a known face. */
const SAME_FACE = 0.3;
/** The same for a face that the detector missed before: what follows a half covered face drifts. */
const DRIFTED_FACE = 0.1;
/** Peak-to-sidelobe ratio that counts as full confidence; faces that are followed well have 20 to 200. */
const SURE = 20;
/** Confidence below which a face stays where it was and the detector is called. */
const UNSURE = 0.5;
/**
 * Detections in a row that may miss a face: as many as have seen it, within these bounds. A detector loses a covered or turned
 * face for seconds; what it sees once where no face is must not stay as long.
 */
const PATIENCE = { least: 4, most: 15 } as const;
/** The same where the tracker is unsure too. */
const UNSURE_PATIENCE = 2;
/** Frames in which a face that was given up gets its number back when the detector sees a face where it was last. */
const REMEMBERED = 90;

/** What is remembered of a face. */
export interface Known {
  readonly id: number;
  readonly seen: Detection;
  readonly track: Track;
  /** 0 to 1. */
  readonly confidence: number;
  /** Detections that saw it. */
  readonly sightings: number;
  /** Detections in a row that missed it. */
  readonly missed: number;
  readonly reading: Reading;
}

/** A face that was given up, and the frames since. */
interface Lost {
  readonly face: Known;
  readonly frames: number;
}

/** The landmarks as their box moved and grew. */
function carried(landmarks: Landmarks, from: Box, to: Box): Landmarks {
  const [sx, sy] = [to.width / from.width, to.height / from.height];
  const move = ({ x, y }: Point): Point => ({ x: to.x + (x - from.x) * sx, y: to.y + (y - from.y) * sy });
  const { leftEye, rightEye, nose, mouthLeft, mouthRight } = landmarks;
  return {
    leftEye: move(leftEye),
    rightEye: move(rightEye),
    nose: move(nose),
    mouthLeft: move(mouthLeft),
    mouthRight: move(mouthRight),
  };
}

/** Whether a face that the detector missed stays known. */
function stays({ sightings, missed, confidence }: Known): boolean {
  const patience = Math.min(PATIENCE.most, Math.max(PATIENCE.least, sightings));
  return missed <= (confidence < UNSURE ? UNSURE_PATIENCE : patience);
}

/** Whether the box's centre lies in the frame. */
function inside({ x, y, width, height }: Box, frame: GrayFrame): boolean {
  const [cx, cy] = [x + width / 2, y + height / 2];
  return cx >= 0 && cy >= 0 && cx < frame.width && cy < frame.height;
}

/** The faces with what they look like where they are; nothing is learnt of those that the tracker is unsure of. */
async function learned(faces: readonly Known[], frame: GrayFrame, tracker: KcfTracker): Promise<readonly Known[]> {
  const sure = faces.filter(({ confidence }) => confidence >= UNSURE);
  const tracks = await tracker.learn(
    frame,
    sure.map(({ track }) => track),
  );
  return faces.map((face) => (sure.includes(face) ? { ...face, track: tracks[sure.indexOf(face)]! } : face));
}

/** Which known face each box is. The best pairs come first, and none that drifted takes the place of one that did not. */
function partnersOf(boxes: readonly Box[], inView: readonly Known[], lost: readonly Known[]): (Known | undefined)[] {
  const partners: (Known | undefined)[] = boxes.map(() => undefined);
  const match = (faces: readonly Known[], least: number): void => {
    const free = faces.filter((face) => !partners.includes(face));
    const open = boxes.flatMap((box, index) => (partners[index] ? [] : [{ box, index }]));
    const pairs = matchBoxes(
      free.map(({ seen }) => seen.box),
      open.map(({ box }) => box),
      least,
    );
    open.forEach(({ index }, at) => {
      partners[index] = free[pairs[at]!];
    });
  };
  match([...inView, ...lost], SAME_FACE);
  match(
    inView.filter(({ missed }) => missed > 0),
    DRIFTED_FACE,
  );
  return partners;
}

export class KnownFaces {
  /** In the order of their ids. */
  readonly faces: readonly Known[];
  readonly #lost: readonly Lost[];
  readonly #lastId: number;

  private constructor(faces: readonly Known[], lost: readonly Lost[], lastId: number) {
    this.faces = faces;
    this.#lost = lost;
    this.#lastId = lastId;
  }

  static none(): KnownFaces {
    return new KnownFaces([], [], 0);
  }

  get size(): number {
    return this.faces.length;
  }

  /** Whether a face may be lost soon. */
  get unsure(): boolean {
    return this.faces.some(({ confidence }) => confidence < UNSURE);
  }

  /** Where they are in the next frame; those that left it are dropped. Then comes learn() or meet(), which learns too. */
  async follow(frame: GrayFrame, tracker: KcfTracker): Promise<KnownFaces> {
    const tracks = await tracker.locate(
      frame,
      this.faces.map(({ track }) => track),
    );
    const moved = this.faces.map((face, index): Known => {
      const track = tracks[index]!;
      const confidence = Math.min(1, Math.max(0, track.peakToSidelobe / SURE));
      // What was found there is not the face: nothing is learnt from it.
      if (confidence < UNSURE) return { ...face, confidence };
      const { landmarks } = face.seen;
      const seen = {
        ...face.seen,
        box: track.box,
        ...(landmarks ? { landmarks: carried(landmarks, face.seen.box, track.box) } : {}),
      };
      return { ...face, seen, track, confidence };
    });
    return new KnownFaces(
      moved.filter(({ seen }) => inside(seen.box, frame)),
      this.#lost.map(({ face, frames }) => ({ face, frames: frames + 1 })).filter(({ frames }) => frames <= REMEMBERED),
      this.#lastId,
    );
  }

  /** With what they look like in the frame that they were followed to. */
  async learn(frame: GrayFrame, tracker: KcfTracker): Promise<KnownFaces> {
    return new KnownFaces(await learned(this.faces, frame, tracker), this.#lost, this.#lastId);
  }

  /**
   * What the detector saw in the frame that they were followed to: it takes the numbers of the faces it overlaps with, or of
   * those given up there not long ago; the rest gets new ones, and a face it missed stays for a while.
   */
  async meet(frame: GrayFrame, tracker: KcfTracker, detections: readonly Detection[]): Promise<KnownFaces> {
    const boxes = detections.map(({ box }) => box);
    const lostFaces = this.#lost.map(({ face }) => face);
    const partners = partnersOf(boxes, this.faces, lostFaces);
    const tracks = await tracker.start(frame, boxes);
    let lastId = this.#lastId;
    const met = detections.map((seen, index): Known => {
      const partner = partners[index];
      const fresh = { seen, track: tracks[index]!, confidence: 1, missed: 0 };
      if (partner) return { ...partner, ...fresh, sightings: partner.sightings + 1 };
      lastId += 1;
      return { id: lastId, reading: {}, sightings: 1, ...fresh };
    });
    const missed = this.faces
      .filter((face) => !partners.includes(face))
      .map((face) => ({ ...face, missed: face.missed + 1 }));
    // Where another face is seen, this one is behind it.
    const hidden = ({ seen }: Known): boolean => boxes.some((box) => iou(box, seen.box) >= SAME_FACE);
    const kept = missed.filter((face) => stays(face) && !hidden(face));
    const lost = [
      ...this.#lost.filter(({ face }) => !partners.includes(face)),
      // What was read of it will be old when it is seen again.
      ...missed.filter((face) => !kept.includes(face)).map((face) => ({ face: { ...face, reading: {} }, frames: 0 })),
    ];
    return new KnownFaces(
      [...met, ...(await learned(kept, frame, tracker))].sort((a, b) => a.id - b.id),
      lost,
      lastId,
    );
  }

  /** With what was read of each. */
  reading(readings: readonly Reading[]): KnownFaces {
    return new KnownFaces(
      this.faces.map((face, index) => ({ ...face, reading: readings[index]! })),
      this.#lost,
      this.#lastId,
    );
  }
}
