// gramian bench: medians of kernels, training steps and inference on this machine. The comparison with other libraries
// needs their packages, so it lives in a checkout's bench/peers.ts and is started from here when it is there.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../../errors';
import { nearest } from '../../text';
import type { Measurement, MeasureOptions, PeerMeasured, Report, Setting } from '../bench';
import { formatBytes, formatCount } from '../format';
import { type Io, json } from '../io';
import { type OptionTable, type Parsed, UsageError } from '../options';
import { type Command, deviceOption, jsonOption, present, threadsOption } from './shared';

const TARGETS = ['kernels', 'step', 'infer', 'peers'] as const;
type Target = (typeof TARGETS)[number];

const options = {
  rows: {
    type: 'text',
    value: 'ID,...',
    help: 'rows of any group by id or its beginning (growth, cfpn-bp); by default all of WHAT',
  },
  python: { type: 'text', value: 'PATH', help: 'a Python with PyTorch, which is then a peer; in a checkout' },
  model: { type: 'text', value: 'NAME', default: 'cfpn', help: 'one network instead of the rows of step and infer' },
  input: {
    type: 'size',
    extents: ['H', 'W', 'C'],
    min: 8,
    max: 4096,
    default: [48, 48, 1],
    help: 'size of its images',
  },
  batch: { type: 'integer', min: 2, max: 65536, default: 128, help: 'images in its step' },
  classes: { type: 'integer', min: 2, max: 100_000, default: 7, help: 'classes of its classifier' },
  seconds: { type: 'number', min: 0, above: true, max: 3600, default: 1, help: 'time spent on each measurement' },
  threads: threadsOption,
  device: deviceOption,
  json: jsonOption,
} as const satisfies OptionTable;

/** Four significant digits. */
const short = (value: number): string => String(Number(value.toPrecision(4)));
const milliseconds = (value: number): string => `${short(value)} ms`.padStart(12);

function settingLines({ environment, ceilings, peers }: Setting): string {
  const { cpu, cores, isa, threads, node, gramian, commit, load } = environment;
  const lines = [
    `${cpu}, ${cores} cores, ${isa}, ${threads} threads, Node ${node}, gramian ${gramian}${commit ? ` ${commit}` : ''}, load ${load.join(' ')}`,
    ...Object.entries(ceilings).map(([name, one]) =>
      one === null
        ? `ceiling ${name}: not in this version`
        : `ceiling ${name}: ${formatCount(one.gflops)} GFLOP/s, copy ${formatCount(one.gbps)} GB/s`,
    ),
    ...Object.entries(peers).map(([name, version]) => `peer ${name}: ${version}`),
  ];
  return `${lines.join('\n')}\n`;
}

function peerLine(name: string, peer: PeerMeasured, ours: number): string {
  const start = `  ${name.padEnd(40)}`;
  if (peer.failed !== undefined) return `${start}${'failed'.padStart(12)}  ${peer.failed.split('\n')[0]}\n`;
  const gap = `deviation ${(peer.deviation ?? 0).toExponential(1)}`;
  if (peer.disagrees) {
    const some = (values: readonly number[]): string => values.slice(0, 5).map(short).join(' ');
    return `${start}${'disagrees'.padStart(12)}  ${gap}: ours ${some(peer.disagrees.ours)}, theirs ${some(peer.disagrees.theirs)}\n`;
  }
  if (peer.medianMs === undefined) return `${start}${'not timed'.padStart(12)}  ${gap}\n`;
  return `${start}${milliseconds(peer.medianMs)}  ${(peer.medianMs / ours).toFixed(2)} x ours, ${gap}\n`;
}

/** A row and its peers, as people read them. */
export function rowLines(one: Measurement): string {
  const { ours } = one;
  const rates = [
    `+-${short(ours.spreadMs)}`,
    `${formatCount(ours.gflops)} GFLOP/s`,
    `${formatCount(ours.gbps)} GB/s`,
    ours.roofline === undefined ? '' : `${(100 * ours.roofline).toFixed(0)} % of the roofline`,
    ours.imagesPerSecond === undefined ? '' : `${formatCount(ours.imagesPerSecond)} images/s`,
    `arena ${formatBytes(ours.arenaBytes)}`,
    one.ratio === undefined ? '' : `ratio ${one.ratio.toFixed(2)}`,
  ];
  const own = `${one.title.padEnd(42)}${milliseconds(ours.medianMs)}  ${rates.filter(Boolean).join(', ')}\n`;
  return (
    own +
    Object.entries(one.peers)
      .map(([name, peer]) => peerLine(name, peer, ours.medianMs))
      .join('')
  );
}

export function report(io: Io, one: Report, asJson: boolean): void {
  if (asJson) json(io, one);
  else io.out('environment' in one ? settingLines(one) : rowLines(one));
}

/** What the command line asks to be measured. */
export function measureOptions({ values, given, positionals }: Parsed<typeof options>): MeasureOptions {
  const target = positionals[0] as Target;
  const { model, batch, classes, seconds, threads, device } = values;
  const rows = values.rows?.split(',').filter(Boolean);
  const own = (['model', 'input', 'batch', 'classes'] as const).filter((key) => given.has(key));
  if (own.length > 0 && target !== 'step' && target !== 'infer') {
    throw new UsageError(`--${own[0]} describes the one network of step or infer, not of ${target}`);
  }
  if (own.length > 0 && rows)
    throw new UsageError(`--rows names rows that are fixed; --${own[0]} asks for another one`);
  const net = own.length > 0 ? { model, input: values.input as [number, number, number], batch, classes } : undefined;
  return { target, seconds, device, ...present({ threads, rows, net }) };
}

/** Hands over to bench/peers.ts; its exit code is ours. */
function runPeers(args: readonly string[]): Promise<number> {
  const root = join(__dirname, '../../..');
  const script = join(root, 'bench/peers.ts');
  if (!existsSync(script)) {
    throw new DataError(`[bench] peers are compared from a checkout of Gramian; there is no ${script}`);
  }
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], { cwd: root, stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** The command line again, for bench/peers.ts, which parses it by the same table. */
function argumentsOf({ values, given, positionals }: Parsed<typeof options>): string[] {
  const words = Object.entries(values).flatMap(([key, value]) => {
    if (!given.has(key)) return [];
    if (value === true) return [`--${key}`];
    return [`--${key}=${Array.isArray(value) ? value.join('x') : value}`];
  });
  return [...positionals, ...words];
}

export const command: Command<typeof options> = {
  spec: {
    name: 'bench',
    positionals: { name: 'WHAT', min: 1, max: 1, choices: TARGETS },
    options,
    examples: [
      'gramian bench kernels',
      'gramian bench step --model cfpn --batch 128 --json',
      'gramian bench peers --python venv/bin/python --rows small,hsic',
    ],
  },
  async run(parsed, io, engine) {
    const asked = measureOptions(parsed);
    if (asked.net) {
      const names = await engine.modelNames();
      const { model } = asked.net;
      if (!names.includes(model)) throw new UsageError(`--model: there is no "${model}"${nearest(model, names)}`);
    }
    if (asked.target === 'peers' || parsed.values.python !== undefined) return runPeers(argumentsOf(parsed));
    for await (const one of engine.measure(asked)) report(io, one, parsed.values.json);
    return 0;
  },
};
