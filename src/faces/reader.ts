// Reads faces: cuts all faces of a frame, asks the networks once for all of them, at the same time, and smooths the answers over
// frames. Called by stream.ts. The rule easy to break: faces that both networks want cut alike are cut once.
import { cropFaces } from './crop';
import type { Known } from './knownFaces';
import type { StreamParts } from './streamParts';
import type { CropOptions, FaceAttributes, Image, TrackedFace } from './types';

/** What was read of a face so far, smoothed; absent where there is no network for it. */
export interface Reading {
  /** Probability of each class. */
  readonly probabilities?: readonly number[];
  /** 0 to 1. */
  readonly male?: number;
  /** Years. */
  readonly age?: number;
}

type Measure = <T>(stage: 'crop' | 'classify', work: () => T | Promise<T>) => Promise<T>;

const cropKey = ({ size, channels, fit, margin = 0 }: CropOptions): string => [...size, channels, fit, margin].join();

export class Reader {
  readonly #parts: StreamParts;

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  /** What is known of each face after this frame. */
  async read(frame: Image, faces: readonly Known[], measure: Measure): Promise<Reading[]> {
    const { classifier, attributes } = this.#parts;
    const count = faces.length;
    if (count === 0 || (!classifier && !attributes)) return faces.map(({ reading }) => reading);
    const cuts = await measure('crop', () => this.#cut(frame, faces));
    const cutFor = (crop: CropOptions): Uint8Array => cuts.get(cropKey(crop))!;
    const [probabilities, estimates] = await measure('classify', () =>
      Promise.all([
        classifier?.classify(cutFor(classifier.crop), count),
        attributes?.estimate(cutFor(attributes.crop), count),
      ]),
    );
    return faces.map(({ reading }, index) => ({
      ...this.#probabilities(reading, probabilities, index),
      ...this.#attributes(reading, estimates?.[index]),
    }));
  }

  /** As faces are answered with. */
  name({ probabilities, male, age }: Reading): Pick<TrackedFace, 'expressions' | 'gender' | 'age'> {
    const names = this.#parts.classifier?.classNames ?? [];
    return {
      ...(probabilities
        ? { expressions: Object.fromEntries(names.map((name, index) => [name, probabilities[index]!])) }
        : {}),
      ...(male === undefined
        ? {}
        : { gender: { label: male > 0.5 ? 'male' : 'female', probability: Math.max(male, 1 - male) } }),
      ...(age === undefined ? {} : { age }),
    };
  }

  #cut(frame: Image, faces: readonly Known[]): Map<string, Uint8Array> {
    const cuts = new Map<string, Uint8Array>();
    const seen = faces.map((face) => face.seen);
    for (const network of [this.#parts.classifier, this.#parts.attributes]) {
      if (!network) continue;
      const key = cropKey(network.crop);
      if (!cuts.has(key)) cuts.set(key, cropFaces(frame, seen, network.crop));
    }
    return cuts;
  }

  #smoothed(before: number | undefined, now: number): number {
    const { smoothing } = this.#parts;
    return before === undefined ? now : smoothing * before + (1 - smoothing) * now;
  }

  #probabilities(before: Reading, all: Float32Array | undefined, index: number): Pick<Reading, 'probabilities'> {
    if (!all) return {};
    const classes = this.#parts.classifier!.classNames.length;
    const now = Array.from(all.subarray(index * classes, (index + 1) * classes));
    return { probabilities: now.map((value, at) => this.#smoothed(before.probabilities?.[at], value)) };
  }

  #attributes(before: Reading, now: FaceAttributes | undefined): Pick<Reading, 'male' | 'age'> {
    if (!now) return {};
    const { label, probability } = now.gender;
    const male = label === 'male' ? probability : 1 - probability;
    return { male: this.#smoothed(before.male, male), age: this.#smoothed(before.age, now.age) };
  }
}
