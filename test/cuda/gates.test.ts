// The gates on what kernels do, counted by the software device at the sizes of gateRows.ts: sectors, bytes, shared passes,
// lanes, instructions per multiply-add; and that eight orders of blocks and warps give the same bits without a finding. Prints
// a table of the figures. The rule easy to break: an op without a kernel is skipped here, so kernels/check.ts must list it.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { compile, type Plan, type Precision } from '../../src/compile';
import { type Placed, placeRow, type Row } from '../kernels/case';
import { table } from '../kernels/table';
import { workBetween } from './counting';
import { device, findings, forget, images, onCard, report, useImage } from './device';
import { gateRows } from './gateRows';
import { judge, type Step, unused, type Verdict } from './gates';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const HALO_OPS = ['conv2d', 'conv2dGradInput', 'conv2dGradFilter', 'maxPool', 'maxPoolGrad', 'resize', 'resizeGrad'];
const NO_KERNEL = 'cuda has no kernel for this op';

interface Made {
  readonly plan: Plan;
  readonly placed: Placed;
}

/** The one case of a row, compiled; undefined where the op has no kernel yet. */
function make(row: Row, precision: Precision): Made | undefined {
  const { graph, placed } = placeRow(row, 'random', [false]);
  const outputs = placed[0]!.outputs;
  try {
    return { plan: compile(graph, { outputs, device: 'cuda', precision }), placed: placed[0]! };
  } catch (error) {
    if (error instanceof Error && error.message.includes(NO_KERNEL)) return undefined;
    throw error;
  }
}

/** The op, and of a convolution its kind, as exemptions.json names it. */
function nameOf(row: Row, precision: Precision): string {
  const name = kindOf(row);
  return precision === 'bf16' ? `${name} bf16` : name;
}

function kindOf({ op, cases }: Row): string {
  if (!op.startsWith('conv2d')) return op;
  const { attrs, inputs, outputs } = cases[0]!;
  const filter = op === 'conv2dGradFilter' ? outputs[0]!.shape : inputs[1]!.shape;
  return `${op} ${(attrs.groups as number) > 1 ? 'depthwise' : filter[0] === 1 ? 'pointwise' : 'dense'}`;
}

/** Multiply-adds of a convolution and the most thread-instructions that one may cost. */
function multiplyAddsOf(row: Row, precision: Precision): Step['multiplyAdds'] {
  const { inputs, outputs, attrs } = row.cases[0]!;
  if (!row.op.startsWith('conv2d')) return undefined;
  const filter = row.op === 'conv2dGradFilter' ? outputs[0]!.shape : inputs[1]!.shape;
  const y = row.op === 'conv2d' ? outputs[0]!.shape : inputs[row.op === 'conv2dGradFilter' ? 1 : 0]!.shape;
  const count = y.reduce((a, b) => a * b, 1) * filter[0]! * filter[1]! * filter[2]!;
  const depthwise = (attrs.groups as number) > 1;
  if (!depthwise) return { count, limit: precision === 'bf16' ? 0.45 : 1.6 };
  return { count, limit: row.op === 'conv2dGradFilter' ? 9 : 5.5 };
}

async function reset({ plan, placed }: Made): Promise<void> {
  for (const [name, values] of Object.entries(placed.states)) await plan.write(name, values);
}

/** Everything a step leaves behind. */
async function stepOf(made: Made): Promise<Record<string, ArrayLike<number>>> {
  await reset(made);
  const results: Record<string, ArrayLike<number>> = await made.plan.step(made.placed.feeds);
  for (const name of Object.keys(made.placed.states)) results[name] = await made.plan.read(name);
  return results;
}

const labelOf = (row: Row, index: number) =>
  `${row.op} ${row.cases[0]!.inputs.map(({ shape }) => shape.join('x')).join(', ')} (${index})`;
/** Products by tensor cores; what else there is has one precision. */
const LOW = [
  'matmul',
  ...['conv2d', 'conv2dGradInput', 'conv2dGradFilter'].flatMap((op) => [`${op} pointwise`, `${op} dense`]),
];

function rowsAt(side: number): [string, Row, Precision][] {
  const rows = gateRows(side).map((row, index): [string, Row, Precision] => [labelOf(row, index), row, 'float32']);
  const low = rows.filter(([, row]) => LOW.includes(kindOf(row)));
  return [...rows, ...low.map(([label, row]): [string, Row, Precision] => [`${label} in bf16`, row, 'bf16'])];
}
/** Sizes that are counted on, and smaller ones that many orders are tried on. */
const [COUNTED, SMALL] = [rowsAt(28), rowsAt(6)];

if (images.length > 0) afterEach(forget);

describe.skipIf(images.length === 0 || onCard)('gates on the counters of', () => {
  const lines: string[] = [];
  beforeAll(() => useImage('ptx80'));
  afterAll(() => process.stdout.write(`${lines.join('\n')}\n`));

  it.each(COUNTED)('%s', async (label, row, precision) => {
    const made = make(row, precision);
    if (!made) return;
    using plan = made.plan;
    await stepOf(made);
    await reset(made);
    const before = report();
    await plan.step(made.placed.feeds);
    const works = workBetween(before, report());
    const bytes = plan.describe().launches.reduce((sum, launch) => sum + launch.bytes, 0);
    const multiplyAdds = multiplyAddsOf(row, precision);
    const halo = HALO_OPS.includes(row.op);
    const verdicts = judge({
      op: nameOf(row, precision),
      works,
      bytes,
      halo,
      ...(multiplyAdds ? { multiplyAdds } : {}),
    });
    const text = (verdict: Verdict) => `${verdict.gate} ${verdict.figure.toFixed(2)}`;
    lines.push(
      `gates: ${label}: launches ${works.reduce((sum, one) => sum + one.launches, 0)}, ${verdicts.map(text).join(', ')}`,
    );
    expect(verdicts.flatMap(({ faults }) => faults)).toEqual([]);
    expect(findings()).toEqual([]);
  });

  it('need every exemption', () => expect(unused()).toEqual([]));
  it('look at every op', () => {
    const missing = table.filter(({ op }) => !COUNTED.some(([, row]) => row.op === op)).map(({ op }) => op);
    expect(missing).toEqual([]);
  });
});

describe.skipIf(images.length === 0 || onCard)('in eight orders of blocks and warps', () => {
  it.each(SMALL)('the same bits of %s', async (_label, row, precision) => {
    for (const image of images) {
      if (precision === 'bf16' && image === 'ptx75') continue;
      useImage(image);
      const made = make(row, precision);
      if (!made) return;
      using _plan = made.plan;
      let first: Record<string, ArrayLike<number>> | undefined;
      for (const seed of SEEDS) {
        device().configure(`seed=${seed}`);
        const results = await stepOf(made);
        first ??= results;
        for (const [name, values] of Object.entries(results))
          expect(Buffer.compare(bytesOf(values), bytesOf(first[name]!)), `${image}, seed ${seed}, ${name}`).toBe(0);
      }
      expect(findings()).toEqual([]);
    }
  });
});

function bytesOf(values: ArrayLike<number>): Buffer {
  const { buffer, byteOffset, byteLength } = values as Float32Array;
  return Buffer.from(buffer, byteOffset, byteLength);
}
