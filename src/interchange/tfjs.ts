// Reads TensorFlow.js weights: a `*-weights_manifest.json`, or the `model.json` of a layers or graph model, and the binary
// shards beside it. Called by users through loadTfjsWeights() and by `gramian import`. The rule easy to break: shards hold
// tensors back to back without alignment, and a file is right only when they fill its shards to the last byte.
import fs from 'node:fs/promises';
import path from 'node:path';
import { InterchangeError } from '../errors';
import { fromHalf } from './half';
import { countOf, isShape, type NamedTensor, type NamedTensors, refuse } from './tensors';

const FORMAT = 'tfjs';
const ITEM_BYTES = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 } as const;
const DTYPES = ['float32', 'int32', 'bool'] as const;
const QUANTIZED = ['uint8', 'uint16', 'float16'] as const;
type DType = (typeof DTYPES)[number];
type Quantized = (typeof QUANTIZED)[number];

interface Quantization {
  readonly dtype: Quantized;
  /** value = scale * stored + min; float16 is stored as it is and has neither. */
  readonly scale: number;
  readonly min: number;
}

interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly quantization?: Quantization;
  readonly bytes: number;
}

/** Tensors whose bytes follow each other in the shards of `paths`. */
interface Group {
  readonly paths: readonly string[];
  readonly weights: readonly Entry[];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function quantizationOf(value: unknown, what: string, file: string): Quantization {
  if (!isObject(value)) refuse(FORMAT, file, `${what} has a quantization that is no object`);
  const dtype = QUANTIZED.find((known) => known === value.dtype);
  if (dtype === undefined) {
    refuse(FORMAT, file, `${what} is quantized as ${JSON.stringify(value.dtype)}, expected ${QUANTIZED.join(', ')}`);
  }
  if (dtype === 'float16') return { dtype, scale: 1, min: 0 };
  const { scale, min } = value;
  if (!Number.isFinite(scale) || !Number.isFinite(min)) {
    refuse(FORMAT, file, `${what} needs a finite scale and min, got ${JSON.stringify(scale)}, ${JSON.stringify(min)}`);
  }
  return { dtype, scale: scale as number, min: min as number };
}

function entryOf(value: unknown, file: string): Entry {
  if (!isObject(value) || typeof value.name !== 'string' || value.name === '') {
    refuse(FORMAT, file, `a weight without a name: ${JSON.stringify(value)?.slice(0, 80)}`);
  }
  const { name, shape } = value;
  const what = `weight ${JSON.stringify(name)}`;
  if (!isShape(shape)) refuse(FORMAT, file, `${what} has shape ${JSON.stringify(shape)}, expected whole numbers`);
  const dtype = DTYPES.find((known) => known === value.dtype);
  if (dtype === undefined) {
    refuse(FORMAT, file, `${what} has dtype ${JSON.stringify(value.dtype)}, expected ${DTYPES.join(', ')}`);
  }
  if (value.quantization === undefined) return { name, shape, dtype, bytes: countOf(shape) * ITEM_BYTES[dtype] };
  const quantization = quantizationOf(value.quantization, what, file);
  if (dtype === 'bool' || (dtype === 'int32' && quantization.dtype === 'float16')) {
    refuse(FORMAT, file, `${what} of ${dtype} cannot be quantized as ${quantization.dtype}`);
  }
  return { name, shape, dtype, quantization, bytes: countOf(shape) * ITEM_BYTES[quantization.dtype] };
}

function groupOf(value: unknown, file: string): Group {
  if (!isObject(value) || !Array.isArray(value.paths) || !Array.isArray(value.weights)) {
    refuse(FORMAT, file, 'a group of weights is an object with paths and weights');
  }
  const paths: unknown[] = value.paths;
  for (const shard of paths) {
    // A manifest comes from elsewhere and names files to be read; it may name only its neighbours.
    const inside = typeof shard === 'string' && shard !== '' && !/[\\:\0]/.test(shard) && !path.isAbsolute(shard);
    if (!inside || shard.split('/').includes('..')) {
      refuse(FORMAT, file, `a shard is a file beside the manifest, got ${JSON.stringify(shard)}`);
    }
  }
  return { paths: paths as string[], weights: value.weights.map((entry) => entryOf(entry, file)) };
}

/** The groups of a manifest or of a model.json, checked. */
function groupsOf(json: string, file: string): Group[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    refuse(FORMAT, file, `it is not JSON: ${(cause as Error).message}`, { cause });
  }
  const list = isObject(value) ? value.weightsManifest : value;
  if (!Array.isArray(list)) refuse(FORMAT, file, 'expected a list of groups of weights, or a model with one');
  const groups = list.map((group) => groupOf(group, file));
  const names = new Set<string>();
  for (const { name } of groups.flatMap(({ weights }) => weights)) {
    if (names.has(name)) refuse(FORMAT, file, `it has the weight ${JSON.stringify(name)} twice`);
    names.add(name);
  }
  // Or a small shard could stand for any number of bytes.
  const shards = new Set<string>();
  for (const shard of groups.flatMap(({ paths }) => paths)) {
    const place = path.posix.normalize(shard);
    if (shards.has(place)) refuse(FORMAT, file, `it has the shard ${JSON.stringify(shard)} twice`);
    shards.add(place);
  }
  return groups;
}

