// The written record of a run: args.json, metrics.jsonl (every event, one a line) and metrics.csv (steps and epochs).
// The trainer is its only writer. The rule easy to break: metrics.jsonl is the record and metrics.csv is derived from
// it, with a header fixed by the first row; on resume both are cut back to the checkpoint's step before anything new
// is appended, so that nothing is told twice. Which steps have an event depends on the clock, as times do, and those
// finished in the chunk that an interruption cut short have none; all else equals the record of an uninterrupted run.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ArgumentError, DataError } from '../errors';
import type { EpochEvent, StepEvent, TrainEvent, UnitMetrics } from './events';

export interface RunLogOptions {
  /** Continue an existing record; false starts a new one in its place. */
  readonly resume?: boolean;
  /** With `resume`: the checkpoint's step. Later events are dropped. Without it every whole line is kept. */
  readonly step?: number;
  /** The run's arguments, written to args.json. */
  readonly args?: object;
}

const FIXED_COLUMNS = [
  'event',
  'epoch',
  'step',
  'loss',
  'imagesPerSecond',
  'trainAccuracy',
  'validationAccuracy',
  'testAccuracy',
];
const UNIT_COLUMNS = ['loss', 'hsicX', 'hsicY', 'ckaX', 'ckaY', 'effectiveRank'] as const;

/** Replaces a file as a whole: temporary file, fsync, rename. Readers see the old text or the new, never a part. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, 'w');
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    let written = 0;
    while (written < bytes.length) written += writeSync(file, bytes, written);
    fsyncSync(file);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

/**
 * The events of a metrics.jsonl. A last line without its newline is what a crash left of a write: it is dropped.
 * @throws DataError naming file and line for a line that is not an event.
 */
export function readEvents(path: string): TrainEvent[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop();
  return lines.map((line, index) => {
    const event = parseEvent(line);
    if (!event) {
      throw new DataError(`[log] ${path}:${index + 1} expected a training event, got ${JSON.stringify(clip(line))}`);
    }
    return event;
  });
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function parseEvent(line: string): TrainEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const known = typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string';
    return known ? (value as TrainEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** What a record keeps when training goes on from `step`: all up to it, without the end of the interrupted run. */
export function keepUpTo(events: readonly TrainEvent[], step: number): TrainEvent[] {
  const firstLater = events.findIndex((event) => event.event !== 'note' && event.step > step);
  const before = firstLater < 0 ? events : events.slice(0, firstLater);
  return before.filter((event) => event.event !== 'end');
}

function unitNames(event: StepEvent | EpochEvent): readonly string[] {
  if (event.event === 'epoch') return event.units.map((unit) => unit.name);
  return event.unitNames ?? event.losses.map((_, index) => `unit${index + 1}`);
}

function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The header of metrics.csv for these units: the fixed columns, then six for each unit. */
export function csvHeader(units: readonly string[]): string {
  const columns = units.flatMap((unit) => UNIT_COLUMNS.map((column) => csvField(`${unit}:${column}`)));
  return `${[...FIXED_COLUMNS, ...columns].join(',')}\n`;
}

/** What an event says of each unit, by the unit's name. Events that name none of the columns' units go by position. */
function unitValues(event: StepEvent | EpochEvent, columns: readonly string[]): Map<string, Partial<UnitMetrics>> {
  const values: readonly Partial<UnitMetrics>[] =
    event.event === 'epoch' ? event.units : event.losses.map((loss) => ({ loss }));
  const own = unitNames(event);
  const names = own.some((name) => columns.includes(name)) ? own : columns;
  return new Map(values.map((value, index) => [names[index] ?? '', value]));
}

/** One row of metrics.csv; what an event does not know stays empty. */
export function csvRow(event: StepEvent | EpochEvent, units: readonly string[]): string {
  const accuracies =
    event.event === 'epoch'
      ? [event.trainAccuracy, event.validationAccuracy, event.testAccuracy]
      : [undefined, undefined, undefined];
  const values = unitValues(event, units);
  const fields = units.flatMap((unit) => UNIT_COLUMNS.map((column) => values.get(unit)?.[column]));
  const numbers = [event.epoch, event.step, event.loss, event.imagesPerSecond, ...accuracies, ...fields];
  return `${[event.event, ...numbers.map((value) => value ?? '')].join(',')}\n`;
}

/** Appends a run's events to its folder; see the head of this file. */
export class RunLog {
  readonly dir: string;
  readonly #jsonl: number;
  readonly #csv: number;
  #units: readonly string[] | undefined;
  #closed = false;

  constructor(dir: string, options: RunLogOptions = {}) {
    const { step } = options;
    if (step !== undefined && (!Number.isSafeInteger(step) || step < 0)) {
      throw new ArgumentError(`[log] step expects a whole number of finished steps, got ${String(step)}`);
    }
    mkdirSync(dir, { recursive: true });
    this.dir = dir;
    if (options.args) writeWhole(join(dir, 'args.json'), `${JSON.stringify(options.args, null, 2)}\n`);
    const jsonl = join(dir, 'metrics.jsonl');
    const old = options.resume && existsSync(jsonl) ? readEvents(jsonl) : [];
    const kept = keepUpTo(old, step ?? Number.POSITIVE_INFINITY);
    writeWhole(jsonl, kept.map((event) => `${JSON.stringify(event)}\n`).join(''));
    writeWhole(join(dir, 'metrics.csv'), this.#csvOf(kept));
    this.#jsonl = openSync(jsonl, 'a');
    try {
      this.#csv = openSync(join(dir, 'metrics.csv'), 'a');
    } catch (error) {
      closeSync(this.#jsonl);
      throw error;
    }
  }

  /** Appends one event; it is on disk when an epoch, the run or the log ends. */
  event(event: TrainEvent): void {
    if (this.#closed) throw new ArgumentError(`[log] ${this.dir} is closed`);
    append(this.#jsonl, `${JSON.stringify(event)}\n`);
    append(this.#csv, this.#csvOf([event]));
    if (event.event === 'epoch' || event.event === 'end') this.#sync();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#sync();
    } finally {
      closeSync(this.#jsonl);
      closeSync(this.#csv);
    }
  }

  #sync(): void {
    fsyncSync(this.#jsonl);
    fsyncSync(this.#csv);
  }

  /** Rows for `events`, after the header when none has been written yet. */
  #csvOf(events: readonly TrainEvent[]): string {
    let text = '';
    for (const event of events) {
      if (event.event !== 'step' && event.event !== 'epoch') continue;
      if (this.#units === undefined) {
        this.#units = unitNames(event);
        text += csvHeader(this.#units);
      }
      text += csvRow(event, this.#units);
    }
    return text;
  }
}

function append(file: number, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += writeSync(file, bytes, written);
}
