// Finds images that occur more than once in a data set: exact copies by a hash of their bytes, near copies by a difference
// hash and a small mean difference of pixels. Called by the CLI and by recipes, for splits or for folds.
// The rule easy to break: hashes that differ in at most b of 64 bits agree in one of b + 1 groups of bits, so only images
// that share such a group are compared; with fewer groups pairs would be missed.
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { ArgumentError } from '../errors';
import { bitCount, hashImages, type ImageHashes } from './differenceHash';
import { type ImageDataset, type JobOptions, throwIfAborted } from './types';

export interface DuplicateOptions extends JobOptions {
  /** Bits of 64 in which the hashes of near copies may differ, 0 to 15; 6. */
  readonly bits?: number | undefined;
  /** Mean absolute difference of pixels that near copies may have, 0 (exact copies only) to 255; 4. */
  readonly difference?: number | undefined;
}

/** One image: which part, where in it, and what it is called. */
export interface Place {
  readonly part: string;
  readonly index: number;
  readonly label: string;
  readonly group?: string;
}

export interface DuplicatePair {
  readonly kind: 'exact' | 'near';
  readonly first: Place;
  readonly second: Place;
  /** Differing bits of the hashes. */
  readonly bits: number;
  /** Mean absolute difference of the bytes, 0 to 255. */
  readonly difference: number;
}

/** Each further copy is one exact pair with the first; of near ones every pair counts, exact copies counted as one image. */
export interface PairCounts {
  readonly pairs: number;
  /** Pairs in two parts. */
  readonly across: number;
  /** Pairs with two labels. */
  readonly otherLabel: number;
}

/** Images of part `to` that have an exact copy in `from`, or else a near one. */
export interface Leak {
  readonly from: string;
  readonly to: string;
  readonly exact: number;
  readonly near: number;
}

export interface PartReport {
  readonly name: string;
  readonly count: number;
  /** Images with an exact copy in any other part, or else with a near one. */
  readonly exactElsewhere: number;
  readonly nearElsewhere: number;
}

export interface DuplicateReport {
  readonly parts: readonly PartReport[];
  readonly exact: PairCounts;
  readonly near: PairCounts;
  /** For every part and each later one. */
  readonly leaks: readonly Leak[];
  /** Pairs in two parts first, then exact ones, then by difference; at most 20,000 of either sort are kept. */
  readonly pairs: readonly DuplicatePair[];
}

const KEPT_PAIRS = 20_000;
const IMAGES_PER_TURN = 2048;
const COMPARISONS_PER_TURN = 1 << 22;

/** All parts as one row of images; `unique` are those that come first of their copies. */
interface Images {
  readonly parts: readonly ImageDataset[];
  /** [total]: part of each image, and its index there. */
  readonly part: Uint16Array;
  readonly index: Uint32Array;
  /** Copies of each unique image, itself first. */
  readonly copies: readonly (readonly number[])[];
}

interface NearPair {
  /** Indices into `copies`. */
  readonly a: number;
  readonly b: number;
  readonly bits: number;
  readonly difference: number;
}

function checkParts(parts: readonly ImageDataset[], { bits = 6, difference = 4 }: DuplicateOptions) {
  const [first] = parts;
  if (!first) throw new ArgumentError('[duplicates] expected at least one data set, got none');
  const shape = ({ height, width, channels }: ImageDataset) => `${height}x${width}x${channels}`;
  const odd = parts.find((part) => shape(part) !== shape(first));
  if (odd) {
    throw new ArgumentError(`[duplicates] expected images of ${shape(first)}, got ${shape(odd)} in ${odd.name}`);
  }
  const names = parts.map(({ name }) => name);
  if (new Set(names).size < names.length) {
    throw new ArgumentError(`[duplicates] expected parts of different names, got ${names.join(', ')}`);
  }
  if (!Number.isSafeInteger(bits) || bits < 0 || bits > 15) {
    throw new ArgumentError(`[duplicates] expected 0 to 15 differing bits, got ${bits}`);
  }
  if (!(difference >= 0 && difference <= 255)) {
    throw new ArgumentError(`[duplicates] expected a mean difference of 0 to 255, got ${difference}`);
  }
  return { bits, difference, bytes: first.height * first.width * first.channels };
}

/** Bytes of one image. */
function pixelsOf({ parts, part, index }: Images, i: number, bytes: number): Uint8Array {
  const from = index[i]! * bytes;
  return parts[part[i]!]!.images.subarray(from, from + bytes);
}

