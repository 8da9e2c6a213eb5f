// From the times of one row to what is reported of it: rates, shares of the roofline, ratios. Called by bench.ts. Pure. The
// rule easy to break: each precision is held against the ceiling of its own products, whoever measured the higher one.
import type { Precision } from '../../compile';
import type { PeerContender } from './peer';
import type { Measured, Measurement, OwnBf16, PeerMeasured, Setting } from './reports';
import type { Row } from './rows';
import { type Ceilings, ratesOf, type Sampled, type Work } from './statistics';

/** A row after its contenders took turns. */
export interface Timed {
  readonly row: Pick<Row, 'id' | 'title' | 'batch'>;
  readonly work: Work;
  readonly arenaBytes: number;
  /** By contender; who failed has none. */
  readonly times: ReadonlyMap<string, Sampled>;
  /** Names of ours; the second's times are absent when it disagreed. */
  readonly own: { readonly float32: string; readonly bf16: string };
  /** How our bf16 was judged; absent where there is none. */
  readonly bf16: OwnBf16 | undefined;
  /** How the peers were judged, and those of them that took turns. */
  readonly peers: Readonly<Record<string, PeerMeasured>>;
  readonly agreeing: readonly Pick<PeerContender, 'name' | 'precision'>[];
}

/** The best that anyone reaches in a precision; a copy has none. */
export function ceilingOf(ceilings: Setting['ceilings'], precision: Precision): Ceilings {
  const all = Object.entries(ceilings);
  const fitting = all.filter(([name]) => name.endsWith(precision));
  return {
    gflops: Math.max(...fitting.map(([, { gflops }]) => gflops)),
    gbps: Math.max(...all.map(([, { gbps }]) => gbps)),
  };
}

/** The fastest of `chosen` over `ours`, under a name; nothing without one. */
function ratioTo<Name extends string>(key: Name, chosen: readonly Sampled[], ours: Sampled): { [K in Name]?: number } {
  if (chosen.length === 0) return {};
  return { [key]: Math.min(...chosen.map(({ medianMs }) => medianMs)) / ours.medianMs } as { [K in Name]?: number };
}

export function measurementOf(timed: Timed, ceilings: Setting['ceilings']): Measurement {
  const { row, work, times, own } = timed;
  const measured = (sampled: Sampled, precision: Precision): Measured => ({
    ...sampled,
    ...ratesOf(work, sampled.medianMs, ceilingOf(ceilings, precision)),
    ...(row.batch === undefined ? {} : { imagesPerSecond: (1000 * row.batch) / sampled.medianMs }),
  });
  const lasting = timed.agreeing.filter(({ name }) => times.has(name));
  const peers = { ...timed.peers };
  for (const { name, precision } of lasting) peers[name] = { ...peers[name], ...measured(times.get(name)!, precision) };
  const all = (precision?: Precision): Sampled[] =>
    lasting.filter((one) => !precision || one.precision === precision).map(({ name }) => times.get(name)!);
  const ours = measured(times.get(own.float32)!, 'float32');
  const low = times.get(own.bf16);
  const lower = low && {
    ...measured(low, 'bf16'),
    overFloat32: ours.medianMs / low.medianMs,
    ...ratioTo('ratio', all('bf16'), low),
    ...ratioTo('ratioAnyPrecision', all(), low),
  };
  return {
    row: row.id,
    title: row.title,
    work: { gflop: work.flops / 1e9, megabytes: work.bytes / 1e6 },
    ours: { ...ours, arenaBytes: timed.arenaBytes, ...(timed.bf16 ? { bf16: { ...timed.bf16, ...lower } } : {}) },
    peers,
    ...ratioTo('ratio', all('float32'), ours),
    ...ratioTo('ratioAnyPrecision', all(), ours),
  };
}
