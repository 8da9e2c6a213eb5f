// Results files as the tables of the README. Called by table.ts and its test. The rule easy to break: every figure comes
// from a file, and each ratio from one row of one file; nothing is computed across files.
import { PEERS } from '../src/cli/bench/peer';
import type { GrowthSeries, Measurement, MemoryMeasurement, PeerMeasured, Setting } from '../src/cli/bench/reports';
import type { ResultsFile } from '../src/cli/bench/results';
import { spreadLine } from '../src/cli/bench/text';
import { formatBytes } from '../src/cli/format';
import { ArgumentError } from '../src/errors';
import { TARGETS } from './targets';

/** Three significant digits, all of them from 1000 on. */
const figure = (value: number): string => (value >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
const times = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(2));
const percent = (share: number | undefined): string => (share === undefined ? '-' : `${(100 * share).toFixed(0)} %`);
const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** `3.57, target 4`, and whether it was missed. */
function against(value: number | undefined, target: number | undefined): string {
  if (value === undefined || target === undefined) return times(value);
  return `${times(value)}, target ${target}${value < target ? ' missed' : ''}`;
}

function precisionOf(peer: string): string {
  return PEERS.find(({ name }) => name === peer)?.precision ?? 'float32';
}

/** `torch eager 1029`, the fastest of that precision. */
function bestOf(peers: Measurement['peers'], precision: string): string {
  const timed = Object.entries(peers).flatMap(([name, { medianMs }]): [string, number][] =>
    medianMs !== undefined && precisionOf(name) === precision ? [[name, medianMs]] : [],
  );
  const [best] = timed.sort((a, b) => a[1] - b[1]);
  return best ? `${best[0]} ${figure(best[1])}` : '-';
}

const HEAD = ['row', 'Gramian, ms', 'share of roofline', 'best float32 peer, ms', 'ratio', 'target'];
const BF16_HEAD = [
  'in bf16, ms',
  'share of its roofline',
  'float32 over it',
  'best bf16 peer, ms',
  'ratio',
  'to the best of all',
];

function float32Cells({ row, title, ours, peers, ratio }: Measurement): string[] {
  const target = TARGETS[row]?.ratio;
  const missed = ratio !== undefined && target !== undefined && ratio < target ? ' missed' : '';
  const wanted = TARGETS[row]?.roofline;
  const share = wanted === undefined ? percent(ours.roofline) : `${percent(ours.roofline)}, target ${percent(wanted)}`;
  const goal = target === undefined ? '-' : `${target}${missed}`;
  return [title, figure(ours.medianMs), share, bestOf(peers, 'float32'), times(ratio), goal];
}

function bf16Cells({ row, ours, peers }: Measurement): string[] {
  const { bf16 } = ours;
  const target = TARGETS[row];
  if (!bf16) return BF16_HEAD.map(() => '-');
  if (bf16.medianMs === undefined) return ['disagrees', ...BF16_HEAD.slice(1).map(() => '-')];
  return [
    figure(bf16.medianMs),
    percent(bf16.roofline),
    against(bf16.overFloat32, target?.overFloat32),
    bestOf(peers, 'bf16'),
    against(bf16.ratio, target?.bf16),
    against(bf16.ratioAnyPrecision, target?.bf16ToAny),
  ];
}

function speedTable(rows: readonly Measurement[]): string[] {
  if (rows.length === 0) return [];
  const withBf16 = rows.some(({ ours }) => ours.bf16);
  const cells = rows.map((row) => [...float32Cells(row), ...(withBf16 ? bf16Cells(row) : [])]);
  return [markdownTable(withBf16 ? [...HEAD, ...BF16_HEAD] : HEAD, cells)];
}

/** Ratios to one peer that is no longer the best, where one is wanted. */
function versusLines(rows: readonly Measurement[]): string[] {
  return rows.flatMap(({ row, title, ours, peers }) => {
    const versus = TARGETS[row]?.versus;
    const theirs = versus && peers[versus.peer]?.medianMs;
    if (!versus || theirs === undefined) return [];
    return [`- ${title}: ${against(theirs / ours.medianMs, versus.ratio)}, to ${versus.peer}.`];
  });
}

function whyNot({ unanswered, failed, disagrees }: PeerMeasured): string | undefined {
  if (unanswered !== undefined) return `did not answer within ${figure(unanswered)} s`;
  if (disagrees) return 'computed other results';
  return failed === undefined ? undefined : `failed: ${failed.split('\n')[0]!.replace(/^\[bench\] /, '')}`;
}

