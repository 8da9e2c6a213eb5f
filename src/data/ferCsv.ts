// Reads FER2013's CSV (`emotion,pixels,Usage`; pixels: 2304 numbers 0..255 separated by spaces). Called by
// load.ts; ferCsvWriter.ts writes it. Bytes are parsed in place from one reused buffer; no string is made per line or pixel.
// The rule easy to break: a line is accepted whole or not at all; every refused line is counted with its reason.
import { access, type FileHandle, open } from 'node:fs/promises';
import { DataError } from '../errors';
import { checkDataset, EXPRESSIONS, type ImageDataset, type JobOptions, throwIfAborted } from './types';

export const FER_SIDE = 48;
export const USAGES = ['Training', 'PublicTest', 'PrivateTest'] as const;
export type Usage = (typeof USAGES)[number];

export interface FerCsvOptions extends JobOptions {
  /** Leave malformed lines out and say so in `notes`, instead of raising. */
  readonly skipMalformed?: boolean | undefined;
}

export interface FerCsv {
  /** Only the usages that have rows. */
  readonly parts: Partial<Record<Usage, ImageDataset>>;
  readonly notes: string[];
}

const COLUMNS = ['emotion', 'pixels', 'usage'] as const;
type Column = (typeof COLUMNS)[number];

const PIXELS = FER_SIDE * FER_SIDE;
const CHUNK = 1 << 20;
/** 2304 pixels are at most 9216 bytes; a longer line than this is not a row. */
const MAX_LINE = 1 << 16;
const SHOWN = 20;
const [LF, CR, SPACE, QUOTE, COMMA, ZERO] = [10, 13, 32, 34, 44, 48];
const CLASSES = EXPRESSIONS.length;

/** Images of one usage, grown by doubling: rows are at least 4.6 kB in the file, so memory stays below its size. */
class Part {
  count = 0;
  #images = new Uint8Array(64 * PIXELS);
  #labels = new Int32Array(64);

