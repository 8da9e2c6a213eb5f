// Builds the software CUDA device (a test tool, native/softcuda) into build/softcuda. Run by the tests that need it and by
// hand. The rule easy to break: an up-to-date tree must cost next to nothing, so the newest source is compared with a
// stamp before CMake is asked. Options: --sanitize <list> builds into build/softcuda-<list> with those sanitizers.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const source = path.join(root, 'native/softcuda');

/** Modification time of the newest file the build reads. */
function newestSource() {
  const files = readdirSync(source).map((name) => path.join(source, name));
  files.push(path.join(root, 'test/softcuda/client.cpp'), import.meta.filename);
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

function run(command, args) {
  return spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}

function main() {
  const { values } = parseArgs({ options: { sanitize: { type: 'string', default: '' } } });
  const suffix = values.sanitize === '' ? '' : `-${values.sanitize.replaceAll(',', '-')}`;
  const out = path.join(root, `build/softcuda${suffix}`);
  const stamp = path.join(out, 'stamp');
  const newest = newestSource();
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= newest) return 0;
  rmSync(stamp, { force: true });
  const configured = existsSync(path.join(out, 'CMakeCache.txt'));
  const configure = ['-S', source, '-B', out, `-DGRAMIAN_SANITIZE=${values.sanitize}`, '--log-level=WARNING'];
  if (!configured && !run('cmake', configure)) return 1;
  const jobs = process.env.SOFTCUDA_JOBS ?? '2';
  if (!run('cmake', ['--build', out, '--parallel', jobs])) return 1;
  writeFileSync(stamp, '');
  // The stamp carries the time of the newest source, so that an edit during the build is seen next time.
  utimesSync(stamp, new Date(), new Date(newest));
  console.log(`build-softcuda: ${path.relative(root, out)} is up to date`);
  return 0;
}

process.exitCode = main();
