// Writes docs/cuda-performance.md: what the software device counts for each op at the sizes of gateRows.ts, and the time that
// the whole CFPN step is thereby bound to on some cards; profile.ts measures it on a card.
// Run by hand: npx tsx test/cuda/performance.ts > docs/cuda-performance.md
// The rule easy to break: counts are of PTX, per byte and per multiply-add of an op; only those two are scaled.
import { analyze, compile, type LaunchDescription } from '../../src/compile';
import { type Graph, type Node, sizeOf } from '../../src/graph/graph';
import { modelNamed } from '../../src/models';
import { OBJECTIVE_DEFAULTS } from '../../src/objectives/options';
import { trainingGraph } from '../../src/train/trainer';
import { placeRow, type Row } from '../kernels/case';
import { totalOf, workBetween } from './counting';
import { forget, report, useImage } from './device';
import { gateRows } from './gateRows';

/** Public datasheet figures: streaming multiprocessors, FP32 lanes of each, boost clock in GHz, memory in GB/s. */
const CARDS = [
  { name: 'RTX 2080', multiprocessors: 46, lanes: 64, clock: 1.71, memory: 448 },
  { name: 'RTX 3090', multiprocessors: 82, lanes: 128, clock: 1.695, memory: 936 },
  { name: 'RTX 4090', multiprocessors: 128, lanes: 128, clock: 2.52, memory: 1008 },
  { name: 'RTX 5090', multiprocessors: 170, lanes: 128, clock: 2.407, memory: 1792 },
  { name: 'H200', multiprocessors: 132, lanes: 128, clock: 1.98, memory: 4800 },
] as const;
type Card = (typeof CARDS)[number];
/** Threads whose instructions a multiprocessor issues in a cycle: 4 schedulers, a warp each. */
const ISSUED = 128;
const [BATCH, SIDE] = [128, 224];

/** What one kernel label was counted to cost. */
interface Counted {
  /** Bytes moved for each byte of operands. */
  readonly moved: number;
  readonly perByte: number;
  readonly perMultiplyAdd: number;
}

/** What a plan asks of one kernel label. */
interface Asked {
  launches: number;
  bytes: number;
  multiplyAdds: number;
}

function multiplyAddsOf(graph: Graph, node: Node): number {
  const shape = (id: number) => graph.tensors[id]!.shape;
  const taps = (filter: readonly number[]) => filter[0]! * filter[1]! * filter[2]!;
  const [first, second] = node.inputs.map(shape);
  const out = node.outputs.length > 0 ? shape(node.outputs[0]!) : [];
  switch (node.op) {
    case 'conv2d':
      return sizeOf(out) * taps(second!);
    case 'conv2dGradInput':
      return sizeOf(first!) * taps(second!);
    case 'conv2dGradFilter':
      return sizeOf(second!) * taps(out);
    case 'matmul':
      return sizeOf(out) * (node.attrs.transA ? first![0]! : first![1]!);
    case 'gram':
      return (first![0]! * (first![0]! + 1) * first![1]!) / 2;
    case 'gramGrad':
      return first![0]! ** 2 * second![1]!;
    default:
      return 0;
  }
}

function askedOf(graph: Graph, launches: readonly LaunchDescription[]): Map<string, Asked> {
  const nodes = new Map(graph.nodes.map((node) => [`${node.op} ${node.name}`, node]));
  const all = new Map<string, Asked>();
  for (const { op, kernel, name, bytes } of launches) {
    const asked = all.get(kernel) ?? { launches: 0, bytes: 0, multiplyAdds: 0 };
    const node = nodes.get(`${op} ${name}`);
    asked.launches += 1;
    asked.bytes += bytes;
    asked.multiplyAdds += node ? multiplyAddsOf(graph, node) : 0;
    all.set(kernel, asked);
  }
  return all;
}

