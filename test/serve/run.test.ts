// A run's folder as the run view shows it: while it is written, when it is started anew, when it is finished, and when what
// lies there is not what a run writes.
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EpochEvent, TrainEvent } from '../../src/report/events';
import { RunLog } from '../../src/report/log';
import type { RunData } from '../../src/serve/page/runData';
import { RunFollower } from '../../src/serve/runFollower';
import { RunView, runData } from '../../src/serve/runView';
import { type PageServer, serve } from '../../src/serve/server';
import { parseTrainEvent } from '../../src/serve/trainEvents';
import { classes, evaluationOf, madeUpEvents } from '../report/madeUpRun';
import { wellFormed } from '../report/wellFormed';

const args = { model: 'cfpn', data: 'synthetic:64', method: 'hsic', objective: 'cka', epochs: 4, batch: 32, seed: 7 };
const NASTY = `<script>alert(1)</script>"'&\u0000]]>`;

let root: string;
let dir: string;
let runs = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gramian-serve-'));
});
afterAll(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  runs += 1;
  dir = join(root, `run${runs}`);
});

/** Events of a made-up run whose epochs say what was called what. */
function events(epochs = 4, units = 3): TrainEvent[] {
  return madeUpEvents(epochs, units, 10).map((event) =>
    event.event === 'epoch' ? { ...event, evaluation: evaluationOf(classes) } : event,
  );
}

/** What is shown of the folder now. */
async function shown(follower: RunFollower): Promise<RunData> {
  await follower.refresh();
  return runData(follower);
}

const ids = ({ figures }: RunData): string[] => figures.map(({ id }) => id);
const fact = ({ facts }: RunData, name: string): string | undefined => facts.find(([key]) => key === name)?.[1];

describe('a run', () => {
  it('is shown as it grows', async () => {
    const follower = new RunFollower(dir);
    expect(await shown(follower)).toMatchObject({ status: 'waiting', title: dir, facts: [], figures: [], written: 0 });
    const log = new RunLog(dir, { args });
    const all = events();
    const firstEpoch = all.findIndex((event) => event.event === 'epoch');
    for (const event of all.slice(0, firstEpoch)) log.event(event);
    const started = await shown(follower);
    expect(started).toMatchObject({ status: 'training', title: 'cfpn on synthetic faces (64)', synthetic: true });
    expect(started.method).toBe('hsic by cka, seed 7');
    expect(ids(started)).toEqual(['loss']);
    expect(fact(started, 'epochs')).toBe('0 of 4');
    expect(fact(started, 'seconds left')).toBe('30');
    // 10 steps are done; 30 seconds at 512 images a second are 480 steps of 32.
    expect(started.progress).toBeCloseTo(10 / 490, 6);

    log.event(all[firstEpoch] as TrainEvent);
    const later = await shown(follower);
    expect(ids(later)).toEqual([
      ...['loss', 'accuracy', 'hsic-units', 'hsic-plane', 'cka-plane', 'effective-rank', 'cka-labels', 'confusion'],
    ]);
    expect(later.figures.at(-1)?.caption).toContain('Test split, epoch 1.');
    expect(later.units?.rows.map(([name]) => name)).toEqual(['1 block1/layer1', '2 block1/layer2', '3 classifier']);
    expect(later.classes?.rows).toHaveLength(7);
    expect(fact(later, 'test accuracy')).toBe('81.25%');

    for (const event of all.slice(firstEpoch + 1)) log.event(event);
    log.close();
    const finished = await shown(follower);
    expect(finished).toMatchObject({ status: 'finished', progress: 1, notes: ['made up'] });
    expect(finished.figures.at(-1)?.caption).toContain('Test split, best weights.');
    expect(fact(finished, 'epochs')).toBe('4 of 4');
    expect(fact(finished, 'seconds left')).toBeUndefined();
    expect(finished.written).toBeGreaterThan(0);
  });

  it('read piece by piece shows what the whole shows', async () => {
    mkdirSync(dir);
    const text = events(2, 2)
      .map((event) => `${JSON.stringify(event)}\n`)
      .join('');
    const bytes = Buffer.from(text.replace('made up', 'made up: ünïcode 😀'));
    const pieces = new RunFollower(dir);
    for (let at = 0; at < bytes.length; at += 997) {
      appendFileSync(join(dir, 'metrics.jsonl'), bytes.subarray(at, at + 997));
      await pieces.refresh();
    }
    const whole = await shown(new RunFollower(dir));
    expect(await shown(pieces)).toEqual(whole);
    expect(whole.notes).toEqual(['made up: ünïcode 😀']);
  });

  it('that begins again is read anew', async () => {
    const follower = new RunFollower(dir);
    const log = new RunLog(dir, { args });
    for (const event of events()) log.event(event);
    log.close();
    expect((await shown(follower)).status).toBe('finished');
    const resumed = new RunLog(dir, { resume: true, step: 10, args: { ...args, epochs: 9 } });
    const again = await shown(follower);
    expect(again.status).toBe('training');
    expect([fact(again, 'steps'), fact(again, 'epochs')]).toEqual(['10', '1 of 9']);
    resumed.close();
    rmSync(join(dir, 'metrics.jsonl'));
    expect((await shown(follower)).status).toBe('waiting');
  });

  it('that was interrupted says so', async () => {
    const log = new RunLog(dir, { args });
    for (const event of events()) {
      if (event.event !== 'end') log.event(event);
      else log.event({ ...event, interrupted: true });
    }
    log.close();
    expect((await shown(new RunFollower(dir))).status).toBe('interrupted');
  });

  it('of many steps and epochs takes a bounded amount of memory and keeps its end', async () => {
    mkdirSync(dir);
    const step = events(1, 1).find((event) => event.event === 'step');
    const epoch = events(1, 1).find((event) => event.event === 'epoch');
    const lines = [
      ...Array.from({ length: 20_000 }, (_, index) => JSON.stringify({ ...step, step: index + 1, losses: [1, 2] })),
      ...Array.from({ length: 3000 }, (_, index) => JSON.stringify({ ...epoch, epoch: index })),
    ];
    writeFileSync(join(dir, 'metrics.jsonl'), `${lines.join('\n')}\n`);
    const follower = new RunFollower(dir);
    await follower.refresh();
    expect(follower.steps.length).toBeLessThanOrEqual(8192);
    expect(follower.steps.at(-1)?.step).toBe(20_000);
    expect(follower.epochs.length).toBeLessThanOrEqual(2048);
    expect(follower.epochs.at(-1)?.epoch).toBe(2999);
    expect(fact(runData(follower), 'epochs')).toBe('3000');
  });
});