/** Groups images of equal bytes. */
async function groupCopies(parts: readonly ImageDataset[], bytes: number, options: JobOptions): Promise<Images> {
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const images = { parts, part: new Uint16Array(total), index: new Uint32Array(total), copies: [] };
  const byHash = new Map<string, number[]>();
  let i = 0;
  for (const [p, { count }] of parts.entries()) {
    for (let k = 0; k < count; k++, i++) {
      if (i % IMAGES_PER_TURN === 0) {
        await turn();
        throwIfAborted(options.signal, 'duplicates');
        options.onProgress?.({ stage: 'exact copies', done: i, total });
      }
      images.part[i] = p;
      images.index[i] = k;
      const hash = createHash('sha256')
        .update(pixelsOf(images, i, bytes))
        .digest('base64');
      const copies = byHash.get(hash);
      if (copies) copies.push(i);
      else byHash.set(hash, [i]);
    }
  }
  return { ...images, copies: [...byHash.values()] };
}

/** Hashes of the unique images. */
async function hashUnique(images: Images, options: JobOptions): Promise<ImageHashes> {
  const total = images.copies.length;
  const hashes = {
    upper: new Uint32Array(total),
    lower: new Uint32Array(total),
    brightness: new Float64Array(total),
  };
  for (const [u, [i]] of images.copies.entries()) {
    if (u % IMAGES_PER_TURN === 0) {
      await turn();
      throwIfAborted(options.signal, 'duplicates');
      options.onProgress?.({ stage: 'hashes', done: u, total });
    }
    const index = images.index[i!]!;
    hashImages(images.parts[images.part[i!]!]!, index, index + 1, hashes, u - index);
  }
  return hashes;
}

/** Mean absolute difference of two images, or Infinity as soon as it is sure to exceed `limit`. */
function meanDifference(a: Uint8Array, b: Uint8Array, limit: number): number {
  const most = limit * a.length;
  let sum = 0;
  for (let begin = 0; begin < a.length; begin += 64) {
    const end = Math.min(a.length, begin + 64);
    for (let k = begin; k < end; k++) sum += Math.abs(a[k]! - b[k]!);
    if (sum > most) return Number.POSITIVE_INFINITY;
  }
  return sum / a.length;
}

/** Masks [upper, lower] of each group of bits: bit k belongs to group k mod groups, so that all see the whole image. */
function bitGroups(groups: number): [number, number][] {
  return Array.from({ length: groups }, (_, g) => {
    const masks: [number, number] = [0, 0];
    for (let k = g; k < 64; k += groups) masks[k >> 5]! |= 1 << (k & 31);
    return masks;
  });
}

/** Calls `found` once for each pair of unique images whose hashes and pixels are close enough. */
async function findNear(
  images: Images,
  hashes: ImageHashes,
  limits: { readonly bits: number; readonly difference: number; readonly bytes: number },
  options: JobOptions,
  found: (pair: NearPair) => void,
): Promise<void> {
  const { upper, lower, brightness } = hashes;
  const masks = bitGroups(limits.bits + 1);
  const agree = ([u, l]: readonly [number, number], a: number, b: number) =>
    ((upper[a]! ^ upper[b]!) & u) === 0 && ((lower[a]! ^ lower[b]!) & l) === 0;
  const pixels = (unique: number) => pixelsOf(images, images.copies[unique]![0]!, limits.bytes);
  let comparisons = 0;
  for (const [g, mask] of masks.entries()) {
    const order = Uint32Array.from(upper.keys()).sort(
      (a, b) =>
        ((upper[a]! & mask[0]) >>> 0) - ((upper[b]! & mask[0]) >>> 0) ||
        ((lower[a]! & mask[1]) >>> 0) - ((lower[b]! & mask[1]) >>> 0) ||
        brightness[a]! - brightness[b]!,
    );
    for (let i = 0; i < order.length; i++) {
      const a = order[i]!;
      // Means differ by no more than the mean difference: beyond that, and beyond the bucket, nothing is close.
      for (let j = i + 1; j < order.length; j++) {
        const b = order[j]!;
        if (!agree(mask, a, b) || brightness[b]! - brightness[a]! > limits.difference + 1e-9) break;
        comparisons++;
        const bits = bitCount(upper[a]! ^ upper[b]!) + bitCount(lower[a]! ^ lower[b]!);
        // A pair that agrees in several groups of bits was met in the first of them.
        if (bits > limits.bits || masks.slice(0, g).some((earlier) => agree(earlier, a, b))) continue;
        const difference = meanDifference(pixels(a), pixels(b), limits.difference);
        if (difference <= limits.difference) found({ a: Math.min(a, b), b: Math.max(a, b), bits, difference });
      }
      if (comparisons < COMPARISONS_PER_TURN) continue;
      comparisons = 0;
      await turn();
      throwIfAborted(options.signal, 'duplicates');
    }
    options.onProgress?.({ stage: 'near copies', done: g + 1, total: masks.length });
  }
}