  add(pixels: Uint8Array, label: number): void {
    if (this.count === this.#labels.length) {
      const images = new Uint8Array(this.#images.length * 2);
      images.set(this.#images);
      this.#images = images;
      const labels = new Int32Array(this.#labels.length * 2);
      labels.set(this.#labels);
      this.#labels = labels;
    }
    this.#images.set(pixels, this.count * PIXELS);
    this.#labels[this.count++] = label;
  }

  dataset(name: string, synthetic: boolean): ImageDataset {
    return checkDataset({
      name,
      images: this.#images.subarray(0, this.count * PIXELS),
      labels: this.#labels.subarray(0, this.count),
      count: this.count,
      height: FER_SIDE,
      width: FER_SIDE,
      channels: 1,
      classes: EXPRESSIONS,
      synthetic,
    });
  }
}

/** A byte as an error message shows it. */
function show(byte: number | undefined): string {
  if (byte === undefined) return 'the end of the line';
  return byte > SPACE && byte < 127 ? `'${String.fromCharCode(byte)}'` : `byte 0x${byte.toString(16).padStart(2, '0')}`;
}

/** A field as an error message shows it; a long one is cut. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}

/** Parses one line at a time; `line` gives the reason of a refusal. Fields are read by `#at`, which moves along. */
class RowParser {
  readonly parts: Record<Usage, Part> = { Training: new Part(), PublicTest: new Part(), PrivateTest: new Part() };
  #columns: Column[] = [];
  #pixels = new Uint8Array(PIXELS);
  #bytes: Uint8Array;
  #at = 0;
  #end = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads the header line; an answer is the reason it is refused. */
  header(begin: number, end: number): string | undefined {
    let text = Buffer.from(this.#bytes.subarray(begin, end)).toString('utf8');
    if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    const names = text.split(',').map((name) =>
      name
        .trim()
        .replace(/^"(.*)"$/, '$1')
        .toLowerCase(),
    );
    const shown = JSON.stringify(text.slice(0, 80));
    if (names.length !== COLUMNS.length || COLUMNS.some((column) => !names.includes(column))) {
      return `expected a header with the columns emotion, pixels and Usage, got ${shown}`;
    }
    this.#columns = names as Column[];
    return undefined;
  }

  /** Takes a row; an answer is the reason it is refused. */
  row(begin: number, end: number): string | undefined {
    this.#at = begin;
    this.#end = end;
    let label = -1;
    let usage: Usage | undefined;
    for (const [index, column] of this.#columns.entries()) {
      if (index > 0) {
        if (this.#at >= end) return `the line ends before the column ${column}`;
        this.#at++; // The comma: every field below ends at one or at the line's end.
      }
      this.#skipSpaces();
      const quoted = this.#at < end && this.#bytes[this.#at] === QUOTE;
      if (quoted) this.#at++;
      if (column === 'pixels') {
        const reason = this.#readPixels();
        if (reason) return reason;
      } else {
        const text = this.#readText();
        if (column === 'emotion') {
          label = /^[0-9]+$/.test(text) ? Number(text) : -1;
          if (label < 0 || label >= CLASSES) return `emotion is ${quote(text)}, expected 0..${CLASSES - 1}`;
        } else {
          usage = USAGES.find((name) => name === text);
          if (!usage) return `Usage is ${quote(text)}, expected ${USAGES.join(', ')}`;
        }
      }
      const reason = this.#endField(column, quoted);
      if (reason) return reason;
    }
    if (this.#at < end) return `there are more than ${COLUMNS.length} fields`;
    this.parts[usage!].add(this.#pixels, label);
    return undefined;
  }

  #skipSpaces(): void {
    while (this.#at < this.#end && this.#bytes[this.#at] === SPACE) this.#at++;
  }

  /** The characters up to a comma, a quote or the line's end, trimmed. */
  #readText(): string {
    const begin = this.#at;
    while (this.#at < this.#end && this.#bytes[this.#at] !== COMMA && this.#bytes[this.#at] !== QUOTE) this.#at++;
    const bytes = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + begin, this.#at - begin);
    return bytes.toString('utf8').trim();
  }

  #endField(column: Column, quoted: boolean): string | undefined {
    if (quoted) {
      if (this.#at >= this.#end || this.#bytes[this.#at] !== QUOTE) return `the quote around ${column} is not closed`;
      this.#at++;
    }
    this.#skipSpaces();
    if (this.#at < this.#end && this.#bytes[this.#at] !== COMMA) {
      return `unexpected ${show(this.#bytes[this.#at])} after ${column}`;
    }
    return undefined;
  }

  /** The hot loop: digits and spaces until anything else; stops there. */
  #readPixels(): string | undefined {
    const bytes = this.#bytes;
    const pixels = this.#pixels;
    const end = this.#end;
    let at = this.#at;
    let count = 0;
    for (;;) {
      while (at < end && bytes[at] === SPACE) at++;
      if (at >= end) break;
      let value = bytes[at]! - ZERO;
      if (value < 0 || value > 9) break;
      at++;
      for (let digit = 0; at < end; at++) {
        digit = bytes[at]! - ZERO;
        if (digit < 0 || digit > 9) break;
        value = value * 10 + digit;
        if (value > 255) return `pixel ${count + 1} is over 255`;
      }
      if (at < end && bytes[at] !== SPACE && bytes[at] !== COMMA && bytes[at] !== QUOTE) {
        return `pixel ${count + 1} has ${show(bytes[at])} in it, expected a whole number 0..255`;
      }
      if (count < PIXELS) pixels[count] = value;
      count++;
    }
    if (at < end && bytes[at] !== COMMA && bytes[at] !== QUOTE) {
      return `pixel ${count + 1} begins with ${show(bytes[at])}, expected a whole number 0..255`;
    }
    if (count !== PIXELS) return `there are ${count} pixels, expected ${PIXELS} (${FER_SIDE}x${FER_SIDE})`;
    this.#at = at;
    return undefined;
  }
}

/** Counts all problems and keeps the first few, as `file:line: reason`. */
class Problems {
  count = 0;
  readonly shown: string[] = [];

  constructor(readonly file: string) {}

  add(line: number, reason: string): void {
    if (this.count++ < SHOWN) this.shown.push(`${this.file}:${line}: ${reason}`);
  }

  /** What happened, then the first problems, then how many more there are. */
  lines(): string[] {
    const more = this.count - this.shown.length;
    const what = `${this.file}: ${this.count} malformed line${this.count === 1 ? '' : 's'}`;
    return [what, ...this.shown, ...(more > 0 ? [`and ${more} more`] : [])];
  }
}

/** Cuts the bytes of a file into lines for a RowParser; the part of a line at the buffer's end is kept for later. */
class LineFeed {
  readonly buffer = Buffer.allocUnsafe(CHUNK + MAX_LINE);
  readonly parser = new RowParser(this.buffer);
  #filled = 0;
  #line = 0;
  #emptyAt = 0;
  #tooLong = false;

  constructor(readonly problems: Problems) {}

  /** Where the next bytes go. */
  space(): { offset: number; length: number } {
    return { offset: this.#filled, length: Math.min(CHUNK, this.buffer.length - this.#filled) };
  }

  /** Takes `length` new bytes at space().offset; `last` also takes a line without an end. */
  push(length: number, last: boolean): void {
    this.#filled += length;
    const filled = this.buffer.subarray(0, this.#filled);
    let begin = 0;
    for (let end = filled.indexOf(LF); end >= 0; end = filled.indexOf(LF, begin)) {
      this.#take(begin, end);
      begin = end + 1;
    }
    if (last && (begin < this.#filled || this.#tooLong)) {
      this.#take(begin, this.#filled);
      begin = this.#filled;
    }
    if (this.#filled - begin > MAX_LINE) {
      this.#tooLong = true;
      begin = this.#filled;
    }
    this.buffer.copyWithin(0, begin, this.#filled);
    this.#filled -= begin;
  }

  #take(begin: number, lineEnd: number): void {
    this.#line++;
    const end = lineEnd > begin && this.buffer[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    const tooLong = this.#tooLong || end - begin > MAX_LINE;
    this.#tooLong = false;
    if (this.#line === 1) {
      const reason = tooLong ? `the header is longer than ${MAX_LINE} bytes` : this.parser.header(begin, end);
      if (reason) throw new DataError(`[ferCsv] ${this.problems.file}:1: ${reason}`);
      return;
    }
    // Empty lines are a problem only when a row follows: files often end with one or two.
    if (begin === end && !tooLong) {
      if (this.#emptyAt === 0) this.#emptyAt = this.#line;
      return;
    }
    if (this.#emptyAt > 0)
      for (; this.#emptyAt < this.#line; this.#emptyAt++) this.problems.add(this.#emptyAt, 'the line is empty');
    this.#emptyAt = 0;
    const reason = tooLong ? `the line is longer than ${MAX_LINE} bytes` : this.parser.row(begin, end);
    if (reason) this.problems.add(this.#line, reason);
  }
}

/** Path of the note that stands beside a CSV of synthetic faces, which the format itself cannot say. */
export function syntheticMark(path: string): string {
  return `${path}.SYNTHETIC.txt`;
}

async function readLines(handle: FileHandle, path: string, options: FerCsvOptions): Promise<LineFeed> {
  const { size } = await handle.stat();
  const feed = new LineFeed(new Problems(path));
  for (let position = 0; ; ) {
    throwIfAborted(options.signal, 'ferCsv');
    const { offset, length } = feed.space();
    const { bytesRead } = await handle.read(feed.buffer, offset, length, position);
    position += bytesRead;
    feed.push(bytesRead, bytesRead === 0);
    options.onProgress?.({ stage: `read ${path}`, done: position, total: size });
    if (bytesRead === 0) return feed;
  }
}

/**
 * Reads a FER2013 CSV. All malformed lines are collected: DataError names file:line and reason of the first 20 and the
 * count, or with skipMalformed they become notes. Throws DataError too when the file has no row.
 */
export async function readFerCsv(path: string, options: FerCsvOptions = {}): Promise<FerCsv> {
  let handle: FileHandle | undefined;
  let feed: LineFeed;
  try {
    handle = await open(path, 'r');
    feed = await readLines(handle, path, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new DataError(`[ferCsv] ${path}: cannot be read: ${(error as Error).message}`, { cause: error });
  } finally {
    await handle?.close();
  }
  const { problems, parser } = feed;
  const report = problems.count > 0 ? problems.lines() : [];
  if (problems.count > 0 && !options.skipMalformed) throw new DataError(`[ferCsv] ${report.join('\n  ')}`);
  const synthetic = await access(syntheticMark(path)).then(
    () => true,
    () => false,
  );
  const parts: Partial<Record<Usage, ImageDataset>> = {};
  for (const usage of USAGES) {
    if (parser.parts[usage].count > 0) parts[usage] = parser.parts[usage].dataset(`${path} ${usage}`, synthetic);
  }
  if (Object.keys(parts).length === 0) throw new DataError(`[ferCsv] ${path}: there are no rows`);
  const notes = report.map((line, i) => (i === 0 ? `${line} left out` : line));
  return { parts, notes: synthetic ? [...notes, `${path}: synthetic faces, not FER2013`] : notes };
}
