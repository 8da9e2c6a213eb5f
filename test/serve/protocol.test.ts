// Frames as bytes: what is written is read again, and nothing else is taken for a frame.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVE_LIMITS } from '../../src/serve/limits';
import { type Frame, HEADER_BYTES, readFrame, writeFrame } from '../../src/serve/page/protocol';
import { grey } from './helpers';

const limits = SERVE_LIMITS.frame;

describe('frames', () => {
  it('come back as they were sent', () => {
    const frames = fc.record({
      sequence: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      restart: fc.boolean(),
      width: fc.integer({ min: 16, max: 40 }),
      height: fc.integer({ min: 16, max: 40 }),
      channels: fc.constantFrom(1 as const, 3 as const),
      seed: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(frames, ({ seed, ...rest }) => {
        const size = rest.width * rest.height * rest.channels;
        const frame: Frame = { ...rest, pixels: Uint8Array.from({ length: size }, (_, index) => index * 7 + seed) };
        // Bytes may lie anywhere in a larger buffer, as those of a socket do.
        const message = writeFrame(frame);
        const shifted = new Uint8Array(message.length + 5).subarray(5);
        shifted.set(message);
        const read = readFrame(shifted, limits) as Frame;
        expect({ ...read, pixels: [] }).toEqual({ ...frame, pixels: [] });
        expect(Buffer.compare(read.pixels, frame.pixels)).toBe(0);
      }),
    );
  });

  it('have the layout that docs/serve.md gives', () => {
    const message = writeFrame(grey(0x01020304, { width: 18, height: 17, restart: true, value: 9 }));
    expect([...message.subarray(0, HEADER_BYTES + 1)]).toEqual([1, 1, 18, 0, 17, 0, 1, 0, 4, 3, 2, 1, 9]);
    expect(message.length).toBe(HEADER_BYTES + 18 * 17);
  });

  it('never are other bytes, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const frame = readFrame(bytes, limits);
        if (typeof frame !== 'string') expect(writeFrame(frame)).toEqual(bytes);
      }),
    );
  });

  it('fit the largest message', () => {
    expect(HEADER_BYTES + 3 * limits.maxPixels).toBe(SERVE_LIMITS.messageBytes);
  });

  const good = writeFrame(grey(7));
  const changed = (at: number, ...values: number[]): Uint8Array => {
    const bytes = good.slice();
    bytes.set(values, at);
    return bytes;
  };
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'has 12 bytes or more, got 0'],
    ['a cut header', good.subarray(0, 11), 'got 11'],
    ['another kind', changed(0, 2), 'begins with 1, got 2'],
    ['two channels', changed(1, 2), '1 or 3 channels, got 2'],
    ['no width', changed(2, 0, 0), 'got 0x24'],
    ['a width below the smallest', changed(2, 15, 0), '16 to 2048 pixels wide and high, got 15x24'],
    ['a height above the largest', changed(4, 1, 8), 'got 32x2049'],
    ['too many pixels', changed(2, 0, 8, 0, 8), 'at most, got 2048x2048'],
    ['an unknown flag', changed(6, 2), 'flags are 0 or 1, got 2'],
    ['a byte too few', good.subarray(0, good.length - 1), 'has 780 bytes, got 779'],
    ['a byte too many', Uint8Array.from([...good, 0]), 'has 780 bytes, got 781'],
    ['other channels than it has bytes for', changed(1, 3), '32x24x3 has 2316 bytes'],
  ])('refuse %s', (_, bytes, says) => {
    expect(readFrame(bytes, limits)).toContain(says);
  });
});
