// Reads a folder of images, one subfolder per class. Called by load.ts.
// The rule easy to break: classes are the training part's subfolders; another part may lack some but not add any.
import { join } from 'node:path';
import { DataError } from '../errors';
import { type DecodeOptions, decodeFiles, IMAGE_TYPES, type ImageFile, isImage, listFolder } from './imageFiles';
import { Random } from './random';
import { type DataSplits, splitOff } from './types';

export interface FolderOptions extends DecodeOptions {
  /** At most this many images of each split. */
  readonly limit?: number | undefined;
  /** Order of the images, and the split when the folder has none. */
  readonly seed?: number | undefined;
}

const TEST_FRACTION = 0.2;

/** Class names of a folder, which are its subfolders. */
async function classesOf(folder: string): Promise<string[]> {
  const entries = await listFolder('folder', folder);
  const classes = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (classes.length === 0) throw new DataError(`[folder] ${folder}: expected one subfolder per class, found none`);
  return classes;
}

/** Image files of every class, in a seeded order so that any first part holds all classes; others are counted. */
async function filesOf(
  folder: string,
  classes: readonly string[],
  seed: number,
  notes: string[],
): Promise<ImageFile[]> {
  const files: ImageFile[] = [];
  let others = 0;
  for (const name of await classesOf(folder)) {
    const label = classes.indexOf(name);
    if (label < 0) {
      throw new DataError(`[folder] ${folder}: class ${JSON.stringify(name)} is not one of ${classes.join(', ')}`);
    }
    for (const entry of await listFolder('folder', join(folder, name))) {
      if (isImage(entry)) files.push({ path: join(folder, name, entry.name), label });
      else others++;
    }
  }
  if (files.length === 0) throw new DataError(`[folder] ${folder}: no images (${[...IMAGE_TYPES].join(' ')})`);
  if (others > 0) notes.push(`${folder}: ${others} entries are not images and were left out`);
  return Array.from(new Random(seed, 0xf01d).permutation(files.length), (i) => files[i]!);
}

/**
 * DIR/train/CLASS/* with DIR/test/CLASS/* (and DIR/validation/CLASS/*), or DIR/CLASS/* of which a seeded fifth becomes
 * the test. Classes are the subfolders' names in code-unit order. Throws DataError naming the file.
 */
export async function readFolder(folder: string, options: FolderOptions = {}): Promise<DataSplits> {
  const { limit = Infinity, seed = 1 } = options;
  const entries = await listFolder('folder', folder);
  const parts = new Set(entries.filter((entry) => entry.isDirectory()).map(({ name }) => name));
  const notes: string[] = [];
  const trainFolder = parts.has('train') ? join(folder, 'train') : folder;
  const classes = await classesOf(trainFolder);
  const read = async (part: string, cap: number) => {
    const files = (await filesOf(part, classes, seed, notes)).slice(0, cap);
    return decodeFiles('folder', part, files, classes, options);
  };
  const source = `folder:${folder}`;
  if (!parts.has('train') || !parts.has('test')) {
    const whole = await read(trainFolder, limit);
    const { rest, part } = splitOff(whole, TEST_FRACTION, seed);
    notes.push(`${trainFolder}: no test folder, ${part.count} of ${whole.count} images were split off by seed ${seed}`);
    return { train: rest, test: part, source, notes };
  }
  const train = await read(trainFolder, limit);
  const test = await read(join(folder, 'test'), limit);
  const validation = parts.has('validation') ? await read(join(folder, 'validation'), limit) : undefined;
  for (const part of validation ? [test, validation] : [test]) {
    if (part.height !== train.height || part.width !== train.width) {
      const sizes = `${part.height}x${part.width} but those of ${train.name} ${train.height}x${train.width}`;
      throw new DataError(`[folder] ${part.name}: images are ${sizes}: give a size`);
    }
  }
  return { train, test, source, notes, ...(validation ? { validation } : {}) };
}
