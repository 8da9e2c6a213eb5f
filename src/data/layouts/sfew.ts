// Reads SFEW: DIR/Train and DIR/Val with a folder a class (Angry, Disgust, Fear, Happy, Neutral, Sad, Surprise), or one
// such folder of classes, as the 675 images of SFEW 1.0 come. Called by load.ts.
// Source: Dhall et al., Static facial expression analysis in tough conditions, ICCV workshops 2011.
// The rule easy to break: a file is named FILM_TIME_FRAME.png; the film is the group, since its people recur.
import { join } from 'node:path';
import { DataError } from '../../errors';
import type { ImageFile } from '../imageFiles';
import { type DataSplits, EXPRESSIONS } from '../types';
import {
  checkOptions,
  classesFor,
  decodeHeldOut,
  decodeParts,
  expressionOf,
  imageNames,
  type LayoutOptions,
  type Listing,
  subfolders,
} from './shared';

const OP = 'sfew';
const FILM = /^(.+?)_+\d+_+\d+\.\w+$/;

interface Found {
  readonly files: ImageFile[];
  /** Files whose name does not say the film. */
  readonly unnamed: number;
}

/** Images of a folder of classes; a file without a film is a group of its own. */
async function classFiles(folder: string, classes: readonly string[]): Promise<Found> {
  const files: ImageFile[] = [];
  let unnamed = 0;
  const found = new Set<string>();
  for (const name of await subfolders(OP, folder)) {
    const expression = expressionOf(name);
    if (expression === undefined) {
      throw new DataError(
        `[${OP}] ${folder}: ${JSON.stringify(name)} is no expression, one of ${EXPRESSIONS.join(', ')}`,
      );
    }
    found.add(expression);
    if (!classes.includes(expression)) continue;
    for (const image of await imageNames(OP, join(folder, name))) {
      const film = FILM.exec(image)?.[1];
      if (film === undefined) unnamed++;
      files.push({
        path: join(folder, name, image),
        label: EXPRESSIONS.indexOf(expression),
        group: film ?? `${name}/${image}`,
      });
    }
  }
  const missing = classes.find((one) => !found.has(one));
  if (missing !== undefined) throw new DataError(`[${OP}] ${folder}: there is no folder for ${missing}`);
  return { files, unnamed };
}

/** The folder of a part: its exact name, or the only one that begins with it (Train_Aligned_Faces). */
function partFolder(folder: string, names: readonly string[], part: string): string | undefined {
  const exact = names.find((name) => name.toLowerCase() === part);
  if (exact !== undefined) return exact;
  const alike = names.filter((name) => name.toLowerCase().startsWith(part));
  if (alike.length > 1) {
    throw new DataError(`[${OP}] ${folder}: expected one folder for ${part}, got ${alike.join(', ')}`);
  }
  return alike[0];
}

function namesNote(folder: string, { files, unnamed }: Found): string[] {
  if (unnamed === 0) return [];
  return [`${folder}: ${unnamed} of ${files.length} file names do not say their film; each counts as one of its own`];
}

/**
 * SFEW 2.0: Train is the training part and Val the test, because the labels of its Test are not given out. SFEW 1.0, DIR
 * with a folder a class: a fifth of the films becomes the test. Throws DataError naming the folder that is missing.
 */
export async function readSfew(folder: string, options: LayoutOptions = {}): Promise<DataSplits> {
  checkOptions(OP, options);
  const classes = classesFor(options.neutral ?? true);
  const names = await subfolders(OP, folder);
  const [train, val] = [partFolder(folder, names, 'train'), partFolder(folder, names, 'val')];
  const listing = (notes: string[]): Listing => ({ op: OP, folder, classes, groups: 'films', notes });
  if (train === undefined && val === undefined) {
    if (!names.some((name) => expressionOf(name))) {
      throw new DataError(
        `[${OP}] ${folder}: expected Train and Val, or a folder a class (Angry, ...), as distributed`,
      );
    }
    const found = await classFiles(folder, classes);
    return decodeHeldOut(listing(namesNote(folder, found)), found.files, options);
  }
  if (train === undefined || val === undefined) {
    throw new DataError(`[${OP}] ${folder}: there is no folder ${train === undefined ? 'Train' : 'Val'} in it`);
  }
  const [first, second] = [
    await classFiles(join(folder, train), classes),
    await classFiles(join(folder, val), classes),
  ];
  for (const [part, { files }] of [[train, first] as const, [val, second] as const]) {
    if (files.length === 0) throw new DataError(`[${OP}] ${join(folder, part)}: there are no images in it`);
  }
  const films = new Set(first.files.map(({ group }) => group));
  const shared = new Set(second.files.filter(({ group }) => films.has(group)).map(({ group }) => group)).size;
  const notes = [
    ...namesNote(join(folder, train), first),
    ...namesNote(join(folder, val), second),
    `${folder}: ${val} became the test; the labels of SFEW's Test are not given out`,
    ...(shared > 0 ? [`${folder}: ${shared} films have images in ${train} and in ${val}`] : []),
  ];
  return decodeParts(listing(notes), first.files, second.files, options);
}
