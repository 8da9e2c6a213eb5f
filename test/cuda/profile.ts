// Times a step of CFPN on this machine's card: the whole step as it is replayed, and each launch by itself between two
// events. Prints a table for each setting, and keeps all of them in a JSON file when one is named. Compare with the bounds of
// docs/cuda-performance.md. Run by hand: npx tsx test/cuda/profile.ts [OUT.json]
// The rule easy to break: events around a launch cost some microseconds, so launches add up to more than the step.
import { writeFileSync } from 'node:fs';
import { compile, devices, type Plan, type Precision } from '../../src/compile';
import { modelNamed } from '../../src/models';
import { OBJECTIVE_DEFAULTS } from '../../src/objectives/options';
import { trainingGraph } from '../../src/train/trainer';

type Method = 'bp' | 'cka';

interface Setting {
  readonly side: number;
  readonly batch: number;
  readonly method: Method;
  readonly precision: Precision;
}

export interface Profiled extends Setting {
  /** Milliseconds of a step, the median of some runs. */
  readonly step: number;
  readonly arenaBytes: number;
  /** Sums over the launches of one kernel; milliseconds are medians of some steps. */
  readonly kernels: readonly { kernel: string; launches: number; milliseconds: number; bytes: number }[];
}

export interface Profile {
  readonly card: string;
  readonly isa: string;
  readonly image: string;
  readonly settings: readonly Profiled[];
}

const SIZES = [
  [48, 128],
  [224, 128],
] as const;
const METHODS: readonly Method[] = ['cka', 'bp'];
const PRECISIONS: readonly Precision[] = ['float32', 'bf16'];

function graphOf({ side, batch, method }: Setting) {
  const classes = ['0', '1', '2', '3', '4', '5', '6'];
  const pixels = batch * side * side;
  return trainingGraph({
    model: modelNamed('cfpn'),
    spec: { classes: classes.length, input: [side, side, 1], mean: [0.5], std: [0.25] },
    data: {
      ...{ name: 'noise', classes, count: batch, height: side, width: side, channels: 1, synthetic: true },
      images: Uint8Array.from({ length: pixels }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24),
      labels: Int32Array.from({ length: batch }, (_, i) => i % classes.length),
    },
    objective: { ...OBJECTIVE_DEFAULTS, name: method },
    batch,
    seed: 1,
    lr: 1e-5,
  });
}

const medianOf = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

async function stepOf(plan: Plan): Promise<number> {
  await plan.run(3);
  const started = performance.now();
  await plan.run(10);
  const count = Math.max(10, Math.min(100, Math.round(5000 / (performance.now() - started))));
  const times: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    const begun = performance.now();
    await plan.run(count);
    times.push((performance.now() - begun) / count);
  }
  return medianOf(times);
}

async function kernelsOf(plan: Plan): Promise<Profiled['kernels']> {
  const rounds: Awaited<ReturnType<Plan['profile']>>[] = [];
  for (let round = 0; round < 5; round++) rounds.push(await plan.profile());
  const all = new Map<string, { kernel: string; launches: number; milliseconds: number; bytes: number }>();
  rounds[0]!.forEach(({ kernel, bytes }, i) => {
    const sum = all.get(kernel) ?? { kernel, launches: 0, milliseconds: 0, bytes: 0 };
    sum.launches += 1;
    sum.milliseconds += medianOf(rounds.map((round) => round[i]!.milliseconds));
    sum.bytes += bytes;
    all.set(kernel, sum);
  });
  return [...all.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}

async function profile(setting: Setting): Promise<Profiled> {
  const { graph, outputs } = graphOf(setting);
  using plan = compile(graph, { outputs, device: 'cuda', precision: setting.precision });
  const step = await stepOf(plan);
  return { ...setting, step, arenaBytes: plan.describe().arenaBytes, kernels: await kernelsOf(plan) };
}

function print({ side, batch, method, precision, step, arenaBytes, kernels }: Profiled): void {
  const launches = kernels.reduce((sum, kernel) => sum + kernel.launches, 0);
  const total = kernels.reduce((sum, kernel) => sum + kernel.milliseconds, 0);
  console.log(
    `CFPN ${side}x${side}, batch ${batch}, ${method}, ${precision}: ${step.toFixed(3)} ms a step; ${launches} launches, ` +
      `${total.toFixed(3)} ms one by one; arena ${(arenaBytes / 2 ** 20).toFixed(0)} MiB`,
  );
  for (const { kernel, launches: count, milliseconds, bytes } of kernels.slice(0, 24)) {
    const rate = (bytes / milliseconds / 1e6).toFixed(0);
    console.log(
      `  ${kernel.padEnd(32)} ${String(count).padStart(4)} ${milliseconds.toFixed(3).padStart(9)} ms ${rate.padStart(6)} GB/s`,
    );
  }
}

async function main(out: string | undefined): Promise<void> {
  const card = devices().find(({ id }) => id === 'cuda');
  if (!card?.available) throw new Error(`expected a CUDA device, got none: ${card?.reason}`);
  const settings: Profiled[] = [];
  for (const [side, batch] of SIZES)
    for (const method of METHODS)
      for (const precision of PRECISIONS) {
        const profiled = await profile({ side, batch, method, precision });
        print(profiled);
        settings.push(profiled);
      }
  const kept: Profile = { card: card.name ?? '', isa: card.isa ?? '', image: card.image ?? '', settings };
  if (out) writeFileSync(out, `${JSON.stringify(kept, null, 1)}\n`);
}

void main(process.argv[2]);
