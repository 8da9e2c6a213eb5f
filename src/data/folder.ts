// Reads a folder of images, one subfolder per class, decoded by sharp (an optional peer). Called by load.ts.
// The rule easy to break: nothing is decoded before the number of pixels to hold is known to be under the cap.
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { ArgumentError, DataError } from '../errors';
import { Random } from './random';
import { checkDataset, type DataSplits, type ImageDataset, type JobOptions, splitOff, throwIfAborted } from './types';

export interface FolderOptions extends JobOptions {
  /** Height and width every image is stretched to; left out: all must have the first one's size. */
  readonly size?: number | readonly [number, number] | undefined;
  /** 1 grey (default), 3 RGB. */
  readonly channels?: 1 | 3 | undefined;
  /** At most this many images of each split. */
  readonly limit?: number | undefined;
  /** Order of the images, and the split when the folder has none. */
  readonly seed?: number | undefined;
}

interface Item {
  readonly path: string;
  readonly label: number;
}

const IMAGE_TYPES = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tif', '.tiff', '.avif']);
const TEST_FRACTION = 0.2;
/** Cap on one image as decoded (64 megapixels) and on a whole split as held in memory (4 GiB). */
const MAX_IMAGE_PIXELS = 2 ** 26;
const MAX_SPLIT_BYTES = 2 ** 32;
const IN_FLIGHT = 4;

async function loadSharp() {
  try {
    return (await import('sharp')).default;
  } catch (error) {
    throw new DataError('[folder] images are decoded by sharp, which is not installed: run `npm install sharp`', {
      cause: error,
    });
  }
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    // Code-unit order, the same on every machine.
    return entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw new DataError(`[folder] ${folder}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Class names of a folder, which are its subfolders. */
async function classesOf(folder: string): Promise<string[]> {
  const classes = (await list(folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (classes.length === 0) throw new DataError(`[folder] ${folder}: expected one subfolder per class, found none`);
  return classes;
}

/** Image files of every class, in a seeded order so that any first part holds all classes; others are counted. */
async function itemsOf(folder: string, classes: readonly string[], seed: number, notes: string[]): Promise<Item[]> {
  const items: Item[] = [];
  let others = 0;
  for (const name of await classesOf(folder)) {
    const label = classes.indexOf(name);
    if (label < 0) {
      throw new DataError(`[folder] ${folder}: class ${JSON.stringify(name)} is not one of ${classes.join(', ')}`);
    }
    for (const entry of await list(join(folder, name))) {
      if (entry.isDirectory() || !IMAGE_TYPES.has(extname(entry.name).toLowerCase())) others++;
      else items.push({ path: join(folder, name, entry.name), label });
    }
  }
  if (items.length === 0) throw new DataError(`[folder] ${folder}: no images (${[...IMAGE_TYPES].join(' ')})`);
  if (others > 0) notes.push(`${folder}: ${others} entries are not images and were left out`);
  return Array.from(new Random(seed, 0xf01d).permutation(items.length), (i) => items[i]!);
}

function sizeOf(size: FolderOptions['size']): readonly [number, number] | undefined {
  if (size === undefined) return undefined;
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  if (![height, width].every((extent) => Number.isSafeInteger(extent) && extent >= 1 && extent <= 8192)) {
    throw new ArgumentError(`[folder] a size is one or two whole numbers of 1 to 8192, got ${JSON.stringify(size)}`);
  }
  return [height, width];
}

type Decoder = (path: string) => Promise<{ pixels: Uint8Array; height: number; width: number }>;

function decoder(sharp: Awaited<ReturnType<typeof loadSharp>>, options: FolderOptions): Decoder {
  const size = sizeOf(options.size);
  const channels = options.channels ?? 1;
  return async (path) => {
    try {
      let image = sharp(path, { limitInputPixels: MAX_IMAGE_PIXELS }).rotate().removeAlpha();
      if (size) image = image.resize(size[1], size[0], { fit: 'fill' });
      image = image.toColourspace(channels === 1 ? 'b-w' : 'srgb');
      const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
      if (info.channels !== channels) throw new Error(`decoded to ${info.channels} channels, expected ${channels}`);
      return { pixels: data, height: info.height, width: info.width };
    } catch (error) {
      throw new DataError(`[folder] ${path}: cannot be decoded: ${(error as Error).message}`, { cause: error });
    }
  };
}

/** One image file as [height, width, channels] bytes, stretched to that size; for `predict`. */
export async function decodeImage(
  path: string,
  shape: readonly [number, number, number],
): Promise<Pick<ImageDataset, 'images' | 'height' | 'width' | 'channels'>> {
  const [height, width, channels] = shape;
  if (channels !== 1 && channels !== 3) throw new ArgumentError(`[image] expected 1 or 3 channels, got ${channels}`);
  const { pixels } = await decoder(await loadSharp(), { size: [height, width], channels })(path);
  return { images: pixels, height, width, channels };
}

/** Decodes all items into one array, a few at a time; the first sets the size. */
async function decodeAll(
  name: string,
  items: readonly Item[],
  classes: readonly string[],
  decode: Decoder,
  options: JobOptions,
): Promise<ImageDataset> {
  const first = await decode(items[0]!.path);
  const { height, width } = first;
  const bytes = first.pixels.length;
  if (bytes * items.length > MAX_SPLIT_BYTES) {
    throw new DataError(
      `[folder] ${name}: ${items.length} images of ${height}x${width} are over the cap of ${MAX_SPLIT_BYTES} bytes: ` +
        'give a smaller size or a limit',
    );
  }
  const images = new Uint8Array(bytes * items.length);
  let next = 0;
  let done = 0;
  let failed = false;
  const work = async () => {
    while (next < items.length && !failed) {
      const at = next++;
      const { path } = items[at]!;
      throwIfAborted(options.signal, 'folder');
      const image = at === 0 ? first : await decode(path);
      if (image.height !== height || image.width !== width) {
        throw new DataError(
          `[folder] ${path}: is ${image.height}x${image.width} but ${items[0]!.path} is ${height}x${width}: give a size`,
        );
      }
      images.set(image.pixels, at * bytes);
      options.onProgress?.({ stage: `decode ${name}`, done: ++done, total: items.length });
    }
  };
  const stopOthers = (error: unknown) => {
    failed = true;
    throw error;
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => work().catch(stopOthers)));
  const labels = Int32Array.from(items, ({ label }) => label);
  const channels = bytes / (height * width);
  return checkDataset({
    name,
    images,
    labels,
    count: items.length,
    height,
    width,
    channels,
    classes,
    synthetic: false,
  });
}

/**
 * DIR/train/CLASS/* with DIR/test/CLASS/* (and DIR/validation/CLASS/*), or DIR/CLASS/* of which a seeded fifth becomes
 * the test. Classes are the subfolders' names in code-unit order. Throws DataError naming the file.
 */
export async function readFolder(folder: string, options: FolderOptions = {}): Promise<DataSplits> {
  const { limit = Infinity, seed = 1 } = options;
  const parts = new Set((await list(folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name));
  const decode = decoder(await loadSharp(), options);
  const notes: string[] = [];
  const trainFolder = parts.has('train') ? join(folder, 'train') : folder;
  const classes = await classesOf(trainFolder);
  const read = async (part: string, cap: number) => {
    const items = (await itemsOf(part, classes, seed, notes)).slice(0, cap);
    return decodeAll(part, items, classes, decode, options);
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
