// Measures the rows of the benchmarks on this machine: its ceilings first, then ours and the peers that a checkout's
// bench/peers.ts brings, in turns. Called by `gramian bench` through engine.ts. The rule easy to break: a ratio comes from
// one run; peers are checked against our results before any of them is timed.
import { devices } from '../compile';
import { modelNamed } from '../models';
import { type Environment, environment } from './bench/environment';
import { contend, measureCeilings, type Placement, traceOurs } from './bench/ours';
import { disagreement, type PeerContender, type PeerHost, TOLERANCE } from './bench/peer';
import { type Group, inferRow, ROWS, type Row, selectRows, stepRow, type Workload } from './bench/rows';
import { alternate, type Ceilings, type Rates, ratesOf, type Sampled } from './bench/statistics';

export const TARGETS = ['kernels', 'step', 'infer', 'peers'] as const;

export interface MeasureOptions {
  readonly target: (typeof TARGETS)[number];
  /** Seconds spent on each contender of each row, about. */
  readonly seconds: number;
  readonly device: 'auto' | 'cpu' | 'cuda';
  readonly threads?: number;
  /** Ids of rows, or beginnings of ids. */
  readonly rows?: readonly string[];
  /** One network instead of the standard rows of `step` and `infer`. */
  readonly net?: {
    readonly model: string;
    readonly input: readonly [number, number, number];
    readonly batch: number;
    readonly classes: number;
  };
}

/** The first thing that is reported. */
export interface Setting {
  readonly environment: Environment;
  readonly ceilings: Readonly<Record<string, Ceilings | null>>;
  readonly peers: Readonly<Record<string, string>>;
}

export interface Measured extends Sampled, Rates {
  readonly imagesPerSecond?: number;
}

export interface PeerMeasured extends Partial<Measured> {
  /** Largest relative difference to our results. */
  readonly deviation?: number;
  /** Set when the difference is too large; such a peer is not timed. */
  readonly disagrees?: { readonly ours: readonly number[]; readonly theirs: readonly number[] };
  /** Why it could not do the row. */
  readonly failed?: string;
}

export interface Measurement {
  readonly row: string;
  readonly title: string;
  readonly work: { readonly gflop: number; readonly megabytes: number };
  readonly ours: Measured & { readonly arenaBytes: number };
  readonly peers: Readonly<Record<string, PeerMeasured>>;
  /** Time of the best float32 peer over ours; absent without one. */
  readonly ratio?: number;
  /** Time of the best peer of any precision over ours. */
  readonly ratioAnyPrecision?: number;
}

export type Report = Setting | Measurement;

/** Milliseconds in which the threads of one contender fall asleep before the next one's turn. */
const SETTLE_MS = 50;

/** The rows that a command line asks for. */
export function rowsFor(options: MeasureOptions, more: readonly Row[] = []): readonly Row[] {
  const { target, rows, net } = options;
  if (net) {
    const settings = { ...net, name: net.model, model: modelNamed(net.model) };
    if (target === 'infer') {
      return [...new Set([1, net.batch])].map((batch) => inferRow(`infer-${batch}`, { ...settings, batch }));
    }
    return (['cka', 'bp'] as const).map((method) => stepRow(`step-${method}`, settings, method));
  }
  const groups: readonly Group[] = target === 'peers' ? ['step', 'infer', 'kernels', 'memory'] : [target];
  const inTarget = (row: Row): boolean => groups.includes(row.group) && (target !== 'peers' || row.peers);
  const all = [...ROWS, ...more];
  if (!rows) return all.filter(inTarget);
  return selectRows(all, rows);
}

function ceilingOf(ceilings: Setting['ceilings']): Ceilings {
  const known = Object.entries(ceilings).flatMap(([name, one]) => (one && !name.includes('bf16') ? [one] : []));
  return { gflops: Math.max(...known.map((one) => one.gflops)), gbps: Math.max(...known.map((one) => one.gbps)) };
}

async function settingOf(
  options: MeasureOptions,
  hosts: readonly PeerHost[],
  probe: typeof measureCeilings,
): Promise<Setting> {
  const placement = placementOf(options);
  const cpu = devices().find(({ id }) => id === 'cpu');
  const found = environment({ isa: cpu?.isa ?? 'unknown', threads: options.threads ?? cpu?.threads ?? 1 });
  let ceilings: Record<string, Ceilings | null> = {
    'gramian float32': await probe(placement),
    'gramian bf16': null,
  };
  for (const host of hosts) ceilings = { ...ceilings, ...(await host.ceilings?.()) };
  return {
    environment: found,
    ceilings,
    peers: Object.fromEntries(hosts.map(({ name, version }) => [name, version])),
  };
}

