// Writes docs/onnx-exclusions.md from a run of ONNX's tests (Debian package libonnx-testdata). Run by hand, `npm run
// onnx:exclusions`, after the importer has learnt or lost something. The rule easy to break: it needs the built addon.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { exclusionsPage } from '../test/interchange/onnxExclusions';
import { PARTS, runTest, testsOf } from '../test/interchange/onnxSuite';

const outcomes = PARTS.flatMap((part) => testsOf(part).map((name) => runTest(part, name)));
if (outcomes.length === 0) {
  process.stderr.write('onnx-exclusions: the Debian package libonnx-testdata is not installed\n');
  process.exitCode = 1;
} else {
  writeFileSync(path.resolve(__dirname, '../docs/onnx-exclusions.md'), exclusionsPage(outcomes));
}
