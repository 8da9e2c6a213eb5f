// Prints the last line of .ci/run, `N passed, N failed`, from vitest's JSON reports and, in NAME.status beside each, what it
// exited with. Usage: node scripts/test-totals.mjs <failed steps that are no tests> <folder of reports>; fails when anything failed.
// The rule easy to break: a test file that could not even be loaded has no tests in its report, yet is a failure.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A report cut short by a killed run counts as one failure. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { testResults: [], numPassedTests: 0, numFailedTests: 0, success: false };
  }
}

/** What the run exited with; not 0 where it left no word of it. */
function statusOf(file) {
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 1;
}

const [steps, folder] = [Number(process.argv[2]), process.argv[3]];
const reports = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({
    ...parse(readFileSync(path.join(folder, name), 'utf8')),
    status: statusOf(path.join(folder, name.replace(/json$/, 'status'))),
  }));

let passed = 0;
let failed = steps;
for (const report of reports) {
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  passed += report.numPassedTests;
  failed += report.numFailedTests + unloaded.length;
  // An error outside any test (an unhandled rejection, a crashed worker) fails the run without failing a test; the report
  // itself may call that a success.
  if (report.status !== 0 && report.numFailedTests === 0 && unloaded.length === 0) failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
