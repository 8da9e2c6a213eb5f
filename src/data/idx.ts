// Reads and writes IDX files (MNIST's format): 00 00 type rank, rank big-endian extents, then the bytes; plain or .gz.
// Called by load.ts. The rule easy to break: the header's sizes are checked against the file before anything is
// allocated, and a file with a byte too few or too many is refused.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gunzipSync, gzipSync, constants as zlibConstants } from 'node:zlib';
import { ArgumentError, DataError } from '../errors';
import { writeAtomic } from './atomicFile';
import { checkDataset, type ImageDataset } from './types';

export interface IdxArray {
  readonly dims: readonly number[];
  /** Product of dims bytes. */
  readonly data: Uint8Array;
}

const UNSIGNED_BYTE = 0x08;
const TYPE_NAMES: Record<number, string> = {
  9: 'signed byte',
  11: '16-bit integer',
  12: '32-bit integer',
  13: 'float32',
  14: 'float64',
};
const MAX_RANK = 4;
/** Cap on the pixels of one file; 2 GiB holds 600 times MNIST's training images. */
export const MAX_IDX_BYTES = 2 ** 31;
const MAX_HEADER_BYTES = 4 + 4 * MAX_RANK;
// Compressed bytes that are enough to inflate a header: gzip header, file name and the first block's code tables.
const PEEK_BYTES = 4096;

function fail(file: string, reason: string): never {
  throw new DataError(`[idx] ${file}: ${reason}`);
}

