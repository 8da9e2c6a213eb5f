// Builds the software CUDA device (a test tool, native/softcuda) into build/softcuda. Run by the tests that need it and by
// hand. The rule easy to break: an up-to-date tree must cost next to nothing, so the newest source is compared with a
// stamp before CMake is asked. Options: --sanitize <list> builds into build/softcuda-<list> with those sanitizers.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const source = path.join(root, 'native/softcuda');

/** Modification time of the newest file the build reads. */
function newestSource() {
  const files = readdirSync(source).map((name) => path.join(source, name));
  for (const name of ['client.cpp', 'probe.cpp']) files.push(path.join(root, 'test/softcuda', name));
  files.push(import.meta.filename);
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

function run(command, args) {
  return spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}

function upToDate(out) {
  const stamp = path.join(out, 'stamp');
  return existsSync(stamp) && statSync(stamp).mtimeMs >= newestSource();
}

function compile(out, sanitize) {
  const stamp = path.join(out, 'stamp');
  const newest = newestSource();
  rmSync(stamp, { force: true });
  const configured = existsSync(path.join(out, 'CMakeCache.txt'));
  const configure = ['-S', source, '-B', out, `-DGRAMIAN_SANITIZE=${sanitize}`, '--log-level=WARNING'];
  if (!configured && !run('cmake', configure)) return false;
  if (!run('cmake', ['--build', out, '--parallel', process.env.SOFTCUDA_JOBS ?? '2'])) return false;
  writeFileSync(stamp, '');
  // The stamp carries the time of the newest source, so that an edit during the build is seen next time.
  utimesSync(stamp, new Date(), new Date(newest));
  console.log(`build-softcuda: ${path.relative(root, out)} is up to date`);
  return true;
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Test files start together: one builds, the others wait. A lock whose owner is gone is taken over. */
function lock(folder) {
  mkdirSync(path.dirname(folder), { recursive: true });
  const owner = path.join(folder, 'pid');
  for (;;) {
    try {
      mkdirSync(folder);
      writeFileSync(owner, String(process.pid));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const pid = existsSync(owner) ? Number(readFileSync(owner, 'utf8')) : process.pid;
    if (pid > 0 && !alive(pid)) rmSync(folder, { recursive: true, force: true });
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function main() {
  const { values } = parseArgs({ options: { sanitize: { type: 'string', default: '' } } });
  const suffix = values.sanitize === '' ? '' : `-${values.sanitize.replaceAll(',', '-')}`;
  const out = path.join(root, `build/softcuda${suffix}`);
  if (upToDate(out)) return 0;
  const folder = `${out}.lock`;
  lock(folder);
  try {
    return upToDate(out) || compile(out, values.sanitize) ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = main();