/** One step of a row of gateRows.ts, counted; undefined for what the device cannot run or does without a kernel of ours. */
async function countRow(row: Row): Promise<[string, Counted] | undefined> {
  const { graph, placed } = placeRow(row, 'random', [false]);
  try {
    using plan = compile(graph, { outputs: placed[0]!.outputs, device: 'cuda' });
    const { launches } = plan.describe();
    await plan.step(placed[0]!.feeds);
    const before = report();
    await plan.step(placed[0]!.feeds);
    const works = workBetween(before, report());
    const asked = [...askedOf(graph, launches).values()][0];
    if (!asked || asked.bytes === 0 || works.length === 0) return undefined;
    const threads = totalOf(works, 'threadInstructions');
    const moved = (totalOf(works, 'uniqueSectors') * 32) / asked.bytes;
    return [
      launches[0]!.kernel,
      { moved, perByte: threads / asked.bytes, perMultiplyAdd: asked.multiplyAdds ? threads / asked.multiplyAdds : 0 },
    ];
  } catch (error) {
    if (error instanceof Error && error.message.includes('no kernel for this op')) return undefined;
    throw error;
  }
}

async function countAll(): Promise<Map<string, Counted>> {
  const all = new Map<string, Counted>();
  for (const row of gateRows(28)) {
    const counted = await countRow(row);
    await forget();
    if (counted && !all.has(counted[0])) all.set(...counted);
  }
  return all;
}

interface Bound {
  readonly memory: number;
  readonly issue: number;
  readonly arithmetic: number;
}

/** Seconds that each resource alone would need; cuBLAS is bound by memory and arithmetic only. */
function boundOf(asked: Asked, counted: Counted | undefined, card: Card): Bound {
  const threads = counted
    ? counted.perMultiplyAdd > 0
      ? counted.perMultiplyAdd * asked.multiplyAdds
      : counted.perByte * asked.bytes
    : 0;
  return {
    memory: (asked.bytes * (counted?.moved ?? 1)) / (card.memory * 1e9),
    issue: threads / (card.multiprocessors * ISSUED * card.clock * 1e9),
    arithmetic: asked.multiplyAdds / (card.multiprocessors * card.lanes * card.clock * 1e9),
  };
}

const secondsOf = (bound: Bound) => Math.max(bound.memory, bound.issue, bound.arithmetic);

function limiterOf(bound: Bound): string {
  const most = secondsOf(bound);
  return most === bound.memory ? 'memory' : most === bound.issue ? 'instructions' : 'arithmetic';
}

const milliseconds = (seconds: number) => (seconds * 1e3).toPrecision(3);
const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;

function planOf(method: 'bp' | 'cka') {
  const count = BATCH;
  const classes = ['0', '1', '2', '3', '4', '5', '6'];
  const { graph, outputs } = trainingGraph({
    model: modelNamed('cfpn'),
    spec: { classes: classes.length, input: [SIDE, SIDE, 1], mean: [0.5], std: [0.25] },
    data: {
      ...{ name: 'blank', classes, count, height: SIDE, width: SIDE, channels: 1, synthetic: true },
      images: new Uint8Array(count * SIDE * SIDE),
      labels: new Int32Array(count),
    },
    objective: { ...OBJECTIVE_DEFAULTS, name: method },
    batch: BATCH,
    seed: 1,
    lr: 1e-3,
  });
  return { graph, plan: analyze(graph, { outputs, device: 'cuda' }) };
}