describe('a folder of something else', () => {
  it('shows what can be read and counts the rest', async () => {
    mkdirSync(dir);
    const good = events(2, 2).map((event) => JSON.stringify(event));
    const bad = ['', 'null', '[]', '{', '{"event":"stop"}', '{"event":3}', '\u0000\u0001', 'x'.repeat(5 << 20)];
    writeFileSync(join(dir, 'metrics.jsonl'), `${[...bad, ...good].join('\n')}\n{"event":"step"`);
    writeFileSync(join(dir, 'args.json'), '[1, 2');
    const data = await shown(new RunFollower(dir));
    expect(data.notes).toEqual(['made up', `${bad.length} lines of metrics.jsonl could not be read`]);
    expect(data).toMatchObject({ status: 'finished', title: dir, args: [] });
    expect(ids(data)).toContain('confusion');
  });

  it('has names that stay text', async () => {
    const log = new RunLog(dir, { args: { ...args, model: NASTY, data: NASTY, out: NASTY, objective: NASTY } });
    const evaluation = evaluationOf([NASTY, 'b']);
    for (const event of events(2, 2)) {
      if (event.event !== 'epoch') continue;
      log.event({ ...event, evaluation, units: event.units.map((unit) => ({ ...unit, name: NASTY })) });
    }
    log.event({ event: 'note', text: NASTY });
    log.close();
    const data = await shown(new RunFollower(dir));
    expect(data.figures.length).toBeGreaterThan(6);
    for (const { svg } of data.figures) {
      expect(wellFormed(svg)).toBeUndefined();
      expect(svg).not.toMatch(/<script|\son\w+=|javascript:|\sstyle=/);
    }
    expect(data.classes?.rows[0]?.[0]).toBe(NASTY);
    expect(data.title).toContain(NASTY);
  });

  it('whatever its lines hold, is drawn without an error', async () => {
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(null, -1, 1e308, '', [], {}));
    const fields = [
      ...['epoch', 'step', 'loss', 'losses', 'imagesPerSecond', 'learningRate', 'etaSeconds', 'trainAccuracy'],
      ...['testAccuracy', 'units', 'evaluation', 'seconds', 'text', 'run', 'interrupted'],
    ];
    const unit = fc.dictionary(
      fc.constantFrom('name', 'loss', 'hsicX', 'hsicY', 'ckaX', 'ckaY', 'effectiveRank'),
      value,
    );
    const evaluation = fc.record({
      classes: fc.oneof(
        value,
        fc.array(fc.dictionary(fc.constantFrom('name', 'precision', 'support'), value), { maxLength: 3 }),
      ),
      confusion: fc.oneof(value, fc.array(fc.array(value, { maxLength: 3 }), { maxLength: 3 })),
    });
    const event = fc
      .tuple(
        fc.constantFrom('step', 'epoch', 'end', 'note'),
        fc.dictionary(fc.constantFrom(...fields), value),
        fc.oneof(value, fc.array(unit, { maxLength: 3 })),
        fc.oneof(value, evaluation),
      )
      .map(([name, rest, units, scores]) => ({ ...rest, event: name, units, evaluation: scores }));
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 6 }), async (made) => {
        const follower = new RunFollower(dir);
        for (const one of made) {
          const parsed = parseTrainEvent(JSON.stringify(one));
          if (parsed?.event === 'step') follower.steps.push(parsed);
          if (parsed?.event === 'epoch') follower.epochs.push(parsed);
          if (parsed?.event === 'end') follower.end = parsed;
        }
        for (const { svg } of runData(follower).figures) {
          expect(wellFormed(svg)).toBeUndefined();
          expect(svg).not.toMatch(/="[^"]*(NaN|Infinity)[^"]*"/);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('that is a file, or cannot be read, is a run that waits', async () => {
    writeFileSync(dir, 'a file');
    expect((await shown(new RunFollower(dir))).status).toBe('waiting');
    mkdirSync(join(root, 'odd', 'metrics.jsonl'), { recursive: true });
    // Nobody writes into this pipe: reading it would wait for ever.
    expect(spawnSync('mkfifo', [join(root, 'odd', 'args.json')]).status).toBe(0);
    expect((await shown(new RunFollower(join(root, 'odd')))).status).toBe('waiting');
  });
});

describe('over the server', () => {
  let server: PageServer;
  beforeEach(async () => {
    server = await serve({ run: dir });
    return () => server.close();
  });
  const ask = (headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${server.port}/api/run`, {
      headers: { authorization: `Bearer ${server.token}`, ...headers },
    });

  it('is sent only when it has changed', async () => {
    const first = await ask();
    expect(((await first.json()) as RunData).status).toBe('waiting');
    const tag = first.headers.get('etag') ?? '';
    expect((await ask({ 'if-none-match': tag })).status).toBe(304);
    const log = new RunLog(dir, { args });
    for (const event of events()) log.event(event);
    log.close();
    await expect.poll(async () => (await ask({ 'if-none-match': tag })).status).toBe(200);
    const data = (await (await ask()).json()) as RunData;
    expect(data.status).toBe('finished');
    expect(data.figures).toHaveLength(8);
  });

  it('is drawn once for all that look', async () => {
    const view = new RunView(dir);
    const texts = await Promise.all(Array.from({ length: 20 }, () => view.read()));
    expect(new Set(texts).size).toBe(1);
  });

  it('survives a folder that is replaced while it is read', async () => {
    const made = events();
    for (let round = 0; round < 20; round += 1) {
      const next = join(root, `next${round}`);
      const log = new RunLog(next, { args });
      for (const event of made) log.event(event);
      log.close();
      const asked = Promise.all([ask(), ask()]);
      rmSync(dir, { recursive: true, force: true });
      renameSync(next, dir);
      for (const { status } of await asked) expect(status).toBe(200);
    }
    await expect.poll(async () => ((await (await ask()).json()) as RunData).status).toBe('finished');
  });
});

it('an epoch event of training names its evaluation', () => {
  const event: EpochEvent = parseTrainEvent(
    JSON.stringify(events(1, 1).find(({ event }) => event === 'epoch')),
  ) as EpochEvent;
  expect(event.evaluation).toEqual(evaluationOf(classes));
});
