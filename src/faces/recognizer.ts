// The recogniser: finds faces in a stream of frames, keeps their numbers, and answers expressions, gender and age of each.
// Users call it; `gramian watch` and the page are built on it. The rule easy to break: it owns its networks, and every
// stream over them ends with it.
import { AbortError, ArgumentError } from '../errors';
import { checkCrop } from './crop';
import { type KcfOptions, KcfTracker } from './kcf';
import { FaceStream } from './stream';
import type { StreamParts } from './streamParts';
import type { AttributeEstimator, Detector, FaceClassifier, FaceFrame, Image } from './types';

export interface RecognizerOptions {
  readonly detector: Detector;
  /** Tells expressions; without it faces have none. */
  readonly classifier?: FaceClassifier;
  /** Estimates gender and age, at the same time as expressions; without it faces have neither. */
  readonly attributes?: AttributeEstimator;
  /** The detector looks at one frame of so many, and the tracker follows in between; 6 by default, 1 for every frame. */
  readonly detectEvery?: number;
  /** How much of a probability, and of an age, comes from the frames before, 0 to below 1; 0.6 by default. */
  readonly smoothing?: number;
  readonly tracker?: KcfOptions;
}

const DETECT_EVERY = 6;
const SMOOTHING = 0.6;

export interface FramesOptions {
  /** Ends the loop with AbortError before its next frame. */
  readonly signal?: AbortSignal;
}

/** The networks are the recogniser's own: dispose() frees them. */
export class Recognizer {
  readonly #parts: StreamParts;
  readonly #first: FaceStream;

  /** Throws ArgumentError without a detector and for options out of range. */
  constructor(options: RecognizerOptions) {
    if (typeof options?.detector?.detect !== 'function') {
      throw new ArgumentError('[Recognizer] expected a detector, got none');
    }
    const { detector, classifier, attributes, detectEvery = DETECT_EVERY, smoothing = SMOOTHING } = options;
    if (!Number.isSafeInteger(detectEvery) || detectEvery < 1) {
      throw new ArgumentError(`[Recognizer] detectEvery is an integer of 1 or more, got ${detectEvery}`);
    }
    if (!(smoothing >= 0 && smoothing < 1)) {
      throw new ArgumentError(`[Recognizer] smoothing is a number from 0 to below 1, got ${smoothing}`);
    }
    for (const network of [classifier, attributes]) if (network) checkCrop('Recognizer', network.crop);
    this.#parts = {
      ...{ detector, detectEvery, smoothing, disposed: false },
      ...(classifier ? { classifier } : {}),
      ...(attributes ? { attributes } : {}),
      tracker: new KcfTracker(options.tracker),
    };
    this.#first = this.stream();
  }

  /** Names of the expressions in the classifier's order; none without one. */
  get classNames(): readonly string[] {
    return this.#parts.classifier?.classNames ?? [];
  }

  /** The faces of the next frame of the recogniser's own stream; see FaceStream.process. */
  process(frame: Image): Promise<FaceFrame> {
    return this.#first.process(frame);
  }

  /** A further stream over the same networks, with faces and numbers of its own: one for each camera. */
  stream(): FaceStream {
    return new FaceStream(this.#parts);
  }

  /**
   * The faces of every frame of `source`, as a stream of its own; a frame is asked for when the one before is done.
   * Rejects with what the source throws, AbortError (`completedSteps` frames were answered), and as FaceStream.process does.
   */
  async *frames(
    source: Iterable<Image> | AsyncIterable<Image>,
    { signal }: FramesOptions = {},
  ): AsyncGenerator<FaceFrame, void, void> {
    const stream = this.stream();
    let answered = 0;
    const check = (): void => {
      if (signal?.aborted) throw new AbortError('[frames] stopped by the caller', answered, { cause: signal.reason });
    };
    check();
    try {
      for await (const frame of source) {
        check();
        const faces = await stream.process(frame);
        answered += 1;
        yield faces;
        check();
      }
    } catch (error) {
      // Ctrl-C ends ffmpeg too, whose complaint is then not the reason.
      check();
      throw error;
    }
  }

  /** Frees the networks. Frames that wait are refused with DisposedError. A second call does nothing. */
  dispose(): void {
    if (this.#parts.disposed) return;
    this.#parts.disposed = true;
    const { detector, classifier, attributes, tracker } = this.#parts;
    for (const part of [detector, classifier, attributes, tracker]) part?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
