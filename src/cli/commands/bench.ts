// gramian bench: medians of kernels, training steps and inference on this machine. The comparison with other libraries
// needs their packages, so it lives in a checkout's bench/peers.ts and is started from here when it is there.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../../errors';
import { nearest } from '../../text';
import type { Measurement } from '../bench';
import { formatBytes, formatCount } from '../format';
import { json } from '../io';
import { type OptionTable, UsageError } from '../options';
import { type Command, deviceOption, jsonOption, present, threadsOption } from './shared';

const TARGETS = ['kernels', 'step', 'infer', 'peers'] as const;
type Target = (typeof TARGETS)[number];

const options = {
  model: { type: 'text', value: 'NAME', default: 'cfpn', help: 'network of step and infer' },
  input: {
    type: 'size',
    extents: ['H', 'W', 'C'],
    min: 8,
    max: 4096,
    default: [48, 48, 1],
    help: 'size of its images',
  },
  batch: { type: 'integer', min: 2, max: 65536, default: 128, help: 'images in a step' },
  classes: { type: 'integer', min: 2, max: 100_000, default: 7, help: 'classes of the classifier' },
  seconds: { type: 'number', min: 0, above: true, max: 3600, default: 1, help: 'time spent on each measurement' },
  threads: threadsOption,
  device: deviceOption,
  json: jsonOption,
} as const satisfies OptionTable;

function line(one: Measurement): string {
  const rates = [
    one.gflops === undefined ? '' : `${formatCount(one.gflops)} GFLOP/s`,
    one.gigabytesPerSecond === undefined ? '' : `${formatCount(one.gigabytesPerSecond)} GB/s`,
    one.imagesPerSecond === undefined ? '' : `${formatCount(one.imagesPerSecond)} images/s`,
    one.arenaBytes === undefined ? '' : `arena ${formatBytes(one.arenaBytes)}`,
  ];
  const time = `${Number(one.medianMs.toPrecision(4))} ms`.padStart(12);
  return `${one.name.padEnd(36)}${time}  ${rates.filter(Boolean).join(', ')}\n`;
}

/** Hands over to bench/peers.ts; its exit code is ours. */
function runPeers(asJson: boolean): Promise<number> {
  const root = join(__dirname, '../../..');
  const script = join(root, 'bench/peers.ts');
  if (!existsSync(script)) {
    throw new DataError(`[bench] peers are compared from a checkout of Gramian; there is no ${script}`);
  }
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...(asJson ? ['--json'] : [])], {
    cwd: root,
    stdio: 'inherit',
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

export const command: Command<typeof options> = {
  spec: {
    name: 'bench',
    positionals: { name: 'WHAT', min: 1, max: 1, choices: TARGETS },
    options,
    examples: ['gramian bench kernels', 'gramian bench step --model cfpn --batch 128 --json'],
  },
  async run({ values, positionals }, io, engine) {
    const target = positionals[0] as Target;
    if (target === 'peers') return runPeers(values.json);
    const names = await engine.modelNames();
    if (!names.includes(values.model)) {
      throw new UsageError(`--model: there is no "${values.model}"${nearest(values.model, names)}`);
    }
    const { model, batch, classes, seconds, threads, device } = values;
    const input = values.input as [number, number, number];
    let lines = 0;
    for await (const one of engine.measure({
      ...{ target, model, input, batch, classes, seconds, device },
      ...present({ threads }),
    })) {
      if (!values.json && lines === 0) io.out(`${one.device} ${one.isa}, ${one.threads} threads; medians\n`);
      if (values.json) json(io, one);
      else io.out(line(one));
      lines += 1;
    }
    return 0;
  },
};