/** Extents and header size from the file's first bytes (`head` may hold more). */
function parseIdxHeader(head: Uint8Array, file: string): { dims: number[]; headerBytes: number; dataBytes: number } {
  if (head.length < 4) fail(file, `${head.length} bytes are too few for an IDX header`);
  const [zero, alsoZero, type, rank] = head as unknown as [number, number, number, number];
  if (zero !== 0 || alsoZero !== 0) {
    const came = Buffer.from(head.subarray(0, 4)).toString('hex');
    fail(file, `not an IDX file: the first two bytes should be 0, the file begins with ${came}`);
  }
  if (type !== UNSIGNED_BYTE) {
    fail(file, `holds ${TYPE_NAMES[type] ?? `unknown type 0x${type.toString(16)}`}, expected unsigned byte (0x08)`);
  }
  if (rank < 1 || rank > MAX_RANK) fail(file, `has ${rank} dimensions, expected 1 to ${MAX_RANK}`);
  const headerBytes = 4 + 4 * rank;
  if (head.length < headerBytes) fail(file, `ends within its ${headerBytes}-byte header`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const shape = dims.join('x');
  if (dims.includes(0)) fail(file, `has the shape ${shape}: nothing in it`);
  // Exact up to 2^53 and monotonic beyond, so the comparison is right for any extents.
  const dataBytes = dims.reduce((product, extent) => product * extent, 1);
  if (dataBytes > MAX_IDX_BYTES) fail(file, `has the shape ${shape}: over the cap of ${MAX_IDX_BYTES} bytes`);
  return { dims, headerBytes, dataBytes };
}

/** Parses a whole IDX file held in memory; `data` is a view of `bytes`. Throws DataError `[idx] file: reason`. */
export function parseIdx(bytes: Uint8Array, file = 'buffer'): IdxArray {
  const { dims, headerBytes, dataBytes } = parseIdxHeader(bytes, file);
  const came = bytes.length - headerBytes;
  if (came !== dataBytes) {
    const how = came < dataBytes ? `${dataBytes - came} are missing` : `${came - dataBytes} are left over`;
    fail(file, `the shape ${dims.join('x')} needs ${dataBytes} bytes after the header, there are ${came}: ${how}`);
  }
  return { dims, data: bytes.subarray(headerBytes) };
}

const gunzipAsync = promisify(gunzip) as (
  buffer: Uint8Array,
  options: { maxOutputLength: number; info: true },
) => Promise<{ buffer: Buffer; engine: { bytesWritten: number } } | Buffer>;

/** Inflates a gzipped IDX file. The header is peeked at first, so a bomb never grows past the size it declares. */
async function inflateIdx(compressed: Uint8Array, file: string): Promise<Uint8Array> {
  let limit: number;
  try {
    const head = gunzipSync(compressed.subarray(0, PEEK_BYTES), { finishFlush: zlibConstants.Z_SYNC_FLUSH });
    const { headerBytes, dataBytes } = parseIdxHeader(head.subarray(0, MAX_HEADER_BYTES), file);
    limit = headerBytes + dataBytes;
  } catch (error) {
    if (error instanceof DataError) throw error;
    fail(file, `cannot be inflated: ${(error as Error).message}`);
  }
  let result: Awaited<ReturnType<typeof gunzipAsync>>;
  try {
    result = await gunzipAsync(compressed, { maxOutputLength: limit, info: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ERR_BUFFER_TOO_LARGE')
      fail(file, `inflates to more than the ${limit} bytes that its header declares`);
    fail(file, `cannot be inflated: ${(error as Error).message}`);
  }
  if (Buffer.isBuffer(result)) return result;
  const used = result.engine.bytesWritten;
  if (used !== compressed.length) fail(file, `${compressed.length - used} bytes are left over after the gzip data`);
  return result.buffer;
}

/** Reads and checks one IDX file; a name ending in .gz is inflated. */
export async function readIdx(path: string): Promise<IdxArray> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new DataError(`[idx] ${path}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parseIdx(path.endsWith('.gz') ? await inflateIdx(bytes, path) : bytes, path);
}

/** Writes an IDX file of unsigned bytes, atomically; a name ending in .gz is compressed. */
export async function writeIdx(path: string, dims: readonly number[], data: Uint8Array): Promise<void> {
  const isExtent = (extent: number) => Number.isSafeInteger(extent) && extent >= 1 && extent < 2 ** 32;
  if (dims.length < 1 || dims.length > MAX_RANK || !dims.every(isExtent)) {
    throw new ArgumentError(
      `[writeIdx] expected 1 to ${MAX_RANK} whole extents of at least 1, got [${dims.join(', ')}]`,
    );
  }
  const bytes = dims.reduce((product, extent) => product * extent, 1);
  if (bytes !== data.length || bytes > MAX_IDX_BYTES) {
    throw new ArgumentError(`[writeIdx] the shape ${dims.join('x')} needs ${bytes} bytes, got ${data.length}`);
  }
  const header = Buffer.alloc(4 + 4 * dims.length);
  header[2] = UNSIGNED_BYTE;
  header[3] = dims.length;
  for (const [i, extent] of dims.entries()) header.writeUInt32BE(extent, 4 + 4 * i);
  await writeAtomic(path, async (write) => {
    if (path.endsWith('.gz')) return write(gzipSync(Buffer.concat([header, data])));
    await write(header);
    await write(data);
  });
}

/** Pairs an image file ([N,H,W] or [N,H,W,C]) with its label file ([N]) without copying pixels. */
export function idxDataset(
  name: string,
  images: IdxArray,
  labels: IdxArray,
  classes: readonly string[],
  files: readonly [string, string] = ['images', 'labels'],
): ImageDataset {
  const [count, height, width, channels = 1] = images.dims;
  if (count === undefined || height === undefined || width === undefined) {
    fail(files[0], `images have 3 or 4 dimensions, these have ${images.dims.length} (${images.dims.join('x')})`);
  }
  if (channels > 4) fail(files[0], `images have 1 to 4 channels, these have ${channels} (${images.dims.join('x')})`);
  if (labels.dims.length !== 1) {
    fail(files[1], `labels have 1 dimension, these have ${labels.dims.length} (${labels.dims.join('x')})`);
  }
  if (labels.dims[0] !== count) fail(files[1], `has ${labels.dims[0]} labels for ${count} images of ${files[0]}`);
  const wrong = labels.data.findIndex((label) => label >= classes.length);
  if (wrong >= 0) fail(files[1], `label ${labels.data[wrong]} of image ${wrong} is outside 0..${classes.length - 1}`);
  return checkDataset({
    name,
    images: images.data,
    labels: Int32Array.from(labels.data),
    count,
    height,
    width,
    channels,
    classes,
    synthetic: false,
  });
}

const PARTS = {
  trainImages: /^trainimagesidx[34]ubyte$/,
  trainLabels: /^trainlabelsidx1ubyte$/,
  testImages: /^(t10k|test)imagesidx[34]ubyte$/,
  testLabels: /^(t10k|test)labelsidx1ubyte$/,
};
const EXAMPLES: Record<keyof typeof PARTS, string> = {
  trainImages: 'train-images-idx3-ubyte',
  trainLabels: 'train-labels-idx1-ubyte',
  testImages: 't10k-images-idx3-ubyte',
  testLabels: 't10k-labels-idx1-ubyte',
};

/** The four MNIST-named files of a folder; dots, dashes and underscores do not matter, plain wins over .gz. */
async function findParts(folder: string): Promise<Record<keyof typeof PARTS, string>> {
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (error) {
    throw new DataError(`[idx] ${folder}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const find = (part: keyof typeof PARTS): string => {
    const matches = names.filter((name) => PARTS[part].test(name.replace(/\.gz$/, '').replace(/[-_.]/g, '')));
    const chosen = matches.find((name) => !name.endsWith('.gz')) ?? matches[0];
    if (chosen === undefined) fail(folder, `there is no ${EXAMPLES[part]} (or .gz) in it`);
    return join(folder, chosen);
  };
  return {
    trainImages: find('trainImages'),
    trainLabels: find('trainLabels'),
    testImages: find('testImages'),
    testLabels: find('testLabels'),
  };
}

/** Reads a folder of the four MNIST-named files. Without `classes` they are named 0..largest label. */
export async function readIdxFolder(
  folder: string,
  name: string,
  classes?: readonly string[],
): Promise<{ train: ImageDataset; test: ImageDataset }> {
  const files = await findParts(folder);
  const [trainImages, trainLabels] = [await readIdx(files.trainImages), await readIdx(files.trainLabels)];
  const [testImages, testLabels] = [await readIdx(files.testImages), await readIdx(files.testLabels)];
  const largest = [trainLabels, testLabels].reduce((top, { data }) => data.reduce((a, b) => Math.max(a, b), top), 0);
  const names = classes ?? Array.from({ length: largest + 1 }, (_, k) => String(k));
  const train = idxDataset(`${name} train`, trainImages, trainLabels, names, [files.trainImages, files.trainLabels]);
  const test = idxDataset(`${name} test`, testImages, testLabels, names, [files.testImages, files.testLabels]);
  if (train.height !== test.height || train.width !== test.width || train.channels !== test.channels) {
    fail(
      files.testImages,
      `test images are ${testImages.dims.slice(1).join('x')} but training images ${trainImages.dims.slice(1).join('x')}`,
    );
  }
  return { train, test };
}
