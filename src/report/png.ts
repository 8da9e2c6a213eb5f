// Writes PNG files (ISO/IEC 15948) of 8-bit grey, RGB or RGBA pixels, with node:zlib doing the deflate. Called by
// features.ts. Rows carry filter 0: the pictures are small, and blocks of flat colour deflate well without filters.
import { deflateSync, crc32 as zlibCrc32 } from 'node:zlib';
import { ArgumentError } from '../errors';

/** PNG's colour type for a number of channels. */
const COLOR_TYPE: Record<number, number> = { 1: 0, 3: 2, 4: 6 };
const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(zlibCrc32(body), body.length + 4);
  return framed;
}

/**
 * Bytes of a PNG file.
 * @param pixels height x width x channels, row by row; channels 1 (grey), 3 (RGB) or 4 (RGBA).
 * @throws ArgumentError when the numbers do not fit each other.
 */
export function encodePng(width: number, height: number, channels: number, pixels: Uint8Array): Buffer {
  const colorType = COLOR_TYPE[channels];
  if (colorType === undefined) throw new ArgumentError(`[png] channels expects 1, 3 or 4, got ${channels}`);
  for (const extent of [width, height]) {
    if (!Number.isSafeInteger(extent) || extent < 1 || extent > 0x7fffffff) {
      throw new ArgumentError(`[png] width and height expect positive integers, got ${width}x${height}`);
    }
  }
  const stride = width * channels;
  if (pixels.length !== stride * height) {
    throw new ArgumentError(
      `[png] ${height}x${width}x${channels} needs ${stride * height} bytes, got ${pixels.length}`,
    );
  }
  const rows = Buffer.alloc((stride + 1) * height);
  for (let y = 0; y < height; y += 1) rows.set(pixels.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, colorType, 0, 0, 0], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', new Uint8Array(0)),
  ]);
}
