// Results files as tables: which figures are taken, what is said of targets and of peers without a time, and that the
// README shows what its files say.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesOf, markdownOf, withResults } from '../../bench/markdown';
import { MEMORY_ROWS } from '../../bench/memory';
import { TARGETS } from '../../bench/targets';
import type { Measurement, MemoryMeasurement } from '../../src/cli/bench/reports';
import type { ResultsFile } from '../../src/cli/bench/results';
import { ROWS } from '../../src/cli/bench/rows';
import { fakeRow, fakeSetting } from '../cli/fakes';

const root = path.join(__dirname, '../..');
const sampled = { bestMs: 1, spreadMs: 0, samples: 5, gflops: 1, gbps: 1 };

/** A row with PyTorch in both precisions and our bf16; ratios as bench.ts would give them. */
function measurement(row: string, medianMs: number): Measurement {
  return {
    ...{ row, title: row, work: { gflop: 1, megabytes: 1 } },
    ours: {
      ...{ ...sampled, medianMs, roofline: 0.5, arenaBytes: 1 },
      bf16: {
        ...{ ...sampled, medianMs: medianMs / 2, roofline: 0.3, deviation: 0.01, tolerance: 0.05 },
        ...{ overFloat32: 2, ratio: 140 / medianMs, ratioAnyPrecision: 140 / medianMs },
      },
    },
    peers: {
      'torch eager': { ...sampled, medianMs: 100 },
      'torch.compile': { ...sampled, medianMs: 90 },
      'torch eager bf16': { ...sampled, medianMs: 70 },
      onnxruntime: { unanswered: 1800 },
      'tfjs-cpu': { failed: '[bench] too large\nlong story' },
    },
    ratio: 90 / medianMs,
  };
}

const file = (...rows: (Measurement | MemoryMeasurement)[]): ResultsFile => ({ ...fakeSetting, rows });
const lineOf = (text: string, start: string): string => text.split('\n').find((line) => line.startsWith(start)) ?? '';

describe('tables', () => {
  it('show ours, the best peers by name, ratios and targets', () => {
    const text = markdownOf([file(measurement('cfpn-bp-128', 30))]);
    const cells = lineOf(text, '| cfpn-bp-128').split(' | ');
    expect(cells.slice(1, 6)).toEqual(['30', '50 %', 'torch.compile 90', '3.00', '3.5 missed']);
    expect(cells.slice(6)).toEqual([
      '15',
      '30 %',
      '2.00, target 1.6',
      'torch eager bf16 70',
      '4.67',
      '4.67, target 4 |',
    ]);
    expect(text).toContain('- cfpn-bp-128: onnxruntime did not answer within 1800 s.');
    expect(text).toContain('- cfpn-bp-128: tfjs-cpu failed: too large.');
    expect(text).toContain('a processor, 2 threads, avx2, Node v20.0.0, gramian 0.0.0.');
  });

  it('have no bf16 columns where there is no bf16, and dashes where one row has none', () => {
    const head = (text: string): number => lineOf(text, '| row').split(' | ').length;
    expect(head(markdownOf([file(fakeRow)]))).toBe(6);
    const both = markdownOf([file(fakeRow, measurement('hsic', 30))]);
    expect(head(both)).toBe(12);
    expect(lineOf(both, '| one kernel')).toMatch(/(\| - ){6}\|$/);
  });

  it('take the later of two results of a row', () => {
    const text = markdownOf([file(measurement('hsic', 30), measurement('gram', 10)), file(measurement('hsic', 20))]);
    expect(text.match(/^\| hsic/gm)).toHaveLength(1);
    expect(lineOf(text, '| hsic')).toContain('| 20 |');
    expect(text.indexOf('| hsic')).toBeLessThan(text.indexOf('| gram'));
  });

  it('show memory, growth, and the ratio to a peer that a target names', () => {
    const memory: MemoryMeasurement = {
      row: 'memory-cfpn-cka-128',
      title: 'peak',
      ours: { peakBytes: 1 << 28 },
      peers: { a: { peakBytes: 1 << 30 }, b: { unanswered: 1 } },
      ratio: 4,
    };
    const hsic = measurement('hsic', 2);
    const peers = { 'tfjs-wasm': { ...sampled, medianMs: 80 } };
    const point = { row: 'growth-batch-16', value: 16, medianMs: 16, perImageMs: 1, gflops: 9, arenaBytes: 1 << 20 };
    const growth = [
      { along: 'batch', points: [point, { ...point, value: 32, perImageMs: 1.2 }], spread: 0.2, target: 0.15 },
    ];
    const text = markdownOf([{ ...file({ ...hsic, peers }, memory), growth } as ResultsFile]);
    expect(text).toContain('| peak | 256 MiB | a 1 GiB | 4.00, target 4 |');
    expect(text).toContain('- hsic: 40.00, target 50 missed, to tfjs-wasm.');
    expect(text).toContain('| batch 32 | 16 | 1.2 | 1.20 | 9 | 1 MiB |');
    expect(text).toContain('spread 20.0 % (target: at most 15 %)');
  });

  it('read the first results that were kept', () => {
    const kept = path.join(root, 'bench/results/peers-de28c21.json');
    const text = markdownOf([JSON.parse(readFileSync(kept, 'utf8')) as ResultsFile]);
    expect(lineOf(text, '| Gram matrix')).toContain('| 9.17 | 47 % | torch.compile 19.8 | 2.16 | 1.5 |');
  });
});

describe('targets', () => {
  it('are of rows that there are', () => {
    const ids = [...ROWS, ...MEMORY_ROWS].map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(Object.keys(TARGETS)));
  });
});

describe('the README', () => {
  it('has a block of results that is replaced as a whole', () => {
    const text = 'before\n<!-- results: -->\nby hand\n<!-- /results -->\nafter\n';
    const made = withResults(text, ['a.json', 'b.json'], '| $& |\n');
    expect(made).toBe('before\n<!-- results: a.json b.json -->\n| $& |\n<!-- /results -->\nafter\n');
    expect(filesOf(made)).toEqual(['a.json', 'b.json']);
    expect(filesOf(text)).toEqual([]);
    expect(() => filesOf('none')).toThrow('[table] expected <!-- results: -->');
  });

  it('shows what its files say', () => {
    const text = readFileSync(path.join(root, 'README.md'), 'utf8');
    const names = filesOf(text);
    expect(names.filter((name) => !existsSync(path.join(root, name)))).toEqual([]);
    const files = names.map((name) => JSON.parse(readFileSync(path.join(root, name), 'utf8')) as ResultsFile);
    if (names.length > 0) expect(withResults(text, names, markdownOf(files))).toBe(text);
  });
});
