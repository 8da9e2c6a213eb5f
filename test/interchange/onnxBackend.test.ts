// ONNX's own backend tests on the CPU, when the Debian package libonnx-testdata is there: how many the engine computes, and
// that every other one is in docs/onnx-exclusions.md with its reason.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { exclusionsPage, reasonOf } from './onnxExclusions';
import { type Outcome, PARTS, runTest, testsOf } from './onnxSuite';

// Another version of the package has other tests.
describe.skipIf(testsOf('node').length !== 932)("ONNX's tests (libonnx-testdata 1.12)", () => {
  let outcomes: Outcome[] = [];
  beforeAll(() => {
    outcomes = PARTS.flatMap((part) => testsOf(part).map((name) => runTest(part, name)));
  });
  const passed = (part: (one: Outcome) => boolean): number =>
    outcomes.filter((one) => part(one) && one.state === 'passed').length;

  it('of 932 tests of single operators at least 650 are computed by the engine', () => {
    expect(passed(({ part }) => part === 'node')).toBeGreaterThanOrEqual(650);
  });

  it('of 140 converted and small models at least 110 are computed by the engine', () => {
    expect(PARTS.slice(1).flatMap(testsOf)).toHaveLength(140);
    expect(passed(({ part }) => part !== 'node')).toBeGreaterThanOrEqual(110);
  });

  it('every other one has a reason, and docs/onnx-exclusions.md lists it', () => {
    const unexplained = outcomes.filter((one) => one.state !== 'passed' && /^(UNEXPLAINED|$)/.test(reasonOf(one)));
    expect(unexplained).toEqual([]);
    const page = readFileSync(path.resolve(__dirname, '../../docs/onnx-exclusions.md'), 'utf8');
    expect(page).toBe(exclusionsPage(outcomes));
  });
});
