// What the loaders of face data sets have in common: options, words for expressions, finding folders, splitting by subject.
// Called by the other files of this folder. The rule easy to break: a face of one person never lies in two splits.
import { basename, join } from 'node:path';
import { ArgumentError, DataError } from '../../errors';
import type { FolderOptions } from '../folder';
import { holdOutGroups } from '../groups';
import { decodeFiles, type ImageFile, isImage, listFolder } from '../imageFiles';
import { Random } from '../random';
import { type DataSplits, EXPRESSIONS } from '../types';

export interface LayoutOptions extends FolderOptions {
  /**
   * Whether neutral faces belong to the data: images labelled so (JAFFE, SFEW; true), or the first frame of a sequence that
   * is used (CK+, Oulu-CASIA; false). Without them there are six classes.
   */
  readonly neutral?: boolean | undefined;
  /** Frames at the end of each sequence of CK+ and Oulu-CASIA, where the expression is strongest, 1 to 100; 3. */
  readonly peakFrames?: number | undefined;
}

export type Expression = (typeof EXPRESSIONS)[number];

const TEST_FRACTION = 0.2;

/** Spellings of the distributed folders and file names, in lower case. */
const SPELLINGS: Readonly<Record<string, Expression>> = {
  angry: 'anger',
  anger: 'anger',
  an: 'anger',
  disgust: 'disgust',
  di: 'disgust',
  fear: 'fear',
  fe: 'fear',
  happy: 'happy',
  happiness: 'happy',
  ha: 'happy',
  sad: 'sad',
  sadness: 'sad',
  sa: 'sad',
  surprise: 'surprise',
  su: 'surprise',
  neutral: 'neutral',
  ne: 'neutral',
};

/** The expression that a word or code means, or undefined. */
export function expressionOf(word: string): Expression | undefined {
  const lower = word.toLowerCase();
  return Object.hasOwn(SPELLINGS, lower) ? SPELLINGS[lower] : undefined;
}

/** All seven expressions, or the six without neutral, which is the last. */
export function classesFor(neutral: boolean): readonly Expression[] {
  return neutral ? EXPRESSIONS : EXPRESSIONS.slice(0, -1);
}

/** Names of the subfolders. */
export async function subfolders(op: string, folder: string): Promise<string[]> {
  return (await listFolder(op, folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Names of the image files, in order. */
export async function imageNames(op: string, folder: string): Promise<string[]> {
  return (await listFolder(op, folder)).filter(isImage).map(({ name }) => name);
}

/** The first of `candidates` (paths below `folder`) that is a folder; otherwise DataError says what was `expected`. */
export async function findFolder(
  op: string,
  folder: string,
  candidates: readonly string[],
  expected: string,
): Promise<string> {
  await listFolder(op, folder);
  for (const candidate of candidates) {
    const path = join(folder, candidate);
    const found = await subfolders(op, join(path, '..')).catch((): string[] => []);
    if (found.includes(basename(path))) return path;
  }
  throw new DataError(`[${op}] ${folder}: there is no folder ${candidates[0]} in it, expected ${expected}`);
}

/** The frames of a sequence that are used: the last few with its label, and the first as neutral if asked for. */
export function sequenceFiles(
  folder: string,
  frames: readonly string[],
  sequence: { readonly expression: Expression; readonly group: string },
  options: LayoutOptions,
): ImageFile[] {
  const { neutral = false, peakFrames = 3 } = options;
  const file = (frame: string, expression: Expression): ImageFile => {
    return { path: join(folder, frame), label: EXPRESSIONS.indexOf(expression), group: sequence.group };
  };
  const peak = frames.slice(-peakFrames).map((frame) => file(frame, sequence.expression));
  // Of a sequence that is all peak, no frame is neutral.
  const calm = neutral && frames.length > peakFrames ? [file(frames[0]!, 'neutral')] : [];
  return [...calm, ...peak];
}

export function checkOptions(op: string, { peakFrames = 3 }: LayoutOptions): void {
  if (!Number.isSafeInteger(peakFrames) || peakFrames < 1 || peakFrames > 100) {
    throw new ArgumentError(`[${op}] expected 1 to 100 peak frames, got ${peakFrames}`);
  }
}

export interface Listing {
  readonly op: string;
  /** Folder as the user named it. */
  readonly folder: string;
  readonly classes: readonly string[];
  /** Who a group is, in the plural: subjects, films. */
  readonly groups: string;
  readonly notes: readonly string[];
}

/** In a seeded order, so that any first part holds all classes. */
function shuffled(files: readonly ImageFile[], seed: number): ImageFile[] {
  return Array.from(new Random(seed, 0xf01d).permutation(files.length), (i) => files[i]!);
}

/** Decodes files that come as two parts. */
export async function decodeParts(
  listing: Listing,
  train: readonly ImageFile[],
  test: readonly ImageFile[],
  options: LayoutOptions,
): Promise<DataSplits> {
  const { op, folder, classes, notes } = listing;
  const { seed = 1, limit = Infinity } = options;
  const decode = (name: string, files: readonly ImageFile[]) =>
    decodeFiles(op, `${folder} ${name}`, shuffled(files, seed).slice(0, limit), classes, options);
  const splits = { train: await decode('train', train), test: await decode('test', test) };
  const [a, b] = [splits.train, splits.test];
  if (a.height !== b.height || a.width !== b.width) {
    const sizes = `${b.height}x${b.width} but those of ${a.name} ${a.height}x${a.width}`;
    throw new DataError(`[${op}] ${b.name}: images are ${sizes}: give a size`);
  }
  return { ...splits, source: `${op}:${folder}`, notes: [...notes] };
}

/** Decodes files of which a seeded fifth, by whole groups, becomes the test. */
export async function decodeHeldOut(
  listing: Listing,
  files: readonly ImageFile[],
  options: LayoutOptions,
): Promise<DataSplits> {
  const { op, folder, notes } = listing;
  const { seed = 1 } = options;
  if (files.length === 0) throw new DataError(`[${op}] ${folder}: no images of the expressions were found`);
  const groups = files.map(({ group }) => group!);
  const count = new Set(groups).size;
  if (count < 2) {
    throw new DataError(
      `[${op}] ${folder}: expected at least 2 ${listing.groups}, of whom some are held out, got ${count}`,
    );
  }
  const { rest, part } = holdOutGroups(groups, TEST_FRACTION, seed);
  const [train, test] = [rest, part].map((indices) => Array.from(indices, (i) => files[i]!)) as [
    ImageFile[],
    ImageFile[],
  ];
  const held = new Set(test.map(({ group }) => group)).size;
  const note =
    `${folder}: no test part, ${held} of ${count} ${listing.groups} (${test.length} of ` +
    `${files.length} images) were held out by seed ${seed}`;
  return decodeParts({ ...listing, notes: [...notes, note] }, train, test, options);
}
