// The memory of one stream of frames: which faces are known, by what numbers, and how a frame is worked off. Made by
// recognizer.ts. The rule easy to break: a frame's faces follow from the frames before it, so frames are worked off one
// after the other, in the order they were handed over.
import { performance } from 'node:perf_hooks';
import { DisposedError } from '../errors';
import { checkImage } from './image';
import { matchBoxes } from './matching';
import type { AttributeEstimator, Detection, Detector, FaceClassifier, FaceFrame, Image, TrackedFace } from './types';

/** The networks that streams share, and whether they are still there. */
export interface Networks {
  readonly detector: Detector;
  readonly classifier?: FaceClassifier;
  readonly attributes?: AttributeEstimator;
  disposed: boolean;
}

/** IoU from which a detection is a known face. */
const SAME_FACE = 0.3;

/** What is remembered of a face. */
interface Known {
  readonly id: number;
  readonly seen: Detection;
}

export class FaceStream {
  readonly #networks: Networks;
  #known: readonly Known[] = [];
  #lastId = 0;
  #frames = 0;
  /** Settles when the frames handed over so far are done. */
  #last: Promise<unknown> = Promise.resolve();

  /** Use Recognizer.stream(). */
  constructor(networks: Networks) {
    this.#networks = networks;
  }

  /**
   * The faces of the next frame. Calls may overlap and are worked off in call order; the pixels must stay as they are until
   * the answer. Rejects with ArgumentError for an image whose numbers do not fit each other, which changes nothing, and with
   * DisposedError.
   */
  process(frame: Image): Promise<FaceFrame> {
    const result = this.#last.then(() => this.#next(frame));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #next(frame: Image): Promise<FaceFrame> {
    if (this.#networks.disposed) throw new DisposedError('[process] the recogniser was disposed of');
    checkImage('process', frame);
    const start = performance.now();
    const detections = await this.#networks.detector.detect(frame);
    const detect = performance.now() - start;
    this.#meet(detections);
    const { width, height } = frame;
    const faces = this.#known.map(({ id, seen }): TrackedFace => ({ id, ...seen, confidence: 1 }));
    const timings = { detect, track: 0, crop: 0, classify: 0, total: performance.now() - start };
    this.#frames += 1;
    return { index: this.#frames - 1, width, height, detected: true, faces, timings };
  }

  /** Detections take the numbers of the faces they overlap with; the others get new ones. */
  #meet(detections: readonly Detection[]): void {
    const partners = matchBoxes(
      this.#known.map(({ seen }) => seen.box),
      detections.map(({ box }) => box),
      SAME_FACE,
    );
    const met = detections.map((seen, index): Known => {
      const partner = this.#known[partners[index]!];
      if (partner) return { id: partner.id, seen };
      this.#lastId += 1;
      return { id: this.#lastId, seen };
    });
    this.#known = met.sort((a, b) => a.id - b.id);
  }
}
