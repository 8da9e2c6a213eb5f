// The op table on device cuda: each row's kernels as nvcc compiled them for three architectures, executed by the software
// device, against the float64 oracle. Plain and pitched; a second run must give the same bits, and no check may find fault.
import { afterAll, describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import type { Row } from '../kernels/case';
import { compareRuns, compareWithOracle, MODES, outputsOf, runOnce } from '../kernels/checkRow';
import { type ExpectedRow, expectRow } from '../kernels/expected';
import type { Mode } from '../kernels/fills';
import { table } from '../kernels/table';
import { findings, images, useImage } from './device';

/** Ops without a CUDA kernel yet. An op that has one must leave this list, or its test fails. */
const PENDING: readonly string[] = [];

async function check(expected: ExpectedRow, mode: Mode): Promise<string[]> {
  using plan = compile(expected.graph, { outputs: outputsOf(expected), device: 'cuda' });
  const results = await runOnce(plan, expected);
  const again = await runOnce(plan, expected);
  return [...compareWithOracle(results, expected, mode), ...compareRuns('a second run', results, again, expected)];
}

const rows = (pending: boolean) =>
  table.filter(({ op }) => PENDING.includes(op) === pending).map((row): [string, Row] => [row.op, row]);

describe.skipIf(images.length === 0)('device cuda', () => {
  describe.each(rows(false))('%s', (_op, row) => {
    const expected = new Map<Mode, ExpectedRow>();
    const expectedOf = (mode: Mode) => {
      if (!expected.has(mode)) expected.set(mode, expectRow(row, mode));
      return expected.get(mode)!;
    };
    afterAll(() => expected.clear());

    it.each(images)('%s', async (image) => {
      useImage(image);
      for (const mode of MODES) {
        const failures = await check(expectedOf(mode), mode);
        expect(failures, `${mode} fill, ${failures.length} failures`).toEqual([]);
      }
      expect(findings()).toEqual([]);
    });
  });

  it.each(rows(true))('%s is still pending', (_op, row) => {
    useImage('ptx80');
    const { graph, cases } = expectRow(row, 'integer');
    const outputs = Object.assign({}, ...cases.map((item) => item.outputs));
    expect(() => compile(graph, { outputs, device: 'cuda' }).dispose()).toThrow('cuda has no kernel for this op');
  });
});
