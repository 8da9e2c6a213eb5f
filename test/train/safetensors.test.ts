// Safetensors: bytes as other tools write them, every malformed header, every bit flip and truncation, and saves that
// fail at each call in turn. The last test kills a process while it saves.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import nodeIo, { type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { AtomicIo } from '../../src/data/atomicFile';
import { ArgumentError, CheckpointError, ShapeError } from '../../src/errors';
import {
  encodeSafetensors,
  loadSafetensors,
  parseSafetensors,
  type StoredTensor,
  saveSafetensors,
} from '../../src/train/safetensors';

const folder = mkdtempSync(join(tmpdir(), 'gramian-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file from the text of its header and its data, without a checksum, as another tool would write it. */
function file(header: string | Uint8Array, data: Uint8Array | number = 0, length?: number | bigint): Buffer {
  const json = Buffer.from(header as string);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(length ?? json.length));
  return Buffer.concat([prefix, json, typeof data === 'number' ? Buffer.alloc(data) : data]);
}

const tensors = (): Record<string, StoredTensor> => ({
  'stem/w': { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, Number.NaN, Infinity, -0) },
  step: { shape: [], data: Int32Array.of(-7) },
  bytes: { shape: [3], data: Uint8Array.of(0, 128, 255) },
  doubles: { shape: [1, 2], data: Float64Array.of(Math.PI, -1e300) },
  big: { shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
  empty: { shape: [0, 5], data: new Float32Array(0) },
});

describe('format', () => {
  it('reads a file written by hand', () => {
    const data = Buffer.alloc(12);
    data.writeFloatLE(1.5, 0);
    data.writeFloatLE(-2, 4);
    data.writeInt32LE(-3, 8);
    const header =
      '{"b":{"dtype":"I32","shape":[1],"data_offsets":[8,12]},"__metadata__":{"made by":"hand"},' +
      '"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}   ';
    const read = parseSafetensors(file(header, data));
    expect({ ...read.metadata }).toEqual({ 'made by': 'hand' });
    expect({ ...read.tensors }).toEqual({
      a: { shape: [2, 1], data: Float32Array.of(1.5, -2) },
      b: { shape: [1], data: Int32Array.of(-3) },
    });
  });
  it('reads files without tensors, without metadata, with escapes, and at odd offsets', () => {
    expect({ ...parseSafetensors(file('{}')).tensors }).toEqual({});
    const header = '{ "\\u00e9\\n{\\"" : {"shape" : [ ] , "dtype":"U8","data_offsets":[0,1]}}';
    const whole = Buffer.concat([Buffer.alloc(3), file(header, Uint8Array.of(9))]);
    expect({ ...parseSafetensors(whole.subarray(3)).tensors }).toEqual({
      'é\n{"': { shape: [], data: Uint8Array.of(9) },
    });
  });
  it('round trips every dtype, scalars and empty tensors, and the metadata', () => {
    const metadata = { model: 'cfpn', note: 'é "quoted" \n', '': 'empty key', __proto__x: '1' };
    const bytes = encodeSafetensors(tensors(), metadata);
    const read = parseSafetensors(bytes);
    expect({ ...read.tensors }).toEqual(tensors());
    expect({ ...read.metadata }).toEqual(metadata);
    expect(Buffer.compare(encodeSafetensors(tensors(), metadata), bytes)).toBe(0);
  });
  it('keeps hostile names ordinary', () => {
    const data = Uint8Array.of(1);
    const names = ['__proto__', 'constructor', 'toString', '', '0', '"gramian.sha256":"', '\u0000', '💡'];
    const all = Object.fromEntries(names.map((name) => [name, { shape: [1], data }]));
    const metadata = Object.fromEntries(names.map((name) => [name, name]));
    const read = parseSafetensors(encodeSafetensors(all, metadata));
    expect(Object.keys(read.tensors).sort()).toEqual([...names].sort());
    expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort());
    expect(read.tensors.hasOwnProperty).toBeUndefined();
  });
  it('aligns data to 8 bytes and every tensor to its items, as the format asks', () => {
    const bytes = Buffer.from(encodeSafetensors(tensors()));
    const headerBytes = Number(bytes.readBigUInt64LE());
    expect(headerBytes % 8).toBe(0);
    const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString()) as Record<
      string,
      { data_offsets: number[] }
    >;
    expect(header.doubles!.data_offsets[0]! % 8).toBe(0);
    expect(header['stem/w']!.data_offsets[0]! % 4).toBe(0);
    expect(Object.keys(header)[0]).toBe('__metadata__');
  });
  it('shares no memory with its input', () => {
    const bytes = encodeSafetensors({ x: { shape: [2], data: Uint8Array.of(1, 2) } });
    const { x } = parseSafetensors(bytes).tensors;
    bytes.fill(0);
    expect([...x!.data]).toEqual([1, 2]);
    expect(x!.data.buffer.byteLength).toBe(2);
  });
  it('writes views of a larger buffer and Buffers', () => {
    const view = new Float32Array(Float32Array.of(1, 2, 3, 4).buffer, 4, 2);
    const all = { view: { shape: [2], data: view }, buffer: { shape: [2], data: Buffer.from('ab') } };
    const read = parseSafetensors(encodeSafetensors(all));
    expect([...read.tensors.view!.data, ...read.tensors.buffer!.data]).toEqual([2, 3, 97, 98]);
  });
  it('round trips arbitrary tensors', () => {
    const data = fc.oneof(
      fc.float32Array({ maxLength: 9 }),
      fc.int32Array({ maxLength: 9 }),
      fc.uint8Array({ maxLength: 9 }),
      fc.float64Array({ maxLength: 9 }),
      fc.bigInt64Array({ maxLength: 9 }),
    );
    const names = fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__metadata__');
    const metadata = fc.dictionary(fc.string(), fc.string({ unit: 'binary' }), { maxKeys: 4 });
    fc.assert(
      fc.property(fc.dictionary(names, data, { maxKeys: 6 }), metadata, (arrays, meta) => {
        const all = Object.fromEntries(
          Object.entries(arrays).map(([name, d]) => [name, { shape: [d.length, 1], data: d }]),
        );
        const read = parseSafetensors(encodeSafetensors(all, meta));
        expect(Object.entries(read.tensors).sort()).toEqual(Object.entries(all).sort());
        expect({ ...read.metadata }).toEqual({ ...meta });
      }),
      { numRuns: 100 },
    );
  });
});

