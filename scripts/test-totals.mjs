// Prints the last lines of .ci/run: what failed, with its message (the log above is long and may be cut), and then
// `N passed, N failed`. Both come from vitest's JSON reports and, in NAME.status beside each, what it exited with.
// Usage: node scripts/test-totals.mjs <failed steps that are no tests> <folder of reports>; fails when anything failed.
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

/** A failed test or file with the head of its message. */
function describe(name, message) {
  const head = (message ?? '').split('\n').slice(0, 12).join('\n    ');
  return `FAILED ${name}\n    ${head}`;
}

/** What failed in a report, a text each: its tests, and its files that could not be loaded. */
function failuresOf(report) {
  return report.testResults.flatMap((file) => {
    const name = path.relative('.', file.name);
    const tests = file.assertionResults.filter((test) => test.status === 'failed');
    if (file.status === 'failed' && file.assertionResults.length === 0) return [describe(name, file.message)];
    return tests.map((test) => describe(`${name} > ${test.fullName}`, test.failureMessages[0]));
  });
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
  for (const failure of failuresOf(report)) console.log(failure);
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  passed += report.numPassedTests;
  failed += report.numFailedTests + unloaded.length;
  // An error outside any test (an unhandled rejection, a crashed worker) fails the run without failing a test; the report
  // itself may call that a success.
  if (report.status !== 0 && report.numFailedTests === 0 && unloaded.length === 0) {
    console.log(`FAILED outside any test: a run exited with ${report.status}`);
    failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
