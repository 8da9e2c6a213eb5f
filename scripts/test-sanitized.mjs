// Runs the tests that drive native code on an addon built with the address and undefined-behaviour sanitizers:
// `npm run test:sanitized`, part of .ci/run. Further arguments go to vitest. Linux with gcc only.
// Works in a copy of the tree under build/sanitized, because the loader rightly prefers build/Release of its own tree.
// The rule easy to break: node itself is not sanitized, so libasan must be preloaded, and leaks cannot be judged.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const copy = path.join(root, 'build/sanitized');
const parts = [
  'src',
  'test',
  'native',
  'docs',
  'scripts',
  'CMakeLists.txt',
  'package.json',
  'tsconfig.json',
  'vitest.config.mts',
];
const tests = ['test/binding', 'test/plan', 'test/kernels'];

/** Fresh sources with their old times, so that the copy's own build/ stays incremental. */
function makeCopy() {
  mkdirSync(copy, { recursive: true });
  for (const part of parts) {
    rmSync(path.join(copy, part), { recursive: true, force: true });
    cpSync(path.join(root, part), path.join(copy, part), { recursive: true, preserveTimestamps: true });
  }
  const modules = path.join(copy, 'node_modules');
  rmSync(modules, { force: true });
  symlinkSync(path.join(root, 'node_modules'), modules);
}

/** The full path of a library of the compiler that CMake takes by default. */
function library(name) {
  const file = execFileSync(process.env.CXX ?? 'c++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  if (!existsSync(file)) throw new Error(`test-sanitized: the compiler has no ${name}`);
  return file;
}

function node(args, env = {}) {
  const run = spawnSync(process.execPath, args, { cwd: copy, stdio: 'inherit', env: { ...process.env, ...env } });
  return run.status ?? 1;
}

makeCopy();
process.exitCode =
  node([
    'scripts/build-native.mjs',
    'GRAMIAN_SANITIZE=address,undefined',
    'GRAMIAN_CUDA=OFF',
    'CMAKE_CXX_FLAGS_RELEASE=-O1',
  ]) ||
  node(['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', ...tests, ...process.argv.slice(2)], {
    LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  });