/** Counts pairs and keeps some of them. */
class Pairs {
  readonly counts = {
    exact: { pairs: 0, across: 0, otherLabel: 0 },
    near: { pairs: 0, across: 0, otherLabel: 0 },
  };
  readonly #across: DuplicatePair[] = [];
  readonly #within: DuplicatePair[] = [];

  constructor(readonly images: Images) {}

  add(kind: 'exact' | 'near', a: number, b: number, bits: number, difference: number): void {
    const [first, second] = [this.#place(a), this.#place(b)];
    const counts = this.counts[kind];
    const across = first.part !== second.part;
    counts.pairs++;
    if (across) counts.across++;
    if (first.label !== second.label) counts.otherLabel++;
    const list = across ? this.#across : this.#within;
    if (list.length < KEPT_PAIRS) list.push({ kind, first, second, bits, difference });
  }

  /** The kept pairs, in the report's order. */
  sorted(): DuplicatePair[] {
    const rank = ({ kind }: DuplicatePair) => (kind === 'exact' ? 0 : 1);
    const order = (a: DuplicatePair, b: DuplicatePair) => rank(a) - rank(b) || a.difference - b.difference;
    return [...this.#across.sort(order), ...this.#within.sort(order)];
  }

  #place(i: number): Place {
    const dataset = this.images.parts[this.images.part[i]!]!;
    const index = this.images.index[i]!;
    const group = dataset.groups?.[index];
    const label = dataset.classes[dataset.labels[index]!]!;
    return { part: dataset.name, index, label, ...(group === undefined ? {} : { group }) };
  }
}

/** Who has copies where, from the copies and, for each unique image, the parts that hold near ones. */
function leaksOf(images: Images, nearParts: ReadonlyMap<number, ReadonlySet<number>>) {
  const { parts, part, copies } = images;
  const elsewhere = parts.map(() => ({ exact: 0, near: 0 }));
  const between = parts.map(() => parts.map(() => ({ exact: 0, near: 0 })));
  for (const [u, members] of copies.entries()) {
    const near = nearParts.get(u) ?? new Set<number>();
    if (members.length === 1 && near.size === 0) continue;
    const own = new Set(members.map((i) => part[i]!));
    for (const i of members) {
      const to = part[i]!;
      if (own.size > 1) elsewhere[to]!.exact++;
      else if ([...near].some((from) => from !== to)) elsewhere[to]!.near++;
      for (const from of new Set([...own, ...near])) between[from]![to]![own.has(from) ? 'exact' : 'near']++;
    }
  }
  const leaks = parts.flatMap((from, f) =>
    parts.slice(f + 1).map((to, t): Leak => ({ from: from.name, to: to.name, ...between[f]![f + 1 + t]! })),
  );
  const reports = parts.map(({ name, count }, p): PartReport => {
    return { name, count, exactElsewhere: elsewhere[p]!.exact, nearElsewhere: elsewhere[p]!.near };
  });
  return { leaks, parts: reports };
}

/**
 * Copies within and across `parts`, such as the splits of a data set or the test sets of folds. All images must have one
 * shape and the parts different names. Throws ArgumentError for parts or limits that do not fit, AbortError when the
 * signal fires.
 */
export async function findDuplicates(
  parts: readonly ImageDataset[],
  options: DuplicateOptions = {},
): Promise<DuplicateReport> {
  const limits = checkParts(parts, options);
  const images = await groupCopies(parts, limits.bytes, options);
  const pairs = new Pairs(images);
  for (const [first, ...more] of images.copies) for (const copy of more) pairs.add('exact', first!, copy, 0, 0);
  const nearParts = new Map<number, Set<number>>();
  const note = (unique: number, other: number) => {
    const seen = nearParts.get(unique) ?? new Set<number>();
    nearParts.set(unique, seen);
    for (const i of images.copies[other]!) seen.add(images.part[i]!);
  };
  if (limits.difference > 0) {
    const hashes = await hashUnique(images, options);
    await findNear(images, hashes, limits, options, ({ a, b, bits, difference }) => {
      pairs.add('near', images.copies[a]![0]!, images.copies[b]![0]!, bits, difference);
      note(a, b);
      note(b, a);
    });
  }
  return { ...leaksOf(images, nearParts), ...pairs.counts, pairs: pairs.sorted() };
}
