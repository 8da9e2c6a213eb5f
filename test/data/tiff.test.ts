// The TIFF reader on files of an independent writer (sharp's libtiff), on files laid out by hand in both byte orders, and on
// damaged ones: it may refuse them but never crash, hang or read beyond them.

import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random';
import { decodeGrayTiff } from '../../src/data/tiff';
import { DataError } from '../../src/errors';

function noise(length: number, seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length }, () => random.below(256));
}

type Entry = [tag: number, type: 1 | 3 | 4, values: number[]];

/** Header, strips, directory; values that do not fit into an entry lie behind it. */
function tiff(strips: Uint8Array[], entries: (offsets: number[]) => Entry[], little = true): Uint8Array {
  const offsets: number[] = [];
  let at = 8;
  for (const strip of strips) {
    offsets.push(at);
    at += strip.length;
  }
  const list = entries(offsets);
  const bytes = Buffer.alloc(at + 2 + 12 * list.length + 4 + list.reduce((sum, [, , v]) => sum + 4 * v.length, 0));
  const put = (value: number, to: number, size: number) => {
    if (little) bytes.writeUIntLE(value, to, size);
    else bytes.writeUIntBE(value, to, size);
  };
  bytes.write(little ? 'II' : 'MM', 'latin1');
  put(42, 2, 2);
  put(at, 4, 4);
  for (const [i, strip] of strips.entries()) bytes.set(strip, offsets[i]);
  put(list.length, at, 2);
  let free = at + 2 + 12 * list.length + 4;
  for (const [i, [tag, type, values]] of list.entries()) {
    const entry = at + 2 + 12 * i;
    const size = { 1: 1, 3: 2, 4: 4 }[type];
    put(tag, entry, 2);
    put(type, entry + 2, 2);
    put(values.length, entry + 4, 4);
    const inside = values.length * size <= 4;
    if (!inside) put(free, entry + 8, 4);
    for (const [k, value] of values.entries()) put(value, (inside ? entry + 8 : free) + k * size, size);
    if (!inside) free += values.length * size;
  }
  return bytes;
}

const basics = (width: number, height: number): Entry[] => [
  [256, 3, [width]],
  [257, 4, [height]],
  [258, 3, [8]],
  [259, 3, [1]],
  [262, 3, [1]],
];

describe('decodeGrayTiff', () => {
  it.each([
    [1, 1],
    [13, 29],
    [256, 256],
  ])('reads what libtiff writes: %i x %i', async (width, height) => {
    const pixels = noise(width * height, width);
    const image = sharp(pixels, { raw: { width, height, channels: 1 } }).toColourspace('b-w');
    const bytes = await image.tiff({ compression: 'none' }).toBuffer();
    expect(decodeGrayTiff(bytes)).toEqual({ height, width, pixels });
  });
  it.each([true, false])('reads strips, little-endian %s, in any order of memory', (little) => {
    const [a, b, c] = [noise(10, 1), noise(10, 2), noise(5, 3)];
    const bytes = tiff(
      [c!, a!, b!],
      ([offC, offA, offB]) => [...basics(5, 5), [273, 4, [offA!, offB!, offC!]], [278, 3, [2]], [279, 3, [10, 10, 5]]],
      little,
    );
    expect(decodeGrayTiff(bytes)).toEqual({ height: 5, width: 5, pixels: Uint8Array.from([...a!, ...b!, ...c!]) });
  });
  it('turns white-is-zero around and does without optional tags', () => {
    const bytes = tiff([Uint8Array.of(0, 100, 255, 7)], ([at]) => [
      [256, 3, [2]],
      [257, 3, [2]],
      [258, 3, [8]],
      [262, 3, [0]],
      [273, 4, [at!]],
      [305, 1, [65, 66, 67, 68, 69, 0]],
    ]);
    expect(decodeGrayTiff(bytes)?.pixels).toEqual(Uint8Array.of(255, 155, 0, 248));
  });
  it('leaves other kinds to another decoder', async () => {
    const gray = sharp(noise(64, 1), { raw: { width: 8, height: 8, channels: 1 } }).toColourspace('b-w');
    const colour = sharp(noise(192, 1), { raw: { width: 8, height: 8, channels: 3 } });
    expect(decodeGrayTiff(await gray.clone().tiff({ compression: 'lzw' }).toBuffer())).toBeUndefined();
    expect(decodeGrayTiff(await gray.clone().tiff({ compression: 'none', tile: true }).toBuffer())).toBeUndefined();
    expect(decodeGrayTiff(await colour.tiff({ compression: 'none' }).toBuffer())).toBeUndefined();
    const turned = tiff([noise(4, 1)], ([at]) => [...basics(2, 2), [273, 4, [at!]], [274, 3, [6]]]);
    expect(decodeGrayTiff(turned)).toBeUndefined();
    expect(decodeGrayTiff(Uint8Array.of(0x49, 0x49, 43, 0, 8, 0, 0, 0))).toBeUndefined();
  });
  it.each([
    ['nothing', () => new Uint8Array(), 'does not begin with II or MM'],
    ['text', () => Buffer.from('this is no picture'), 'does not begin with II or MM'],
    ['a wrong version', () => Uint8Array.of(0x49, 0x49, 41, 0, 8, 0, 0, 0), 'its version is 41'],
    ['a directory beyond the end', () => Uint8Array.of(0x49, 0x49, 42, 0, 255, 255, 0, 0), 'the file ends after 8'],
    ['no rows', () => tiff([noise(4, 1)], ([at]) => [...basics(2, 0), [273, 4, [at!]]]), 'its size is 0x2'],
    [
      'more pixels than bytes',
      () => tiff([noise(4, 1)], ([at]) => [...basics(60000, 60000), [273, 4, [at!]]]),
      'pixels',
    ],
    ['a short strip', () => tiff([noise(4, 1)], ([at]) => [...basics(9, 9), [273, 4, [at! + 30]]]), 'strip 0 needs 81'],
    [
      'a strip declared short',
      () => tiff([noise(9, 1)], ([at]) => [...basics(3, 3), [273, 4, [at!]], [279, 3, [8]]]),
      'strip 0 needs 9 bytes at 8, it has 8',
    ],
    [
      'too few strips',
      () => tiff([noise(9, 1)], ([at]) => [...basics(3, 3), [273, 4, [at!]], [278, 3, [1]]]),
      'need 3 offsets, it has 1',
    ],
    [
      'too many strips',
      () => tiff([noise(9, 1)], ([at]) => [...basics(3, 3), [273, 4, [at!, at!, at!]], [278, 3, [3]]]),
      'need 1 offsets, it has 3',
    ],
  ])('names what is wrong with %s', (_, make, reason) => {
    expect(() => decodeGrayTiff(make(), 'x.tiff')).toThrow(DataError);
    expect(() => decodeGrayTiff(make(), 'x.tiff')).toThrow(`[tiff] x.tiff: `);
    expect(() => decodeGrayTiff(make(), 'x.tiff')).toThrow(reason);
  });
  it('answers or refuses any damaged file', () => {
    const whole = tiff([noise(30, 1), noise(6, 2)], (at) => [
      ...basics(6, 6),
      [273, 4, at],
      [278, 3, [5]],
      [279, 4, [30, 6]],
    ]);
    fc.assert(
      fc.property(
        fc.nat(whole.length),
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
        (length, changes) => {
          const bytes = Uint8Array.from(whole);
          for (const [at, value] of changes) bytes[at] = value;
          try {
            const found = decodeGrayTiff(bytes.subarray(0, length));
            if (found) expect(found.pixels.length).toBe(found.height * found.width);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
