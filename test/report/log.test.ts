// The record of a run: complete lines, a stable header, and the cut on resume.
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ArgumentError, DataError } from '../../src/errors';
import type { EpochEvent, StepEvent, TrainEvent } from '../../src/report/events';
import { keepUpTo, RunLog, readEvents, writeWhole } from '../../src/report/log';
import { madeUpEvents } from './madeUpRun';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gramian-log-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
function write(events: readonly TrainEvent[], options?: ConstructorParameters<typeof RunLog>[1]): void {
  const log = new RunLog(dir, options);
  for (const event of events) log.event(event);
  log.close();
}
const run = madeUpEvents(2, 3, 5);
const stepOf = (event: TrainEvent): number => (event.event === 'note' ? 0 : event.step);

describe('a new run', () => {
  it('keeps every event and writes no other file', () => {
    write(run, { args: { model: 'cfpn', seed: 1 } });
    expect(readEvents(join(dir, 'metrics.jsonl'))).toEqual(run);
    expect(JSON.parse(read('args.json'))).toEqual({ model: 'cfpn', seed: 1 });
    expect(readdirSync(dir).sort()).toEqual(['args.json', 'metrics.csv', 'metrics.jsonl']);
  });

  it('makes the folder and replaces an old record', () => {
    const inner = join(dir, 'a', 'b');
    for (const times of [1, 2]) {
      const log = new RunLog(inner);
      for (let index = 0; index < times; index += 1) log.event({ event: 'note', text: String(times) });
      log.close();
    }
    expect(readEvents(join(inner, 'metrics.jsonl')).map((event) => event.event === 'note' && event.text)).toEqual([
      '2',
      '2',
    ]);
  });

  it('has events on disk before it is closed', () => {
    const log = new RunLog(dir);
    log.event(run[1]!);
    expect(readEvents(join(dir, 'metrics.jsonl'))).toEqual([run[1]]);
    log.close();
    log.close();
    expect(() => log.event(run[1]!)).toThrow(ArgumentError);
  });
});

describe('metrics.csv', () => {
  const cells = (): string[][] =>
    read('metrics.csv')
      .trimEnd()
      .split('\n')
      .map((line) => line.split(','));

  it('has one header and rows as long as it', () => {
    write(run);
    const [head, ...rows] = cells();
    expect(head?.slice(0, 8).join()).toBe(
      'event,epoch,step,loss,imagesPerSecond,trainAccuracy,validationAccuracy,testAccuracy',
    );
    expect(head).toHaveLength(8 + 3 * 6);
    expect(rows).toHaveLength(12);
    for (const row of rows) expect(row).toHaveLength(26);
  });

  it('says what each event knows, and leaves the rest empty', () => {
    write(run);
    const [head, first] = cells();
    const epoch = cells().find((row) => row[0] === 'epoch');
    const of = (row: string[] | undefined, name: string): string | undefined => row?.[head?.indexOf(name) ?? -1];
    const step = run[1] as StepEvent;
    expect(Number(of(first, 'loss'))).toBe(step.loss);
    expect([of(first, 'trainAccuracy'), of(first, 'unit2:ckaY')]).toEqual(['', '']);
    expect(Number(of(first, 'unit2:loss'))).toBe(step.losses[1]);
    const madeUp = run.find((event) => event.event === 'epoch');
    expect(Number(of(epoch, 'unit3:effectiveRank'))).toBe(madeUp?.units[2]?.effectiveRank);
    expect(Number(of(epoch, 'testAccuracy'))).toBe(madeUp?.testAccuracy);
  });

  it('matches units by name: those without a report stay empty', () => {
    const step: StepEvent = { ...(run[1] as StepEvent), unitNames: ['stem', 'middle', 'classifier'] };
    const epoch = madeUpEvents(1, 2, 1)[2] as EpochEvent;
    const units = ['middle', 'stem'].map((name, index) => ({ ...epoch.units[index]!, name, loss: index + 1 }));
    write([step, { ...epoch, units }]);
    const [head, , row] = cells();
    const of = (name: string): string | undefined => row?.[head?.indexOf(name) ?? -1];
    expect(['stem', 'middle', 'classifier'].map((name) => of(`${name}:loss`))).toEqual(['2', '1', '']);
  });

  it('takes the units’ names from the first event and quotes them', () => {
    const first: StepEvent = { ...(run[1] as StepEvent), unitNames: ['a,b', 'say "x"', 'c'] };
    write([first, ...run.slice(2)]);
    expect(read('metrics.csv').split('\n')[0]).toContain('"a,b:loss"');
    expect(read('metrics.csv').split('\n')[0]).toContain('"say ""x"":loss"');
  });
});

