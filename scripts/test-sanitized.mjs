// Runs the tests that drive native code on an addon built with the address and undefined-behaviour sanitizers:
// `npm run test:sanitized`, part of .ci/run. Further arguments go to vitest. Linux with gcc only.
// The rule easy to break: node itself is not sanitized, so libasan must be preloaded, and leaks cannot be judged.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const out = path.join(root, 'build/sanitized/build');
const tests = ['test/binding', 'test/plan', 'test/kernels'];

const build = spawnSync(
  process.execPath,
  [path.join(root, 'scripts/build-native.mjs'), '--out', out, 'GRAMIAN_SANITIZE=address,undefined'],
  { cwd: root, stdio: 'inherit' },
);
if (build.status !== 0) process.exit(1);

/** The full path of a library of the compiler that CMake takes by default. */
function library(name) {
  const file = execFileSync(process.env.CXX ?? 'c++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  if (!existsSync(file)) throw new Error(`test-sanitized: the compiler has no ${name}`);
  return file;
}

const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const run = spawnSync(
  process.execPath,
  [vitest, 'run', '--project', 'unit', ...tests, '--testTimeout', '300000', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
      ASAN_OPTIONS: 'detect_leaks=0:halt_on_error=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
      GRAMIAN_PREBUILD: path.join(root, 'build/sanitized'),
    },
  },
);
process.exitCode = run.status ?? 1;
