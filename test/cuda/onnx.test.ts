// A sample of ONNX's own tests on device cuda, by the software device: what the CPU computes is right there too. All of them:
// `GRAMIAN_SOFTCUDA=1 npm run onnx:cuda`. Skipped without nvcc or the Debian package libonnx-testdata.
import { expect, it } from 'vitest';
import { PARTS, type Part, runTest, testsOf } from '../interchange/onnxSuite';
import { findings, images, useImage } from './device';

/** One test in so many; alike ones stand beside each other in the alphabet. */
const STRIDE = 16;

const sample = PARTS.flatMap((part) =>
  testsOf(part)
    .filter((_, index) => index % STRIDE === 0)
    .map((name): [Part, string] => [part, name]),
);

it.skipIf(images.length === 0 || sample.length === 0)('what the CPU computes of a sample, cuda computes too', () => {
  useImage('ptx80');
  const computed = sample.filter(([part, name]) => runTest(part, name).state === 'passed');
  expect(computed.length).toBeGreaterThan(sample.length / 2);
  const outcomes = computed.map(([part, name]) => runTest(part, name, { device: 'cuda' }));
  expect(outcomes.filter(({ state }) => state !== 'passed')).toEqual([]);
  expect(findings()).toEqual([]);
});
