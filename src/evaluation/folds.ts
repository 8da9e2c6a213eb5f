// Cuts samples into folds for cross-validation: plain, with every class spread evenly, with every subject in one fold, or
// both. Called by recipes and the CLI. Indices only: `select` of src/data makes the data sets.
// The rule easy to break: a grouped fold never shares a subject with its training part; balance comes second.
import { Random } from '../data/random';
import { ArgumentError } from '../errors';

/** What folds are cut from; an ImageDataset will do. */
export interface Samples {
  readonly count: number;
  /** [count], class indices from 0. */
  readonly labels: ArrayLike<number>;
  /** [count], who each sample shows. */
  readonly groups?: readonly string[] | undefined;
}

/** Indices of samples, ascending. Over all folds each sample is in `test` once. */
export interface Fold {
  readonly train: Uint32Array;
  readonly test: Uint32Array;
}

export interface FoldOptions {
  /** 2 to the number of samples, or of groups when grouped. */
  readonly folds: number;
  /** The same seed gives the same folds; 1. */
  readonly seed?: number | undefined;
  /** Spread each class evenly; false. A class with fewer samples than folds is missing in some. */
  readonly stratified?: boolean | undefined;
  /** Keep each group in one fold (subject-independent); false. */
  readonly grouped?: boolean | undefined;
}

const STREAM = 0xf01d5;

/** Deals samples out in turn. Shuffled first; by class, one class after the other, when stratified. */
function dealSamples(samples: Samples, folds: number, seed: number, stratified: boolean): Uint32Array {
  const order = Array.from(new Random(seed, STREAM).permutation(samples.count));
  // Dealing goes on where the last class stopped: fold sizes differ by one at most, and so does each class in them.
  if (stratified) order.sort((i, j) => samples.labels[i]! - samples.labels[j]!); // Stable: the shuffle stays within.
  const fold = new Uint32Array(samples.count);
  for (const [turn, i] of order.entries()) fold[i] = turn % folds;
  return fold;
}

interface Group {
  readonly members: number[];
  /** Members of each class. */
  readonly counts: number[];
}

/** Groups in seeded order, then those that are hardest to place first. */
function orderedGroups(samples: Samples, classes: number, seed: number): Group[] {
  const byName = new Map<string, Group>();
  for (const [i, name] of samples.groups!.entries()) {
    const group = byName.get(name) ?? { members: [], counts: new Array<number>(classes).fill(0) };
    byName.set(name, group);
    group.members.push(i);
    group.counts[samples.labels[i]!]! += 1;
  }
  const groups = [...byName.values()];
  const shuffled = Array.from(new Random(seed, STREAM).permutation(groups.length), (i) => groups[i]!);
  return shuffled.sort((a, b) => b.members.length - a.members.length);
}

/**
 * Puts each group, largest first, where it does the least harm: into the fold with the fewest samples, or, stratified, the
 * one after which the classes' counts are closest to their share of a fold (sum of squares over classes, each divided by
 * the class's size so that rare classes count as much).
 */
function dealGroups(samples: Samples, folds: number, seed: number, stratified: boolean): Uint32Array {
  const classes = 1 + Array.from(samples.labels).reduce((top, label) => Math.max(top, label), 0);
  const groups = orderedGroups(samples, classes, seed);
  if (groups.length < folds) {
    throw new ArgumentError(`[kFold] expected at least ${folds} groups for as many folds, got ${groups.length}`);
  }
  const totals = new Array<number>(classes).fill(0);
  for (const { counts } of groups) for (const [k, count] of counts.entries()) totals[k]! += count;
  const filled = Array.from({ length: folds }, () => ({ size: 0, counts: new Array<number>(classes).fill(0) }));
  // Adding c of a class to a fold that has n of it changes the sum of squares by 2 n c + c^2; c^2 is the same everywhere.
  const harm = (fold: (typeof filled)[number], group: Group) =>
    group.counts.reduce((sum, c, k) => sum + (c === 0 ? 0 : (fold.counts[k]! * c) / totals[k]! ** 2), 0);
  const result = new Uint32Array(samples.count);
  for (const group of groups) {
    // An empty fold is never harmed and is the smallest, so none stays empty.
    const best = filled.reduce((least, fold) => {
      const difference = stratified ? harm(fold, group) - harm(least, group) : 0;
      return difference < 0 || (difference === 0 && fold.size < least.size) ? fold : least;
    });
    for (const i of group.members) result[i] = filled.indexOf(best);
    best.size += group.members.length;
    for (const [k, count] of group.counts.entries()) best.counts[k]! += count;
  }
  return result;
}

function checkSamples({ count, labels, groups }: Samples, { folds, seed = 1, grouped = false }: FoldOptions): void {
  if (!Number.isSafeInteger(folds) || folds < 2 || folds > count) {
    throw new ArgumentError(`[kFold] expected 2 to ${count} folds of ${count} samples, got ${folds}`);
  }
  if (!Number.isSafeInteger(seed)) throw new ArgumentError(`[kFold] expected a seed as a whole number, got ${seed}`);
  if (labels.length !== count) {
    throw new ArgumentError(`[kFold] expected a label for each of ${count} samples, got ${labels.length}`);
  }
  const wrong = Array.from(labels).findIndex((label) => !Number.isSafeInteger(label) || label < 0);
  if (wrong >= 0) throw new ArgumentError(`[kFold] expected labels from 0, got ${labels[wrong]} at ${wrong}`);
  if (grouped && groups?.length !== count) {
    const came = groups === undefined ? 'none: this data does not say whom an image shows' : `${groups.length}`;
    throw new ArgumentError(`[kFold] expected a group for each of ${count} samples, got ${came}`);
  }
}

/**
 * The folds of a cross-validation. Plain and stratified: sizes differ by at most one. Grouped: by size as even as placing
 * the largest group first makes them. Throws ArgumentError for fewer samples (grouped: groups) than folds, or for grouped
 * folds of data without groups.
 */
export function kFold(samples: Samples, options: FoldOptions): Fold[] {
  checkSamples(samples, options);
  const { folds, seed = 1, stratified = false, grouped = false } = options;
  const fold = (grouped ? dealGroups : dealSamples)(samples, folds, seed, stratified);
  const indices = Uint32Array.from({ length: samples.count }, (_, i) => i);
  return Array.from({ length: folds }, (_, k) => ({
    train: indices.filter((i) => fold[i] !== k),
    test: indices.filter((i) => fold[i] === k),
  }));
}

/**
 * The strictly person-independent protocol (SPI) of SFEW: two halves without a common subject, each trained on and tested
 * with the other (Dhall et al., Static facial expression analysis in tough conditions, ICCV workshops 2011; paper 003).
 */
export function twoFoldSpi(samples: Samples, seed = 1): Fold[] {
  return kFold(samples, { folds: 2, seed, stratified: true, grouped: true });
}
