// Reads a folder of images, one subfolder per class. Called by load.ts.
// The rule easy to break: classes are the training part's subfolders; another part may lack some but not add any.
import { join } from 'node:path';
import { DataError } from '../errors';
import { type DecodeOptions, decodeFiles, IMAGE_TYPES, type ImageFile, isImage, listFolder } from './imageFiles';
import { Random } from './random';
import { type DataSplits, splitIndices } from './types';

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

/** A part's name and its files, in the order they are taken in. */
type Part = readonly [name: string, files: readonly ImageFile[]];

/** The parts as they lie in subfolders, or a seeded fifth of all files as the test. No limit yet: it must not move the split. */
async function listParts(
  folder: string,
  classes: readonly string[],
  found: ReadonlySet<string>,
  seed: number,
  notes: string[],
): Promise<{ train: Part; test: Part; validation?: Part }> {
  const list = async (part: string): Promise<Part> => [part, await filesOf(part, classes, seed, notes)];
  const [name, files] = await list(found.has('train') ? join(folder, 'train') : folder);
  if (found.has('train') && found.has('test')) {
    const test = await list(join(folder, 'test'));
    const validation = found.has('validation') ? { validation: await list(join(folder, 'validation')) } : {};
    return { train: [name, files], test, ...validation };
  }
  const { rest, part } = splitIndices(name, files.length, TEST_FRACTION, seed);
  const of = (indices: Uint32Array): Part => [name, Array.from(indices, (index) => files[index]!)];
  notes.push(`${name}: no test folder, ${part.length} of ${files.length} images were split off by seed ${seed}`);
  return { train: of(rest), test: of(part) };
}

/**
 * DIR/train/CLASS/* with DIR/test/CLASS/* (and DIR/validation/CLASS/*), or DIR/CLASS/* of which a seeded fifth becomes
 * the test, the same fifth whatever the limit. Classes are the subfolders' names in code-unit order. Throws DataError
 * naming the file.
 */
export async function readFolder(folder: string, options: FolderOptions = {}): Promise<DataSplits> {
  const { limit = Infinity, seed = 1 } = options;
  const entries = await listFolder('folder', folder);
  const found = new Set(entries.filter((entry) => entry.isDirectory()).map(({ name }) => name));
  const notes: string[] = [];
  const classes = await classesOf(found.has('train') ? join(folder, 'train') : folder);
  const parts = await listParts(folder, classes, found, seed, notes);
  const decode = ([name, files]: Part) => decodeFiles('folder', name, files.slice(0, limit), classes, options);
  const train = await decode(parts.train);
  const test = await decode(parts.test);
  const validation = parts.validation && (await decode(parts.validation));
  for (const part of validation ? [test, validation] : [test]) {
    if (part.height !== train.height || part.width !== train.width) {
      const sizes = `${part.height}x${part.width} but those of ${train.name} ${train.height}x${train.width}`;
      throw new DataError(`[folder] ${part.name}: images are ${sizes}: give a size`);
    }
  }
  return { train, test, source: `folder:${folder}`, notes, ...(validation ? { validation } : {}) };
}
