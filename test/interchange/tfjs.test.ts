// TensorFlow.js weight manifests: every type, several shards, what is refused, and arbitrary changes to a good file.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { InterchangeError } from '../../src/errors';
import { fromBfloat16, fromHalf } from '../../src/interchange/half';
import { loadTfjsWeights, parseTfjsWeights } from '../../src/interchange/tfjs';

const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-tfjs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Weight {
  readonly name: string;
  readonly shape: readonly unknown[];
  readonly dtype: string;
  readonly quantization?: object;
}
const manifestOf = (weights: readonly unknown[], paths: readonly unknown[] = ['a.bin']): string =>
  JSON.stringify([{ paths, weights }]);

/** One weight in one shard. */
const one = (weight: Partial<Weight>, bytes: Uint8Array) =>
  parseTfjsWeights(manifestOf([{ name: 'w', shape: [2], dtype: 'float32', ...weight }]), { 'a.bin': bytes }).w!;
const bytesOf = (array: Float32Array | Int32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe('types', () => {
  it('float32, int32 and bool as they are', () => {
    expect(one({}, bytesOf(Float32Array.of(0.1, -2)))).toEqual({ shape: [2], data: Float32Array.of(0.1, -2) });
    expect(one({ dtype: 'int32' }, bytesOf(Int32Array.of(7, -2))).data).toEqual(Int32Array.of(7, -2));
    expect(one({ dtype: 'bool' }, Uint8Array.of(1, 0)).data).toEqual(Uint8Array.of(1, 0));
  });

  it('quantised to bytes and to 16 bits: scale * stored + min in float64, then float32', () => {
    const quantization = { scale: 0.005793014694662655, min: -0.7125408074435067 };
    const byte = one({ quantization: { ...quantization, dtype: 'uint8' } }, Uint8Array.of(0, 255));
    const expected = [0, 255].map((stored) => stored * quantization.scale + quantization.min);
    expect(byte.data).toEqual(Float32Array.from(expected));
    const word = one({ quantization: { ...quantization, dtype: 'uint16' } }, bytesOf(Uint16Array.of(123, 65535)));
    expect(word.data).toEqual(
      Float32Array.from([123, 65535].map((stored) => stored * quantization.scale + quantization.min)),
    );
  });

  it('quantised integers are rounded', () => {
    const quantization = { dtype: 'uint8', scale: 0.7, min: -3 };
    expect(one({ dtype: 'int32', quantization }, Uint8Array.of(0, 9)).data).toEqual(Int32Array.of(-3, 3));
  });

  it('float16', () => {
    const bits = Uint16Array.of(0x3c00, 0xc100);
    expect(one({ quantization: { dtype: 'float16' } }, bytesOf(bits)).data).toEqual(Float32Array.of(1, -2.5));
  });

  it('a scalar has no extents', () => {
    expect(one({ shape: [] }, bytesOf(Float32Array.of(3)))).toEqual({ shape: [], data: Float32Array.of(3) });
  });
});

describe('16-bit floats', () => {
  it.each([
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, (1023 / 1024) * 2 ** -14],
    [0x0400, 2 ** -14],
    [0x3555, 1365 / 4096],
    [0x7bff, 65504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
    [0x8000, -0],
  ])('half %i is %d', (bits, value) => {
    expect(fromHalf(bits)).toBe(value);
  });

  it.each([
    [0x3f80, 1],
    [0xc000, -2],
    [0x3dcc, 0.099609375],
    [0x7f80, Number.POSITIVE_INFINITY],
  ])('bfloat16 %i is %d', (bits, value) => {
    expect(fromBfloat16(bits)).toBe(value);
  });
});

describe('shards', () => {
  const weights = [
    { name: 'a', shape: [1], dtype: 'bool' },
    { name: 'b', shape: [2], dtype: 'float32' },
  ];
  const bytes = Buffer.concat([Uint8Array.of(1), bytesOf(Float32Array.of(1.5, -7))]);
  const expected = {
    a: { shape: [1], data: Uint8Array.of(1) },
    b: { shape: [2], data: Float32Array.of(1.5, -7) },
  };

  it('hold tensors without alignment, also across their borders', () => {
    const manifest = manifestOf(weights, ['x.bin', 'y.bin']);
    const shards = { 'x.bin': bytes.subarray(0, 3), 'y.bin': bytes.subarray(3) };
    expect({ ...parseTfjsWeights(manifest, shards) }).toEqual(expected);
  });

  it('of a model.json and of several groups are read beside it', async () => {
    const groups = [
      { paths: ['first.bin'], weights: [weights[0]] },
      { paths: ['deep/second.bin'], weights: [weights[1]] },
    ];
    const file = path.join(folder, 'model.json');
    writeFileSync(file, JSON.stringify({ format: 'graph-model', weightsManifest: groups }));
    writeFileSync(path.join(folder, 'first.bin'), bytes.subarray(0, 1));
    await expect(loadTfjsWeights(file)).rejects.toThrow(/\[tfjs\] .*model\.json: cannot be read: .*second\.bin/);
    const { mkdirSync } = await import('node:fs');
    mkdirSync(path.join(folder, 'deep'));
    const second = path.join(folder, 'deep', 'second.bin');
    writeFileSync(second, bytes.subarray(1));
    expect({ ...(await loadTfjsWeights(file)) }).toEqual(expected);
    truncateSync(second, 7);
    await expect(loadTfjsWeights(file)).rejects.toThrow('its weights take 8 bytes but deep/second.bin have 7');
  });
});

describe('what is refused', () => {
  const good = { name: 'w', shape: [2], dtype: 'float32' };
  it.each([
    ['no JSON', '[', 'it is not JSON'],
    ['another JSON', '{"layers":[]}', 'expected a list of groups'],
    ['a group without paths', '[{"weights":[]}]', 'a group of weights'],
    ['no name', manifestOf([{ shape: [2], dtype: 'float32' }]), 'a weight without a name'],
    ['a negative extent', manifestOf([{ ...good, shape: [-2] }]), 'has shape [-2]'],
    ['half an extent', manifestOf([{ ...good, shape: [1.5] }]), 'has shape [1.5]'],
    ['too many values', manifestOf([{ ...good, shape: [65536, 65536] }]), 'has shape [65536,65536]'],
    ['strings', manifestOf([{ ...good, dtype: 'string' }]), 'has dtype "string"'],
    ['another quantisation', manifestOf([{ ...good, quantization: { dtype: 'int8' } }]), 'quantized as "int8"'],
    ['no scale', manifestOf([{ ...good, quantization: { dtype: 'uint8', min: 0 } }]), 'needs a finite scale'],
    ['a quantised bool', manifestOf([{ ...good, dtype: 'bool', quantization: { dtype: 'float16' } }]), 'cannot be'],
    ['a name twice', manifestOf([good, good]), 'has the weight "w" twice'],
    ['a path upwards', manifestOf([good], ['../a.bin']), 'a shard is a file beside the manifest'],
    ['an absolute path', manifestOf([good], ['/a.bin']), 'a shard is a file beside the manifest'],
    ['another drive', manifestOf([good], ['c:a.bin']), 'a shard is a file beside the manifest'],
    ['an address', manifestOf([good], ['https://a/b.bin']), 'a shard is a file beside the manifest'],
    ['a shard twice', manifestOf([{ ...good, shape: [4] }], ['a.bin', './a.bin']), 'it has the shard "./a.bin" twice'],
    ['a missing shard', manifestOf([good], ['b.bin']), 'the shard "b.bin" is missing'],
    ['too few bytes', manifestOf([{ ...good, shape: [3] }]), 'its weights take 12 bytes but a.bin have 8'],
    ['too many bytes', manifestOf([{ ...good, shape: [1] }]), 'its weights take 4 bytes but a.bin have 8'],
  ])('%s', (_, manifest, message) => {
    const read = () => parseTfjsWeights(manifest, { 'a.bin': new Uint8Array(8) }, 'm.json');
    expect(read).toThrow(InterchangeError);
    expect(read).toThrow('[tfjs] m.json: ');
    expect(read).toThrow(message);
  });

  it('answers changed manifests with tensors that fit or with InterchangeError', () => {
    const quantization = { dtype: 'uint8', scale: 0.5, min: -1 };
    const manifest = manifestOf([good, { name: 'q', shape: [2, 2], dtype: 'float32', quantization }]);
    fc.assert(
      fc.property(fc.nat(manifest.length - 1), fc.string({ maxLength: 3 }), fc.nat(3), (at, text, cut) => {
        const changed = manifest.slice(0, at) + text + manifest.slice(at + cut);
        try {
          for (const { shape, data } of Object.values(parseTfjsWeights(changed, { 'a.bin': new Uint8Array(12) })))
            expect(data.length).toBe(shape.reduce((product, extent) => product * extent, 1));
        } catch (error) {
          expect(error).toBeInstanceOf(InterchangeError);
        }
      }),
    );
  });
});
