// Reads the float tensors that a TFLite model holds (its weights), by name; its operators are not looked at. The format is a
// FlatBuffer: tables with a list of field offsets each, vectors with a length in front, all reached by offsets of 32 bits.
// Called by users through parseTflite() and loadTflite(). The rule easy to break: every offset and length comes from the
// file, so each is checked against it before it is followed; tables are walked to a fixed depth, so no cycle can trap it.
import fs from 'node:fs/promises';
import { InterchangeError } from '../errors';
import { fromHalf } from './half';
import { countOf, isShape, type NamedTensors, refuse } from './tensors';

const FORMAT = 'tflite';
const IDENTIFIER = 'TFL3';
/** Tensor types of the schema that are read. */
const FLOAT32 = 0;
const FLOAT16 = 1;
/** Numbers of the fields in the schema's tables. */
const MODEL = { subgraphs: 2, buffers: 4 } as const;
const SUBGRAPH = { tensors: 0 } as const;
const TENSOR = { shape: 0, type: 1, buffer: 2, name: 3 } as const;
const BUFFER = { data: 0, offset: 1, size: 2 } as const;

const MAX_NAME = 4096;

/** Part of the file. */
interface Span {
  readonly begin: number;
  readonly length: number;
}

/** Follows offsets within one file and refuses those that leave it. */
class FlatBuffer {
  readonly view: DataView;
  readonly #file: string;

  constructor(bytes: Uint8Array, file: string) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  fail(reason: string): never {
    refuse(FORMAT, this.#file, reason);
  }

  check(at: number, bytes: number, what: string): void {
    if (at >= 0 && at + bytes <= this.view.byteLength) return;
    this.fail(`${what} lies at bytes ${at} to ${at + bytes}, the file has ${this.view.byteLength}`);
  }

  /** Where the offset stored at `at` leads. */
  follow(at: number, what: string): number {
    this.check(at, 4, what);
    return at + this.view.getUint32(at, true);
  }

  /** Address of a table's field of so many bytes, or undefined when the table leaves it out. */
  field(table: number, number: number, bytes: number, what: string): number | undefined {
    this.check(table, 4, what);
    const vtable = table - this.view.getInt32(table, true);
    this.check(vtable, 4, what);
    const entry = 4 + 2 * number;
    if (entry + 2 > this.view.getUint16(vtable, true)) return undefined;
    this.check(vtable, entry + 2, what);
    const offset = this.view.getUint16(vtable + entry, true);
    if (offset === 0) return undefined;
    this.check(table + offset, bytes, what);
    return table + offset;
  }

  /** Items of `bytes` each; empty when the field is left out. */
  vector(table: number, number: number, bytes: number, what: string): Span {
    const at = this.field(table, number, 4, what);
    if (at === undefined) return { begin: 0, length: 0 };
    const begin = this.follow(at, what);
    this.check(begin, 4, what);
    const length = this.view.getUint32(begin, true);
    this.check(begin + 4, length * bytes, what);
    return { begin: begin + 4, length };
  }

  /** Addresses of the tables of a vector. */
  tables(table: number, number: number, what: string): number[] {
    const { begin, length } = this.vector(table, number, 4, what);
    return Array.from({ length }, (_, index) => this.follow(begin + 4 * index, what));
  }

  text(table: number, number: number, what: string): string {
    const { begin, length } = this.vector(table, number, 1, what);
    if (length > MAX_NAME) this.fail(`${what} has ${length} bytes, more than ${MAX_NAME}`);
    return Buffer.from(this.view.buffer, this.view.byteOffset + begin, length).toString('utf8');
  }
}

/** The bytes of a buffer: in the table itself, or in newer files behind the tables. */
function contentOf(file: FlatBuffer, buffer: number): Span {
  const inside = file.vector(buffer, BUFFER.data, 1, 'a buffer');
  if (inside.length > 0) return inside;
  const offsetAt = file.field(buffer, BUFFER.offset, 8, 'a buffer');
  const sizeAt = file.field(buffer, BUFFER.size, 8, 'a buffer');
  if (offsetAt === undefined || sizeAt === undefined) return inside;
  const [offset, size] = [offsetAt, sizeAt].map((at) => Number(file.view.getBigUint64(at, true))) as [number, number];
  // Offsets 0 and 1 say that there is nothing.
  if (offset <= 1 || size === 0) return inside;
  file.check(offset, size, 'a buffer behind the tables');
  return { begin: offset, length: size };
}

function shapeOf(file: FlatBuffer, tensor: number, what: string): number[] {
  const { begin, length } = file.vector(tensor, TENSOR.shape, 4, what);
  if (length > 16) file.fail(`${what} has ${length} dimensions`);
  const shape = Array.from({ length }, (_, axis) => file.view.getInt32(begin + 4 * axis, true));
  const shown = `[${shape.join(', ')}]`;
  return isShape(shape) ? shape : file.fail(`${what} has shape ${shown}`);
}

function floats(file: FlatBuffer, { begin, length }: Span, half: boolean): Float32Array {
  const { view } = file;
  if (half) return Float32Array.from({ length: length / 2 }, (_, i) => fromHalf(view.getUint16(begin + 2 * i, true)));
  return Float32Array.from({ length: length / 4 }, (_, i) => view.getFloat32(begin + 4 * i, true));
}

/** Reads the tensors of one file; each buffer is decoded once, however many tensors name it. */
class TensorReader {
  readonly tensors: NamedTensors = Object.create(null);
  readonly #file: FlatBuffer;
  readonly #buffers: readonly number[];
  readonly #decoded = new Map<string, Float32Array>();
  #bytes = 0;
  #visits = 0;

