// Reads protocol buffers' wire format: a message is a run of fields, each a number, a wire type and a value. Called by
// schema.ts, which knows the fields of ONNX. The rule easy to break: a length is checked against what is left before it is
// used, nested messages are views of the same bytes, and nothing is copied or allocated by a length alone.
import { refuse } from '../tensors';

const FORMAT = 'onnx';
/** Wire types. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

export interface Field {
  readonly number: number;
  readonly wire: number;
  /** Of BYTES: the content. Of FIXED32 and FIXED64: its bytes. Of VARINT: empty. */
  readonly bytes: Uint8Array;
  /** Of VARINT: a signed 64-bit integer, as near as a number holds it. Otherwise 0. */
  readonly value: number;
}

const NONE = new Uint8Array(0);

/** One message: its bytes, and the file it is of, for errors. */
export class Message {
  readonly bytes: Uint8Array;
  readonly file: string;

  constructor(bytes: Uint8Array, file: string) {
    this.bytes = bytes;
    this.file = file;
  }

  fail(reason: string): never {
    refuse(FORMAT, this.file, reason);
  }

  /** Its fields in the order they are written. */
  *fields(): Generator<Field> {
    let at = 0;
    while (at < this.bytes.length) {
      const tag = this.varint(at);
      at = tag.end;
      const number = Math.floor(tag.value / 8);
      const wire = tag.value % 8;
      if (tag.value < 8 || number > 2 ** 29) this.fail(`a field has the tag ${tag.value}`);
      if (wire === VARINT) {
        const { value, end } = this.varint(at);
        yield { number, wire, bytes: NONE, value };
        at = end;
        continue;
      }
      const fixed = wire === FIXED64 ? 8 : wire === FIXED32 ? 4 : undefined;
      if (fixed === undefined && wire !== BYTES) this.fail(`field ${number} has wire type ${wire}`);
      const { value: length, end: begin } = fixed === undefined ? this.varint(at) : { value: fixed, end: at };
      if (length < 0 || length > this.bytes.length - begin) {
        this.fail(`field ${number} has ${length} bytes, ${this.bytes.length - begin} are left`);
      }
      yield { number, wire, bytes: this.bytes.subarray(begin, begin + length), value: 0 };
      at = begin + length;
    }
  }

  /** A signed 64-bit integer of 1 to 10 bytes, seven bits each, low ones first. */
  varint(at: number): { value: number; end: number } {
    let [low, high, scale] = [0, 0, 1];
    for (let index = 0; index < 10; index += 1) {
      const byte = this.bytes[at + index];
      if (byte === undefined) this.fail('it ends inside a number');
      // Bits 0 to 27 in `low`, 28 to 63 in `high`.
      if (index < 4) low += (byte & 127) * scale;
      else high += (byte & 127) * scale;
      scale = index === 3 ? 1 : scale * 128;
      if (byte < 128) {
        const upper = high % 2 ** 36;
        return { value: (upper >= 2 ** 35 ? upper - 2 ** 36 : upper) * 2 ** 28 + low, end: at + index + 1 };
      }
    }
    this.fail('a number has more than 10 bytes');
  }

  /** The integers of a repeated field: one of VARINT, or packed into BYTES. */
  integers({ wire, bytes, value }: Field): number[] {
    if (wire === VARINT) return [value];
    if (wire !== BYTES) this.fail(`expected integers, got wire type ${wire}`);
    const packed = new Message(bytes, this.file);
    const values: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const { value: item, end } = packed.varint(at);
      values.push(item);
      at = end;
    }
    return values;
  }

  /** The floats of a repeated field of so many bytes each (4 or 8): one alone, or packed into BYTES. */
  reals({ wire, bytes }: Field, size: 4 | 8): number[] {
    const alone = size === 4 ? FIXED32 : FIXED64;
    if ((wire !== alone && wire !== BYTES) || bytes.length % size !== 0) this.fail(`expected floats of ${size} bytes`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const read = (at: number): number => (size === 4 ? view.getFloat32(at, true) : view.getFloat64(at, true));
    return Array.from({ length: bytes.length / size }, (_, index) => read(index * size));
  }

  /** A field that is a message of its own. */
  message({ wire, bytes, number }: Field): Message {
    if (wire !== BYTES) this.fail(`field ${number} is no message`);
    return new Message(bytes, this.file);
  }

  text({ wire, bytes, number }: Field): string {
    if (wire !== BYTES) this.fail(`field ${number} is no text`);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  }
}
