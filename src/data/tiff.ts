// Reads the plainest TIFF: one 8-bit grey sample a pixel, not compressed, in strips. JAFFE comes as such files, so it needs
// no decoder beside the engine. Called by imageFiles.ts. Source: Adobe, TIFF Revision 6.0, 1992, sections 2 and 3.
// The rule easy to break: every offset and count in the file is checked against its size before it is followed.
import { DataError } from '../errors';

export interface GrayPixels {
  readonly height: number;
  readonly width: number;
  /** [height, width], 0 black to 255 white. */
  readonly pixels: Uint8Array;
}

const TAG = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  offsets: 273,
  orientation: 274,
  samples: 277,
  rowsPerStrip: 278,
  byteCounts: 279,
} as const;
const TAGS = new Map<number, keyof typeof TAG>(
  Object.entries(TAG).map(([name, tag]) => [tag, name as keyof typeof TAG]),
);

/** Bytes of the integer types: BYTE, SHORT, LONG. */
const ITEM_BYTES: Readonly<Record<number, number>> = { 1: 1, 3: 2, 4: 4 };
const ENTRY_BYTES = 12;
const [WHITE_IS_ZERO, BLACK_IS_ZERO] = [0, 1];

type Fields = Partial<Record<keyof typeof TAG, number[]>>;

class TiffReader {
  readonly #view: DataView;
  readonly #file: string;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, file: string) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
    const order = bytes.length < 8 ? '' : String.fromCharCode(bytes[0]!, bytes[1]!);
    if (order !== 'II' && order !== 'MM') this.fail('not a TIFF file: it does not begin with II or MM');
    this.#little = order === 'II';
  }

  fail(reason: string): never {
    throw new DataError(`[tiff] ${this.#file}: ${reason}`);
  }

  /** The number of `size` bytes at `at`. */
  number(at: number, size: number): number {
    if (at + size > this.#view.byteLength) {
      this.fail(`byte ${at + size} is wanted, but the file ends after ${this.#view.byteLength}`);
    }
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, this.#little) : this.#view.getUint32(at, this.#little);
  }

  /** The tags of TAG that the first directory has; values of other types than integers are left out. */
  fields(): Fields {
    const directory = this.number(4, 4);
    const count = this.number(directory, 2);
    const fields: Fields = {};
    for (let i = 0; i < count; i++) {
      const at = directory + 2 + i * ENTRY_BYTES;
      const name = TAGS.get(this.number(at, 2));
      const size = ITEM_BYTES[this.number(at + 2, 2)];
      const items = this.number(at + 4, 4);
      if (name === undefined || size === undefined) continue;
      const from = items * size <= 4 ? at + 8 : this.number(at + 8, 4);
      if (from + items * size > this.#view.byteLength) this.fail(`the values of tag ${TAG[name]} lie beyond its end`);
      fields[name] = Array.from({ length: items }, (_, k) => this.number(from + k * size, size));
    }
    return fields;
  }
}

/** Whether these fields describe what this reader reads. Absent ones have the defaults of the specification. */
function isPlain(fields: Fields): boolean {
  const one = (name: keyof Fields, fallback: number) => fields[name]?.[0] ?? fallback;
  const photometric = one('photometric', -1);
  return (
    one('compression', 1) === 1 &&
    one('bits', 1) === 8 &&
    one('samples', 1) === 1 &&
    one('orientation', 1) === 1 &&
    (photometric === WHITE_IS_ZERO || photometric === BLACK_IS_ZERO) &&
    fields.offsets !== undefined
  );
}

/** Copies the strips one below the other. */
function readStrips(bytes: Uint8Array, fields: Fields, height: number, width: number, reader: TiffReader): Uint8Array {
  const { offsets = [], byteCounts } = fields;
  const rowsPerStrip = Math.min(height, fields.rowsPerStrip?.[0] ?? height);
  const strips = rowsPerStrip < 1 ? 0 : Math.ceil(height / rowsPerStrip);
  if (strips === 0 || offsets.length !== strips) {
    reader.fail(`${height} rows in strips of ${rowsPerStrip} need ${strips} offsets, it has ${offsets.length}`);
  }
  for (const [strip, from] of offsets.entries()) {
    const wanted = Math.min(rowsPerStrip, height - strip * rowsPerStrip) * width;
    const there = Math.min(byteCounts?.[strip] ?? wanted, bytes.length - from);
    if (there < wanted) reader.fail(`strip ${strip} needs ${wanted} bytes at ${from}, it has ${Math.max(0, there)}`);
  }
  const pixels = new Uint8Array(height * width);
  for (const [strip, from] of offsets.entries()) {
    const at = strip * rowsPerStrip * width;
    pixels.set(bytes.subarray(from, from + Math.min(rowsPerStrip * width, pixels.length - at)), at);
  }
  return pixels;
}

/**
 * The first image of a TIFF file held in memory; undefined when it is of another kind (compressed, colour, not 8 bits,
 * turned, tiled, BigTIFF), which is for another decoder. Throws DataError `[tiff] file: reason` for a damaged file.
 */
export function decodeGrayTiff(bytes: Uint8Array, file = 'buffer'): GrayPixels | undefined {
  const reader = new TiffReader(bytes, file);
  const version = reader.number(2, 2);
  if (version === 43) return undefined;
  if (version !== 42) reader.fail(`not a TIFF file: its version is ${version}, expected 42`);
  const fields = reader.fields();
  if (!isPlain(fields)) return undefined;
  const [width = 0, height = 0] = [fields.width?.[0], fields.height?.[0]];
  if (width < 1 || height < 1) reader.fail(`its size is ${height}x${width}`);
  // No allocation beyond the file: every pixel has a byte in it.
  if (height * width > bytes.length) reader.fail(`${height}x${width} pixels are more than its ${bytes.length} bytes`);
  const pixels = readStrips(bytes, fields, height, width, reader);
  if (fields.photometric![0] === WHITE_IS_ZERO) for (let i = 0; i < pixels.length; i++) pixels[i] = 255 - pixels[i]!;
  return { height, width, pixels };
}
