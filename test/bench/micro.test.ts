// The small tasks of bench/micro.ts do what their names say, and the script prints them. No time is judged.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { TASKS } from '../../bench/microTasks';
import { scriptArguments } from '../../bench/scripts';
import type { PlanDescription } from '../../src/compile';
import type { FerCsv } from '../../src/data/ferCsv';
import type { DataSplits } from '../../src/data/types';
import type { Graph, Tensor } from '../../src/graph/graph';

const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-micro-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What one call answers, twice: the second call must find what the first found. */
async function answersOf<T>(id: string): Promise<T> {
  const task = TASKS.find((one) => one.id === id)!;
  const { run, close } = await task.prepare(mkdtempSync(path.join(folder, `${id}-`)));
  await run();
  const answer = (await run()) as T;
  close?.();
  return answer;
}

async function micro(...args: string[]): Promise<string> {
  const script = path.join(__dirname, '../../bench/micro.ts');
  const { stdout } = await promisify(execFile)(process.execPath, scriptArguments(script, args), { cwd: folder });
  return stdout;
}

describe('micro tasks', () => {
  it('build CFPN and its training step', async () => {
    expect((await answersOf<Tensor>('graph-forward')).shape).toEqual([128, 7]);
    const { nodes } = await answersOf<Graph>('graph-step');
    expect(nodes.map(({ op }) => op)).toEqual(expect.arrayContaining(['datasetBatch', 'hsicObjective', 'adam']));
  });

  it('plan it', async () => {
    const { launches, arenaBytes } = await answersOf<PlanDescription>('plan');
    expect(launches.length).toBeGreaterThan(100);
    expect(arenaBytes).toBeGreaterThan(1e8);
    expect(await answersOf<number>('compile')).toBeGreaterThan(100);
  });

  it('cross into native code and back', async () => {
    for (const id of ['step', 'step-sync', 'feed']) {
      expect(await answersOf(id)).toEqual({ first: Float32Array.of(0) });
    }
  });

  it('read every picture and every face', async () => {
    const { train, test } = await answersOf<DataSplits>('png');
    expect(train.count + test.count).toBe(256);
    expect(new Set(train.images).size).toBeGreaterThan(200);
    const { parts } = await answersOf<FerCsv>('csv');
    expect(Object.values(parts).reduce((sum, { count }) => sum + count, 0)).toBe(2000);
  });
});

describe('the script', () => {
  it('prints one JSON line a task', async () => {
    const out = await micro('--json', '--seconds', '0.02', '--tasks', 'step,feed');
    const [setting, ...lines] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(setting).toMatchObject({ environment: { node: process.version } });
    expect(lines.map(({ task }) => task)).toEqual(['step', 'feed']);
    for (const line of lines) expect(line).toMatchObject({ medianMs: expect.any(Number), samples: expect.any(Number) });
    expect(lines[1].bytesPerSecond).toBeCloseTo((4 * 128 * 48 * 48 * 1000) / lines[1].medianMs);
  });

  it('prints a table', async () => {
    const out = await micro('--seconds', '0.02', '--tasks', 'step-sync');
    expect(out).toMatch(/task +median +99 % +samples +rate\nplan.stepSync of a tiny plan +[\d.]+ (us|ms)/);
  });

  it('answers a task that there is not', async () => {
    await expect(micro('--tasks', 'stepp')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no "stepp"; did you mean "step"?'),
    });
  });
});
