// The memory of one stream of frames: which faces are known, by what numbers, and how a frame is worked off: follow the known
// faces, look for faces at every sixth frame or where one is about to be lost, then cut and classify them all at once. Made by
// recognizer.ts. The rule easy to break: a frame's faces follow from the frames before it, so frames are worked off one after
// the other, in the order they were handed over, and a frame that fails changes nothing. No frame is held once it is answered.
import { performance } from 'node:perf_hooks';
import { ArgumentError, DisposedError } from '../errors';
import { GrayFrame } from './grayFrame';
import { checkFace, checkImage } from './image';
import { type Known, KnownFaces } from './knownFaces';
import { Reader } from './reader';
import type { StreamParts } from './streamParts';
import type { Detection, Detector, FaceFrame, Image, TrackedFace } from './types';

/** Stops time by stage. */
class Stopwatch {
  readonly #start = performance.now();
  readonly times = { detect: 0, track: 0, crop: 0, classify: 0 };

  async measure<T>(stage: keyof Stopwatch['times'], work: () => T | Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work();
    this.times[stage] += performance.now() - start;
    return result;
  }

  get total(): number {
    return performance.now() - this.#start;
  }
}

/** What a detector answers, which may be the user's own. @throws ArgumentError for what is no face. */
async function detectionsOf(detector: Detector, frame: Image): Promise<readonly Detection[]> {
  const found = await detector.detect(frame);
  if (!Array.isArray(found)) {
    throw new ArgumentError(
      `[process] expected the detector "${detector.name}" to answer an array, got ${typeof found}`,
    );
  }
  for (const face of found) checkFace('process', face, `each face of the detector "${detector.name}"`);
  return found;
}

export class FaceStream {
  readonly #parts: StreamParts;
  readonly #reader: Reader;
  #known = KnownFaces.none();
  /** Its memory is used again for every frame. */
  #gray: GrayFrame | undefined;
  #frames = 0;
  /** Frames since the detector looked; Infinity before it did. */
  #undetected = Infinity;
  /** Settles when the frames handed over so far are done. */
  #last: Promise<unknown> = Promise.resolve();

  /** Use Recognizer.stream(). */
  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#reader = new Reader(parts);
  }

  /**
   * The faces of the next frame. Calls may overlap and are worked off in call order; the pixels must stay as they are until
   * the answer. Rejects with ArgumentError for an image whose numbers do not fit each other or a detector's box without an area,
   * with DisposedError, and with what a network rejects with; the frame then counts as not seen.
   */
  process(frame: Image): Promise<FaceFrame> {
    const result = this.#last.then(() => this.#next(frame));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #next(frame: Image): Promise<FaceFrame> {
    if (this.#parts.disposed) throw new DisposedError('[process] the recogniser was disposed of');
    checkImage('process', frame);
    const watch = new Stopwatch();
    const gray = await watch.measure('track', () => GrayFrame.of(frame, this.#gray));
    this.#gray = gray;
    try {
      return await this.#answered(frame, gray, watch);
    } finally {
      gray.release();
    }
  }

  async #answered(frame: Image, gray: GrayFrame, watch: Stopwatch): Promise<FaceFrame> {
    const { detector, tracker, detectEvery } = this.#parts;
    const followed = await watch.measure('track', () => this.#known.follow(gray, tracker));
    const detected =
      followed.size === 0 || this.#undetected + 1 >= detectEvery || followed.unsure || followed.size < this.#known.size;
    const detections = detected ? await watch.measure('detect', () => detectionsOf(detector, frame)) : undefined;
    const known = await watch.measure('track', () =>
      detections ? followed.meet(gray, tracker, detections) : followed.learn(gray, tracker),
    );
    const readings = await this.#reader.read(frame, known.faces, (stage, work) => watch.measure(stage, work));
    this.#known = known.reading(readings);
    this.#undetected = detected ? 0 : this.#undetected + 1;
    this.#frames += 1;
    const { width, height } = frame;
    const faces = this.#known.faces.map((face) => this.#answer(face));
    return { index: this.#frames - 1, width, height, detected, faces, timings: { ...watch.times, total: watch.total } };
  }

  #answer({ id, seen, confidence, reading }: Known): TrackedFace {
    return { id, ...seen, confidence, ...this.#reader.name(reading) };
  }
}
