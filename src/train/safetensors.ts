// Reads and writes the safetensors format: 8 bytes of header length (little endian), a JSON header, the tensors' bytes.
// Checkpoints are such files with a checksum over header and data, so that a bit flip or a cut is noticed, never loaded.
// The rule easy to break: nothing is allocated from a number in the file before that number is checked against its size.
import { createHash } from 'node:crypto';
import nodeIo from 'node:fs/promises';
import { type AtomicIo, writeAtomic } from '../data/atomicFile';
import { ArgumentError, CheckpointError, ShapeError } from '../errors';

export type StoredArray = Float32Array | Int32Array | Uint8Array | Float64Array | BigInt64Array;
export type StoredDType = 'F32' | 'I32' | 'U8' | 'F64' | 'I64';

export interface StoredTensor {
  /** Zero or more extents; [] is a scalar. */
  readonly shape: readonly number[];
  readonly data: StoredArray;
}

export interface SafetensorsFile {
  /** By name; an object without a prototype, so any name is safe. */
  readonly tensors: Record<string, StoredTensor>;
  /** The file's `__metadata__` without the checksum's own keys. */
  readonly metadata: Record<string, string>;
}

export interface ReadOptions {
  /** Refuse a file without a checksum: right for files that this writer made, wrong for other tools' files. */
  readonly requireChecksum?: boolean | undefined;
}

