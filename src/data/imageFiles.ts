// Lists folders and decodes image files into one data set: by sharp (an optional peer), except for plain grey TIFFs, which
// are read here. Called by folder.ts and the layouts. The rule easy to break: nothing is decoded before the number of
// pixels to hold is known to be under the cap.
import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { ArgumentError, DataError } from '../errors';
import { decodeGrayTiff } from './tiff';
import { checkDataset, type ImageDataset, type JobOptions, throwIfAborted } from './types';

export interface DecodeOptions extends JobOptions {
  /** Height and width every image is stretched to; left out: all must have the first one's size. */
  readonly size?: number | readonly [number, number] | undefined;
  /** 1 grey (default), 3 RGB. */
  readonly channels?: 1 | 3 | undefined;
}

export interface ImageFile {
  readonly path: string;
  /** Index into the classes. */
  readonly label: number;
  /** Whom it shows, where the data says it: for all files of a set or for none. */
  readonly group?: string | undefined;
}

export const IMAGE_TYPES: ReadonlySet<string> = new Set([
  ...['.png', '.jpg', '.jpeg', '.webp'],
  ...['.gif', '.tif', '.tiff', '.avif'],
]);
/** Cap on one image as decoded (64 megapixels) and on a whole split as held in memory (4 GiB). */
const MAX_IMAGE_PIXELS = 2 ** 26;
const MAX_SPLIT_BYTES = 2 ** 32;
const IN_FLIGHT = 4;

interface Decoded {
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}
type Decoder = (path: string) => Promise<Decoded>;

async function loadSharp(op: string) {
  try {
    return (await import('sharp')).default;
  } catch (error) {
    throw new DataError(`[${op}] images are decoded by sharp, which is not installed: run \`npm install sharp\``, {
      cause: error,
    });
  }
}

/** What a folder holds, hidden files left out, in code-unit order, the same on every machine. */
export async function listFolder(op: string, folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw new DataError(`[${op}] ${folder}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

export function isImage(entry: Dirent): boolean {
  return !entry.isDirectory() && IMAGE_TYPES.has(extname(entry.name).toLowerCase());
}

function sizeOf(op: string, size: DecodeOptions['size']): readonly [number, number] | undefined {
  if (size === undefined) return undefined;
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  if (![height, width].every((extent) => Number.isSafeInteger(extent) && extent >= 1 && extent <= 8192)) {
    throw new ArgumentError(`[${op}] a size is one or two whole numbers of 1 to 8192, got ${JSON.stringify(size)}`);
  }
  return [height, width];
}

/** The pixels of a grey TIFF that this project reads itself, or undefined. */
async function plainTiff(path: string): Promise<Decoded | undefined> {
  return /\.tiff?$/i.test(path) ? decodeGrayTiff(await readFile(path), path) : undefined;
}

function decoder(op: string, options: DecodeOptions): Decoder {
  const size = sizeOf(op, options.size);
  const channels = options.channels ?? 1;
  let sharp: ReturnType<typeof loadSharp> | undefined;
  return async (path) => {
    try {
      const gray = await plainTiff(path);
      const fits = gray && channels === 1 && (!size || (gray.height === size[0] && gray.width === size[1]));
      if (fits) return gray;
      sharp ??= loadSharp(op);
      const open = await sharp;
      const raw = gray && { width: gray.width, height: gray.height, channels: 1 as const };
      let image = raw
        ? open(gray.pixels, { raw })
        : open(path, { limitInputPixels: MAX_IMAGE_PIXELS }).rotate().removeAlpha();
      if (size) image = image.resize(size[1], size[0], { fit: 'fill' });
      image = image.toColourspace(channels === 1 ? 'b-w' : 'srgb');
      const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
      if (info.channels !== channels) throw new Error(`decoded to ${info.channels} channels, expected ${channels}`);
      return { pixels: data, height: info.height, width: info.width };
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw new DataError(`[${op}] ${path}: cannot be decoded: ${(error as Error).message}`, { cause: error });
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
  const { pixels } = await decoder('image', { size: [height, width], channels })(path);
  return { images: pixels, height, width, channels };
}

/** One image file as it is: height x width x channels bytes. `op` names the caller in errors. */
export async function readPixels<C extends 1 | 3>(
  op: string,
  path: string,
  channels: C,
): Promise<{ readonly pixels: Uint8Array; readonly width: number; readonly height: number; readonly channels: C }> {
  const { pixels, width, height } = await decoder(op, { channels })(path);
  return { pixels: new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length), width, height, channels };
}

/** Bytes of a PNG file of an image, by sharp. */
export async function encodePixels(
  op: string,
  { pixels, ...raw }: { pixels: Uint8Array; width: number; height: number; channels: 1 | 3 },
): Promise<Uint8Array> {
  const sharp = await loadSharp(op);
  return sharp(pixels, { raw }).png().toBuffer();
}

/** Calls `work` for 0..count-1, a few at a time; the first error stops the others and passes through. */
async function eachOf(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const loop = async () => {
    while (next < count && !failed) await work(next++);
  };
  const stopOthers = (error: unknown) => {
    failed = true;
    throw error;
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => loop().catch(stopOthers)));
}

/**
 * Decodes files into one data set named `name`, in their order; the first sets the size. Throws DataError `[op] path:
 * reason` for a file that cannot be decoded, that differs in size, or for too many of them.
 */
export async function decodeFiles(
  op: string,
  name: string,
  files: readonly ImageFile[],
  classes: readonly string[],
  options: DecodeOptions,
): Promise<ImageDataset> {
  const decode = decoder(op, options);
  const first = await decode(files[0]!.path);
  const { height, width } = first;
  const bytes = first.pixels.length;
  if (bytes * files.length > MAX_SPLIT_BYTES) {
    throw new DataError(
      `[${op}] ${name}: ${files.length} images of ${height}x${width} are over the cap of ${MAX_SPLIT_BYTES} bytes: ` +
        'give a smaller size or a limit',
    );
  }
  const images = new Uint8Array(bytes * files.length);
  let done = 0;
  await eachOf(files.length, async (at) => {
    const { path } = files[at]!;
    throwIfAborted(options.signal, op);
    const image = at === 0 ? first : await decode(path);
    if (image.height !== height || image.width !== width) {
      throw new DataError(
        `[${op}] ${path}: is ${image.height}x${image.width} but ${files[0]!.path} is ${height}x${width}: give a size`,
      );
    }
    images.set(image.pixels, at * bytes);
    options.onProgress?.({ stage: `decode ${name}`, done: ++done, total: files.length });
  });
  const groups = files.flatMap(({ group }) => (group === undefined ? [] : [group]));
  return checkDataset({
    ...{ name, images, height, width, classes },
    labels: Int32Array.from(files, ({ label }) => label),
    count: files.length,
    channels: bytes / (height * width),
    synthetic: false,
    ...(groups.length > 0 ? { groups } : {}),
  });
}
