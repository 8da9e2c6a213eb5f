// What a run of the benchmarks reports, as people read it. Called by the command and by bench/peers.ts. Pure functions.
import { formatBytes, formatCount, table } from '../format';
import type {
  Growth,
  GrowthSeries,
  Measurement,
  MemoryMeasurement,
  OwnBf16,
  PeerMeasured,
  Report,
  Setting,
} from './reports';

/** Four significant digits. */
const short = (value: number): string => String(Number(value.toPrecision(4)));
const milliseconds = (value: number): string => `${short(value)} ms`.padStart(12);
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

function settingLines({ environment, ceilings, peers, absent = {} }: Setting): string {
  const { cpu, cores, isa, threads, card, node, gramian, commit, load } = environment;
  const lines = [
    `${cpu}, ${cores} cores, ${isa}, ${threads} threads, Node ${node}, gramian ${gramian}${commit ? ` ${commit}` : ''}, load ${load.join(' ')}`,
    ...(card ? [`${card.name}, ${card.isa}, driver for CUDA ${card.driver}, ${card.image}`] : []),
    ...Object.entries(ceilings).map(
      ([name, { gflops, gbps }]) => `ceiling ${name}: ${formatCount(gflops)} GFLOP/s, copy ${formatCount(gbps)} GB/s`,
    ),
    ...Object.entries(peers).map(([name, version]) => `peer ${name}: ${version}`),
    ...Object.entries(absent).map(([name, why]) => `no peer ${name}: ${why}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Name, time or what came instead of one, and remarks. */
function contenderLine(name: string, what: string, remarks: readonly string[]): string {
  return `  ${name.padEnd(40)}${what.padStart(12)}  ${remarks.filter(Boolean).join(', ')}\n`;
}

/** Of one that was not timed. */
function unmeasuredLine(name: string, peer: PeerMeasured): string {
  if (peer.unanswered !== undefined) return contenderLine(name, 'no answer', [`within ${short(peer.unanswered)} s`]);
  if (peer.failed !== undefined) return contenderLine(name, 'failed', [peer.failed.split('\n')[0]!]);
  const gap = `deviation ${(peer.deviation ?? 0).toExponential(1)}`;
  if (!peer.disagrees) return contenderLine(name, 'not timed', [gap]);
  const some = (values: readonly number[]): string => values.slice(0, 5).map(short).join(' ');
  const { ours, theirs } = peer.disagrees;
  return contenderLine(name, 'disagrees', [`${gap}: ours ${some(ours)}, theirs ${some(theirs)}`]);
}

function peerLine(name: string, peer: PeerMeasured, ours: number): string {
  if (peer.medianMs === undefined) return unmeasuredLine(name, peer);
  const remarks = [
    `${(peer.medianMs / ours).toFixed(2)} x ours`,
    `deviation ${(peer.deviation ?? 0).toExponential(1)}`,
  ];
  return contenderLine(name, milliseconds(peer.medianMs), remarks);
}

function bf16Line(bf16: OwnBf16): string {
  if (bf16.medianMs === undefined) return unmeasuredLine('ours in bf16', bf16);
  const ratio = (value: number | undefined, of: string): string =>
    value === undefined ? '' : `ratio ${value.toFixed(2)} to the best ${of}`;
  return contenderLine('ours in bf16', milliseconds(bf16.medianMs), [
    `our float32 takes ${bf16.overFloat32!.toFixed(2)} x that`,
    bf16.roofline === undefined ? '' : `${percent(bf16.roofline)} of its roofline`,
    ratio(bf16.ratio, 'bf16 peer'),
    ratio(bf16.ratioAnyPrecision, 'peer'),
    `deviation ${(bf16.deviation ?? 0).toExponential(1)} of at most ${bf16.tolerance}`,
  ]);
}

/** A row, our bf16 and its peers. */
function rowLines({ title, ours, peers, ratio }: Measurement): string {
  const rates = [
    `+-${short(ours.spreadMs)}`,
    `${formatCount(ours.gflops)} GFLOP/s`,
    `${formatCount(ours.gbps)} GB/s`,
    ours.roofline === undefined ? '' : `${percent(ours.roofline)} of the roofline`,
    ours.imagesPerSecond === undefined ? '' : `${formatCount(ours.imagesPerSecond)} images/s`,
    `arena ${formatBytes(ours.arenaBytes)}`,
    ratio === undefined ? '' : `ratio ${ratio.toFixed(2)}`,
  ];
  return [
    `${title.padEnd(42)}${milliseconds(ours.medianMs)}  ${rates.filter(Boolean).join(', ')}\n`,
    ours.bf16 ? bf16Line(ours.bf16) : '',
    ...Object.entries(peers).map(([name, peer]) => peerLine(name, peer, ours.medianMs)),
  ].join('');
}

function memoryLine({ title, ours, peers, ratio }: MemoryMeasurement): string {
  const others = Object.entries(peers).map(([name, { peakBytes, failed, unanswered }]) => {
    if (peakBytes !== undefined) return `, ${name} ${formatBytes(peakBytes)}`;
    return `, ${name} ${unanswered === undefined ? `failed: ${failed}` : `without answer within ${short(unanswered)} s`}`;
  });
  const compared = ratio === undefined ? '' : `, ratio ${ratio.toFixed(2)}`;
  return `${title}: ${formatBytes(ours.peakBytes)}${others.join('')}${compared}\n`;
}

/** `time per image along batch: 2.1 to 2.4 ms, spread 14.3 % (target: at most 15 %)`. */
export function spreadLine({ along, points, spread, target }: GrowthSeries): string {
  const times = points.map(({ perImageMs }) => perImageMs);
  const range = `${short(Math.min(...times))} to ${short(Math.max(...times))} ms`;
  return `time per image along ${along}: ${range}, spread ${(100 * spread!).toFixed(1)} % (target: at most ${percent(target!)})`;
}

function growthLines({ growth }: Growth): string {
  const head = ['growth', 'ms a step', 'ms an image', 'x first', 'GFLOP/s', 'arena'];
  const lines = growth.flatMap(({ along, points }) =>
    points.map(({ value, medianMs, perImageMs, gflops, arenaBytes }) => [
      `${along} ${value}`,
      short(medianMs),
      short(perImageMs),
      (perImageMs / points[0]!.perImageMs).toFixed(2),
      formatCount(gflops),
      formatBytes(arenaBytes),
    ]),
  );
  const spreads = growth.filter(({ spread }) => spread !== undefined).map((series) => `${spreadLine(series)}\n`);
  return table([head, ...lines]) + spreads.join('');
}

export function reportLines(one: Report): string {
  if ('environment' in one) return settingLines(one);
  if ('growth' in one) return growthLines(one);
  return 'work' in one ? rowLines(one) : memoryLine(one);
}
