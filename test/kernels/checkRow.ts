// One row of the op table on a compiled plan: the step from a known start, its comparison with the oracle, and of two runs
// with each other. Used by kernels.test.ts and test/cuda/kernels/check.ts.
// The rule easy to break: persistent tensors are put back to their start before each run.
import type { Plan } from '../../src/compile';
import type { ExpectedRow } from './expected';
import { isExact } from './expected';
import type { Mode } from './fills';
import { allowedError, DEFAULT_TOLERANCE, firstDifference, firstMismatch, shareOfZeros } from './tolerance';

export type Results = Record<string, ArrayLike<number>>;

export const MODES: readonly Mode[] = ['integer', 'random'];

export function outputsOf(expected: ExpectedRow) {
  return Object.assign({}, ...expected.cases.map((item) => item.outputs));
}

/** Puts the persistent tensors back to their start, runs one step, returns outputs and persistent tensors. */
export async function runOnce(plan: Plan, expected: ExpectedRow): Promise<Results> {
  for (const item of expected.cases) {
    for (const [name, data] of Object.entries(item.states)) await plan.write(name, data);
  }
  const results: Results = { ...(await plan.step(expected.feeds)) };
  for (const item of expected.cases) {
    for (const name of Object.keys(item.states)) results[name] = await plan.read(name);
  }
  return results;
}

export function compareWithOracle(results: Results, expected: ExpectedRow, mode: Mode): string[] {
  const failures: string[] = [];
  for (const item of expected.cases) {
    const exact = isExact(item, mode);
    const tolerance = item.case.tolerance ?? item.row.tolerance ?? DEFAULT_TOLERANCE;
    for (const [name, answer] of Object.entries(item.answers)) {
      const relative = exact || answer.dtype === 'i32' ? 0 : allowedError(tolerance, item.case.terms ?? 1);
      const floor = item.case.floor === undefined ? {} : { floor: item.case.floor };
      const how = { shape: answer.shape, relative, perElement: item.row.perElement ?? false, ...floor };
      const mismatch = firstMismatch(results[name]!, answer.data, how);
      if (mismatch) failures.push(`${item.label}, ${name}: ${mismatch}`);
      if (exact && answer.data.length > 8 && shareOfZeros(answer.data) > (item.row.zeroLimit ?? 0.7)) {
        failures.push(`${item.label}, ${name}: mistrusted, the expected values are mostly zeros`);
      }
    }
  }
  return failures;
}

export function compareRuns(what: string, first: Results, second: Results, expected: ExpectedRow): string[] {
  const failures: string[] = [];
  for (const item of expected.cases) {
    for (const [name, answer] of Object.entries(item.answers)) {
      const difference = firstDifference(first[name]!, second[name]!, answer.shape);
      if (difference) failures.push(`${item.label}, ${name}: ${what}: ${difference}`);
    }
  }
  return failures;
}
