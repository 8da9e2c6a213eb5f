// What is made of measurements: the growth table, ratios of memory, the text for people, the file that is kept.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MEMORY_ROWS, memoryRatio, timedRow } from '../../bench/memory';
import { rowsFor } from '../../src/cli/bench';
import { growthOf, spreadOf } from '../../src/cli/bench/growth';
import type { Measurement, MemoryMeasurement } from '../../src/cli/bench/reports';
import { Results } from '../../src/cli/bench/results';
import { ROWS } from '../../src/cli/bench/rows';
import { reportLines } from '../../src/cli/bench/text';
import { fakeRow, fakeSetting } from '../cli/fakes';

const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-reports-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const growthRows = rowsFor({ target: 'growth', seconds: 1, device: 'cpu' });

/** As if a row had taken so long. */
function measured(row: string, medianMs: number): Measurement {
  return { ...fakeRow, row, title: row, ours: { ...fakeRow.ours, medianMs } };
}

describe('growth rows', () => {
  it('cover batch, input, blocks and threads, without peers', () => {
    const values = (along: string): number[] =>
      growthRows.flatMap(({ growth }) => (growth?.along === along ? [growth.value] : []));
    expect(values('batch')).toEqual(expect.arrayContaining([16, 64, 128, 256, 512]));
    expect(values('input')).toEqual(expect.arrayContaining([48, 96, 224]));
    expect(values('blocks')).toEqual([1, 2, 3, 4]);
    expect(values('threads')).toEqual([1, 2]);
    expect(growthRows.every(({ peers, growth }) => !peers && growth)).toBe(true);
    expect(growthRows.filter(({ threads }) => threads).map(({ threads }) => threads)).toEqual([1, 2]);
  });

  it('make a table with the spread along the batch', () => {
    const measurements = [
      measured('growth-batch-16', 16),
      measured('growth-batch-32', 36),
      measured('growth-input-48', 64),
    ];
    const [batch, input] = growthOf(growthRows, measurements)!.growth;
    expect(batch!.points.map(({ perImageMs }) => perImageMs)).toEqual([1, 1.125]);
    expect(batch).toMatchObject({ along: 'batch', spread: 0.125, target: 0.15 });
    expect(input).toMatchObject({ along: 'input', points: [{ row: 'growth-input-48', value: 48, perImageMs: 2 }] });
    expect(input).not.toHaveProperty('spread');
    const text = reportLines({ growth: [batch!, input!] });
    expect(text).toContain('ms an image');
    expect(text).toMatch(/batch 32 +36 +1\.125 +1\.13/);
    expect(text).toContain('along batch: 1 to 1.125 ms, spread 12.5 % (target: at most 15 %)');
  });

  it('make none of one point or of other rows', () => {
    const [batch] = growthOf(growthRows, [measured('growth-batch-16', 16)])!.growth;
    expect(batch).not.toHaveProperty('spread');
    expect(growthOf(ROWS, [measured('hsic', 1)])).toBeUndefined();
    expect(spreadOf([2, 2, 3])).toBe(0.5);
  });
});

describe('memory rows', () => {
  it('run the steps of timed rows', () => {
    expect(MEMORY_ROWS.map(({ id }) => timedRow(id).id)).toEqual(['cfpn-cka-128', 'cfpn-bp-128']);
    expect(MEMORY_ROWS.every(({ id, group }) => group === 'memory' && id.startsWith('memory-'))).toBe(true);
  });

  it('are held against the smallest peer', () => {
    expect(memoryRatio(100, { a: { peakBytes: 500 }, b: { peakBytes: 400 }, c: { unanswered: 3 } })).toEqual({
      ratio: 4,
    });
    expect(memoryRatio(100, { c: { failed: 'no' } })).toEqual({});
    expect(memoryRatio(100, {})).toEqual({});
  });

  it('say both peaks', () => {
    const one: MemoryMeasurement = {
      row: 'memory',
      title: 'peak memory of a step',
      ours: { peakBytes: 1 << 28 },
      peers: { tuned: { peakBytes: 1 << 30 }, late: { unanswered: 30 }, broken: { failed: 'gone' } },
      ratio: 4,
    };
    const said =
      'peak memory of a step: 256 MiB, tuned 1 GiB, late without answer within 30 s, broken failed: gone, ratio 4.00\n';
    expect(reportLines(one)).toBe(said);
  });
});

describe('text', () => {
  const bf16 = { deviation: 0.002, tolerance: 0.05 };
  const times = { medianMs: 1, bestMs: 1, spreadMs: 0, samples: 5, gflops: 18, gbps: 3, roofline: 0.09 };

  it('tells of bf16 beside float32', () => {
    const ours = {
      ...fakeRow.ours,
      bf16: { ...bf16, ...times, overFloat32: 1.5, ratio: 2.5, ratioAnyPrecision: 2.25 },
    };
    const line = reportLines({ ...fakeRow, ours }).split('\n')[1]!;
    for (const part of [
      '1 ms',
      'our float32 takes 1.50 x that',
      '9 % of its roofline',
      'ratio 2.50 to the best bf16 peer',
    ]) {
      expect(line).toContain(part);
    }
    expect(line).toContain('ratio 2.25 to the best peer, deviation 2.0e-3 of at most 0.05');
  });

  it('tells of bf16 that disagrees and of peers that did not answer', () => {
    const wrong = { ...bf16, disagrees: { ours: [1], theirs: [2] } };
    const row = { ...fakeRow, ours: { ...fakeRow.ours, bf16: wrong }, peers: { late: { unanswered: 1800 } } };
    const [, own, late] = reportLines(row).split('\n');
    expect(own).toMatch(/ours in bf16 +disagrees +deviation 2\.0e-3: ours 1, theirs 2/);
    expect(late).toMatch(/late +no answer +within 1800 s/);
  });

  it('tells of peers that are absent', () => {
    expect(reportLines({ ...fakeSetting, absent: { other: 'not installed' } })).toContain(
      'no peer other: not installed',
    );
  });
});

describe('the file of results', () => {
  it('has what was reported so far', () => {
    const file = path.join(folder, 'deep/results.json');
    const results = new Results(({ environment }) => (environment.cores === 2 ? file : 'elsewhere'));
    expect(results.file).toBeUndefined();
    const read = (): unknown => JSON.parse(readFileSync(file, 'utf8'));
    results.add(fakeSetting);
    expect(read()).toEqual({ ...fakeSetting, rows: [] });
    results.add(fakeRow);
    results.add({ growth: [] });
    expect(results.file).toBe(file);
    expect(read()).toEqual({ ...fakeSetting, rows: [fakeRow], growth: [] });
  });
});
