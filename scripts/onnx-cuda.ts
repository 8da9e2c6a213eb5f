// Runs on device cuda those of ONNX's tests (Debian package libonnx-testdata) that the engine computes on the CPU, and lists
// what differs there. Run by hand, `npm run onnx:cuda`, on a card or with GRAMIAN_SOFTCUDA=1 (docs/softcuda.md; build it first).
// The rule easy to break: docs/onnx-exclusions.md says what this found, and a test looks at a sample of it only.
import { devices } from '../src/compile';
import { type Outcome, PARTS, runTest, testsOf } from '../test/interchange/onnxSuite';

function main(): number {
  const cuda = devices().find(({ id }) => id === 'cuda');
  if (!cuda?.available) {
    process.stderr.write(`onnx-cuda: cuda is not available: ${cuda?.reason}\n`);
    return 1;
  }
  const tests = PARTS.flatMap((part) => testsOf(part).map((name) => ({ part, name })));
  if (tests.length === 0) {
    process.stderr.write('onnx-cuda: the Debian package libonnx-testdata is not installed\n');
    return 1;
  }
  const outcomes: Outcome[] = [];
  for (const { part, name } of tests) {
    if (runTest(part, name).state !== 'passed') continue;
    const outcome = runTest(part, name, { device: 'cuda' });
    outcomes.push(outcome);
    if (outcome.state !== 'passed') process.stdout.write(`${part} ${name}: ${outcome.state}: ${outcome.reason}\n`);
    if (outcomes.length % 100 === 0) process.stdout.write(`${outcomes.length} run\n`);
  }
  const right = outcomes.filter(({ state }) => state === 'passed').length;
  process.stdout.write(`${cuda.name}: ${right} of ${outcomes.length} that the CPU computes are right\n`);
  return right === outcomes.length ? 0 : 1;
}

process.exitCode = main();
