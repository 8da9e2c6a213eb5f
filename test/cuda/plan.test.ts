// Whole plans on device cuda: a small training step against the CPU, what a warm step costs the driver, errors that are
// typed and leave the process alive. The rule easy to break: counters are compared between two reports, since other tests of
// the file ran before.
import { describe, expect, it } from 'vitest';
import { compile, devices, type Plan } from '../../src/compile';
import { ArgumentError, DeviceError, ExecutionError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { generator } from '../kernels/fills';
import { workBetween } from './counting';
import { alive, device, findings, images, onCard, report, settled, useImage } from './device';
import { feedsOf, perceptron } from './perceptron';

async function losses(plan: Plan, steps: number): Promise<number[]> {
  const seen: number[] = [];
  for (let step = 0; step < steps; step++) seen.push((await plan.step(feedsOf(step))).loss![0]!);
  return seen;
}

const largest = (values: ArrayLike<number>) => Math.max(...Array.from(values, Math.abs));

/** Largest difference relative to the largest value. */
function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  return largest(Array.from(want, (value, i) => got[i]! - value)) / largest(want);
}

describe.skipIf(images.length === 0)('a plan on cuda', () => {
  it.each(images)('trains as on the cpu, from %s', async (image) => {
    useImage(image);
    const { graph, outputs } = perceptron();
    using cuda = compile(graph, { outputs, device: 'cuda' });
    using cpu = compile(graph, { outputs, device: 'cpu' });
    for (let step = 0; step < 5; step++) {
      const [got, want] = [await cuda.step(feedsOf(step)), await cpu.step(feedsOf(step))];
      for (const name of Object.keys(outputs))
        expect(relative(got[name]!, want[name]!), `${name}, step ${step}`).toBeLessThan(1e-4);
    }
    for (const { name } of cpu.tensors())
      expect(relative(await cuda.read(name), await cpu.read(name)), name).toBeLessThan(1e-4);
    expect(findings()).toEqual([]);
  });

  it('has the same bits step by step, many steps at once, and on this thread', async () => {
    useImage('ptx80');
    const { graph, outputs } = perceptron();
    using one = compile(graph, { outputs, device: 'cuda' });
    using many = compile(graph, { outputs, device: 'cuda' });
    using here = compile(graph, { outputs, device: 'cuda' });
    const fed = Array.from({ length: 7 }, (_, step) => feedsOf(step));
    const x = Float32Array.from(fed.flatMap((feed) => [...feed.x]));
    const labels = Int32Array.from(fed.flatMap((feed) => [...feed.labels]));
    const all = await many.run(7, { feeds: { x, labels, lr: new Float32Array(7).fill(0.05) } });
    expect(await losses(one, 7)).toEqual([...all.loss!]);
    expect(fed.map((feed) => here.stepSync(feed).loss![0])).toEqual([...all.loss!]);
    expect(await many.read('first')).toEqual(await one.read('first'));
  });

  it.skipIf(onCard)(
    'makes a warm step of one graph launch, without allocations, blocking copies or more than one wait',
    async () => {
      useImage('ptx80');
      const { graph, outputs } = perceptron();
      using plan = compile(graph, { outputs, device: 'cuda' });
      await plan.step(feedsOf(0));
      const before = report().counters;
      await plan.step(feedsOf(1));
      const after = report().counters;
      const spent = (name: string) => after[name]! - before[name]!;
      expect({
        graphLaunches: spent('graphLaunches'),
        allocations: spent('allocations'),
        frees: spent('frees'),
        blockingCopies: spent('blockingCopies'),
        synchronisations: spent('synchronisations'),
      }).toEqual({ graphLaunches: 1, allocations: 0, frees: 0, blockingCopies: 0, synchronisations: 1 });
    },
  );

  it('gives the sign of zero that the cpu gives', async () => {
    useImage('ptx80');
    const graph = new Graph();
    const [a, b] = [graph.input('a', [4]), graph.input('b', [4])];
    const outputs = { relu: ops.relu(a), larger: ops.maximum(a, b), smaller: ops.minimum(a, b) };
    const feeds = { a: Float32Array.of(-0, -0, 0, 0), b: Float32Array.of(-0, 0, -0, 0) };
    using cuda = compile(graph, { outputs, device: 'cuda' });
    using cpu = compile(graph, { outputs, device: 'cpu' });
    expect(await cuda.step(feeds)).toEqual(await cpu.step(feeds));
  });

  it('rounds the factors of products to TF32 only where that is asked for', async () => {
    useImage('ptx80');
    const graph = new Graph();
    const y = ops.matmul(graph.input('x', [16, 64]), graph.input('w', [64, 16]));
    const random = generator(9);
    const feeds = { x: new Float32Array(1024).map(random), w: new Float32Array(1024).map(random) };
    const product = async (device: 'cpu' | 'cuda', tf32: boolean) => {
      using plan = compile(graph, { outputs: { y }, device, tf32 });
      return (await plan.step(feeds)).y!;
    };
    const want = await product('cpu', true);
    expect(relative(await product('cuda', false), want)).toBeLessThan(1e-6);
    const far = relative(await product('cuda', true), want);
    expect(far).toBeGreaterThan(1e-5);
    expect(far).toBeLessThan(1e-3);
    expect(() => compile(graph, { outputs: { y }, tf32: 1 as never })).toThrow('tf32 is a boolean, got number 1');
  });

  it.skipIf(onCard)('updates all parameters of a stream by one launch', async () => {
    useImage('ptx80');
    const { graph, outputs } = perceptron();
    process.env.GRAMIAN_CUDA_STREAMS = '1';
    using plan = compile(graph, { outputs, device: 'cuda' });
    delete process.env.GRAMIAN_CUDA_STREAMS;
    expect(plan.describe().launches.filter(({ op }) => op === 'adam')).toHaveLength(2);
    const before = report();
    await plan.step(feedsOf(0));
    const works = workBetween(before, report()).filter(({ name }) => name.startsWith('adam'));
    expect(works.map(({ name, launches }) => `${name} ${launches}`)).toEqual(['adamMany 1']);
  });

  it.skipIf(onCard)('gives everything back when it is disposed', async () => {
    useImage('ptx80');
    expect(await settled()).toBe(0);
    const { graph, outputs } = perceptron();
    const plan = compile(graph, { outputs, device: 'cuda' });
    const held = alive();
    await losses(plan, 2);
    expect(alive()).toBe(held);
    plan.dispose();
    expect(await settled()).toBe(0);
  });

  it('profiles every launch of describe() and trains on', async () => {
    useImage('ptx80');
    const { graph, outputs } = perceptron();
    using plan = compile(graph, { outputs, device: 'cuda' });
    using other = compile(graph, { outputs, device: 'cuda' });
    const { launches } = plan.describe();
    const profile = await plan.profile(feedsOf(0));
    expect(profile.map(({ milliseconds, ...launch }) => launch)).toEqual(launches);
    for (const { milliseconds } of profile) expect(milliseconds).toBeGreaterThan(0);
    await other.step(feedsOf(0));
    expect(await plan.read('first')).toEqual(await other.read('first'));
  });
});

