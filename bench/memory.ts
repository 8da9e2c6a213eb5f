// Peak resident memory of a training step: ours, and PyTorch's by back-propagation, each in a process of its own. Called by
// bench/peers.ts. The rule easy to break: the peak is of a process that does nothing else, so peers and other rows may not
// have run in it.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { traceOurs } from '../src/cli/bench/ours';
import type { PeerHost } from '../src/cli/bench/peer';
import type { MemoryMeasurement, PeerMemory } from '../src/cli/bench/reports';
import { ROWS, type Row } from '../src/cli/bench/rows';
import { TorchHost } from './peers/torch';
import { scriptArguments } from './scripts';

/** The timed row whose step each memory row runs. */
const OF: Readonly<Record<string, string>> = {
  'memory-cfpn-cka-128': 'cfpn-cka-128',
  'memory-cfpn-bp-128': 'cfpn-bp-128',
};
/** What a user of PyTorch would do instead, and what both rows are held against. */
const BACK_PROPAGATED = 'cfpn-bp-128';

/** The row that a memory row's step is timed in. */
export function timedRow(id: string): Row {
  return rowNamed(OF[id]!);
}

function rowNamed(id: string): Row {
  return ROWS.find((row) => row.id === id)!;
}

export const MEMORY_ROWS: readonly Row[] = Object.keys(OF).map((id) => {
  const row = timedRow(id);
  return { ...row, id, group: 'memory', title: `peak memory of ${row.title}` };
});

async function oursPeak(id: string, threads: number): Promise<number> {
  const driver = path.join(__dirname, 'memory_driver.ts');
  const { stdout } = await promisify(execFile)(process.execPath, scriptArguments(driver, [id, threads]));
  return Number(stdout);
}

/** PyTorch with the allocator that is timed and with the ordinary one, which keeps less. */
async function peersPeak(hosts: readonly PeerHost[], threads: number): Promise<Record<string, PeerMemory>> {
  const torch = hosts.find((host) => host instanceof TorchHost);
  if (!torch) return {};
  const row = rowNamed(BACK_PROPAGATED);
  const workload = row.build();
  const task = { row, workload, trace: await traceOurs(workload, { device: 'cpu', threads }) };
  return {
    'torch eager bp': await torch.peak(task, true),
    'torch eager bp, ordinary allocator': await torch.peak(task, false),
  };
}

/** The smallest peer's peak over ours; nothing without one. */
export function memoryRatio(ours: number, peers: MemoryMeasurement['peers']): { ratio?: number } {
  const peaks = Object.values(peers).flatMap(({ peakBytes }) => peakBytes ?? []);
  return peaks.length === 0 ? {} : { ratio: Math.min(...peaks) / ours };
}

export async function* measureMemory(
  rows: readonly Row[],
  hosts: readonly PeerHost[],
  threads: number,
): AsyncGenerator<MemoryMeasurement> {
  if (rows.length === 0) return;
  const peers = await peersPeak(hosts, threads);
  for (const { id, title } of rows) {
    const peakBytes = await oursPeak(id, threads);
    yield { row: id, title, ours: { peakBytes }, peers, ...memoryRatio(peakBytes, peers) };
  }
}
