// The gate of registers and stack: every CUDA kernel, compiled for each of the six architectures that packages hold, with
// what ptxas says of it. Fails when a kernel spills a register or has a stack frame. Run by .ci/run: node scripts/check-cuda.mjs
// [NAME ...]; the names of files in native/cuda/kernels limit it. Needs nvcc; without it it says so and passes.
// The rule easy to break: PTX comes from the same commands and for the same pairs as in native/cuda/cuda.cmake.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const kernels = path.resolve(import.meta.dirname, '../native/cuda/kernels');
/** PTX and the cubins made from it. */
const targets = [
  [75, [75]],
  [80, [80, 86, 89]],
  [90, [90]],
  [120, [120]],
];
const run = promisify(execFile);

/** { kernel: { spilled, stack } } from the text of ptxas -v. */
function read(text) {
  const found = {};
  let kernel;
  for (const line of text.split('\n')) {
    const entry = line.match(/Compiling entry function '(\w+)'/);
    if (entry) kernel = entry[1];
    const [, stack, stores, loads] =
      line.match(/(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/) ?? [];
    if (stack === undefined || kernel === undefined) continue;
    found[kernel] = { stack: Number(stack), spilled: Number(stores) + Number(loads) };
  }
  return found;
}

async function check(name, folder) {
  const bad = [];
  let count = 0;
  for (const [from, architectures] of targets) {
    const ptx = path.join(folder, `${name}.${from}.ptx`);
    const source = path.join(kernels, `${name}.cu`);
    await run('nvcc', ['-ptx', '-O3', '-std=c++17', `-arch=compute_${from}`, '-o', ptx, source]);
    for (const sm of architectures) {
      const { stderr } = await run('ptxas', ['-v', '-O3', `-arch=sm_${sm}`, ptx, '-o', `${ptx}.cubin`]);
      for (const [kernel, { stack, spilled }] of Object.entries(read(stderr))) {
        count += 1;
        if (stack + spilled > 0) bad.push(`${name}.cu ${kernel} sm_${sm}: ${stack} bytes of stack, ${spilled} spilled`);
      }
    }
  }
  return { bad, count };
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
    for (const line of bad) console.error(line);
    console.log(
      `check-cuda: ${count} kernels over 6 architectures, ${bad.length} with spills or a stack frame (at most 0)`,
    );
    return count > 0 && bad.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

process.exitCode = await main();
