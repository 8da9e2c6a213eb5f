// TFLite files, made from the schema's definition: what is read, what is left out, and that no change to a file is followed
// out of it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { InterchangeError } from '../../src/errors';
import { loadTflite, parseTflite } from '../../src/interchange/tflite';
import { type MadeTensor, tfliteOf } from './flatBuffer';

const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-tflite-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = (array: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const weight = { name: 'conv/weight', shape: [2, 1, 2], data: bytesOf(Float32Array.of(1, -2, 0.1, 4)) };
const half = { name: 'half', shape: [2], type: 1, data: bytesOf(Uint16Array.of(0x3c00, 0xc100)) };
const integers = { name: 'shape', shape: [2], type: 2, data: new Uint8Array(8) };
const computed = { name: 'result', shape: [1, 5], type: 0, data: new Uint8Array(0) };
const FILE = tfliteOf([weight, half, integers, computed]);

describe('tflite', () => {
  it('reads floats with content, and nothing else', async () => {
    const expected = {
      'conv/weight': { shape: [2, 1, 2], data: Float32Array.of(1, -2, 0.1, 4) },
      half: { shape: [2], data: Float32Array.of(1, -2.5) },
    };
    expect({ ...parseTflite(FILE) }).toEqual(expected);
    // At an odd address too.
    expect({ ...parseTflite(Buffer.concat([Uint8Array.of(9), FILE]).subarray(1)) }).toEqual(expected);
    const file = path.join(folder, 'net.tflite');
    writeFileSync(file, FILE);
    expect({ ...(await loadTflite(file)) }).toEqual(expected);
  });

  it.each<[string, readonly MadeTensor[], string]>([
    [
      'another size',
      [{ ...weight, shape: [3] }],
      'tensor "conv/weight" of shape [3] takes 12 bytes, its buffer has 16',
    ],
    ['a name twice', [weight, weight], 'it has the tensor "conv/weight" twice'],
    ['a negative extent', [{ ...weight, shape: [-4] }], 'has shape [-4]'],
  ])('refuses %s', (_, tensors, message) => {
    const read = () => parseTflite(tfliteOf(tensors), 'x.tflite');
    expect(read).toThrow(InterchangeError);
    expect(read).toThrow(`[tflite] x.tflite: `);
    expect(read).toThrow(message);
  });

  it('refuses other files and one that is not there', async () => {
    expect(() => parseTflite(Uint8Array.of(1, 2, 3))).toThrow('the head lies at bytes 0 to 8');
    expect(() => parseTflite(Buffer.from('....PK34........'))).toThrow('it is no TFLite model: "PK34"');
    await expect(loadTflite(path.join(folder, 'none'))).rejects.toThrow(/\[tflite\] .*none: cannot be read/);
  });

  it('refuses every truncation that cuts something it needs', () => {
    for (let length = 0; length < FILE.length - 16; length += 1) {
      try {
        parseTflite(FILE.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(InterchangeError);
        continue;
      }
      throw new Error(`a file cut to ${length} of ${FILE.length} bytes was taken`);
    }
  });

  it('answers changed bytes with tensors that fit or with InterchangeError', () => {
    const change = fc.array(fc.tuple(fc.nat(FILE.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(change, (changes) => {
        const bytes = Uint8Array.from(FILE);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          for (const { shape, data } of Object.values(parseTflite(bytes)))
            expect(data.length).toBe(shape.reduce((product, extent) => product * extent, 1));
        } catch (error) {
          expect(error).toBeInstanceOf(InterchangeError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
