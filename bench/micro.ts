// Times what TypeScript itself costs: building a graph, planning it, crossing into native code, feeding, reading image
// files. Run by npm run bench:micro. The rule easy to break: a rate is of work that one call does completely, and what a
// call needs is made before the clock runs.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Bench } from 'tinybench';
import { environment } from '../src/cli/bench/environment';
import { selectById, unknownWord, wordsOf } from '../src/cli/bench/select';
import { formatBytes, formatCount, table } from '../src/cli/format';
import { type Io, json, processIo } from '../src/cli/io';
import { type CommandSpec, parseOptions, UsageError } from '../src/cli/options';
import { devices } from '../src/compile';
import { GramianError } from '../src/errors';
import { type MicroTask, TASKS } from './microTasks';

const options = {
  tasks: { type: 'text', value: 'ID,...', check: unknownTask, help: 'these only, by id or its beginning' },
  seconds: { type: 'number', min: 0, above: true, max: 3600, default: 1, help: 'time spent on each' },
  json: { type: 'flag', help: 'print JSON lines on stdout and nothing else there' },
} as const;
const spec = { name: 'bench:micro', options, examples: [] } satisfies CommandSpec;

function unknownTask(list: string): string | undefined {
  const unknown = unknownWord(TASKS, wordsOf(list));
  return unknown && `expects tasks by id or its beginning; ${unknown}`;
}

interface Micro {
  readonly task: string;
  readonly title: string;
  readonly medianMs: number;
  /** Ninety-nine of a hundred calls take less. */
  readonly p99Ms: number;
  readonly samples: number;
  /** Bytes that go through in a second; of tasks that move some. */
  readonly bytesPerSecond?: number;
  readonly imagesPerSecond?: number;
}

/** @param seconds spent on the task, about; a tenth of it warms up. */
async function measure(task: MicroTask, seconds: number): Promise<Micro> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-micro-'));
  const { run, bytes, images, close } = await task.prepare(folder);
  try {
    const bench = new Bench({
      time: 1000 * seconds,
      iterations: 5,
      warmupTime: 100 * seconds,
      warmupIterations: 2,
      throws: true,
    });
    bench.add(task.id, run);
    const [done] = await bench.run();
    const { result } = done!;
    if (result.state !== 'completed') throw new Error(`[micro] expected ${task.id} to complete, it is ${result.state}`);
    const { p50, p99, samplesCount } = result.latency;
    return {
      task: task.id,
      title: task.title,
      medianMs: p50,
      p99Ms: p99,
      samples: samplesCount,
      ...(bytes === undefined ? {} : { bytesPerSecond: (1000 * bytes) / p50 }),
      ...(images === undefined ? {} : { imagesPerSecond: (1000 * images) / p50 }),
    };
  } finally {
    close?.();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** 12.3 us, 4.56 ms, 1.2 s. */
function duration(ms: number): string {
  const [value, unit] = ms < 1 ? [ms * 1000, 'us'] : ms < 1000 ? [ms, 'ms'] : [ms / 1000, 's'];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

function cells({ title, medianMs, p99Ms, samples, bytesPerSecond, imagesPerSecond }: Micro): string[] {
  const rates = [
    bytesPerSecond === undefined ? '' : `${formatBytes(bytesPerSecond)}/s`,
    imagesPerSecond === undefined ? '' : `${formatCount(imagesPerSecond)} images/s`,
  ];
  return [title, duration(medianMs), duration(p99Ms), String(samples), rates.filter(Boolean).join(', ')];
}

async function run(args: readonly string[], io: Io): Promise<void> {
  const { values } = parseOptions(spec, args);
  const cpu = devices().find(({ id }) => id === 'cpu');
  const found = environment({ isa: cpu?.isa ?? 'unknown', threads: cpu?.threads ?? 1 });
  if (values.json) json(io, { environment: found });
  else io.out(`${found.cpu}, ${found.cores} cores, Node ${found.node}, gramian ${found.commit ?? found.gramian}\n`);
  const all: Micro[] = [];
  for (const task of selectById(TASKS, values.tasks === undefined ? undefined : wordsOf(values.tasks))) {
    const one = await measure(task, values.seconds);
    all.push(one);
    if (values.json) json(io, one);
  }
  if (!values.json) io.out(table([['task', 'median', '99 %', 'samples', 'rate'], ...all.map(cells)]));
}

async function main(): Promise<void> {
  const io = processIo();
  try {
    await run(process.argv.slice(2), io);
  } catch (error) {
    io.err(`micro: ${error instanceof GramianError ? error.message : ((error as Error).stack ?? String(error))}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

void main();
