// Reads the PNG files this project writes, from the standard's text and not from the encoder: every chunk's CRC is
// computed bit by bit, rows must carry filter 0. For tests.
import { inflateSync } from 'node:zlib';

export interface Decoded {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly pixels: Uint8Array;
}

/** CRC-32 of ISO 3309, reflected polynomial 0xEDB88320. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

export function decodePng(file: Buffer): Decoded {
  if (file.subarray(0, 8).toString('hex') !== '89504e470d0a1a0a') throw new Error('no PNG signature');
  const chunks = new Map<string, Buffer>();
  let at = 8;
  while (at < file.length) {
    const length = file.readUInt32BE(at);
    const body = file.subarray(at + 4, at + 8 + length);
    const type = body.subarray(0, 4).toString('latin1');
    if (file.readUInt32BE(at + 8 + length) !== crc32(body)) throw new Error(`wrong CRC of ${type}`);
    chunks.set(type, body.subarray(4));
    at += 12 + length;
  }
  if ([...chunks.keys()].join() !== 'IHDR,IDAT,IEND') throw new Error(`chunks ${[...chunks.keys()]}`);
  const header = chunks.get('IHDR')!;
  const [width, height, colorType] = [header.readUInt32BE(0), header.readUInt32BE(4), header[9]];
  if (header[8] !== 8 || header.subarray(10).some((byte) => byte !== 0)) throw new Error('not 8 bits, plain');
  const channels = { 0: 1, 2: 3, 6: 4 }[colorType as 0 | 2 | 6];
  const rows = inflateSync(chunks.get('IDAT')!);
  const stride = width * channels;
  if (rows.length !== (stride + 1) * height) throw new Error(`${rows.length} bytes of rows`);
  const pixels = new Uint8Array(stride * height);
  for (let y = 0; y < height; y += 1) {
    if (rows[y * (stride + 1)] !== 0) throw new Error('a filter that is not 0');
    pixels.set(rows.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)), y * stride);
  }
  return { width, height, channels, pixels };
}