const one = (fields: string) => `{"a":{${fields}}}`;
const malformed: [string, Buffer, string][] = [
  ['an empty file', Buffer.alloc(0), '0 bytes are too few'],
  ['seven bytes', Buffer.alloc(7), '7 bytes are too few'],
  ['a header of no bytes', Buffer.alloc(8), 'does not begin with {'],
  ['a header longer than the file', file('{}', 0, 3), 'should have 3 bytes but the file ends after 2'],
  ['a header of 100 MB and one', file('{}', 0, 100_000_001), 'over the format’s limit'.replace('’', "'")],
  ['a header of 2^63 bytes', file('{}', 0, 2n ** 63n), "over the format's limit"],
  ['a header of 2^64-1 bytes', file('{}', 0, 2n ** 64n - 1n), "over the format's limit"],
  ['a header of 100 MB in a small file', file('{}', 0, 100_000_000), 'the file ends after 2'],
  ['a header length that cuts the JSON', file('{"__metadata__":{}}', 0, 10), 'is not JSON'],
  ['a space before {', file(' {}'), 'does not begin with {'],
  ['a byte order mark', file('\ufeff{}'), 'does not begin with {'],
  ['an array', file('[]'), 'does not begin with {'],
  ['a number', file('1'), 'does not begin with {'],
  ['an open brace only', file('{'), 'is not JSON'],
  ['a trailing comma', file('{"__metadata__":{},}'), 'is not JSON'],
  ['single quotes', file("{'a':1}"), 'is not JSON'],
  ['two objects', file('{}{}'), 'is not JSON'],
  ['a comment', file('{}//x'), 'is not JSON'],
  ['a NUL after the object', file('{}\0'), 'is not JSON'],
  ['bytes that are not UTF-8', file(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 'not UTF-8'],
  ['a lone continuation byte', file(Buffer.from([0x7b, 0x22, 0x80, 0x22, 0x3a, 0x31, 0x7d])), 'not UTF-8'],
  ['a tensor twice', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'), 'the key "a" twice'],
  [
    'a tensor twice, once escaped',
    file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{}}'),
    '"a" twice',
  ],
  ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), '"__metadata__" twice'],
  ['a metadata key twice', file('{"__metadata__":{"k":"1","k":"2"}}'), '"k" twice'],
  ['dtype twice', file(one('"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]')), '"dtype" twice'],
  ['shape twice', file(one('"shape":[1],"dtype":"U8","shape":[0],"data_offsets":[0,0]')), '"shape" twice'],
  ['metadata of a number', file('{"__metadata__":{"k":1}}'), '__metadata__ key "k" is not a string'],
  ['metadata of null', file('{"__metadata__":{"k":null}}'), '__metadata__ key "k" is not a string'],
  ['a list as metadata', file('{"__metadata__":[]}'), '__metadata__ is not an object'],
  ['a string as metadata', file('{"__metadata__":"x"}'), '__metadata__ is not an object'],
  ['a number as tensor', file('{"a":1}'), 'tensor "a" is not an object'],
  ['null as tensor', file('{"a":null}'), 'tensor "a" is not an object'],
  ['a list as tensor', file('{"a":[]}'), 'tensor "a" is not an object'],
  ['a tensor named __proto__ that is a string', file('{"__proto__":"x"}'), 'tensor "__proto__" is not an object'],
  ['an unknown key', file(one('"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1')), 'unknown key "x"'],
  ['no dtype', file(one('"shape":[0],"data_offsets":[0,0]')), 'has dtype undefined, expected one of F32'],
  ['a half-precision dtype', file(one('"dtype":"BF16","shape":[1],"data_offsets":[0,2]'), 2), 'has dtype "BF16"'],
  ['a dtype in lower case', file(one('"dtype":"f32","shape":[1],"data_offsets":[0,4]'), 4), 'has dtype "f32"'],
  ['a dtype of the prototype', file(one('"dtype":"constructor","shape":[],"data_offsets":[0,4]'), 4), 'has dtype "con'],
  ['a number as dtype', file(one('"dtype":4,"shape":[1],"data_offsets":[0,4]'), 4), 'has dtype 4'],
  ['no shape', file(one('"dtype":"U8","data_offsets":[0,0]')), 'shape that is not a list of whole numbers: undefined'],
  ['a number as shape', file(one('"dtype":"U8","shape":1,"data_offsets":[0,1]'), 1), 'shape that is not a list'],
  [
    'a negative extent',
    file(one('"dtype":"U8","shape":[-1],"data_offsets":[0,1]'), 1),
    'not a list of whole numbers: [-1]',
  ],
  [
    'a fractional extent',
    file(one('"dtype":"U8","shape":[1.5],"data_offsets":[0,1]'), 1),
    'not a list of whole numbers',
  ],
  ['a string extent', file(one('"dtype":"U8","shape":["1"],"data_offsets":[0,1]'), 1), 'not a list of whole numbers'],
  ['a null extent', file(one('"dtype":"U8","shape":[null],"data_offsets":[0,1]'), 1), 'not a list of whole numbers'],
  ['an extent of -0', file(one('"dtype":"U8","shape":[-0],"data_offsets":[0,0]')), 'not a list of whole numbers'],
  [
    'an extent beyond 2^53',
    file(one('"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]'), 1),
    'whole numbers',
  ],
  ['an infinite extent', file(one('"dtype":"U8","shape":[1e999],"data_offsets":[0,1]'), 1), 'whole numbers'],
  [
    'a product beyond 2^53',
    file(one('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]'), 4),
    'too many',
  ],
  [
    'a product that wraps to 0',
    file(one('"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]')),
    'too many',
  ],
  ['no offsets', file(one('"dtype":"U8","shape":[0]')), 'data_offsets that are not two whole numbers: undefined'],
  ['one offset', file(one('"dtype":"U8","shape":[0],"data_offsets":[0]')), 'not two whole numbers'],
  ['three offsets', file(one('"dtype":"U8","shape":[0],"data_offsets":[0,0,0]')), 'not two whole numbers'],
  ['a negative offset', file(one('"dtype":"U8","shape":[1],"data_offsets":[-1,0]'), 1), 'not two whole numbers'],
  ['a fractional offset', file(one('"dtype":"U8","shape":[1],"data_offsets":[0,0.5]'), 1), 'not two whole numbers'],
  ['string offsets', file(one('"dtype":"U8","shape":[1],"data_offsets":["0","1"]'), 1), 'not two whole numbers'],
  ['offsets in reverse', file(one('"dtype":"U8","shape":[1],"data_offsets":[1,0]'), 1), 'lies at bytes 1..0'],
  [
    'an end beyond the data',
    file(one('"dtype":"U8","shape":[2],"data_offsets":[0,2]'), 1),
    'outside the 1 bytes of data',
  ],
  [
    'a tensor far beyond the data',
    file(one('"dtype":"U8","shape":[1],"data_offsets":[1000000,1000001]'), 1),
    'outside',
  ],
  [
    'a size below its shape',
    file(one('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), 4),
    'needs 8 bytes, its offsets give 4',
  ],
  [
    'a size above its shape',
    file(one('"dtype":"F32","shape":[1],"data_offsets":[0,8]'), 8),
    'needs 4 bytes, its offsets give 8',
  ],
  [
    'a scalar of no bytes',
    file(one('"dtype":"F32","shape":[],"data_offsets":[0,0]')),
    'needs 4 bytes, its offsets give 0',
  ],
  [
    'bytes after the last tensor',
    file(one('"dtype":"U8","shape":[1],"data_offsets":[0,1]'), 2),
    'end at byte 1 but there are 2',
  ],
  ['data without tensors', file('{}', 1), 'end at byte 0 but there are 1'],
  ['a hole at the front', file(one('"dtype":"U8","shape":[1],"data_offsets":[1,2]'), 2), 'a hole before tensor "a"'],
  [
    'a hole between',
    file(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}',
      3,
    ),
    'a hole before tensor "b": it begins at 2, expected 1',
  ],
  [
    'an overlap',
    file(
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
      3,
    ),
    'an overlap before tensor "b"',
  ],
  [
    'two tensors in one place',
    file(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ),
    'an overlap before tensor "b"',
  ],
  ['half a checksum: no digest', file('{"__metadata__":{"gramian.format":"1"}}'), 'gramian.sha256 is missing'],
  ['half a checksum: no format', file('{"__metadata__":{"gramian.sha256":"0"}}'), 'gramian.format is undefined'],
  ['a later format', file('{"__metadata__":{"gramian.format":"2","gramian.sha256":"0"}}'), 'gramian.format is "2"'],
  [
    'a checksum of zeros',
    file(`{"__metadata__":{"gramian.format":"1","gramian.sha256":"${'0'.repeat(64)}"}}`),
    'does not match',
  ],
  ['a checksum too short', file('{"__metadata__":{"gramian.format":"1","gramian.sha256":"0"}}'), 'does not match'],
];