describe('resume', () => {
  it('cuts both files after the checkpoint’s step, also within an epoch', () => {
    for (const step of [0, 3, 5, 7, 10]) {
      write(run);
      write([], { resume: true, step });
      const kept = readEvents(join(dir, 'metrics.jsonl'));
      expect(kept).toEqual(run.filter((event) => event.event !== 'end' && stepOf(event) <= step));
      const rows = read('metrics.csv').split('\n').length - 2;
      expect(rows).toBe(kept.length === 1 ? -1 : kept.length - 1);
    }
  });

  it('gives the record of an uninterrupted run', () => {
    write(run);
    const whole = [read('metrics.jsonl'), read('metrics.csv')];
    for (const step of [0, 1, 5, 8]) {
      write(run.slice(0, 10));
      write(
        run.filter((event) => event.event === 'end' || stepOf(event) > step),
        { resume: true, step },
      );
      expect([read('metrics.jsonl'), read('metrics.csv')]).toEqual(whole);
    }
  });

  it('drops the end of an interrupted run and what a crash left of a line', () => {
    write(run);
    appendFileSync(join(dir, 'metrics.jsonl'), '{"event":"step","ep');
    write([], { resume: true });
    expect(readEvents(join(dir, 'metrics.jsonl'))).toEqual(run.slice(0, -1));
  });

  it('starts a record where there is none', () => {
    write(run, { resume: true, step: 4 });
    expect(readEvents(join(dir, 'metrics.jsonl'))).toEqual(run);
  });

  it('without resume nothing is kept', () => {
    write(run);
    write([], { step: 7 });
    expect(read('metrics.jsonl')).toBe('');
    expect(read('metrics.csv')).toBe('');
  });

  it.each([-1, 1.5, Number.NaN])('refuses the step %d', (step) => {
    expect(() => new RunLog(dir, { resume: true, step })).toThrow(ArgumentError);
  });

  it('keeps notes that came before the cut', () => {
    const note: TrainEvent = { event: 'note', text: 'n' };
    const [first, second] = [run[1]!, run[2]!];
    expect(keepUpTo([note, first, note, second, note], 1)).toEqual([note, first, note]);
  });
});

describe('readEvents', () => {
  it.each(['not json', '[]', 'null', '{"epoch":1}', '{"event":3}'])('names the line of %s', (line) => {
    const path = join(dir, 'metrics.jsonl');
    writeFileSync(path, `{"event":"note","text":""}\n${line}\n`);
    expect(() => readEvents(path)).toThrow(DataError);
    expect(() => readEvents(path)).toThrow(`${path}:2 expected a training event`);
  });
});

it('writeWhole leaves the old file when it fails', () => {
  const path = join(dir, 'x');
  writeWhole(path, 'old');
  writeWhole(path, new Uint8Array([110, 101, 119]));
  expect(read('x')).toBe('new');
  expect(() => writeWhole(join(dir, 'no', 'x'), 'new')).toThrow('ENOENT');
  expect(readdirSync(dir)).toEqual(['x']);
  mkdirSync(join(dir, 'taken'));
  expect(() => writeWhole(join(dir, 'taken'), 'new')).toThrow(/EISDIR|ENOTEMPTY|EEXIST|EPERM/);
  expect(readdirSync(dir)).toEqual(['taken', 'x']);
});
