// The IDX reader: values, both compressions, the names it finds, and every way a file can be wrong.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { idxDataset, parseIdx, readIdx, readIdxFolder, writeIdx } from '../../src/data/idx';
import { ArgumentError, DataError } from '../../src/errors';
import { tempFolder } from './tempFolder';

const folder = tempFolder();

/** An IDX file of u8 zeros unless told otherwise. */
function idx(
  dims: number[],
  { type = 8, data = undefined as Uint8Array | undefined, rank = dims.length } = {},
): Buffer {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header[2] = type;
  header[3] = rank;
  for (const [i, extent] of dims.entries()) header.writeUInt32BE(extent, 4 + 4 * i);
  const size = dims.reduce((a, b) => a * b, 1);
  return Buffer.concat([header, data ?? Buffer.alloc(size < 1e6 ? size : 0)]);
}

describe('parseIdx', () => {
  it('reads extents and bytes', () => {
    const { dims, data } = parseIdx(idx([2, 1, 3], { data: Uint8Array.of(1, 2, 3, 4, 5, 255) }));
    expect(dims).toEqual([2, 1, 3]);
    expect([...data]).toEqual([1, 2, 3, 4, 5, 255]);
  });
  it('reads at any offset of a larger buffer', () => {
    const whole = Buffer.concat([Buffer.of(9, 9, 9), idx([2], { data: Uint8Array.of(7, 8) })]);
    expect([...parseIdx(whole.subarray(3)).data]).toEqual([7, 8]);
  });

  const good = idx([3, 2, 2]);
  const malformed: [string, Buffer, string][] = [
    ['empty', Buffer.alloc(0), '0 bytes are too few'],
    ['one byte', Buffer.alloc(1), '1 bytes are too few'],
    ['three bytes', Buffer.alloc(3), '3 bytes are too few'],
    ['first magic byte', Buffer.concat([Buffer.of(1), good.subarray(1)]), 'not an IDX file'],
    ['second magic byte', Buffer.concat([Buffer.of(0, 1), good.subarray(2)]), 'not an IDX file'],
    ['a gzip file without .gz', gzipSync(good), 'begins with 1f8b'],
    ['a PNG', Buffer.from('89504e470d0a1a0a0000', 'hex'), 'begins with 89504e47'],
    ['a text', Buffer.from('emotion,pixels,Usage\n'), 'not an IDX file'],
    ['signed bytes', idx([4], { type: 9 }), 'signed byte'],
    ['int16', idx([4], { type: 11 }), '16-bit integer'],
    ['int32', idx([4], { type: 12 }), '32-bit integer'],
    ['float32', idx([4], { type: 13 }), 'float32'],
    ['float64', idx([4], { type: 14 }), 'float64'],
    ['type 0', idx([4], { type: 0 }), 'unknown type 0x0'],
    ['type 255', idx([4], { type: 255 }), 'unknown type 0xff'],
    ['rank 0', idx([4], { rank: 0 }), 'has 0 dimensions'],
    ['rank 5', idx([1, 1, 1, 1, 1]), 'has 5 dimensions'],
    ['rank 255', idx([4], { rank: 255 }), 'has 255 dimensions'],
    ['header cut after the rank', good.subarray(0, 4), 'ends within its 16-byte header'],
    ['header cut in the first extent', good.subarray(0, 6), 'ends within its 16-byte header'],
    ['header cut in the last extent', good.subarray(0, 15), 'ends within its 16-byte header'],
    ['no images', idx([0, 2, 2]), '0x2x2: nothing in it'],
    ['no rows', idx([2, 0, 2]), 'nothing in it'],
    ['no labels', idx([0]), 'nothing in it'],
    ['no pixels at all', good.subarray(0, 16), '12 are missing'],
    ['a byte missing', good.subarray(0, good.length - 1), '1 are missing'],
    ['a byte left over', Buffer.concat([good, Buffer.of(0)]), '1 are left over'],
    ['two files in one', Buffer.concat([good, good]), '28 are left over'],
    ['rank too low for the data', idx([3], { data: Buffer.alloc(12) }), '9 are left over'],
    ['2^32-1 images', idx([2 ** 32 - 1, 28, 28]), 'over the cap'],
    ['a product beyond 2^53', idx([2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1]), 'over the cap'],
    ['a product that wraps in 32 bits', idx([65536, 65536]), 'over the cap'],
    ['just over the cap', idx([2 ** 31 + 1]), 'over the cap'],
    ['at the cap without data', idx([2 ** 31]), '2147483648 are missing'],
  ];
  it.each(malformed)('refuses %s', (_, bytes, reason) => {
    expect(() => parseIdx(bytes, 'bad.idx')).toThrow(DataError);
    expect(() => parseIdx(bytes, 'bad.idx')).toThrow(`[idx] bad.idx: `);
    expect(() => parseIdx(bytes, 'bad.idx')).toThrow(reason);
  });
  it('refuses every truncation', () => {
    for (let length = 0; length < good.length; length++) {
      expect(() => parseIdx(good.subarray(0, length))).toThrow(DataError);
    }
  });
  it('answers arbitrary bytes with an array that fits or with DataError', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .uint8Array({ minLength: 4, maxLength: 40 })
        .map((tail) => Uint8Array.of(0, 0, 8, 1 + (tail[0]! % 4), 0, 0, 0, ...tail)),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        try {
          const { dims, data } = parseIdx(input);
          expect(data.length).toBe(dims.reduce((a, b) => a * b, 1));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('files', () => {
  it('round trips, plain and compressed', async () => {
    const shape = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(shape, fc.boolean(), fc.nat(255), async (dims, compressed, seed) => {
        const data = Uint8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => (i * 31 + seed) % 256);
        const path = join(folder, compressed ? 'round.gz' : 'round');
        await writeIdx(path, dims, data);
        const back = await readIdx(path);
        expect(back.dims).toEqual(dims);
        expect(Buffer.compare(back.data, data)).toBe(0);
      }),
      { numRuns: 25 },
    );
  });
  it('writes the bytes of the format', async () => {
    await writeIdx(join(folder, 'exact'), [2, 3], Uint8Array.of(1, 2, 3, 4, 5, 6));
    expect(readFileSync(join(folder, 'exact')).toString('hex')).toBe('000008020000000200000003010203040506');
  });
  it.each([
    [[], 0],
    [[0], 0],
    [[1.5], 1],
    [[-1], 1],
    [[1, 1, 1, 1, 1], 1],
    [[3], 2],
    [[2 ** 32], 1],
  ])('refuses to write %j with %i bytes', async (dims, bytes) => {
    await expect(writeIdx(join(folder, 'never'), dims, new Uint8Array(bytes))).rejects.toThrow(ArgumentError);
  });

  const packed = gzipSync(idx([100, 10, 10]));
  const bomb = gzipSync(Buffer.concat([idx([2]), Buffer.alloc(5_000_000)]));
  const malformed: [string, Buffer, string][] = [
    ['an empty .gz', Buffer.alloc(0), '0 bytes are too few'],
    ['plain bytes named .gz', idx([3]), 'cannot be inflated'],
    ['a .gz cut short', packed.subarray(0, packed.length - 9), 'cannot be inflated'],
    ['a .gz without its checksum', packed.subarray(0, packed.length - 8), 'cannot be inflated'],
    [
      'a .gz with a wrong checksum',
      Buffer.concat([packed.subarray(0, -8), Buffer.alloc(4), packed.subarray(-4)]),
      'inflated',
    ],
    ['text after the gzip data', Buffer.concat([packed, Buffer.from('more')]), 'cannot be inflated'],
    ['zeros after the gzip data', Buffer.concat([packed, Buffer.alloc(4)]), '4 bytes are left over'],
    ['a .gz that inflates to more than declared', bomb, 'more than the 10 bytes that its header declares'],
    ['a .gz that inflates to less than declared', gzipSync(idx([9]).subarray(0, 12)), '5 are missing'],
    ['a .gz of something else', gzipSync('hello world'), 'not an IDX file'],
    ['a .gz of a huge declared size', gzipSync(idx([2 ** 31, 9])), 'over the cap'],
    ['a .gz of nothing', gzipSync(''), '0 bytes are too few'],
  ];
  it.each(malformed)('refuses %s', async (_, bytes, reason) => {
    const path = join(folder, 'bad.gz');
    writeFileSync(path, bytes);
    await expect(readIdx(path)).rejects.toThrow(DataError);
    await expect(readIdx(path)).rejects.toThrow(path);
    await expect(readIdx(path)).rejects.toThrow(reason);
  });
  it('names a file that is not there', async () => {
    await expect(readIdx(join(folder, 'none'))).rejects.toThrow(/none: cannot be read: ENOENT/);
  });
});

describe('idxDataset', () => {
  const labels = parseIdx(idx([2], { data: Uint8Array.of(0, 1) }));
  it('pairs grey and colour images with labels', () => {
    const grey = idxDataset('x', parseIdx(idx([2, 3, 4])), labels, ['a', 'b']);
    expect([grey.count, grey.height, grey.width, grey.channels, ...grey.labels]).toEqual([2, 3, 4, 1, 0, 1]);
    expect(idxDataset('x', parseIdx(idx([2, 3, 4, 3])), labels, ['a', 'b']).channels).toBe(3);
  });
  it.each<[string, number[], Buffer, string[], string]>([
    ['labels as images', [2], idx([2]), ['a'], 'images have 3 or 4 dimensions, these have 1'],
    ['flat images', [2, 4], idx([2]), ['a'], 'these have 2 (2x4)'],
    ['five channels', [2, 1, 1, 5], idx([2]), ['a'], 'have 5'],
    ['images as labels', [2, 1, 1], idx([2, 1, 1]), ['a'], 'labels have 1 dimension, these have 3'],
    ['too few labels', [2, 1, 1], idx([1]), ['a'], 'has 1 labels for 2 images'],
    ['a label without a class', [2, 1, 1], idx([2], { data: Uint8Array.of(0, 7) }), ['a'], 'label 7 of image 1'],
  ])('refuses %s', (_, dims, labelFile, classes, reason) => {
    const build = () => idxDataset('x', parseIdx(idx(dims)), parseIdx(labelFile), classes, ['im', 'la']);
    expect(build).toThrow(DataError);
    expect(build).toThrow(reason);
  });
});

describe('readIdxFolder', () => {
  const write = async (name: string, files: Record<string, [number[], number[]]>) => {
    const path = join(folder, name);
    mkdirSync(path);
    for (const [file, [dims, data]] of Object.entries(files))
      await writeIdx(join(path, file), dims, Uint8Array.from(data));
    return path;
  };
  const four = {
    'train-images.idx3-ubyte': [
      [2, 1, 1],
      [5, 6],
    ],
    train_labels_idx1_ubyte: [[2], [0, 2]],
    't10k-images-idx3-ubyte.gz': [[1, 1, 1], [7]],
    'test-labels-idx1-ubyte': [[1], [3]],
  } satisfies Record<string, [number[], number[]]>;

  it('finds the files under their common names and counts classes over both parts', async () => {
    const { train, test } = await readIdxFolder(await write('names', four), 'x');
    expect(train.classes).toEqual(['0', '1', '2', '3']);
    expect([[...train.images], [...train.labels], [...test.images], [...test.labels]]).toEqual([
      [5, 6],
      [0, 2],
      [7],
      [3],
    ]);
  });
  it('prefers a plain file to its .gz', async () => {
    const both = await write('both', {
      ...four,
      'train-images.idx3-ubyte.gz': [
        [2, 1, 1],
        [1, 1],
      ],
    });
    expect([...(await readIdxFolder(both, 'x')).train.images]).toEqual([5, 6]);
  });
  it('names what is missing', async () => {
    const { 'test-labels-idx1-ubyte': _, ...three } = four;
    await expect(readIdxFolder(await write('three', three), 'x')).rejects.toThrow(/there is no t10k-labels-idx1-ubyte/);
    await expect(readIdxFolder(join(folder, 'nowhere'), 'x')).rejects.toThrow(/cannot be read/);
  });
  it('refuses test images of another size', async () => {
    const wide = await write('wide', {
      ...four,
      't10k-images-idx3-ubyte.gz': [
        [1, 1, 2],
        [7, 7],
      ],
    });
    await expect(readIdxFolder(wide, 'x')).rejects.toThrow(/test images are 1x2 but training images 1x1/);
  });
});
