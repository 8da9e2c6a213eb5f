// Compares Gramian with other libraries on this machine, row by row, and keeps the result in bench/results. Run by
// `gramian bench peers` (any WHAT with --python) and `npm run bench`. The rule easy to break: ratios come from one run on
// one quiet machine; figures of two files must not be divided.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type MeasureOptions, measure, rowsFor } from '../src/cli/bench';
import { PEERS, type PeerHost } from '../src/cli/bench/peer';
import { Results } from '../src/cli/bench/results';
import type { Row } from '../src/cli/bench/rows';
import { command, measureOptions, type PeerOptions, peerOptions, report } from '../src/cli/commands/bench';
import { type Io, processIo } from '../src/cli/io';
import { parseOptions, UsageError } from '../src/cli/options';
import { devices } from '../src/compile';
import { GramianError } from '../src/errors';
import { MEMORY_ROWS, measureMemory } from './memory';
import { nodeHosts, tfjsNodeFolder } from './peers/node';
import type { HostSettings } from './peers/pipe';
import { TorchHost } from './peers/torch';

interface Hosts {
  readonly hosts: readonly PeerHost[];
  readonly absent: Readonly<Record<string, string>>;
}

async function hostsFor({ python, tfjsNode }: PeerOptions, settings: HostSettings): Promise<Hosts> {
  const wantsTorch = settings.peers.some(({ id }) => id.startsWith('torch'));
  // Before the others: a Python that does not work should be known at once.
  const torch = wantsTorch && python !== undefined ? [await TorchHost.start(python, settings)] : [];
  const noTorch = wantsTorch && python === undefined ? { torch: 'give --python PATH, a Python with PyTorch' } : {};
  const { found, absent } = await nodeHosts(settings, tfjsNodeFolder(tfjsNode));
  return { hosts: [...torch, ...found], absent: { ...noTorch, ...absent } };
}

interface Job {
  readonly asked: MeasureOptions;
  readonly rows: readonly Row[];
  readonly threads: number;
  readonly asJson: boolean;
}

async function measureAll(
  { asked, rows, threads, asJson }: Job,
  hosts: Hosts,
  results: Results,
  io: Io,
): Promise<void> {
  const timed = rows.filter(({ group }) => group !== 'memory');
  const memory = rows.filter(({ group }) => group === 'memory');
  for await (const one of measure(asked, { ...hosts, rows: timed })) {
    results.add(one);
    report(io, one, asJson);
  }
  for await (const one of measureMemory(memory, hosts.hosts, threads)) {
    results.add(one);
    report(io, one, asJson);
  }
}

/** Whether ours computes on a card, so that PyTorch does too. */
const cardFor = ({ device }: MeasureOptions) =>
  device !== 'cpu' && devices().some(({ id, available }) => id === 'cuda' && available);

async function run(asked: MeasureOptions, peers: PeerOptions, asJson: boolean, io: Io): Promise<void> {
  const rows = rowsFor(asked, MEMORY_ROWS);
  const threads = asked.threads ?? devices().find(({ id }) => id === 'cpu')?.threads ?? 1;
  const kept = path.join(__dirname, 'results');
  const results = new Results(
    ({ environment }) => peers.out ?? path.join(kept, `${asked.target}-${environment.commit ?? 'unknown'}.json`),
  );
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-bench-'));
  let hosts: Hosts = { hosts: [], absent: {} };
  try {
    const chosen = peers.chosen ?? PEERS;
    const device = cardFor(asked) ? 'cuda' : 'cpu';
    hosts = await hostsFor(peers, { folder, threads, device, peers: chosen, patience: peers.patience });
    await measureAll({ asked, rows, threads, asJson }, hosts, results, io);
  } finally {
    for (const host of hosts.hosts) await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
  io.err(`written to ${path.relative(process.cwd(), results.file!)}\n`);
}

async function main(): Promise<void> {
  const io = processIo();
  try {
    const parsed = parseOptions(command.spec, process.argv.slice(2));
    await run(measureOptions(parsed), peerOptions(parsed), parsed.values.json, io);
  } catch (error) {
    io.err(`gramian: ${error instanceof GramianError ? error.message : ((error as Error).stack ?? String(error))}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

void main();
