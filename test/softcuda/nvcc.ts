// Compiles a .cu file of test/softcuda/kernels to PTX, once per architecture and change. Used by tests that need nvcc.
// The rule easy to break: without nvcc a test is skipped with a printed reason, never passed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { built } from './client';

export const architectures = [75, 80, 90, 120] as const;

export const hasNvcc = spawnSync('nvcc', ['--version'], { stdio: 'ignore' }).status === 0;
if (!hasNvcc) console.log('softcuda: nvcc is not on PATH; the tests that compile CUDA C++ are skipped');

/** Path of the PTX. Throws with the compiler's words. */
export function compile(file: string, architecture: number): string {
  const source = path.join(__dirname, 'kernels', file);
  const folder = path.join(built, 'ptx');
  const out = path.join(folder, `${path.basename(file, '.cu')}.${architecture}.ptx`);
  if (existsSync(out) && statSync(out).mtimeMs > statSync(source).mtimeMs) return out;
  mkdirSync(folder, { recursive: true });
  const part = `${out}.${process.pid}`;
  const args = ['-ptx', '-lineinfo', '-O3', '-std=c++17', `-arch=compute_${architecture}`, source, '-o', part];
  const made = spawnSync('nvcc', args, { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`[nvcc] expected PTX, came:\n${made.stderr}`);
  renameSync(part, out);
  return out;
}