/** Who was asked for a row and has no time in it. */
function absenceLines(rows: readonly Measurement[]): string[] {
  return rows.flatMap(({ title, peers }) =>
    Object.entries(peers).flatMap(([name, peer]) => {
      const why = whyNot(peer);
      return why === undefined ? [] : [`- ${title}: ${name} ${why}.`];
    }),
  );
}

function memoryTable(rows: readonly MemoryMeasurement[]): string[] {
  if (rows.length === 0) return [];
  const cells = rows.map(({ row, title, ours, peers, ratio }) => {
    const others = Object.entries(peers).flatMap(([name, { peakBytes }]) =>
      peakBytes === undefined ? [] : `${name} ${formatBytes(peakBytes)}`,
    );
    return [title, formatBytes(ours.peakBytes), others.join('; ') || '-', against(ratio, TARGETS[row]?.ratio)];
  });
  return [markdownTable(['row', 'Gramian', 'peers', 'ratio to the smallest'], cells)];
}

function growthTable(growth: readonly GrowthSeries[]): string[] {
  if (growth.length === 0) return [];
  const head = ['growth', 'ms a step', 'ms an image', 'times the first', 'GFLOP/s', 'arena'];
  const cells = growth.flatMap(({ along, points }) =>
    points.map(({ value, medianMs, perImageMs, gflops, arenaBytes }) => {
      const growing = perImageMs / points[0]!.perImageMs;
      const name = `${along} ${value}`;
      return [name, figure(medianMs), figure(perImageMs), times(growing), figure(gflops), formatBytes(arenaBytes)];
    }),
  );
  const spreads = growth.filter(({ spread }) => spread !== undefined).map((series) => `- ${spreadLine(series)}.`);
  return [[markdownTable(head, cells), ...(spreads.length > 0 ? ['', ...spreads] : [])].join('\n')];
}

function settingLine({ environment, ceilings, peers }: Setting): string {
  const { cpu, threads, isa, node, gramian, commit } = environment;
  // Files of the first version have null for a ceiling that was not measured.
  const known = Object.entries(ceilings as Record<string, Setting['ceilings'][string] | null>);
  const limits = known.flatMap(([name, one]) => (one ? `${name} ${figure(one.gflops)}` : []));
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  return [
    `${cpu}, ${threads} threads, ${isa}, Node ${node}, gramian ${gramian}${commit ? ` (${commit})` : ''}`,
    ` Large products, GFLOP/s: ${limits.join(', ')}`,
    versions.length > 0 ? ` Peers: ${versions.join('; ')}` : '',
  ]
    .filter(Boolean)
    .join('.')
    .concat('.');
}

/** A row of a later file takes the place of an earlier one. */
function newest<T extends { readonly row: string }>(rows: readonly T[]): T[] {
  return [...new Map(rows.map((row) => [row.row, row])).values()];
}

/** The tables of some results: speed, memory, growth, and what is to be known with them. */
export function markdownOf(files: readonly ResultsFile[]): string {
  const rows = newest(files.flatMap((file) => [...file.rows]));
  const timed = rows.filter((row): row is Measurement => 'work' in row && !row.row.startsWith('growth-'));
  const memory = rows.filter((row): row is MemoryMeasurement => !('work' in row));
  const growth = files.flatMap((file) => [...(file.growth ?? [])]);
  const notes = [...versusLines(timed), ...absenceLines(timed)].join('\n');
  const settings = files.map(settingLine).join('\n\n');
  const parts = [...speedTable(timed), notes, ...memoryTable(memory), ...growthTable(growth), settings];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

const BLOCK = /<!-- results:([^\n]*) -->\n[\s\S]*?<!-- \/results -->/;

/** The files that a text's block of results was made from; empty when it was written by hand. */
export function filesOf(text: string): string[] {
  const found = BLOCK.exec(text);
  if (!found)
    throw new ArgumentError('[table] expected <!-- results: --> and <!-- /results --> in the text, found none');
  return found[1]!.split(' ').filter(Boolean);
}

/** The text with its block of results replaced. @param names of the files, relative to the checkout. */
export function withResults(text: string, names: readonly string[], tables: string): string {
  filesOf(text);
  return text.replace(BLOCK, () => `<!-- results: ${names.join(' ')} -->\n${tables}<!-- /results -->`);
}