function placementOf(options: MeasureOptions, row?: Row): Placement {
  const threads = row?.threads ?? options.threads;
  return { device: options.device, ...(threads === undefined ? {} : { threads }) };
}

interface Checked {
  readonly peers: Record<string, PeerMeasured>;
  readonly agreeing: readonly PeerContender[];
}

/** Gives the row to every peer and compares its results with ours. */
async function check(row: Row, workload: Workload, placement: Placement, hosts: readonly PeerHost[]): Promise<Checked> {
  const peers: Record<string, PeerMeasured> = {};
  const agreeing: PeerContender[] = [];
  if (hosts.length === 0 || !row.peers) return { peers, agreeing };
  const trace = await traceOurs(workload, placement);
  for (const host of hosts) {
    let contenders: readonly PeerContender[] = [];
    try {
      contenders = await host.open({ row, workload, trace });
    } catch (error) {
      peers[host.name] = { failed: messageOf(error) };
    }
    for (const contender of contenders) {
      try {
        const theirs = await contender.check();
        const gap = disagreement(trace.results, theirs, workload.training !== undefined);
        peers[contender.name] = { deviation: gap };
        if (gap <= TOLERANCE[contender.precision]) agreeing.push(contender);
        else {
          const some = (results: typeof theirs): number[] =>
            results.flatMap((step) => [...(step[0] ?? []).slice(0, 8)]).slice(0, 40);
          peers[contender.name] = { deviation: gap, disagrees: { ours: some(trace.results), theirs: some(theirs) } };
          await contender.drop();
        }
      } catch (error) {
        peers[contender.name] = { failed: messageOf(error) };
        await contender.drop();
      }
    }
  }
  return { peers, agreeing };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function measureRow(
  row: Row,
  options: MeasureOptions,
  ceilings: Ceilings,
  hosts: readonly PeerHost[],
): Promise<Measurement> {
  const placement = placementOf(options, row);
  const workload = row.build();
  const { peers, agreeing } = await check(row, workload, placement, hosts);
  const ours = contend(workload, placement);
  try {
    const times = await alternate([ours, ...agreeing], { seconds: options.seconds, settleMs: SETTLE_MS });
    const measured = (name: string): Measured => {
      const sampled = times.get(name)!;
      const images = row.batch === undefined ? {} : { imagesPerSecond: (1000 * row.batch) / sampled.medianMs };
      return { ...sampled, ...ratesOf(workload.work, sampled.medianMs, ceilings), ...images };
    };
    for (const { name } of agreeing) peers[name] = { ...peers[name], ...measured(name) };
    const own = measured(ours.name);
    const best = (chosen: readonly PeerContender[]): number =>
      Math.min(...chosen.map(({ name }) => times.get(name)!.medianMs)) / own.medianMs;
    const precise = agreeing.filter(({ precision }) => precision === 'float32');
    return {
      row: row.id,
      title: row.title,
      work: { gflop: workload.work.flops / 1e9, megabytes: workload.work.bytes / 1e6 },
      ours: { ...own, arenaBytes: ours.plan.describe().arenaBytes },
      peers,
      ...(precise.length > 0 ? { ratio: best(precise) } : {}),
      ...(agreeing.length > 0 ? { ratioAnyPrecision: best(agreeing) } : {}),
    };
  } finally {
    ours.dispose();
    for (const contender of agreeing) await contender.drop();
  }
}

/**
 * The setting, then one row after the other, so that nothing competes with what is measured.
 * @param probe measures our own ceilings; tests hand in a quick one.
 */
export async function* measure(
  options: MeasureOptions,
  hosts: readonly PeerHost[] = [],
  rows: readonly Row[] = rowsFor(options),
  probe: typeof measureCeilings = measureCeilings,
): AsyncGenerator<Report> {
  const setting = await settingOf(options, hosts, probe);
  yield setting;
  const ceilings = ceilingOf(setting.ceilings);
  for (const row of rows) yield await measureRow(row, options, ceilings, hosts);
}
