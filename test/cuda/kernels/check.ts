// The op table on device cuda: each row's kernels as nvcc compiled them for three architectures, executed by the software
// device, against the float64 oracle. Plain and pitched; a second run must give the same bits, and no check may find fault.
// Three test files, one for each part of the table, so that they run at the same time.
// The rule easy to break: an op that no other part names is the part `others`' own, so none is left out.
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { compile } from '../../../src/compile';
import type { Row } from '../../kernels/case';
import { compareRuns, compareWithOracle, MODES, outputsOf, runOnce } from '../../kernels/checkRow';
import { type ExpectedRow, expectRow } from '../../kernels/expected';
import type { Mode } from '../../kernels/fills';
import { table } from '../../kernels/table';
import { findings, forget, images, useImage } from '../device';

/** Ops without a CUDA kernel yet. An op that has one must leave this list, or its test fails. */
const PENDING: readonly string[] = [];

/** A software device next to other work needs long for the objectives, whose cases are many. */
const TIMEOUT = 300_000;

const PARTS = {
  objective: ['hsicObjective'],
  products: ['conv2d', 'conv2dGradInput', 'conv2dGradFilter', 'matmul', 'gram', 'gramGrad', 'hsicNormalize'],
} as const;
export type Part = keyof typeof PARTS | 'others';

function partOf(op: string): Part {
  const found = Object.entries(PARTS).find(([, ops]) => (ops as readonly string[]).includes(op));
  return (found?.[0] as Part | undefined) ?? 'others';
}

async function check(expected: ExpectedRow, mode: Mode): Promise<string[]> {
  using plan = compile(expected.graph, { outputs: outputsOf(expected), device: 'cuda' });
  const results = await runOnce(plan, expected);
  const again = await runOnce(plan, expected);
  return [...compareWithOracle(results, expected, mode), ...compareRuns('a second run', results, again, expected)];
}

/** Declares the tests of one part of the table. */
export function checkPart(part: Part): void {
  const rows = (pending: boolean) =>
    table
      .filter(({ op }) => partOf(op) === part && PENDING.includes(op) === pending)
      .map((row): [string, Row] => [row.op, row]);

  if (images.length > 0) afterEach(forget);

  describe.skipIf(images.length === 0)('device cuda', () => {
    describe.each(rows(false))('%s', (_op, row) => {
      const expected = new Map<Mode, ExpectedRow>();
      const expectedOf = (mode: Mode) => {
        if (!expected.has(mode)) expected.set(mode, expectRow(row, mode));
        return expected.get(mode)!;
      };
      afterAll(() => expected.clear());

      it.each(images)(
        '%s',
        async (image) => {
          useImage(image);
          for (const mode of MODES) {
            const failures = await check(expectedOf(mode), mode);
            expect(failures, `${mode} fill, ${failures.length} failures`).toEqual([]);
          }
          expect(findings()).toEqual([]);
        },
        TIMEOUT,
      );
    });

    it.each(rows(true))('%s is still pending', (_op, row) => {
      useImage('ptx80');
      const { graph, cases } = expectRow(row, 'integer');
      const outputs = Object.assign({}, ...cases.map((item) => item.outputs));
      expect(() => compile(graph, { outputs, device: 'cuda' }).dispose()).toThrow('cuda has no kernel for this op');
    });
  });
}