  constructor(file: FlatBuffer, buffers: readonly number[]) {
    this.#file = file;
    this.#buffers = buffers;
  }

  #decode(content: Span, half: boolean): Float32Array {
    const key = `${content.begin}:${content.length}:${half}`;
    const known = this.#decoded.get(key);
    if (known) return known;
    this.#bytes += content.length;
    // Buffers that lie over each other could ask for any amount of memory.
    if (this.#bytes > this.#file.view.byteLength) this.#file.fail('its buffers overlap');
    const made = floats(this.#file, content, half);
    this.#decoded.set(key, made);
    return made;
  }

  /** Adds a tensor that has content and is of floats. */
  add(tensor: number): void {
    const file = this.#file;
    // Lists of lists could name the same tables any number of times.
    this.#visits += 1;
    if (this.#visits > file.view.byteLength / 8) file.fail('it lists more tensors than it has room for');
    const name = file.text(tensor, TENSOR.name, 'the name of a tensor');
    const what = `tensor ${JSON.stringify(name)}`;
    const typeAt = file.field(tensor, TENSOR.type, 1, what);
    const type = typeAt === undefined ? FLOAT32 : file.view.getInt8(typeAt);
    const bufferAt = file.field(tensor, TENSOR.buffer, 4, what);
    const number = bufferAt === undefined ? 0 : file.view.getUint32(bufferAt, true);
    const buffer = this.#buffers[number];
    if (buffer === undefined) file.fail(`${what} is in buffer ${number}, there are ${this.#buffers.length}`);
    if (type !== FLOAT32 && type !== FLOAT16) return;
    const content = contentOf(file, buffer);
    if (content.length === 0) return;
    const shape = shapeOf(file, tensor, what);
    const needed = countOf(shape) * (type === FLOAT16 ? 2 : 4);
    if (content.length !== needed) {
      file.fail(`${what} of shape [${shape.join(', ')}] takes ${needed} bytes, its buffer has ${content.length}`);
    }
    if (Object.hasOwn(this.tensors, name)) file.fail(`it has the ${what} twice`);
    this.tensors[name] = { shape, data: this.#decode(content, type === FLOAT16) };
  }
}

/**
 * The float32 and float16 tensors with content of a TFLite model in memory, by name, all as float32. Tensors of other types
 * and those that operators compute are left out.
 * Throws InterchangeError `[tflite] file: reason` for anything malformed.
 */
export function parseTflite(bytes: Uint8Array, file = 'buffer'): NamedTensors {
  const flat = new FlatBuffer(bytes, file);
  flat.check(0, 8, 'the head');
  const identifier = Buffer.from(bytes.subarray(4, 8)).toString('latin1');
  if (identifier !== IDENTIFIER)
    flat.fail(`it is no TFLite model: ${JSON.stringify(identifier)} is not "${IDENTIFIER}"`);
  const model = flat.follow(0, 'the model');
  const buffers = flat.tables(model, MODEL.buffers, 'the list of buffers');
  const reader = new TensorReader(flat, buffers);
  for (const subgraph of flat.tables(model, MODEL.subgraphs, 'the list of subgraphs')) {
    for (const tensor of flat.tables(subgraph, SUBGRAPH.tensors, 'the list of tensors')) {
      reader.add(tensor);
    }
  }
  return reader.tensors;
}

/** parseTflite() of a file. Rejects with InterchangeError naming it. */
export async function loadTflite(path: string): Promise<NamedTensors> {
  let bytes: Uint8Array;
  try {
    bytes = await fs.readFile(path);
  } catch (cause) {
    throw new InterchangeError(`[tflite] ${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  return parseTflite(bytes, path);
}