/** `bytes` begins at any address, so numbers are read through a view. */
function valuesOf({ dtype, quantization, bytes }: Entry, view: DataView, at: number): NamedTensor['data'] {
  const stored = quantization?.dtype ?? dtype;
  const read = {
    float32: (offset: number) => view.getFloat32(offset, true),
    int32: (offset: number) => view.getInt32(offset, true),
    bool: (offset: number) => view.getUint8(offset),
    uint8: (offset: number) => view.getUint8(offset),
    uint16: (offset: number) => view.getUint16(offset, true),
    float16: (offset: number) => fromHalf(view.getUint16(offset, true)),
  }[stored];
  const step = ITEM_BYTES[stored];
  const count = bytes / step;
  const { scale, min } = quantization ?? { scale: 1, min: 0 };
  const made = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype];
  const data = new made(count);
  for (let index = 0; index < count; index += 1) {
    // As TensorFlow.js: in float64, then rounded to float32 or to the nearest integer.
    const value = read(at + index * step);
    const scaled = quantization && stored !== 'float16' ? value * scale + min : value;
    data[index] = quantization && dtype === 'int32' ? Math.round(scaled) : scaled;
  }
  return data;
}

/** Tensors of one group out of its shards, which were checked to be as long as they should. */
function readGroup(group: Group, shards: readonly Uint8Array[], into: NamedTensors): void {
  const bytes = shards.length === 1 ? (shards[0] as Uint8Array) : Buffer.concat(shards);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (const entry of group.weights) {
    into[entry.name] = { shape: entry.shape, data: valuesOf(entry, view, at) };
    at += entry.bytes;
  }
}

function checkSize(group: Group, present: number, file: string): void {
  const needed = group.weights.reduce((sum, { bytes }) => sum + bytes, 0);
  if (needed === present) return;
  refuse(FORMAT, file, `its weights take ${needed} bytes but ${group.paths.join(', ') || 'no shards'} have ${present}`);
}

/**
 * Tensors of a manifest whose shards are in memory, by the paths it names. Quantised weights come back as float32.
 * Throws InterchangeError `[tfjs] file: reason` for anything malformed, missing, too short or too long.
 */
export function parseTfjsWeights(
  manifest: string,
  shards: Readonly<Record<string, Uint8Array>>,
  file = 'manifest',
): NamedTensors {
  const tensors: NamedTensors = Object.create(null);
  for (const group of groupsOf(manifest, file)) {
    const parts = group.paths.map((name) => {
      const bytes = Object.hasOwn(shards, name) ? shards[name] : undefined;
      return bytes ?? refuse(FORMAT, file, `the shard ${JSON.stringify(name)} is missing`);
    });
    const present = parts.reduce((sum, { length }) => sum + length, 0);
    checkSize(group, present, file);
    readGroup(group, parts, tensors);
  }
  return tensors;
}

/**
 * Reads a manifest or model.json and the shards beside it. Sizes are compared before a shard is read into memory.
 * Rejects with InterchangeError naming the file and the reason.
 */
export async function loadTfjsWeights(manifest: string): Promise<NamedTensors> {
  const tensors: NamedTensors = Object.create(null);
  try {
    for (const group of groupsOf(await fs.readFile(manifest, 'utf8'), manifest)) {
      const files = group.paths.map((name) => path.join(path.dirname(manifest), name));
      const sizes = await Promise.all(files.map(async (shard) => (await fs.stat(shard)).size));
      checkSize(
        group,
        sizes.reduce((sum, size) => sum + size, 0),
        manifest,
      );
      const shards = await Promise.all(files.map((shard) => fs.readFile(shard)));
      // Once more, for a file that changed meanwhile.
      checkSize(
        group,
        shards.reduce((sum, { length }) => sum + length, 0),
        manifest,
      );
      readGroup(group, shards, tensors);
    }
  } catch (cause) {
    if (cause instanceof InterchangeError) throw cause;
    refuse(FORMAT, manifest, `cannot be read: ${(cause as Error).message}`, { cause });
  }
  return tensors;
}