describe('malformed files', () => {
  it.each(malformed)('refuses %s', (_, bytes, reason) => {
    expect(() => parseSafetensors(bytes, 'x.safetensors')).toThrow(CheckpointError);
    expect(() => parseSafetensors(bytes, 'x.safetensors')).toThrow('[safetensors] x.safetensors: ');
    expect(() => parseSafetensors(bytes, 'x.safetensors')).toThrow(reason);
  });
  it('answers a deeply nested header with an error', () => {
    const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    expect(() => parseSafetensors(file(deep))).toThrow(CheckpointError);
  });
  it('answers mutated headers with tensors or CheckpointError, nothing else', () => {
    const base = file('{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}', 8);
    const edit = fc.tuple(
      fc.nat(base.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]":,019-e\\ '))),
    );
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const bytes = Buffer.from(base);
        for (const [at, value] of edits) bytes[at] = value;
        try {
          const { tensors: found } = parseSafetensors(bytes);
          for (const { shape, data } of Object.values(found))
            expect(shape.reduce((a, b) => a * b, 1)).toBe(data.length);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('checksum', () => {
  // JSON puts names that are numbers first: some of the header lies before the checksum, some after.
  const numbered = { '7': { shape: [1], data: Uint8Array.of(1) }, ...tensors() };
  const bytes = encodeSafetensors(numbered, { model: 'cfpn', seed: '7', '1': 'first' });
  it('notices every single bit flip of the whole file', () => {
    let missed = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      try {
        parseSafetensors(bytes);
        missed++;
      } catch (error) {
        if (!(error instanceof CheckpointError)) missed++;
      }
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(missed).toBe(0);
    expect(parseSafetensors(bytes).metadata.seed).toBe('7');
  });
  it('can be demanded, so that damage to both of its keys is noticed too', () => {
    const bare = file('{"__metadata__":{}}');
    expect({ ...parseSafetensors(bare).tensors }).toEqual({});
    expect(() => parseSafetensors(bare, 'x', { requireChecksum: true })).toThrow(
      /x: metadata gramian\.format is undefined/,
    );
    expect(parseSafetensors(bytes, 'x', { requireChecksum: true }).metadata.seed).toBe('7');
  });
  it('notices every truncation and every byte too many', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseSafetensors(bytes.subarray(0, length))).toThrow(CheckpointError);
    }
    expect(() => parseSafetensors(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(CheckpointError);
  });
  it('notices exchanged bytes of data, which sizes cannot tell', () => {
    const swapped = Uint8Array.from(bytes);
    const last = swapped.length - 1;
    [swapped[last], swapped[last - 1]] = [swapped[last - 1]!, swapped[last]!];
    expect(() => parseSafetensors(swapped)).toThrow(/the checksum does not match: the file is damaged/);
  });
});

describe('encode refuses', () => {
  const data = new Float32Array(4);
  it.each<[string, Record<string, StoredTensor>, Record<string, string>, typeof ShapeError | typeof ArgumentError]>([
    ['a shape that is too small', { a: { shape: [3], data } }, {}, ShapeError],
    ['a shape that is too large', { a: { shape: [4, 2], data } }, {}, ShapeError],
    ['a scalar of four', { a: { shape: [], data } }, {}, ShapeError],
    ['a negative extent', { a: { shape: [-2, -2], data } }, {}, ShapeError],
    ['a fractional extent', { a: { shape: [1.6, 2.5], data } }, {}, ShapeError],
    ['NaN', { a: { shape: [Number.NaN], data } }, {}, ShapeError],
    ['a tensor named __metadata__', { __metadata__: { shape: [4], data } }, {}, ArgumentError],
    ['reserved metadata', { a: { shape: [4], data } }, { 'gramian.sha256': 'x' }, ArgumentError],
    ['reserved metadata again', {}, { 'gramian.format': '1' }, ArgumentError],
    ['metadata of another type', {}, { epoch: 3 as unknown as string }, ArgumentError],
    ['an unknown array', { a: { shape: [1], data: new Uint16Array(1) as unknown as Uint8Array } }, {}, ArgumentError],
    ['a plain list', { a: { shape: [1], data: [1] as unknown as Uint8Array } }, {}, ArgumentError],
  ])('%s', (_, all, metadata, kind) => {
    expect(() => encodeSafetensors(all, metadata)).toThrow(kind);
  });
});

/** Node's calls, of which the n-th (open, write, sync, close, rename, in order) fails, or writes only part. */
function failing(n: number, mode: 'once' | 'forever' | 'short'): { io: AtomicIo; calls: string[] } {
  const calls: string[] = [];
  const hit = (name: string) => {
    calls.push(name);
    return mode === 'forever' ? calls.length >= n : calls.length === n;
  };
  const fault = (name: string) => Object.assign(new Error(`EIO: ${name} failed`), { code: 'EIO' });
  const wrap = (handle: FileHandle) =>
    new Proxy(handle, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        if (key !== 'write' && key !== 'sync' && key !== 'close') return value.bind(target);
        return async (...args: unknown[]) => {
          const failed = hit(key);
          if (failed && key === 'write' && mode === 'short') {
            const [bytes, offset, length] = args as [Uint8Array, number, number];
            return target.write(bytes, offset, Math.ceil(length / 2));
          }
          if (failed && key === 'close') await target.close(); // A close that reports an error has closed all the same.
          if (failed && mode !== 'short') throw fault(key);
          return Reflect.apply(value, target, args);
        };
      },
    });
  const io: AtomicIo = {
    ...nodeIo,
    open: async (...args) => {
      if (hit('open') && mode !== 'short') throw fault('open');
      return wrap(await nodeIo.open(...args));
    },
    rename: async (...args) => {
      if (hit('rename') && mode !== 'short') throw fault('rename');
      return nodeIo.rename(...args);
    },
  };
  return { io, calls };
}

describe('save and load', () => {
  const place = join(folder, 'faults');
  const path = join(place, 'model.safetensors');
  const weights = (value: number) => ({ w: { shape: [50], data: new Float32Array(50).fill(value) } });
  const stored = async () => (await loadSafetensors(path)).tensors.w!.data[0];

  it('round trips through a file and leaves nothing else behind', async () => {
    await nodeIo.mkdir(place);
    await saveSafetensors(path, tensors(), { epoch: '3' });
    const read = await loadSafetensors(path);
    expect({ ...read.tensors }).toEqual(tensors());
    expect({ ...read.metadata }).toEqual({ epoch: '3' });
    expect(readdirSync(place)).toEqual(['model.safetensors']);
  });
  it('saves what the tensors held at the call', async () => {
    const all = weights(1);
    const saving = saveSafetensors(path, all);
    all.w.data.fill(2);
    await saving;
    expect(await stored()).toBe(1);
  });
  it.each(['once', 'forever'] as const)('keeps the old file whole when any call fails (%s)', async (mode) => {
    await saveSafetensors(path, weights(1));
    for (let n = 1; ; n++) {
      const { io, calls } = failing(n, mode);
      const result = await saveSafetensors(path, weights(2), {}, io).catch((error: unknown) => error);
      if (result === undefined) {
        // Calls of a save: open, write, sync, close, rename, then open, sync, close of the folder.
        expect([n, calls.length]).toEqual([9, 8]);
        expect(await stored()).toBe(2);
        break;
      }
      expect(result).toBeInstanceOf(CheckpointError);
      expect((result as Error).message).toMatch(/model\.safetensors: cannot be saved: EIO: \w+ failed/);
      // Up to the rename the old file stays; after it the new one is whole, and only its durability is in doubt.
      expect(await stored()).toBe(n <= 5 ? 1 : 2);
      expect(readdirSync(place)).toEqual(['model.safetensors']);
      await saveSafetensors(path, weights(1));
    }
  });
  it('goes on after a short write', async () => {
    const { io, calls } = failing(2, 'short');
    await saveSafetensors(path, weights(3), {}, io);
    expect(calls.filter((name) => name === 'write').length).toBe(2);
    expect(await stored()).toBe(3);
  });
  it('leaves the last save whole when several run at once', async () => {
    await Promise.all([4, 5, 6, 7].map((value) => saveSafetensors(path, weights(value))));
    expect([4, 5, 6, 7]).toContain(await stored());
    expect(readdirSync(place)).toEqual(['model.safetensors']);
  });
  it('names files and folders that cannot be used', async () => {
    await expect(saveSafetensors(join(folder, 'no', 'x'), weights(1))).rejects.toThrow(CheckpointError);
    await expect(saveSafetensors(folder, weights(1))).rejects.toThrow(/cannot be saved/);
    await expect(loadSafetensors(join(folder, 'none'))).rejects.toThrow(/none: cannot be read: ENOENT/);
    await expect(loadSafetensors(folder)).rejects.toThrow(CheckpointError);
    writeFileSync(join(folder, 'zip'), 'PK\x03\x04 something else entirely');
    await expect(loadSafetensors(join(folder, 'zip'))).rejects.toThrow(/zip: a header of \d+ bytes is over/);
    writeFileSync(join(folder, 'short'), 'abc');
    await expect(loadSafetensors(join(folder, 'short'))).rejects.toThrow(/short: 3 bytes are too few/);
    writeFileSync(join(folder, 'cut'), readFileSync(path).subarray(0, -1));
    await expect(loadSafetensors(join(folder, 'cut'))).rejects.toThrow(/cut: .*outside the 199 bytes of data/);
  });

  it('is whole after a kill in the middle of saving', async () => {
    const source = join(__dirname, '../../src/train/safetensors.ts');
    const script = `
      const { saveSafetensors } = require(${JSON.stringify(source)});
      const run = async () => {
        for (let value = 1; ; value++) {
          const data = new Float32Array(200_000).fill(value);
          await saveSafetensors(${JSON.stringify(path)}, { w: { shape: [200_000], data } });
          if (value === 1) process.stdout.write('saved');
        }
      };
      void run();`;
    for (const delay of [0, 7, 19]) {
      const child = spawn(process.execPath, ['--import', 'tsx', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, delay));
      const gone = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
      child.kill('SIGKILL');
      expect(await gone).toBe('SIGKILL');
      const { data } = (await loadSafetensors(path)).tensors.w!;
      expect(data.length).toBe(200_000);
      expect(new Set(data as Float32Array).size).toBe(1);
    }
  });
});