interface Entry {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const MAX_HEADER_BYTES = 100_000_000;
const PREFIX_BYTES = 8;
const ALIGNMENT = 8;
const ITEM_BYTES: Record<StoredDType, number> = { F32: 4, I32: 4, U8: 1, F64: 8, I64: 8 };
// Two keys, each demanding the other: a bit flip inside one key's name cannot make the checksum look absent.
const FORMAT_KEY = 'gramian.format';
const DIGEST_KEY = 'gramian.sha256';
const FORMAT = '1';
const BLANK_DIGEST = '0'.repeat(64);

function fail(file: string, reason: string): never {
  throw new CheckpointError(`[safetensors] ${file}: ${reason}`);
}

/** The first key that occurs twice in one object of a text already known to be valid JSON. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === '{') open.push(new Set());
    else if (char === '}') open.pop();
    else if (char === '"') {
      let end = i + 1;
      while (json[end] !== '"') end += json[end] === '\\' ? 2 : 1;
      let after = end + 1;
      while (' \t\n\r'.includes(json[after] ?? '.')) after++;
      if (json[after] === ':') {
        const key = JSON.parse(json.slice(i, end + 1)) as string;
        const keys = open.at(-1)!;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end;
    }
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

function isStoredDType(value: unknown): value is StoredDType {
  return typeof value === 'string' && Object.hasOwn(ITEM_BYTES, value);
}

/** Bytes of a tensor, or -1 when the product leaves the safe integers. */
function bytesOf(shape: readonly number[], itemBytes: number): number {
  if (shape.includes(0)) return 0;
  let bytes = itemBytes;
  for (const extent of shape) {
    bytes *= extent;
    if (!Number.isSafeInteger(bytes)) return -1;
  }
  return bytes;
}

function readEntry(name: string, value: unknown, dataBytes: number, file: string): Entry {
  const what = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value)) fail(file, `${what} is not an object`);
  const unknown = Object.keys(value).find((key) => !['dtype', 'shape', 'data_offsets'].includes(key));
  if (unknown !== undefined) fail(file, `${what} has an unknown key ${JSON.stringify(unknown)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isStoredDType(dtype)) {
    fail(file, `${what} has dtype ${JSON.stringify(dtype)}, expected one of ${Object.keys(ITEM_BYTES).join(', ')}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    fail(file, `${what} has a shape that is not a list of whole numbers: ${JSON.stringify(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    fail(file, `${what} has data_offsets that are not two whole numbers: ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    fail(file, `${what} lies at bytes ${begin}..${end}, outside the ${dataBytes} bytes of data`);
  }
  const bytes = bytesOf(shape, ITEM_BYTES[dtype]);
  if (bytes !== end - begin) {
    const needed = bytes < 0 ? 'too many' : `${bytes}`;
    fail(file, `${what} of ${dtype} [${shape.join(', ')}] needs ${needed} bytes, its offsets give ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

function readMetadata(value: unknown, file: string): Map<string, string> {
  if (!isObject(value)) fail(file, '__metadata__ is not an object');
  return new Map(
    Object.entries(value).map(([key, text]) => {
      if (typeof text !== 'string') fail(file, `__metadata__ key ${JSON.stringify(key)} is not a string`);
      return [key, text];
    }),
  );
}

function parseJson(header: Uint8Array, file: string): Record<string, unknown> {
  if (header[0] !== 0x7b) fail(file, 'the header does not begin with {');
  let json: string;
  let value: unknown;
  try {
    json = new TextDecoder('utf-8', { fatal: true }).decode(header);
  } catch {
    fail(file, 'the header is not UTF-8');
  }
  try {
    value = JSON.parse(json);
  } catch (error) {
    fail(file, `the header is not JSON: ${(error as Error).message}`);
  }
  const twice = duplicateKey(json);
  if (twice !== undefined) fail(file, `the header has the key ${JSON.stringify(twice)} twice`);
  return value as Record<string, unknown>; // It begins with { and is JSON, so it is an object.
}

/** Entries in data order, checked to tile the data without hole or overlap; and the metadata. */
function parseHeader(header: Uint8Array, dataBytes: number, file: string) {
  const entries: Entry[] = [];
  let metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(parseJson(header, file))) {
    if (name === '__metadata__') metadata = readMetadata(value, file);
    else entries.push(readEntry(name, value, dataBytes, file));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== position) {
      const kind = begin > position ? 'a hole' : 'an overlap';
      fail(file, `there is ${kind} before tensor ${JSON.stringify(name)}: it begins at ${begin}, expected ${position}`);
    }
    position = end;
  }
  if (position !== dataBytes)
    fail(file, `the tensors end at byte ${position} but there are ${dataBytes} bytes of data`);
  return { entries, metadata };
}

/** SHA-256 over the whole file with the digest's own 64 characters read as zeros. */
function digestOf(bytes: Uint8Array, digestAt: number): string {
  return createHash('sha256')
    .update(bytes.subarray(0, digestAt))
    .update(BLANK_DIGEST)
    .update(bytes.subarray(digestAt + BLANK_DIGEST.length))
    .digest('hex');
}

/** Where the digest's characters begin in the file, as this writer lays them out; -1 when not there. */
function findDigest(file: Uint8Array, headerEnd: number): number {
  const key = `"${DIGEST_KEY}":"`;
  const at = Buffer.from(file.buffer, file.byteOffset, headerEnd).indexOf(key);
  return at < 0 ? -1 : at + key.length;
}

function verifyDigest(
  bytes: Uint8Array,
  headerEnd: number,
  metadata: Map<string, string>,
  file: string,
  { requireChecksum = false }: ReadOptions,
): void {
  const format = metadata.get(FORMAT_KEY);
  const digest = metadata.get(DIGEST_KEY);
  if (format === undefined && digest === undefined && !requireChecksum) return; // Written by another tool.
  if (format !== FORMAT) fail(file, `metadata ${FORMAT_KEY} is ${JSON.stringify(format)}, expected "${FORMAT}"`);
  const at = findDigest(bytes, headerEnd);
  if (digest === undefined || at < 0) fail(file, `metadata ${DIGEST_KEY} is missing: the file is damaged`);
  if (digest !== digestOf(bytes, at)) {
    fail(
      file,
      `the checksum does not match: the file is damaged (if another tool rewrote it on purpose, remove the metadata ` +
        `keys ${FORMAT_KEY} and ${DIGEST_KEY})`,
    );
  }
}

/** The header's length, checked against the format's cap and the file's size. `prefix` holds the first bytes. */
function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (fileBytes < PREFIX_BYTES) fail(file, `${fileBytes} bytes are too few for a safetensors file`);
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    fail(file, `a header of ${length} bytes is over the format's limit of ${MAX_HEADER_BYTES}`);
  }
  if (Number(length) > fileBytes - PREFIX_BYTES) {
    fail(file, `the header should have ${length} bytes but the file ends after ${fileBytes - PREFIX_BYTES} of them`);
  }
  return Number(length);
}

function copyOut({ dtype, begin, end }: Entry, data: Uint8Array): StoredArray {
  const { buffer } = data.slice(begin, end); // A copy: aligned, and not the caller's memory.
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'I32') return new Int32Array(buffer);
  if (dtype === 'F64') return new Float64Array(buffer);
  return dtype === 'I64' ? new BigInt64Array(buffer) : new Uint8Array(buffer);
}

/**
 * Parses a whole safetensors file held in memory; the result shares no memory with it.
 * Throws CheckpointError `[safetensors] file: reason` for anything malformed, cut or (with a checksum) changed.
 */
export function parseSafetensors(bytes: Uint8Array, file = 'buffer', options: ReadOptions = {}): SafetensorsFile {
  const headerEnd = PREFIX_BYTES + headerLength(bytes, bytes.length, file);
  const { entries, metadata } = parseHeader(bytes.subarray(PREFIX_BYTES, headerEnd), bytes.length - headerEnd, file);
  verifyDigest(bytes, headerEnd, metadata, file, options);
  metadata.delete(FORMAT_KEY);
  metadata.delete(DIGEST_KEY);
  // Not a Buffer, whose slice() would share memory.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + headerEnd, bytes.length - headerEnd);
  const tensors: Record<string, StoredTensor> = Object.create(null);
  for (const entry of entries) tensors[entry.name] = { shape: entry.shape, data: copyOut(entry, data) };
  const plainMetadata: Record<string, string> = Object.create(null);
  for (const [key, text] of metadata) plainMetadata[key] = text;
  return { tensors, metadata: plainMetadata };
}

