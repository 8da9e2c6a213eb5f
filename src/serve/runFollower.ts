// Follows a run's folder while it is written: args.json whole, metrics.jsonl from where it was last read. runView.ts is its
// caller. The rule easy to break: the files are whatever lies there, so every line is checked field by field, lines that
// make no sense are counted and skipped, and memory does not grow with the length of the run.
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { EndEvent, EpochEvent, StepEvent } from '../report/events';
import { parseTrainEvent } from './trainEvents';

/** Bytes read at once, of one line, of args.json. */
const CHUNK_BYTES = 1 << 20;
const LINE_BYTES = 1 << 22;
const ARGS_BYTES = 1 << 20;
/** Events kept; of longer runs every second one is forgotten. */
const MAX_STEPS = 8192;
const MAX_EPOCHS = 2048;
const MAX_NOTES = 50;

/** Every second item and the last. */
function halve<T>(items: T[]): T[] {
  return items.filter((_, index) => index % 2 === 1 || index === items.length - 1);
}

export class RunFollower {
  readonly folder: string;
  config: Readonly<Record<string, unknown>> = {};
  steps: StepEvent[] = [];
  epochs: EpochEvent[] = [];
  end: EndEvent | undefined;
  notes: string[] = [];
  /** Lines that are no training event. */
  unreadable = 0;
  /** Milliseconds since 1970 of the last write; 0 before the first. */
  written = 0;
  /** Counts changes. */
  version = 0;

  #inode = 0;
  #offset = 0;
  #line: Buffer[] = [];
  #lineBytes = 0;
  #argsWritten = 0;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Reads what is new. A folder or file that is not there yet is no error. */
  async refresh(): Promise<void> {
    await this.#readArgs();
    const path = join(this.folder, 'metrics.jsonl');
    // Opening what is no file, such as a pipe, could wait for ever.
    const isFile = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    const file = isFile ? await open(path, 'r').catch(() => undefined) : undefined;
    if (!file) {
      if (this.#inode !== 0) this.#startOver(0);
      return;
    }
    try {
      const { ino, size, mtimeMs } = await file.stat();
      // A resumed or a new run puts another file in its place.
      if (ino !== this.#inode || size < this.#offset) this.#startOver(ino);
      this.written = mtimeMs;
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, Math.max(1, size - this.#offset)));
      while (this.#offset < size) {
        const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, size - this.#offset), this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        this.#take(chunk.subarray(0, bytesRead));
        this.version += 1;
      }
    } finally {
      await file.close();
    }
  }

  async #readArgs(): Promise<void> {
    const path = join(this.folder, 'args.json');
    try {
      const found = await stat(path);
      const { mtimeMs, size } = found;
      if (!found.isFile() || mtimeMs === this.#argsWritten || size > ARGS_BYTES) return;
      this.#argsWritten = mtimeMs;
      const value: unknown = JSON.parse(await readFile(path, 'utf8'));
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
      this.config = { ...value };
      this.version += 1;
    } catch {
      // Not there yet, or no JSON: the view then names no arguments.
    }
  }

  #startOver(inode: number): void {
    Object.assign(this, { steps: [], epochs: [], end: undefined, notes: [], unreadable: 0, written: 0 });
    this.#inode = inode;
    this.#offset = 0;
    this.#line = [];
    this.#lineBytes = 0;
    this.version += 1;
  }

  /** Splits bytes into lines; a line without its end waits for the rest, a line that is too long is skipped. */
  #take(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      this.#hold(bytes.subarray(start, end));
      if (this.#lineBytes > LINE_BYTES) this.unreadable += 1;
      else this.#event(Buffer.concat(this.#line).toString('utf8'));
      this.#line = [];
      this.#lineBytes = 0;
      start = end + 1;
    }
    this.#hold(bytes.subarray(start));
  }

  #hold(part: Buffer): void {
    this.#lineBytes += part.length;
    if (this.#lineBytes > LINE_BYTES) this.#line = [];
    else if (part.length > 0) this.#line.push(Buffer.from(part));
  }

  #event(line: string): void {
    const event = parseTrainEvent(line);
    switch (event?.event) {
      case undefined:
        this.unreadable += 1;
        break;
      case 'step':
        this.steps.push(event);
        if (this.steps.length > MAX_STEPS) this.steps = halve(this.steps);
        break;
      case 'epoch':
        this.epochs.push(event);
        if (this.epochs.length > MAX_EPOCHS) this.epochs = halve(this.epochs);
        break;
      case 'note':
        this.notes = [...this.notes, event.text].slice(-MAX_NOTES);
        break;
      case 'end':
        this.end = event;
        break;
    }
  }
}