describe.skipIf(images.length === 0)('errors of cuda', () => {
  const relu = () => {
    const graph = new Graph();
    const y = ops.relu(graph.input('x', [64, 64]));
    return { graph, outputs: { y } };
  };
  const compiled = (options: object) => {
    const { graph, outputs } = relu();
    compile(graph, { outputs, device: 'cuda', ...options }).dispose();
  };

  it.skipIf(onCard)('describes the device it has', () => {
    useImage('ptx120');
    expect(devices().find(({ id }) => id === 'cuda')).toMatchObject({
      available: true,
      isa: 'sm_120',
      name: 'Software CUDA device (sm_120)',
      driver: '13.0',
      image: 'compute_120 PTX',
    });
  });

  it.skipIf(onCard)('names an image it has not', () => {
    useImage('ptx7');
    expect(() => compiled({})).toThrow(DeviceError);
    expect(devices().find(({ id }) => id === 'cuda')?.reason).toMatch('no kernels for');
    useImage('ptx80');
    compiled({});
  });

  it('refuses a device and an amount of memory that are not there', () => {
    expect(() => compiled({ deviceIndex: 1 })).toThrow('expected a deviceIndex from 0 to 0, got 1');
    expect(() => compiled({ memoryLimit: 10_000 })).toThrow(/at most 10000 bytes of device memory \(memoryLimit\)/);
    expect(() => compiled({ memoryLimit: 0 })).toThrow(ArgumentError);
    expect(() => compiled({ deviceIndex: 1.5 })).toThrow(ArgumentError);
  });

  it.skipIf(onCard)('says which call failed and what to do when memory runs out', () => {
    device().configure('fail=cuMemAlloc_v2:2');
    try {
      expect(() => compiled({})).toThrow(/\[cuda\] cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY \(2\): .*smaller batch/);
    } finally {
      device().configure('nofail');
    }
    compiled({});
  });

  it('finds a label out of range before the first launch, and goes on', async () => {
    const graph = new Graph();
    const logits = graph.input('logits', [4, 3]);
    const labels = graph.state('labels', [4], 'i32', Int32Array.of(0, 1, 2, 0));
    const step = graph.state('step', [1], 'i32', 0);
    graph.appendUpdate('increment', [step], [step]);
    const loss = ops.crossEntropy(logits, labels);
    using plan = compile(graph, { outputs: { loss }, device: 'cuda' });
    const feeds = { logits: Float32Array.from({ length: 12 }, (_, i) => i % 5) };
    const before = await plan.step(feeds);
    await plan.write('labels', Int32Array.of(0, 3, 2, 0));
    await expect(plan.step(feeds)).rejects.toThrow('[crossEntropy] "labels"[1] is 3, expected 0 to 2');
    const feedsOfThree = { logits: Float32Array.from({ length: 36 }, (_, i) => i % 5) };
    await expect(plan.run(3, { feeds: feedsOfThree })).rejects.toThrow(ExecutionError);
    await expect(plan.profile(feeds)).rejects.toThrow(ExecutionError);
    expect(await plan.read('step')).toEqual(Int32Array.of(1));
    await plan.write('labels', Int32Array.of(0, 1, 2, 0));
    expect(await plan.step(feeds)).toEqual(before);
    expect(findings()).toEqual([]);
  });

  it('is compiled while the steps of another that it shares with are under way', async () => {
    const made = (rows: number, layers: number) => {
      const graph = new Graph();
      const w = graph.param('w', [8], new Float32Array(8).fill(0.5));
      let y = graph.input('x', [rows, 8]);
      for (let i = 0; i < layers; i += 1) y = ops.tanh(ops.mul(y, w));
      return { graph, outputs: { y } };
    };
    const [short, long] = [made(2, 1), made(3, 60)];
    using first = compile(short.graph, { outputs: short.outputs, device: 'cuda' });
    const steps = 4000;
    // On one stream for both, one of some sixty compilations met a step.
    for (let round = 0; round < 3; round += 1) {
      const running = first.run(steps, { feeds: { x: new Float32Array(steps * 16).fill(1) } });
      for (let i = 0; i < 15; i += 1) {
        using second = compile(long.graph, { outputs: long.outputs, share: first });
        expect(second.describe().device).toBe('cuda');
      }
      expect(new Set((await running).y).size).toBe(1);
    }
    expect(findings()).toEqual([]);
  });
});