function dtypeOf(name: string, data: unknown): StoredDType {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Int32Array) return 'I32';
  if (data instanceof Uint8Array) return 'U8';
  if (data instanceof Float64Array) return 'F64';
  if (data instanceof BigInt64Array) return 'I64';
  const came = Object.prototype.toString.call(data);
  throw new ArgumentError(
    `[safetensors] tensor ${JSON.stringify(name)}: expected a Float32Array, Int32Array, Uint8Array, Float64Array or ` +
      `BigInt64Array, got ${came}`,
  );
}

/** Entries in the order they are laid out: wider items first, so that every tensor is aligned; then by name. */
function layOut(tensors: Readonly<Record<string, StoredTensor>>): Entry[] {
  const items = Object.entries(tensors).map(([name, { shape, data }]) => {
    if (name === '__metadata__') throw new ArgumentError('[safetensors] a tensor cannot be named __metadata__');
    const dtype = dtypeOf(name, data);
    if (!shape.every(isSize) || bytesOf(shape, ITEM_BYTES[dtype]) !== data.byteLength) {
      throw new ShapeError(
        `[safetensors] tensor ${JSON.stringify(name)}: shape [${shape.join(', ')}] does not hold ${data.length} elements`,
      );
    }
    return { name, dtype, shape, bytes: data.byteLength };
  });
  items.sort((a, b) => ITEM_BYTES[b.dtype] - ITEM_BYTES[a.dtype] || (a.name < b.name ? -1 : 1));
  let position = 0;
  return items.map(({ bytes, ...item }) => {
    const begin = position;
    position += bytes;
    return { ...item, begin, end: position };
  });
}

/** The bytes of a safetensors file, checksum included. The same tensors and metadata give the same bytes. */
export function encodeSafetensors(
  tensors: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  for (const [key, text] of Object.entries(metadata)) {
    if (key === FORMAT_KEY || key === DIGEST_KEY)
      throw new ArgumentError(`[safetensors] metadata key ${key} is reserved`);
    if (typeof text !== 'string') throw new ArgumentError(`[safetensors] metadata ${key} is not a string`);
  }
  const entries = layOut(tensors);
  // The checksum's keys come first; Object.fromEntries keeps a key like __proto__ an ordinary one.
  const pairs = [[FORMAT_KEY, FORMAT], [DIGEST_KEY, BLANK_DIGEST], ...Object.entries(metadata)];
  const header = Object.fromEntries([
    ['__metadata__', Object.fromEntries(pairs)],
    ...entries.map(({ name, dtype, shape, begin, end }) => [name, { dtype, shape, data_offsets: [begin, end] }]),
  ]);
  const json = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ArgumentError(`[safetensors] a header of ${headerBytes} bytes is over the limit of ${MAX_HEADER_BYTES}`);
  }
  const dataAt = PREFIX_BYTES + headerBytes;
  const bytes = Buffer.alloc(dataAt + (entries.at(-1)?.end ?? 0), ' ');
  bytes.writeBigUInt64LE(BigInt(headerBytes));
  json.copy(bytes, PREFIX_BYTES);
  for (const { name, begin } of entries) {
    const { data } = tensors[name]!;
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), dataAt + begin);
  }
  const digestAt = findDigest(bytes, dataAt);
  bytes.write(digestOf(bytes, digestAt), digestAt, 'latin1');
  return bytes;
}

/**
 * Saves atomically: the old file stays whole until the new one is. The tensors are copied before the first await, so
 * the caller may go on changing them. Throws CheckpointError naming the file when the disk refuses.
 */
export async function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>> = {},
  io: AtomicIo = nodeIo,
): Promise<void> {
  const bytes = encodeSafetensors(tensors, metadata);
  try {
    await writeAtomic(path, (write) => write(bytes), io);
  } catch (error) {
    throw new CheckpointError(`[safetensors] ${path}: cannot be saved: ${(error as Error).message}`, { cause: error });
  }
}

/** Reads and checks a file. Throws CheckpointError naming file and reason. */
export async function loadSafetensors(path: string, options: ReadOptions = {}): Promise<SafetensorsFile> {
  let bytes: Uint8Array;
  try {
    const handle = await nodeIo.open(path, 'r');
    try {
      const { size } = await handle.stat();
      const prefix = Buffer.alloc(PREFIX_BYTES);
      await handle.read(prefix, 0, PREFIX_BYTES, 0);
      headerLength(prefix, size, path); // A file of another kind is refused before it is read into memory.
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(`[safetensors] ${path}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parseSafetensors(bytes, path, options);
}
