// Seeded random numbers for data preparation (synthetic faces, splits). Called by this folder only; kernels use Philox.
// The rule easy to break: one stream per item (seed, stream), so that an item never depends on how many came before it.
import { ArgumentError } from '../errors';

/** Standard deviation of the sum of four uniform bytes. */
const BYTE_SUM_DEVIATION = Math.sqrt((4 * (256 ** 2 - 1)) / 12);

/** One step of a 32-bit finaliser (multiply and xor-shift), used to spread seeds. */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

/** A small fast generator (sfc32, Chris Doty-Humphrey's Small Fast Counting generator, 128 bits of state). */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  /** @param seed any safe integer  @param stream any safe integer; streams of one seed are independent */
  constructor(seed: number, stream = 0) {
    if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(stream)) {
      throw new ArgumentError(`[random] a seed is a whole number, got seed ${seed}, stream ${stream}`);
    }
    const seedMixed = mix(mix(seed | 0) + Math.floor(seed / 2 ** 32));
    const streamMixed = mix(mix((stream | 0) + 0x9e3779b9) + Math.floor(stream / 2 ** 32));
    this.#a = seedMixed;
    this.#b = streamMixed;
    this.#c = mix(seedMixed + Math.imul(streamMixed, 0x85ebca6b));
    for (let i = 0; i < 12; i++) this.word();
  }

  /** The next 32 bits. */
  word(): number {
    const result = (((this.#a + this.#b) | 0) + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.word() * 2 ** -32;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** Uniform whole number in 0..bound-1 (bias below bound / 2^32). */
  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** About normal, mean 0, standard deviation 1, never beyond 3.46: the sum of the four bytes of one word. */
  normal(): number {
    const word = this.word();
    const sum = (word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24);
    return (sum - 510) / BYTE_SUM_DEVIATION;
  }

  /** A permutation of 0..count-1 (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = order[i]!;
      order[i] = order[j]!;
      order[j] = kept;
    }
    return order;
  }
}
