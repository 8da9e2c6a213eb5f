// Measures the rows of the benchmarks on this machine: its ceilings first, then ours and the peers that a checkout's
// bench/peers.ts brings, in turns. Called by `gramian bench` through engine.ts. The rule easy to break: a ratio comes from
// one run; peers, and our own bf16, are checked against our float32 results before any of them is timed.
import { type DeviceInfo, devices, type Precision } from '../compile';
import { modelNamed } from '../models';
import { environment } from './bench/environment';
import { growthOf } from './bench/growth';
import { measurementOf } from './bench/measurement';
import { contend, measureCeilings, type Ours, OWN, type Placement, type Trace, traceOurs } from './bench/ours';
import { disagreement, NoAnswer, type PeerContender, type PeerHost, TOLERANCE } from './bench/peer';
import type { Measurement, OwnBf16, PeerMeasured, Report, Setting } from './bench/reports';
import { type Group, inferRow, ROWS, type Row, selectRows, stepRow, type Workload } from './bench/rows';
import type { Target } from './bench/select';
import { alternate, type Ceilings, type Sampled } from './bench/statistics';

export interface MeasureOptions {
  readonly target: Target;
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

/** Who and what is measured beside what the options say. */
export interface Field {
  readonly hosts?: readonly PeerHost[];
  /** Why a peer is not among the hosts. */
  readonly absent?: Readonly<Record<string, string>>;
  readonly rows?: readonly Row[];
  /** Measures our own ceilings; tests hand in a quick one. */
  readonly probe?: typeof measureCeilings;
}

/** Milliseconds in which the threads of one contender fall asleep before the next one's turn. */
const SETTLE_MS = 50;

/** The device that is measured, and the precisions it has. */
function placeOf({ device }: MeasureOptions): { device: DeviceInfo | undefined; precisions: readonly Precision[] } {
  const found = devices().find(({ id, available }) => available && id === (device === 'cpu' ? 'cpu' : 'cuda'));
  const cpu = devices().find(({ id }) => id === 'cpu');
  const chosen = device === 'cuda' ? found : (found ?? cpu);
  return { device: chosen, precisions: chosen?.bf16 ? ['float32', 'bf16'] : ['float32'] };
}

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

async function settingOf(options: MeasureOptions, field: Field): Promise<Setting> {
  const { hosts = [], absent, probe = measureCeilings } = field;
  const cpu = devices().find(({ id }) => id === 'cpu');
  const { device, precisions } = placeOf(options);
  const card = device?.id === 'cuda' ? device : undefined;
  const threads = options.threads ?? cpu?.threads ?? 1;
  const found = environment({ isa: cpu?.isa ?? 'unknown', threads, ...(card ? { card } : {}) });
  let ceilings: Record<string, Ceilings> = {};
  for (const precision of precisions) {
    ceilings[`gramian ${precision}`] = await probe({ ...placementOf(options), precision });
  }
  for (const host of hosts) ceilings = { ...ceilings, ...(await host.ceilings?.()) };
  const peers = Object.fromEntries(hosts.map(({ name, version }) => [name, version]));
  return { environment: found, ceilings, peers, ...(absent ? { absent } : {}) };
}

function placementOf(options: MeasureOptions, row?: Row): Placement {
  const threads = row?.threads ?? options.threads;
  return { device: options.device, ...(threads === undefined ? {} : { threads }) };
}

type Results = Trace['results'];

/** Compares results with our float32 ones; without `disagrees` they may be timed. */
function judge(ours: Results, theirs: Results, losses: boolean, precision: Precision): PeerMeasured {
  const gap = disagreement(ours, theirs, losses);
  if (gap <= TOLERANCE[precision]) return { deviation: gap };
  const some = (results: Results): number[] => results.flatMap((step) => [...(step[0] ?? []).slice(0, 8)]).slice(0, 40);
  return { deviation: gap, disagrees: { ours: some(ours), theirs: some(theirs) } };
}

function failure(error: unknown): PeerMeasured {
  if (error instanceof NoAnswer) return { unanswered: error.seconds };
  return { failed: error instanceof Error ? error.message : String(error) };
}

interface Checked {
  readonly peers: Record<string, PeerMeasured>;
  readonly agreeing: readonly PeerContender[];
}

/** Gives the row to every peer and compares its results with ours. */
async function check(row: Row, workload: Workload, trace: Trace, hosts: readonly PeerHost[]): Promise<Checked> {
  const peers: Record<string, PeerMeasured> = {};
  const agreeing: PeerContender[] = [];
  for (const host of hosts) {
    let contenders: readonly PeerContender[] = [];
    try {
      contenders = await host.open({ row, workload, trace });
    } catch (error) {
      peers[host.name] = failure(error);
    }
    for (const contender of contenders) {
      const { name, precision } = contender;
      try {
        peers[name] = judge(trace.results, await contender.check(), workload.training !== undefined, precision);
      } catch (error) {
        peers[name] = failure(error);
      }
      const { deviation, disagrees } = peers[name];
      if (deviation !== undefined && !disagrees) agreeing.push(contender);
      else await contender.drop();
    }
  }
  return { peers, agreeing };
}

/** Rows without products and devices without bf16 have none of their own, and growth is shown in float32. */
function hasBf16(row: Row, workload: Workload, options: MeasureOptions): boolean {
  return placeOf(options).precisions.includes('bf16') && row.group !== 'growth' && workload.work.flops > 0;
}

/** Our bf16 against our float32. */
async function checkBf16(workload: Workload, placement: Placement, trace: Trace): Promise<OwnBf16> {
  const { results } = await traceOurs(workload, { ...placement, precision: 'bf16' });
  const judged = judge(trace.results, results, workload.training !== undefined, 'bf16');
  return { ...judged, tolerance: TOLERANCE.bf16 };
}

/** Turns of ours, our bf16 and the peers; a peer that fails in one has no times and is told of in `peers`. */
function turns(ours: readonly Ours[], { peers, agreeing }: Checked, seconds: number): Promise<Map<string, Sampled>> {
  return alternate([...ours, ...agreeing], {
    seconds,
    settleMs: SETTLE_MS,
    onFailure: (name, error) => {
      if (ours.some((one) => one.name === name)) throw error;
      peers[name] = failure(error);
    },
  });
}

async function measureRow(
  row: Row,
  options: MeasureOptions,
  ceilings: Setting['ceilings'],
  hosts: readonly PeerHost[],
): Promise<Measurement> {
  const placement = placementOf(options, row);
  const workload = row.build();
  const compared = row.peers && hosts.length > 0;
  const low = hasBf16(row, workload, options);
  const trace = compared || low ? await traceOurs(workload, placement) : undefined;
  const bf16 = low ? await checkBf16(workload, placement, trace!) : undefined;
  const checked = compared ? await check(row, workload, trace!, hosts) : { peers: {}, agreeing: [] };
  const ours: Ours[] = [];
  try {
    ours.push(contend(workload, placement));
    if (bf16 && !bf16.disagrees) ours.push(contend(workload, { ...placement, precision: 'bf16' }));
    const times = await turns(ours, checked, options.seconds);
    const { arenaBytes } = ours[0]!;
    return measurementOf({ row, work: workload.work, arenaBytes, times, own: OWN, bf16, ...checked }, ceilings);
  } finally {
    for (const one of ours) one.dispose();
    for (const contender of checked.agreeing) await contender.drop();
  }
}

/** The setting, then one row after the other, so that nothing competes with what is measured, then how cost grows. */
export async function* measure(options: MeasureOptions, field: Field = {}): AsyncGenerator<Report> {
  const { hosts = [], rows = rowsFor(options) } = field;
  const setting = await settingOf(options, field);
  yield setting;
  const measurements: Measurement[] = [];
  for (const row of rows) {
    const measurement = await measureRow(row, options, setting.ceilings, hosts);
    measurements.push(measurement);
    yield measurement;
  }
  const growth = growthOf(rows, measurements);
  if (growth) yield growth;
}
