// gramian bench: medians of kernels, training steps and inference on this machine. The comparison with other libraries
// needs their packages, so it lives in a checkout's bench/peers.ts and is started from here when it is there.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataError } from '../../errors';
import type { MeasureOptions } from '../bench';
import { PATIENCE, PEERS, type Peer } from '../bench/peer';
import type { Report } from '../bench/reports';
import { Results } from '../bench/results';
import { selectById, TARGETS, type Target, unknownWord, wordsOf } from '../bench/select';
import { reportLines } from '../bench/text';
import { type Io, json } from '../io';
import { flagOf, type OptionTable, type Parsed, UsageError } from '../options';
import { type Command, deviceOption, jsonOption, MODEL_NAMES, present, threadsOption } from './shared';

function unknownPeer(list: string): string | undefined {
  const unknown = unknownWord(PEERS, wordsOf(list));
  return unknown && `expects peers by id or its beginning; ${unknown}`;
}

const options = {
  rows: {
    type: 'text',
    value: 'ID,...',
    help: 'rows of any group by id or its beginning (growth, cfpn-bp); by default all of WHAT',
  },
  python: { type: 'text', value: 'PATH', help: 'a Python with PyTorch, which is then a peer; in a checkout' },
  peers: {
    type: 'text',
    value: 'ID,...',
    check: unknownPeer,
    help: `compare with these only, by id or its beginning: ${PEERS.map(({ id }) => id).join(', ')}; in a checkout`,
  },
  patience: {
    type: 'number',
    min: 0,
    above: true,
    max: 1_000_000,
    default: PATIENCE,
    help: 'seconds to wait for a peer to load a row and to compute it first',
  },
  tfjsNode: {
    type: 'text',
    value: 'DIR',
    help: '@tensorflow/tfjs-node, or whose node_modules has it; by default where you are',
  },
  model: {
    type: 'choice',
    choices: MODEL_NAMES,
    default: 'cfpn',
    help: 'one network instead of the rows of step and infer',
  },
  input: {
    type: 'size',
    extents: ['H', 'W', 'C'],
    min: 1,
    max: 4096,
    default: [48, 48, 1],
    help: 'size of its images',
  },
  batch: { type: 'integer', min: 2, max: 65536, default: 128, help: 'images in its step' },
  classes: { type: 'integer', min: 2, max: 100_000, default: 7, help: 'classes of its classifier' },
  seconds: { type: 'number', min: 0, above: true, max: 3600, default: 1, help: 'time spent on each measurement' },
  threads: threadsOption,
  device: deviceOption,
  out: { type: 'text', value: 'FILE', help: 'keep all that is reported in a JSON file; peers do so in bench/results' },
  json: jsonOption,
} as const satisfies OptionTable;

export function report(io: Io, one: Report, asJson: boolean): void {
  if (asJson) json(io, one);
  else io.out(reportLines(one));
}

/** What the command line asks to be measured. */
export function measureOptions({ values, given, positionals }: Parsed<typeof options>): MeasureOptions {
  const target = positionals[0] as Target;
  const { model, batch, classes, seconds, threads, device } = values;
  const rows = values.rows === undefined ? undefined : wordsOf(values.rows);
  const own = (['model', 'input', 'batch', 'classes'] as const).filter((key) => given.has(key));
  if (own.length > 0 && target !== 'step' && target !== 'infer') {
    throw new UsageError(`--${own[0]} describes the one network of step or infer, not of ${target}`);
  }
  if (own.length > 0 && rows)
    throw new UsageError(`--rows names rows that are fixed; --${own[0]} asks for another one`);
  const net = own.length > 0 ? { model, input: values.input as [number, number, number], batch, classes } : undefined;
  return { target, seconds, device, ...present({ threads, rows, net }) };
}

/** What the command line says about other libraries. */
export interface PeerOptions {
  /** Those to compare with, when it names some. */
  readonly chosen?: readonly Peer[];
  readonly python?: string;
  readonly tfjsNode?: string;
  /** Seconds. */
  readonly patience: number;
  readonly out?: string;
}

export function peerOptions({ values, given, positionals }: Parsed<typeof options>): PeerOptions {
  const { python, peers, patience, tfjsNode, out } = values;
  const chosen = peers === undefined ? undefined : selectById(PEERS, wordsOf(peers));
  const torch = chosen?.find(({ id }) => id.startsWith('torch'));
  if (torch && python === undefined) {
    throw new UsageError(`--peers ${torch.id} needs --python PATH, a Python with PyTorch`);
  }
  const idle = (['patience', 'tfjsNode'] as const).find((key) => given.has(key));
  if (idle && positionals[0] !== 'peers' && python === undefined && !chosen) {
    throw new UsageError(
      `--${flagOf(idle)} is about peers, and none is asked for; give --peers or --python, or bench peers`,
    );
  }
  return { patience, ...present({ chosen, python, tfjsNode, out }) };
}

/** Hands over to bench/peers.ts; its exit code is ours. */
function runPeers(args: readonly string[]): Promise<number> {
  const root = join(__dirname, '../../..');
  const script = join(root, 'bench/peers.ts');
  if (!existsSync(script)) {
    throw new DataError(`[bench] peers are compared from a checkout of Gramian; there is no ${script}`);
  }
  // The folder stays the user's, for the paths on the command line.
  const tsx = pathToFileURL(createRequire(join(root, 'package.json')).resolve('tsx')).href;
  const child = spawn(process.execPath, ['--import', tsx, script, ...args], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** The command line again, for bench/peers.ts, which parses it by the same table. */
function argumentsOf({ values, given, positionals }: Parsed<typeof options>): string[] {
  const words = Object.entries(values).flatMap(([key, value]) => {
    if (!given.has(key)) return [];
    if (value === true) return [`--${flagOf(key)}`];
    return [`--${flagOf(key)}=${Array.isArray(value) ? value.join('x') : value}`];
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
      'gramian bench growth',
      'gramian bench peers --python venv/bin/python --rows small,hsic',
      'gramian bench peers --python venv/bin/python --peers torch-eager --patience 300 --rows cfpn',
    ],
  },
  async run(parsed, io, engine) {
    const asked = measureOptions(parsed);
    const { chosen, python, out } = peerOptions(parsed);
    if (asked.target === 'peers' || python !== undefined || chosen) return runPeers(argumentsOf(parsed));
    const results = out === undefined ? undefined : new Results(() => out);
    for await (const one of engine.measure(asked)) {
      results?.add(one);
      report(io, one, parsed.values.json);
    }
    return 0;
  },
};
