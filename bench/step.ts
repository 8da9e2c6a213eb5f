// Times the training step of each model by local objectives and by back-propagation, and writes the table to
// bench/results with machine and commit. Run by `npm run bench`. Speed lives here and nowhere in the tests.
// The rule easy to break: ratios come from one run on one machine; figures of two files must not be divided.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Bench } from 'tinybench';
import type { ImageDataset } from '../src/data/types';
import { modelNamed } from '../src/models';
import { OBJECTIVE_DEFAULTS, type ObjectiveName } from '../src/objectives/options';
import { Trainer } from '../src/train/trainer';

const BATCH = 128;
const CLASSES = 7;
const SECONDS = 8;

/** Two batches of bytes without meaning: time does not depend on them. */
function bytes(side: number): ImageDataset {
  const count = 2 * BATCH;
  return {
    name: `${side}x${side}`,
    images: Uint8Array.from({ length: count * side * side }, (_, index) => (index * 7919) % 251),
    labels: Int32Array.from({ length: count }, (_, index) => index % CLASSES),
    count,
    height: side,
    width: side,
    channels: 1,
    classes: Array.from({ length: CLASSES }, (_, index) => String(index)),
    synthetic: true,
  };
}

function trainerFor(model: string, objective: ObjectiveName, side: number): Trainer {
  return new Trainer({
    model: modelNamed(model),
    spec: { classes: CLASSES, input: [side, side, 1], mean: [0.5], std: [0.3] },
    data: bytes(side),
    objective: { ...OBJECTIVE_DEFAULTS, name: objective },
    batch: BATCH,
    seed: 1,
    lr: 0.001,
  });
}

async function main(): Promise<void> {
  const rows: Record<string, unknown>[] = [];
  for (const model of ['cfpn', 'denseFpn']) {
    for (const side of [28, 48]) {
      for (const objective of ['cka', 'bp'] as const) {
        const trainer = trainerFor(model, objective, side);
        const bench = new Bench({ time: SECONDS * 1000, warmupIterations: 2, iterations: 5 });
        bench.add('step', () => trainer.run(1).then(() => undefined));
        await bench.run();
        const { result } = bench.tasks[0]!;
        if (!result || !('latency' in result)) throw new Error(`${model} ${objective} did not finish`);
        const row = {
          row: `${model} ${side}x${side} ${objective}`,
          medianMs: Number(result.latency.p50.toFixed(2)),
          spreadMs: Number((result.latency.p75 - result.latency.min).toFixed(2)),
          imagesPerSecond: Math.round((BATCH / result.latency.p50) * 1000),
          arenaMB: Math.round(trainer.plan.describe().arenaBytes / 1e6),
        };
        trainer.dispose();
        rows.push(row);
        process.stdout.write(`${JSON.stringify(row)}\n`);
      }
    }
  }
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const machine = {
    cpu: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    node: process.version,
    load: os.loadavg(),
  };
  const folder = path.join(__dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `step-${commit}.json`);
  writeFileSync(file, `${JSON.stringify({ commit, batch: BATCH, machine, rows }, null, 2)}\n`);
}

void main();
