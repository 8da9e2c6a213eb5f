// The FER2013 reader and writer: values, every column order and line end, and what is said about malformed lines.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFerCsv, type Usage } from '../../src/data/ferCsv';
import { writeFerCsv } from '../../src/data/ferCsvWriter';
import { EXPRESSIONS, type ImageDataset } from '../../src/data/types';
import { AbortError, DataError } from '../../src/errors';
import { tempFolder } from './tempFolder';

const folder = tempFolder();
const file = join(folder, 'faces.csv');
const PIXELS = 2304;
const HEADER = 'emotion,pixels,Usage\n';

/** `count` numbers, each i % modulus, joined by spaces. */
const numbers = (count: number, modulus = 256) => Array.from({ length: count }, (_, i) => i % modulus).join(' ');
const good = numbers(PIXELS);
const row = (emotion: string | number, usage = 'Training', pixels = good) => `${emotion},${pixels},${usage}\n`;

async function read(text: string | Buffer, skipMalformed = false) {
  writeFileSync(file, text);
  return readFerCsv(file, { skipMalformed });
}

describe('readFerCsv', () => {
  it('reads labels, pixels and usages', async () => {
    const text = HEADER + row(3) + row(6, 'PublicTest', numbers(PIXELS, 10)) + row(0, 'PrivateTest') + row(1);
    const { parts, notes } = await read(text);
    expect(notes).toEqual([]);
    expect([...parts.Training!.labels]).toEqual([3, 1]);
    expect([...parts.PublicTest!.labels, ...parts.PrivateTest!.labels]).toEqual([6, 0]);
    const expected = Uint8Array.from({ length: PIXELS }, (_, i) => i % 256);
    expect(Buffer.compare(parts.Training!.images.subarray(PIXELS), expected)).toBe(0);
    expect([...parts.PublicTest!.images.subarray(0, 12)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    const { height, width, channels, classes, synthetic } = parts.Training!;
    expect([height, width, channels, classes, synthetic]).toEqual([48, 48, 1, EXPRESSIONS, false]);
  });

  const bare = { emotion: '5', pixels: good, Usage: 'PublicTest' };
  const accepted: [string, string][] = [
    ['CRLF', `${HEADER}${row(5, 'PublicTest')}`.replaceAll('\n', '\r\n')],
    ['no newline at the end', `${HEADER}${row(5, 'PublicTest')}`.trimEnd()],
    ['CRLF and no newline at the end', `emotion,pixels,Usage\r\n5,${good},PublicTest`],
    ['a carriage return at the end of the file', `emotion,pixels,Usage\r\n5,${good},PublicTest\r`],
    ['empty lines at the end', `${HEADER}${row(5, 'PublicTest')}\n\r\n\n`],
    ['quotes around pixels', `${HEADER}5,"${good}",PublicTest\n`],
    ['quotes around everything', `"emotion","pixels","Usage"\n"5","${good}","PublicTest"\n`],
    ['a byte order mark', `\ufeff${HEADER}${row(5, 'PublicTest')}`],
    ['spaces around names and fields', `emotion, pixels, Usage\n 5 , ${good} , PublicTest \n`],
    ['double spaces between pixels', `${HEADER}${row(5, 'PublicTest', good.replaceAll(' ', '  '))}`],
    ['leading zeros', `${HEADER}${row(5, 'PublicTest', good.replace('0 1 2', '000 01 002'))}`],
    ['lower-case header', `${HEADER.toLowerCase()}${row(5, 'PublicTest')}`],
    ...(
      [
        ['emotion', 'Usage', 'pixels'],
        ['pixels', 'emotion', 'Usage'],
        ['pixels', 'Usage', 'emotion'],
        ['Usage', 'emotion', 'pixels'],
        ['Usage', 'pixels', 'emotion'],
      ] as const
    ).map((order): [string, string] => [`the order ${order}`, `${order}\n${order.map((name) => bare[name])}\n`]),
  ];
  it.each(accepted)('accepts %s', async (_, text) => {
    const { parts } = await read(text);
    expect(Object.keys(parts)).toEqual(['PublicTest']);
    expect([...parts.PublicTest!.labels]).toEqual([5]);
    expect([...parts.PublicTest!.images]).toEqual(Array.from({ length: PIXELS }, (__, i) => i % 256));
  });

  const start = good.slice(0, good.indexOf(' ', 60)); // Ends with a whole number.
  const rest = good.slice(start.length);
  const malformed: [string, string, string][] = [
    ['an emotion of 7', row(7), 'emotion is "7", expected 0..6'],
    ['an emotion of 99999999999999999999', row('99999999999999999999'), 'emotion is "99999999999999999999"'],
    ['a negative emotion', row(-1), 'emotion is "-1"'],
    ['a fractional emotion', row('1.0'), 'emotion is "1.0"'],
    ['an exponent as emotion', row('1e0'), 'emotion is "1e0"'],
    ['a hexadecimal emotion', row('0x1'), 'emotion is "0x1"'],
    ['a named emotion', row('happy'), 'emotion is "happy"'],
    ['no emotion', row(''), 'emotion is ""'],
    ['a blank emotion', row('  '), 'emotion is ""'],
    ['a quoted emotion with text after', `"3"x,${good},Training\n`, "unexpected 'x' after emotion"],
    ['an open quote around the emotion', `"3,${good},Training\n`, 'the quote around emotion is not closed'],
    ['an unknown usage', row(3, 'Validation'), 'Usage is "Validation", expected Training, PublicTest, PrivateTest'],
    ['a usage in lower case', row(3, 'training'), 'Usage is "training"'],
    ['no usage', row(3, ''), 'Usage is ""'],
    ['a very long usage', row(3, `Training${' '.repeat(60)}x`), 'Usage is "Training  '],
    [
      'an open quote around the usage',
      row(3, '"Training'),
      'the quote around Usage is not closed'.replace('Usage', 'usage'),
    ],
    ['text after the quoted usage', row(3, '"Training" x'), "unexpected 'x' after usage"],
    ['no pixels', row(3, 'Training', ''), 'there are 0 pixels, expected 2304 (48x48)'],
    ['only spaces for pixels', row(3, 'Training', '   '), 'there are 0 pixels'],
    ['one pixel', row(3, 'Training', '17'), 'there are 1 pixels'],
    ['a pixel missing', row(3, 'Training', numbers(PIXELS - 1)), 'there are 2303 pixels'],
    ['a pixel too many', row(3, 'Training', numbers(PIXELS + 1)), 'there are 2305 pixels'],
    ['twice the pixels', row(3, 'Training', `${good} ${good}`), 'there are 4608 pixels'],
    ['a pixel of 256', row(3, 'Training', `256${rest}`), 'pixel 1 is over 255'],
    ['a pixel of 300 within', row(3, 'Training', `1 2 300${rest}`), 'pixel 3 is over 255'],
    ['a pixel of a hundred digits', row(3, 'Training', `${'9'.repeat(100)}${rest}`), 'pixel 1 is over 255'],
    ['a negative pixel', row(3, 'Training', `4 -1${rest}`), "pixel 2 begins with '-'"],
    ['a plus sign', row(3, 'Training', `+1${rest}`), "pixel 1 begins with '+'"],
    ['a fractional pixel', row(3, 'Training', `1.5${rest}`), "pixel 1 has '.' in it"],
    ['an exponent', row(3, 'Training', `1e2${rest}`), "pixel 1 has 'e' in it"],
    ['NaN', row(3, 'Training', `NaN${rest}`), "pixel 1 begins with 'N'"],
    ['a tab between pixels', row(3, 'Training', `1\t2${rest}`), 'pixel 1 has byte 0x09 in it'],
    ['a NUL byte', row(3, 'Training', `1 \0${rest}`), 'pixel 2 begins with byte 0x00'],
    ['a byte beyond ASCII', row(3, 'Training', `1 é${rest}`), 'pixel 2 begins with byte 0xc3'],
    ['semicolons between pixels', row(3, 'Training', `1;2${rest}`), "pixel 1 has ';' in it"],
    ['commas between pixels', row(3, 'Training', good.replaceAll(' ', ',')), 'there are 1 pixels'],
    ['a carriage return inside', row(3, 'Training', `1 \r${rest}`), 'pixel 2 begins with byte 0x0d'],
    ['an open quote around pixels', `3,"${good},Training\n`, 'the quote around pixels is not closed'],
    ['a closing quote only', `3,${good}",Training\n`, "unexpected '\"' after pixels"],
    ['text after the quoted pixels', `3,"${good}"9,Training\n`, "unexpected '9' after pixels"],
    ['a line cut in the pixels', `3,${start}\n`, 'pixels, expected 2304'],
    ['a line cut after the emotion', '3\n', 'the line ends before the column pixels'],
    ['a line cut after the pixels', `3,${good}\n`, 'the line ends before the column usage'],
    ['a field too many', row(3, 'Training,extra'), 'there are more than 3 fields'],
    ['a comma too many', row(3, 'Training,'), 'there are more than 3 fields'],
    ['an empty line before a row', `\n${row(3)}`, 'the line is empty'],
    ['a line of spaces', '   \n', 'emotion is ""'],
    ['a line longer than any row', `${row(3, 'Training', '1 '.repeat(40_000))}`, 'the line is longer than 65536 bytes'],
    ['a line longer than the buffer', `${row(3, 'Training', '1 '.repeat(1_200_000))}`, 'the line is longer than'],
    ['the header again', HEADER, 'emotion is "emotion"'],
  ];
  it.each(malformed)('refuses %s, with its line, and skips only that line when told to', async (_, line, reason) => {
    const text = HEADER + row(2) + line + row(4);
    const failure = await read(text).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DataError);
    expect((failure as Error).message).toContain(`[ferCsv] ${file}: 1 malformed line\n  ${file}:3: `);
    expect((failure as Error).message).toContain(reason);
    const { parts, notes } = await read(text, true);
    expect(notes[0]).toBe(`${file}: 1 malformed line left out`);
    expect(notes[1]).toContain(reason);
    const labels = [...parts.Training!.labels];
    expect([labels[0], labels.at(-1)]).toEqual([2, 4]);
    // Only the empty line is followed by a good row of its own.
    expect(labels.length).toBe(line.startsWith('\n') ? 3 : 2);
  });

  const headers: [string, string, string][] = [
    ['an empty file', '', 'there are no rows'],
    ['a header only', HEADER, 'there are no rows'],
    ['no header', row(3), 'expected a header with the columns emotion, pixels and Usage, got "3,0 1 2'],
    ['an empty first line', `\n${HEADER}`, 'expected a header'],
    ['two columns', 'emotion,pixels\n', 'expected a header'],
    ['four columns', 'emotion,pixels,Usage,more\n', 'expected a header'],
    ['a column twice', 'emotion,emotion,pixels\n', 'expected a header'],
    ['semicolons', 'emotion;pixels;Usage\n', 'expected a header'],
    ['UTF-16', Buffer.from(`\ufeff${HEADER}`, 'utf16le').toString('latin1'), 'expected a header'],
    ['a header without an end', 'x'.repeat(3_000_000), 'the header is longer than'],
  ];
  it.each(headers)('refuses %s', async (_, text, reason) => {
    await expect(read(text, true)).rejects.toThrow(DataError);
    await expect(read(text, true)).rejects.toThrow(file);
    await expect(read(text, true)).rejects.toThrow(reason);
  });

  it('shows the first 20 problems with their lines and counts the rest', async () => {
    const text = HEADER + row(1) + Array.from({ length: 33 }, (_, i) => `${i + 7},1 2,Training\n`).join('');
    const message = await read(text).then(String, (error: Error) => error.message);
    expect(message).toContain('33 malformed lines');
    expect(message).toContain(`${file}:3: emotion is "7"`);
    expect(message).toContain(`${file}:22: emotion is "26"`);
    expect(message).not.toContain(`${file}:23:`);
    expect(message).toMatch(/and 13 more$/);
    const { notes, parts } = await read(text, true);
    expect(notes.length).toBe(22);
    expect(parts.Training!.count).toBe(1);
  });
  it('counts an overlong last line without an end', async () => {
    const { notes } = await read(HEADER + row(1) + 'x'.repeat(3_000_000), true);
    expect(notes).toEqual([`${file}: 1 malformed line left out`, `${file}:3: the line is longer than 65536 bytes`]);
  });
  it('names a file that is not there, and a folder', async () => {
    await expect(readFerCsv(join(folder, 'none.csv'))).rejects.toThrow(/none\.csv: cannot be read: ENOENT/);
    await expect(readFerCsv(folder)).rejects.toThrow(/cannot be read: EISDIR/);
  });
  it('stops when the signal fires', async () => {
    writeFileSync(file, HEADER + row(1));
    await expect(readFerCsv(file, { signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
  });
  it('answers arbitrary bytes with DataError', async () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((tail) => Buffer.concat([Buffer.from(HEADER), tail]));
    await fc.assert(
      fc.asyncProperty(bytes, async (text) => {
        await expect(read(text)).rejects.toThrow(DataError);
      }),
      { numRuns: 100 },
    );
  });
});

function faces(count: number, seed: number, synthetic = false): ImageDataset {
  const images = Uint8Array.from({ length: count * PIXELS }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24);
  const labels = Int32Array.from({ length: count }, (_, i) => (i + seed) % 7);
  const shape = { height: 48, width: 48, channels: 1, classes: EXPRESSIONS };
  return { name: 'faces', images, labels, count, synthetic, ...shape };
}

describe('writeFerCsv', () => {
  it('round trips, also across the reader’s buffer', async () => {
    const splits = { train: faces(300, 1), validation: faces(3, 2), test: faces(150, 3) };
    const seen: number[] = [];
    await writeFerCsv(file, splits, { onProgress: ({ done }) => seen.push(done) });
    expect(seen.at(-1)).toBe(453);
    const { parts } = await readFerCsv(file);
    const pairs: [Usage, ImageDataset][] = [
      ['Training', splits.train],
      ['PublicTest', splits.validation],
      ['PrivateTest', splits.test],
    ];
    for (const [usage, data] of pairs) {
      expect([...parts[usage]!.labels]).toEqual([...data.labels]);
      expect(Buffer.compare(parts[usage]!.images, data.images)).toBe(0);
    }
  });
  it('writes the format’s own bytes', async () => {
    await writeFerCsv(file, { train: faces(1, 0), test: faces(1, 9) });
    const lines = readFileSync(file, 'latin1').split('\n');
    expect(lines.map((line) => line.slice(0, 6))).toEqual([
      'emotio',
      expect.stringMatching(/^0,\d/),
      expect.stringMatching(/^2,\d/),
      '',
    ]);
    expect(lines[1]).toMatch(/^0,(\d+ ){2303}\d+,Training$/);
    expect(lines[2]).toMatch(/,PrivateTest$/);
  });
  it('marks synthetic faces beside the file, and unmarks real ones', async () => {
    await writeFerCsv(file, { train: faces(1, 0, true), test: faces(1, 1, true) });
    const { parts, notes } = await readFerCsv(file);
    expect(parts.Training!.synthetic).toBe(true);
    expect(notes).toEqual([`${file}: synthetic faces, not FER2013`]);
    await writeFerCsv(file, { train: faces(1, 0), test: faces(1, 1) });
    expect((await readFerCsv(file)).parts.Training!.synthetic).toBe(false);
  });
  it('never calls synthetic rows real when a write fails', async () => {
    await writeFerCsv(file, { train: faces(1, 0, true), test: faces(1, 1, true) });
    const signal = AbortSignal.abort();
    await expect(writeFerCsv(file, { train: faces(1, 0), test: faces(1, 1) }, { signal })).rejects.toThrow(AbortError);
    expect((await readFerCsv(file)).parts.Training!.synthetic).toBe(true);
    await writeFerCsv(file, { train: faces(1, 0), test: faces(1, 1) });
  });
  it('leaves the old file when it is stopped, and refuses other images', async () => {
    await writeFerCsv(file, { train: faces(2, 0), test: faces(1, 1) });
    const before = readFileSync(file);
    const signal = AbortSignal.abort();
    await expect(writeFerCsv(file, { train: faces(9, 5), test: faces(1, 1) }, { signal })).rejects.toThrow(AbortError);
    expect(Buffer.compare(readFileSync(file), before)).toBe(0);
    const wide = { ...faces(1, 1), height: 24, width: 96 };
    await expect(writeFerCsv(join(folder, 'no.csv'), { train: wide, test: wide })).rejects.toThrow(/got 24x96x1/);
    expect(existsSync(join(folder, 'no.csv'))).toBe(false);
  });
});
