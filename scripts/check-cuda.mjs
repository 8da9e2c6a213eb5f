// The gates of compiled device code: every CUDA kernel, for each of the six architectures that packages hold, with what
// ptxas says of it. 1: no spilled register, no stack frame. 2: theoretical occupancy of at least 50 %, less for
// the kernels that test/cuda/exemptions.json lists (25 % for products). 10: at most 2 MB of device code in a package.
// Run by .ci/run: node scripts/check-cuda.mjs [NAME ...]; the names of files in native/cuda/kernels limit it, without gate 10.
// Needs nvcc; without it it says so and passes.
// The rule easy to break: PTX comes from the same commands and for the same pairs as in native/cuda/cuda.cmake.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { packFull } from './pack-cuda-images.mjs';

const root = path.resolve(import.meta.dirname, '..');
const kernels = path.join(root, 'native/cuda/kernels');
const { occupancy: exempt } = JSON.parse(readFileSync(path.join(root, 'test/cuda/exemptions.json'), 'utf8'));
/** PTX and the cubins made from it. */
const targets = [
  [75, [75]],
  [80, [80, 86, 89]],
  [90, [90]],
  [120, [120]],
];
/** Warps, blocks and bytes of shared memory of a multiprocessor, and the bytes that the system takes of each block's shared
 * memory (CUDA C++ Programming Guide, technical specifications per compute capability). */
const multiprocessors = {
  75: { warps: 32, blocks: 16, shared: 64 << 10, reserved: 0 },
  80: { warps: 64, blocks: 32, shared: 164 << 10, reserved: 1024 },
  86: { warps: 48, blocks: 16, shared: 100 << 10, reserved: 1024 },
  89: { warps: 48, blocks: 24, shared: 100 << 10, reserved: 1024 },
  90: { warps: 64, blocks: 32, shared: 228 << 10, reserved: 1024 },
  120: { warps: 48, blocks: 24, shared: 100 << 10, reserved: 1024 },
};
const MAX_PACKED = 2e6;
const run = promisify(execFile);

/** { kernel: { spilled, stack, registers, shared } } from the text of ptxas -v. */
function read(text) {
  const found = {};
  let kernel;
  for (const line of text.split('\n')) {
    const entry = line.match(/Compiling entry function '(\w+)'/);
    if (entry) found[entry[1]] = kernel = { stack: 0, spilled: 0, registers: 0, shared: 0 };
    if (kernel === undefined) continue;
    const [, stack, stores, loads] =
      line.match(/(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/) ?? [];
    if (stack !== undefined) Object.assign(kernel, { stack: Number(stack), spilled: Number(stores) + Number(loads) });
    const registers = line.match(/Used (\d+) registers/);
    if (registers) kernel.registers = Number(registers[1]);
    const shared = line.match(/(\d+) bytes smem/);
    if (shared) kernel.shared = Number(shared[1]);
  }
  return found;
}

/** Threads of a block by kernel: what __launch_bounds__ promises, which is what is launched. */
function blocksOf(ptx) {
  const found = {};
  for (const [, kernel, threads] of ptx.matchAll(/\.entry (\w+)\([^{]*?\.maxntid (\d+)/gs))
    found[kernel] = Number(threads);
  return found;
}

/** The share of a multiprocessor's warps that blocks of this size can fill. Registers go to warps by 256, of 65536. */
function occupancy(sm, threads, registers, shared) {
  const { warps, blocks, shared: all, reserved } = multiprocessors[sm];
  const perBlock = Math.ceil(threads / 32);
  const perWarp = Math.ceil((registers * 32) / 256) * 256;
  const byRegisters = Math.floor(Math.floor(65536 / perWarp) / perBlock);
  const byShared = Math.floor(all / (Math.ceil((shared + reserved) / 128) * 128 || 1));
  return (Math.min(blocks, Math.floor(warps / perBlock), byRegisters, byShared) * perBlock) / warps;
}

/** What is wrong with a kernel, in words. */
function faults(name, kernel, sm, threads, { stack, spilled, registers, shared }) {
  const where = `${name}.cu ${kernel} sm_${sm}`;
  const bad = [];
  if (stack + spilled > 0) bad.push(`${where}: ${stack} bytes of stack, ${spilled} spilled`);
  if (threads === undefined) return { bad: [...bad, `${where}: has no __launch_bounds__`], share: 0 };
  const exemption = exempt.find((one) => one.kernel === kernel || one.module === name);
  const share = occupancy(sm, threads, registers, shared + (exemption?.dynamicShared ?? 0));
  const least = exemption?.least ?? 0.5;
  const taken = `${registers} registers, ${shared} bytes of shared memory, ${threads} threads`;
  if (share < least) bad.push(`${where}: occupancy ${share.toFixed(2)}, at least ${least} (${taken})`);
  return { bad, share: share / least };
}

async function check(name, folder) {
  const files = [];
  const bad = [];
  let count = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [from, architectures] of targets) {
    const ptx = path.join(folder, `${name}.ptx${from}`);
    const source = path.join(kernels, `${name}.cu`);
    await run('nvcc', ['-ptx', '-O3', '-std=c++17', `-arch=compute_${from}`, '-o', ptx, source]);
    files.push(ptx);
    const threads = blocksOf(readFileSync(ptx, 'utf8'));
    for (const sm of architectures) {
      const cubin = path.join(folder, `${name}.sm${sm}`);
      const { stderr } = await run('ptxas', ['-v', '-O3', `-arch=sm_${sm}`, ptx, '-o', cubin]);
      files.push(cubin);
      for (const [kernel, facts] of Object.entries(read(stderr))) {
        count += 1;
        const found = faults(name, kernel, sm, threads[kernel], facts);
        bad.push(...found.bad);
        least = Math.min(least, found.share);
      }
    }
  }
  return { bad, count, least, files };
}

async function main() {
  if (spawnSync('nvcc', ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.log('check-cuda: nvcc is not on PATH; nothing was checked');
    return 0;
  }
  const all = readdirSync(kernels).filter((file) => file.endsWith('.cu'));
  const names = process.argv.length > 2 ? process.argv.slice(2) : all.map((file) => path.basename(file, '.cu'));
  const folder = mkdtempSync(path.join(tmpdir(), 'gramian-cuda-'));
  try {
    const waiting = [...names];
    const results = [];
    const work = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
        results.push(await check(name, folder));
    };
    await Promise.all([work(), work()]);
    const bad = results.flatMap((result) => result.bad);
    const count = results.reduce((sum, result) => sum + result.count, 0);
    const least = Math.min(...results.map((result) => result.least));
    for (const line of bad) console.error(line);
    console.log(
      `check-cuda: ${count} kernels over 6 architectures, ${bad.length} faults of stack, spills or occupancy (0)`,
    );
    console.log(`check-cuda: least occupancy ${least.toFixed(2)} of what is asked (at least 1)`);
    if (process.argv.length > 2) return count > 0 && bad.length === 0 ? 0 : 1;
    const { packed, unpacked } = packFull(results.flatMap((result) => result.files).sort());
    console.log(
      `check-cuda: ${packed.length} bytes of device code in a package (at most ${MAX_PACKED}), ${unpacked} unpacked`,
    );
    return count > 0 && bad.length === 0 && packed.length <= MAX_PACKED ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

process.exitCode = await main();
