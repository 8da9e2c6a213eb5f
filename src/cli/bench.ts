// Times what Gramian does on this machine: single kernels, whole training steps, inference. Called by `gramian bench`
// through engine.ts. Inputs are persistent tensors and results one element, so a kernel's time holds no copies; many
// steps go in one crossing into native code. Numbers are medians over samples of at least SAMPLE_MS.
import { type CompileOptions, compile, type Plan } from '../compile';
import type { ImageDataset } from '../data/types';
import { Graph, sizeOf, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { modelNamed } from '../models';
import { OBJECTIVE_DEFAULTS } from '../objectives/options';
import type { NetworkSpec } from '../train/evaluator';
import { Trainer } from '../train/trainer';

export interface MeasureOptions {
  readonly target: 'kernels' | 'step' | 'infer';
  readonly model: string;
  readonly input: readonly [number, number, number];
  readonly batch: number;
  readonly classes: number;
  /** Seconds spent on each line of the result, about. */
  readonly seconds: number;
  readonly device: 'auto' | 'cpu' | 'cuda';
  readonly threads?: number;
}

export interface Measurement {
  readonly bench: MeasureOptions['target'];
  readonly name: string;
  readonly device: string;
  readonly isa: string;
  readonly threads: number;
  readonly medianMs: number;
  readonly bestMs: number;
  readonly samples: number;
  readonly gflops?: number;
  /** Bytes read and written once, over time. */
  readonly gigabytesPerSecond?: number;
  readonly imagesPerSecond?: number;
  readonly arenaBytes?: number;
}

const SAMPLE_MS = 20;
const LEAST_SAMPLES = 5;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Milliseconds of one repetition. A first call warms up and decides how many repetitions make a sample.
 * @param repeat does the work `count` times.
 */
export async function timeRepeated(
  repeat: (count: number) => Promise<unknown>,
  seconds: number,
  now: () => number = () => performance.now(),
): Promise<{ medianMs: number; bestMs: number; samples: number }> {
  const once = async (count: number): Promise<number> => {
    const started = now();
    await repeat(count);
    return (now() - started) / count;
  };
  await once(1);
  const count = Math.max(1, Math.ceil(SAMPLE_MS / Math.max(await once(1), 1e-4)));
  const times: number[] = [];
  const end = now() + seconds * 1000;
  while (times.length < LEAST_SAMPLES || now() < end) times.push(await once(count));
  return { medianMs: median(times), bestMs: Math.min(...times), samples: times.length };
}

interface KernelCase {
  readonly name: string;
  readonly build: (input: (shape: readonly number[]) => Tensor) => Tensor;
  /** Floating-point operations, where they are what costs. */
  readonly flops?: number;
  /** Elements read and written, where they are what costs. */
  readonly elements?: number;
}

const KERNELS: readonly KernelCase[] = [
  {
    name: 'matmul 512x512x512',
    build: (input) => ops.matmul(input([512, 512]), input([512, 512])),
    flops: 2 * 512 ** 3,
  },
  {
    name: 'gram 128x8192',
    build: (input) => ops.gram(input([128, 8192])),
    flops: 128 * 129 * 8192,
  },
  {
    name: 'conv2d 3x3 64->64, 32x28x28',
    build: (input) => ops.conv2d(input([32, 28, 28, 64]), input([3, 3, 64, 64])),
    flops: 2 * 32 * 28 * 28 * 64 * 9 * 64,
  },
  {
    name: 'conv2d 1x1 128->128, 32x24x24',
    build: (input) => ops.conv2d(input([32, 24, 24, 128]), input([1, 1, 128, 128])),
    flops: 2 * 32 * 24 * 24 * 128 * 128,
  },
  {
    name: 'depthwise 3x3, 32x48x48x64',
    build: (input) => ops.depthwiseConv2d(input([32, 48, 48, 64]), input([3, 3, 1, 64])),
    flops: 2 * 32 * 48 * 48 * 64 * 9,
    elements: 2 * 32 * 48 * 48 * 64,
  },
  {
    name: 'moments 32x48x48x64',
    build: (input) => ops.moments(input([32, 48, 48, 64])).mean,
    elements: 32 * 48 * 48 * 64,
  },
  {
    name: 'add 4M',
    build: (input) => ops.add(input([4096, 1024]), input([4096, 1024])),
    elements: 3 * 4096 * 1024,
  },
  {
    name: 'relu 4M',
    build: (input) => ops.relu(input([4096, 1024])),
    elements: 2 * 4096 * 1024,
  },
  {
    name: 'maxPool 2x2, 32x48x48x64',
    build: (input) => ops.maxPool(input([32, 48, 48, 64]), { kernel: 2 }),
    elements: 1.25 * 32 * 48 * 48 * 64,
  },
  {
    name: 'softmax 4096x1000',
    build: (input) => ops.softmax(input([4096, 1000])),
    elements: 2 * 4096 * 1000,
  },
];

/** Values between -1 and 1 that no kernel can find easy. */
function noise(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

type Placement = Pick<CompileOptions, 'device' | 'threads'>;

function placementOf(options: MeasureOptions): Placement {
  return { device: options.device, ...(options.threads === undefined ? {} : { threads: options.threads }) };
}

function where(plan: Plan): Pick<Measurement, 'device' | 'isa' | 'threads'> {
  const { device, isa, threads } = plan.describe();
  return { device, isa, threads };
}

async function measureKernel(one: KernelCase, options: MeasureOptions): Promise<Measurement> {
  const graph = new Graph({ training: false });
  let inputs = 0;
  const result = one.build((shape) => {
    inputs += 1;
    return graph.state(`input${inputs}`, shape, 'f32', noise(sizeOf(shape), inputs));
  });
  const zeros = result.shape.map(() => 0);
  const first = ops.slice(
    result,
    zeros,
    zeros.map(() => 1),
  );
  const plan = compile(graph, { outputs: { first }, ...placementOf(options) });
  try {
    const time = await timeRepeated((count) => plan.run(count), options.seconds);
    return {
      bench: 'kernels',
      name: one.name,
      ...where(plan),
      ...time,
      ...(one.flops === undefined ? {} : { gflops: one.flops / time.medianMs / 1e6 }),
      ...(one.elements === undefined ? {} : { gigabytesPerSecond: (4 * one.elements) / time.medianMs / 1e6 }),
    };
  } finally {
    plan.dispose();
  }
}

/** Random pictures and labels; what is in them does not change the time. */
function pictures(options: MeasureOptions): { data: ImageDataset; spec: NetworkSpec } {
  const [height, width, channels] = options.input;
  const count = 2 * options.batch;
  const images = Uint8Array.from(noise(count * height * width * channels, 7), (value) => (value + 1) * 127);
  const labels = Int32Array.from({ length: count }, (_, index) => index % options.classes);
  const classes = Array.from({ length: options.classes }, (_, index) => String(index));
  const data = { name: 'noise', images, labels, count, height, width, channels, classes, synthetic: true };
  return { data, spec: { classes: options.classes, input: options.input, mean: [0.5], std: [0.5] } };
}

async function measureStep(method: 'cka' | 'bp', options: MeasureOptions): Promise<Measurement> {
  const trainer = new Trainer({
    model: modelNamed(options.model),
    ...pictures(options),
    objective: { ...OBJECTIVE_DEFAULTS, name: method },
    batch: options.batch,
    seed: 1,
    lr: 0.001,
    ...placementOf(options),
  });
  try {
    const time = await timeRepeated((count) => trainer.run(count), options.seconds);
    return {
      bench: 'step',
      name: `${options.model} ${options.input.join('x')}, batch ${options.batch}, ${method}`,
      ...where(trainer.plan),
      ...time,
      imagesPerSecond: (1000 * options.batch) / time.medianMs,
      arenaBytes: trainer.plan.describe().arenaBytes,
    };
  } finally {
    trainer.dispose();
  }
}

/** One call for each batch, its images handed over from JavaScript, as a server would do it. */
async function measureInference(batch: number, options: MeasureOptions): Promise<Measurement> {
  const graph = new Graph({ training: false });
  const shape = [batch, ...options.input];
  const x = graph.input('images', shape);
  const probabilities = ops.softmax(modelNamed(options.model)(x, { classes: options.classes }));
  const plan = compile(graph, { outputs: { probabilities }, ...placementOf(options) });
  const images = noise(sizeOf(shape), 3);
  try {
    const time = await timeRepeated(async (count) => {
      for (let done = 0; done < count; done += 1) await plan.step({ images });
    }, options.seconds);
    return {
      bench: 'infer',
      name: `${options.model} ${options.input.join('x')}, batch ${batch}`,
      ...where(plan),
      ...time,
      imagesPerSecond: (1000 * batch) / time.medianMs,
      arenaBytes: plan.describe().arenaBytes,
    };
  } finally {
    plan.dispose();
  }
}

/** Measures one after the other, so that nothing competes with what is measured. */
export async function* measure(options: MeasureOptions): AsyncGenerator<Measurement> {
  if (options.target === 'kernels') for (const one of KERNELS) yield await measureKernel(one, options);
  if (options.target === 'step') for (const method of ['cka', 'bp'] as const) yield await measureStep(method, options);
  if (options.target === 'infer') {
    for (const batch of new Set([1, options.batch])) yield await measureInference(batch, options);
  }
}