function stepTable(method: 'bp' | 'cka', counts: ReadonlyMap<string, Counted>): string[] {
  const { graph, plan } = planOf(method);
  const rows = [...askedOf(graph, plan.launches)].map(([kernel, asked]) => {
    const bounds = CARDS.map((card) => boundOf(asked, counts.get(kernel), card));
    return { kernel, asked, bounds, seconds: bounds.map(secondsOf) };
  });
  rows.sort((a, b) => b.seconds[0]! - a.seconds[0]!);
  const shown = rows.filter(({ seconds }) => seconds[0]! >= 1e-4);
  const rest = rows.filter(({ seconds }) => seconds[0]! < 1e-4);
  const total = (pick: (row: (typeof rows)[number]) => number, of = rows) =>
    of.reduce((sum, row) => sum + pick(row), 0);
  const times = (of: typeof rows) => CARDS.map((_, i) => milliseconds(total(({ seconds }) => seconds[i]!, of)));
  const facts = (of: typeof rows) => [
    total(({ asked }) => asked.launches, of),
    (total(({ asked }) => asked.bytes, of) / 1e9).toFixed(2),
    (total(({ asked }) => asked.multiplyAdds, of) / 1e9).toFixed(1),
  ];
  return [
    line([
      'kernel',
      'launches',
      'GB',
      'G multiply-adds',
      ...CARDS.map(({ name }) => `${name}, ms`),
      'limit on 2080 / 4090',
    ]),
    line(['---', '---:', '---:', '---:', ...CARDS.map(() => '---:'), '---']),
    ...shown.map((row) =>
      line([
        `\`${row.kernel}\``,
        ...facts([row]),
        ...times([row]),
        `${limiterOf(row.bounds[0]!)} / ${limiterOf(row.bounds[2]!)}`,
      ]),
    ),
    line([`${rest.length} more kernels`, ...facts(rest), ...times(rest), '']),
    line(['**step**', ...facts(rows), ...times(rows).map((time) => `**${time}**`), '']),
    '',
    `The plan's arena is ${(plan.arenaBytes / 2 ** 30).toFixed(1)} GiB, its parameters and states ${(plan.persistentBytes / 2 ** 20).toFixed(1)} MiB.`,
  ];
}

function opTable(counts: ReadonlyMap<string, Counted>): string[] {
  return [
    line(['kernel', 'bytes moved per byte of operands', 'thread-instructions per byte', 'per multiply-add']),
    line(['---', '---:', '---:', '---:']),
    ...[...counts].map(([kernel, { moved, perByte, perMultiplyAdd }]) =>
      line([
        `\`${kernel}\``,
        moved.toFixed(2),
        perByte.toFixed(2),
        perMultiplyAdd > 0 ? perMultiplyAdd.toFixed(2) : '',
      ]),
    ),
  ];
}

const METHODS = [
  ['cka', 'By local objectives'],
  ['bp', 'By back-propagation'],
] as const;

async function main(): Promise<void> {
  useImage('ptx80');
  const counts = await countAll();
  const steps = METHODS.flatMap(([method, title]) => {
    try {
      return [`### ${title}`, '', ...stepTable(method, counts), ''];
    } catch (error) {
      return [`### ${title}`, '', `Not yet: ${(error as Error).message}.`, ''];
    }
  });
  const cards = CARDS.map(({ name, multiprocessors, lanes, clock, memory }) =>
    line([name, multiprocessors, lanes, clock, memory, ((2 * multiprocessors * lanes * clock) / 1e3).toFixed(1)]),
  );
  const text = [
    '# What CUDA should take',
    '',
    'Written by `npx tsx test/cuda/performance.ts`. No card has run this size yet; `npx tsx test/cuda/profile.ts` would confirm or refute it. What an H200',
    'took at 48x48 is in [cuda.md](cuda.md).',
    '',
    'The [software device](softcuda.md) counts one step of every op (PTX for compute_80) at the sizes of `test/cuda/gateRows.ts`: the 32-byte sectors it',
    'touches and the thread-instructions it executes. Per byte of operands, or per multiply-add where an op has them, these are scaled to the launches of',
    `the whole CFPN step at ${SIDE}x${SIDE}, batch ${BATCH}; that size itself is too slow to execute in software. A launch cannot take less than the longest of`,
    "three times: its bytes at the memory's rate, its instructions at four warps a cycle and multiprocessor, its multiply-adds at one for each FP32 lane and",
    'cycle. cuBLAS is bound by bytes and multiply-adds alone. Left out: launch gaps, caches that help, latency that hurts, and what ptxas makes of the PTX.',
    '',
    line(['card', 'multiprocessors', 'FP32 lanes of each', 'boost GHz', 'memory GB/s', 'TFLOP/s']),
    line(['---', '---:', '---:', '---:', '---:', '---:']),
    ...cards,
    '',
    `## The CFPN step, ${SIDE}x${SIDE}, batch ${BATCH}`,
    '',
    'The papers name 0.049 s a step on an RTX 2080 for their own network and sizes.',
    '',
    ...steps,
    '## Counted per op',
    '',
    ...opTable(counts),
    '',
  ];
  process.stdout.write(text.join('\n'));
}

void main();
