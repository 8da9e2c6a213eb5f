// Every kernel against the float64 oracle: each row of the op table on each ISA this CPU has, with one, two and three
// threads, plain and pitched. Integers must come out exact; random numbers within a stated error; every run of the
// same inputs must give the same bits, whatever the threads.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { type Row, typed } from './case';
import { compareRuns, compareWithOracle, MODES, outputsOf, type Results, runOnce } from './checkRow';
import { type ExpectedRow, expectRow } from './expected';
import type { Mode } from './fills';
import { availableIsas, type Isa } from './isas';
import { table } from './table';

async function check(expected: ExpectedRow, mode: Mode, isa: Isa): Promise<string[]> {
  const failures: string[] = [];
  let first: Results | undefined;
  for (const threads of [1, 2, 3]) {
    const plan = compile(expected.graph, { outputs: outputsOf(expected), device: 'cpu', isa, threads });
    try {
      const results = await runOnce(plan, expected);
      if (first) failures.push(...compareRuns(`1 against ${threads} threads`, first, results, expected));
      else failures.push(...compareWithOracle(results, expected, mode));
      if (threads < 3) {
        const again = await runOnce(plan, expected);
        failures.push(...compareRuns(`a second run on ${threads} threads`, results, again, expected));
      }
      first ??= results;
    } finally {
      plan.dispose();
    }
  }
  return failures;
}

const isas = availableIsas();

describe.each(table.map((row): [string, Row] => [row.op, row]))('%s', (_op, row) => {
  const expected = new Map<Mode, ExpectedRow>();
  const expectedOf = (mode: Mode) => {
    if (!expected.has(mode)) expected.set(mode, expectRow(row, mode));
    return expected.get(mode)!;
  };

  it.each(isas)('%s', async (isa) => {
    for (const mode of MODES) {
      const failures = await check(expectedOf(mode), mode, isa);
      expect(failures, `${mode} fill, ${failures.length} failures`).toEqual([]);
    }
    if (isa === isas.at(-1)) expected.clear();
  });
});

it('gives typed arrays of the tensors’ dtypes', async () => {
  const expected = expectRow(table.find((row) => row.op === 'maxPool')!, 'integer');
  using plan = compile(expected.graph, { outputs: outputsOf(expected), device: 'cpu' });
  const results = await plan.step(expected.feeds);
  for (const item of expected.cases) {
    for (const [name, answer] of Object.entries(item.answers)) {
      expect(results[name]).toBeInstanceOf(typed(answer.dtype, []).constructor);
    }
  }
});
