// Compares Gramian with other libraries on this machine, row by row, and keeps the result in bench/results. Run by
// `gramian bench peers` (any WHAT with --python) and `npm run bench`. The rule easy to break: ratios come from one run on
// one quiet machine; figures of two files must not be divided.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type MeasureOptions, measure, type Report, rowsFor, type Setting } from '../src/cli/bench';
import type { PeerHost } from '../src/cli/bench/peer';
import { command, measureOptions, report } from '../src/cli/commands/bench';
import { type Io, json, processIo } from '../src/cli/io';
import { parseOptions, UsageError } from '../src/cli/options';
import { devices } from '../src/compile';
import { GramianError } from '../src/errors';
import { MEMORY_ROWS, type MemoryMeasurement, measureMemory, memoryLine } from './memory';
import { nodeHosts } from './peers/node';
import { TorchHost } from './peers/torch';

async function hostsFor(python: string | undefined, folder: string, threads: number, io: Io): Promise<PeerHost[]> {
  const hosts: PeerHost[] = [];
  if (python === undefined) io.err('torch skipped: give --python PATH, a Python with PyTorch\n');
  else hosts.push(await TorchHost.start(python, folder, threads));
  const { found, missing } = await nodeHosts(folder, threads);
  for (const line of missing) io.err(`${line}\n`);
  return [...hosts, ...found];
}

function save(target: string, setting: Setting, rows: readonly (Report | MemoryMeasurement)[]): string {
  const folder = path.join(__dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${target}-${setting.environment.commit ?? 'unknown'}.json`);
  writeFileSync(file, `${JSON.stringify({ ...setting, rows }, null, 2)}\n`);
  return path.relative(process.cwd(), file);
}

async function run(asked: MeasureOptions, python: string | undefined, asJson: boolean, io: Io): Promise<void> {
  const rows = rowsFor(asked, MEMORY_ROWS);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-bench-'));
  const threads = asked.threads ?? devices().find(({ id }) => id === 'cpu')?.threads ?? 1;
  const hosts = await hostsFor(python, folder, threads, io);
  let setting: Setting | undefined;
  const kept: (Report | MemoryMeasurement)[] = [];
  try {
    const timed = rows.filter(({ group }) => group !== 'memory');
    for await (const one of measure(asked, hosts, timed)) {
      if ('environment' in one) setting = one;
      else kept.push(one);
      report(io, one, asJson);
      if (setting) save(asked.target, setting, kept);
    }
    for (const row of rows.filter(({ group }) => group === 'memory')) {
      const one = await measureMemory(row, hosts, threads);
      kept.push(one);
      if (asJson) json(io, one);
      else io.out(memoryLine(one));
    }
  } finally {
    for (const host of hosts) await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
  if (setting) io.err(`written to ${save(asked.target, setting, kept)}\n`);
}

async function main(): Promise<void> {
  const io = processIo();
  try {
    const parsed = parseOptions(command.spec, process.argv.slice(2));
    await run(measureOptions(parsed), parsed.values.python, parsed.values.json, io);
  } catch (error) {
    io.err(`gramian: ${error instanceof GramianError ? error.message : ((error as Error).stack ?? String(error))}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

void main();
