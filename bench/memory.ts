// Peak resident memory of a training step, ours and PyTorch's, each in a process of its own. Called by bench/peers.ts;
// started again by itself as the process that is measured. The rule easy to break: the peak is of a process that does
// nothing else, so peers and other rows may not have run in it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { contend, traceOurs } from '../src/cli/bench/ours';
import type { PeerHost } from '../src/cli/bench/peer';
import { ROWS, type Row } from '../src/cli/bench/rows';
import { formatBytes } from '../src/cli/format';
import { TorchHost } from './peers/torch';

/** The timed row whose step each memory row runs. */
const OF: Readonly<Record<string, string>> = {
  'memory-cfpn-cka-128': 'cfpn-cka-128',
  'memory-cfpn-bp-128': 'cfpn-bp-128',
};
const STEPS = 3;

function timedRow(id: string): Row {
  return ROWS.find((row) => row.id === OF[id])!;
}

export const MEMORY_ROWS: readonly Row[] = Object.keys(OF).map((id) => {
  const row = timedRow(id);
  return { ...row, id, group: 'memory', title: `peak memory of ${row.title}` };
});

export interface MemoryMeasurement {
  readonly row: string;
  readonly title: string;
  readonly ours: { readonly peakBytes: number };
  readonly peers: Readonly<Record<string, { readonly peakBytes: number }>>;
  /** Peer's peak over ours. */
  readonly ratio?: number;
}

/** As people read it. */
export function memoryLine({ title, ours, peers, ratio }: MemoryMeasurement): string {
  const others = Object.entries(peers).map(([name, { peakBytes }]) => `, ${name} ${formatBytes(peakBytes)}`);
  const compared = ratio === undefined ? '' : `, ratio ${ratio.toFixed(2)}`;
  return `${title}: ${formatBytes(ours.peakBytes)}${others.join('')}${compared}\n`;
}

async function oursPeak(id: string, threads: number): Promise<number> {
  const args = ['--import', 'tsx', __filename, id, String(threads)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
}

export async function measureMemory(row: Row, hosts: readonly PeerHost[], threads: number): Promise<MemoryMeasurement> {
  const ours = { peakBytes: await oursPeak(row.id, threads) };
  const torch = hosts.find((host) => host instanceof TorchHost);
  const about = { row: row.id, title: row.title, ours };
  if (!torch) return { ...about, peers: {} };
  const workload = row.build();
  const trace = await traceOurs(workload, { device: 'cpu', threads });
  const peakBytes = await torch.peakBytes({ row, workload, trace });
  return { ...about, peers: { 'torch eager': { peakBytes } }, ratio: peakBytes / ours.peakBytes };
}

async function main(id: string, threads: number): Promise<void> {
  const ours = contend(timedRow(id).build(), { device: 'cpu', threads });
  await ours.sample(STEPS);
  ours.dispose();
  // Kilobytes.
  process.stdout.write(String(process.resourceUsage().maxRSS * 1024));
}

if (require.main === module) void main(process.argv[2]!, Number(process.argv[3]));
