// The recogniser: finds faces in a stream of frames, keeps their numbers, and answers expressions, gender and age of each.
// Users call it; `gramian watch` and the page are built on it. The rule easy to break: it owns its networks, and every
// stream over them ends with it.
import { AbortError, ArgumentError } from '../errors';
import { FaceStream, type Networks } from './stream';
import type { AttributeEstimator, Detector, FaceClassifier, FaceFrame, Image } from './types';

export interface RecognizerOptions {
  readonly detector: Detector;
  /** Tells expressions; without it faces have none. */
  readonly classifier?: FaceClassifier;
  /** Estimates gender and age, at the same time as expressions; without it faces have neither. */
  readonly attributes?: AttributeEstimator;
}

export interface FramesOptions {
  /** Ends the loop with AbortError before its next frame. */
  readonly signal?: AbortSignal;
}

/** The networks are the recogniser's own: dispose() frees them. */
export class Recognizer {
  readonly #networks: Networks;
  readonly #first: FaceStream;

  /** Throws ArgumentError without a detector. */
  constructor(options: RecognizerOptions) {
    if (typeof options?.detector?.detect !== 'function') {
      throw new ArgumentError('[Recognizer] expected a detector, got none');
    }
    this.#networks = { ...options, disposed: false };
    this.#first = this.stream();
  }

  /** Names of the expressions in the classifier's order; none without one. */
  get classNames(): readonly string[] {
    return this.#networks.classifier?.classNames ?? [];
  }

  /** The faces of the next frame of the recogniser's own stream; see FaceStream.process. */
  process(frame: Image): Promise<FaceFrame> {
    return this.#first.process(frame);
  }

  /** A further stream over the same networks, with faces and numbers of its own: one for each camera. */
  stream(): FaceStream {
    return new FaceStream(this.#networks);
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
    for await (const frame of source) {
      check();
      const faces = await stream.process(frame);
      answered += 1;
      yield faces;
      check();
    }
  }

  /** Frees the networks. Frames that wait are refused with DisposedError. A second call does nothing. */
  dispose(): void {
    if (this.#networks.disposed) return;
    this.#networks.disposed = true;
    const { detector, classifier, attributes } = this.#networks;
    for (const network of [detector, classifier, attributes]) network?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
