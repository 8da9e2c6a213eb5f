// The promise of determinism: the same bits for any number of threads, and after a resume.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { TrainEvent } from '../../src/report/events';
import { readEvents } from '../../src/report/log';
import { loadCheckpoint } from '../../src/train/checkpoint';
import { train } from '../../src/train/train';
import { stateHash, tinyTrainer } from './fixtures';

const folder = mkdtempSync(join(tmpdir(), 'gramian-determinism-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Paths that this process has open, where the system tells. */
function openFiles(): string[] {
  const table = '/proc/self/fd';
  if (!existsSync(table)) return [];
  return readdirSync(table).flatMap((name) => {
    const file = join(table, name);
    // The descriptor by which the table was read is gone.
    return existsSync(file) ? [readlinkSync(file)] : [];
  });
}

/** What differs from run to run. */
const TIMES = { seconds: 0, imagesPerSecond: 0 };

describe('determinism', () => {
  it.each(['cka', 'bp'] as const)('200 steps by %s give one hash for 1, 2, 3 and 5 threads', async (name) => {
    const hashes = new Set<string>();
    for (const threads of [1, 2, 3, 5]) {
      const augmentation = { rotate: 15, shift: 1, noise: 0.05, flip: true };
      const trainer = tinyTrainer(name, { threads, augmentation });
      await trainer.run(200);
      hashes.add(await stateHash(trainer));
      trainer.dispose();
    }
    expect(hashes.size).toBe(1);
  });

  it('another seed gives other weights', async () => {
    const hashes = new Set<string>();
    for (const seed of [1, 2]) {
      const trainer = tinyTrainer('cka', { seed });
      await trainer.run(5);
      hashes.add(await stateHash(trainer));
      trainer.dispose();
    }
    expect(hashes.size).toBe(2);
  });

  it('a run interrupted in the middle of an epoch and resumed equals the uninterrupted one', async () => {
    const settings = {
      data: 'synthetic:700',
      model: 'denseFpn1',
      input: [16, 16] as const,
      epochs: 2,
      batch: 64,
      seed: 4,
    };
    const whole = join(folder, 'whole');
    const parts = join(folder, 'parts');
    await train({ ...settings, out: whole }, { onEvent: () => {} });
    const stop = new AbortController();
    const interrupted = await train(
      { ...settings, out: parts },
      { onEvent: (event) => event.event === 'step' && event.epoch === 1 && stop.abort(), signal: stop.signal },
    );
    expect(interrupted.interrupted).toBe(true);
    // The first step of the second epoch.
    expect([interrupted.epoch, interrupted.step]).toEqual([1, 9]);
    const resumed = await train({ ...settings, out: parts, resume: true }, { onEvent: () => {} });
    expect(resumed.interrupted).toBe(false);
    const records = [whole, parts].map((run) => readEvents(join(run, 'metrics.jsonl')));
    const [told, again] = records.map((events) =>
      events.flatMap((event) => (event.event === 'step' || event.event === 'end' ? [] : [{ ...event, ...TIMES }])),
    );
    expect(told!.map(({ event }) => event)).toEqual(['note', 'epoch', 'epoch']);
    expect(again).toEqual(told);
    const [a, b] = await Promise.all([whole, parts].map((run) => loadCheckpoint(join(run, 'last.safetensors'))));
    expect(b!.state.step).toBe(a!.state.step);
    expect(Object.keys(b!.tensors).sort()).toEqual(Object.keys(a!.tensors).sort());
    for (const [name, { data }] of Object.entries(a!.tensors)) {
      expect(Buffer.from(b!.tensors[name]!.data.buffer).equals(Buffer.from(data.buffer)), name).toBe(true);
    }
  }, 120_000);

  it('a new run leaves no weights of an earlier one under its own settings, nor open files', async () => {
    const out = join(folder, 'used');
    const settings = { data: 'synthetic:120', model: 'denseFpn1', input: [8, 8] as const, epochs: 1, batch: 32, out };
    await train(settings, { onEvent: () => {} });
    expect(readdirSync(out)).toContain('report.html');
    for (const fails of ['note', 'step']) {
      const onEvent = ({ event }: TrainEvent): void => {
        if (event === fails) throw new Error('the hook failed');
      };
      await expect(train({ ...settings, lr: 0.1 }, { onEvent })).rejects.toThrow('the hook failed');
      expect(readdirSync(out).sort()).toEqual(['args.json', 'figures', 'metrics.csv', 'metrics.jsonl']);
      expect(JSON.parse(readFileSync(join(out, 'args.json'), 'utf8'))).toMatchObject({ lr: 0.1 });
    }
    expect(openFiles().filter((path) => path.startsWith(out))).toEqual([]);
  }, 60_000);

  it('a run interrupted between an epoch and its evaluation makes that evaluation up when resumed', async () => {
    const out = join(folder, 'unevaluated');
    const best = join(out, 'best.safetensors');
    mkdirSync(out);
    writeFileSync(best, 'left by an earlier run');
    const settings = { data: 'synthetic:120', model: 'denseFpn1', input: [8, 8] as const, epochs: 1, batch: 16, out };
    const stop = new AbortController();
    const interrupted = await train(settings, {
      onEvent: (event) => event.event === 'step' && event.etaSeconds === 0 && stop.abort(),
      signal: stop.signal,
    });
    expect(interrupted.interrupted).toBe(true);
    expect(existsSync(best)).toBe(false);
    const resumed = await train({ ...settings, resume: true }, { onEvent: () => {} });
    expect(resumed).toMatchObject({ interrupted: false, step: interrupted.step, epoch: 1 });
    const epochs = readEvents(join(out, 'metrics.jsonl')).filter(({ event }) => event === 'epoch');
    expect(epochs).toMatchObject([{ epoch: 0, step: interrupted.step, testAccuracy: resumed.testAccuracy }]);
    expect((await loadCheckpoint(best)).state).toMatchObject({ step: interrupted.step, best: { epoch: 0 } });
  }, 60_000);
});
