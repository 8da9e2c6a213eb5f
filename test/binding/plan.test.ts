// The life of a Plan as its users see it: steps, reads, writes, sharing, disposal, aborts and errors. Needs only the
// plainest kernels (matmul, elementwise, updates). The rule easy to break: graphs are built from raw nodes, so that a
// failure here is the binding's and not a builder's.
import { describe, expect, it } from 'vitest';
import { analyze, type CompileOptions, compile, devices, type Plan } from '../../src/compile';
import { AbortError, ArgumentError, DeviceError, DisposedError, ExecutionError, GraphError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const range = (count: number, start = 0) => Float32Array.from({ length: count }, (_, i) => i + start);

function unary(graph: Graph, op: string, x: Tensor, attrs = {}): Tensor {
  return graph.append(op, [x], [{ shape: x.shape, dtype: x.dtype }], attrs)[0] as Tensor;
}

/** y = 2x + 1 on [4]. */
function affineGraph() {
  const graph = new Graph();
  const x = graph.input('x', [4]);
  return { graph, y: unary(graph, 'affine', x, { scale: 2, offset: 1 }) };
}

/** A counter that every step increments, and its value as a float-free output. */
function counterGraph() {
  const graph = new Graph();
  const step = graph.state('step', [1], 'i32', 0);
  graph.appendUpdate('increment', [step], [step]);
  return { graph, step };
}

/** A step of a millisecond or more without inputs: repeated products that a state takes up, and a counter. */
function slowGraph(size = 192, products = 4) {
  const { graph, step } = counterGraph();
  let x = graph.param('a', [size, size], 0.5);
  for (let i = 0; i < products; i += 1)
    x = graph.append('matmul', [x, x], [{ shape: [size, size] }], { transA: false, transB: false })[0] as Tensor;
  const taken = graph.state('taken', [size, size]);
  graph.appendUpdate('ema', [taken, x], [taken], { momentum: 0.5, scale: 1 });
  return { graph, step, x };
}

describe('devices', () => {
  it('lists the cpu with its tier, and says why cuda is off', () => {
    const [cpu, cuda] = devices();
    expect(cpu).toMatchObject({ id: 'cpu', available: true, bf16: true });
    expect(['scalar', 'sse', 'avx2', 'avx512']).toContain(cpu?.isa);
    expect(cpu?.threads).toBeGreaterThanOrEqual(1);
    expect(cuda).toMatchObject({ id: 'cuda', available: false, bf16: false });
    expect(cuda?.reason).toMatch(/nvcc|libcuda|NVIDIA/);
  });
});

describe('step', () => {
  it('returns every output as its own array', async () => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y, again: y } });
    const result = await plan.step({ x: range(4) });
    expect(result).toEqual({ y: Float32Array.of(1, 3, 5, 7), again: Float32Array.of(1, 3, 5, 7) });
    expect(result.y?.buffer).not.toBe(result.again?.buffer);
  });

  it('copies feeds at call time', async () => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y } });
    const x = range(4);
    const pending = plan.step({ x });
    x.fill(99);
    expect((await pending).y).toEqual(Float32Array.of(1, 3, 5, 7));
  });

  it('queues concurrent steps in call order', async () => {
    const { graph, step } = counterGraph();
    using plan = compile(graph, { outputs: { step } });
    const results = await Promise.all(Array.from({ length: 50 }, () => plan.step()));
    expect(results.map(({ step }) => step?.[0])).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it('gives each of many sizes of feeds and outputs, reusing its buffers', async () => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y } });
    for (let i = 0; i < 200; i += 1) {
      const { y } = await plan.step({ x: Float32Array.of(i, 0, -i, 1) });
      expect(y).toEqual(Float32Array.of(2 * i + 1, 1, -2 * i + 1, 3));
    }
  });

  it('lets NaN and infinity through', async () => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y } });
    expect((await plan.step({ x: Float32Array.of(Number.NaN, Infinity, -Infinity, 0) })).y).toEqual(
      Float32Array.of(Number.NaN, Infinity, -Infinity, 1),
    );
  });

  it('returns inputs, params, states and consts that are outputs', async () => {
    const graph = new Graph();
    const x = graph.input('x', [2]);
    const p = graph.param('p', [3], 1.5);
    const k = graph.constant('k', [2], Uint8Array.of(7, 250));
    using plan = compile(graph, { outputs: { x, p, k } });
    expect(await plan.step({ x: Float32Array.of(1, 2) })).toEqual({
      x: Float32Array.of(1, 2),
      p: Float32Array.of(1.5, 1.5, 1.5),
      k: Uint8Array.of(7, 250),
    });
  });
});

describe('wrong feeds', () => {
  const shared = new Float32Array(new SharedArrayBuffer(16));
  const detached = range(4);
  structuredClone(detached, { transfer: [detached.buffer] });
  // Resizable buffers are newer than the library the project compiles against.
  const Resizable = ArrayBuffer as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(bytes: number): void };
  const resizable = new Resizable(16, { maxByteLength: 32 });
  const shrunk = new Float32Array(resizable);
  resizable.resize(8);
  const cases: [string, unknown, RegExp][] = [
    ['nothing', {}, /"x" was not fed/],
    ['null', null, /feeds is an object/],
    ['an unknown name', { x: range(4), z: range(4) }, /no input "z"/],
    ['NaN', { x: Number.NaN }, /Float32Array, got number NaN/],
    ['a number', { x: 4 }, /Float32Array, got number 4/],
    ['a bigint', { x: 4n }, /Float32Array, got bigint 4/],
    ['a plain array', { x: [1, 2, 3, 4] }, /Float32Array, got Array/],
    ['another dtype', { x: new Int32Array(4) }, /Float32Array, got Int32Array/],
    ['float64', { x: new Float64Array(4) }, /Float32Array, got Float64Array/],
    ['too few', { x: range(3) }, /needs 4 values, got 3/],
    ['too many', { x: range(5) }, /needs 4 values, got 5/],
    ['a detached buffer', { x: detached }, /got 0 \(a detached buffer\?\)/],
    ['a shrunk buffer', { x: shrunk }, /needs 4 values, got 2/],
    ['shared memory', { x: shared }, /shared memory/],
    ['a string', { x: 'abcd' }, /got "abcd"/],
    ['a DataView', { x: new DataView(new ArrayBuffer(16)) }, /got DataView/],
  ];
  it.each(cases)('%s is an ArgumentError', async (_, feeds, message) => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y } });
    const error = await plan.step(feeds as never).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ArgumentError);
    expect(String(error)).toMatch(message);
    expect((await plan.step({ x: range(4) })).y).toEqual(Float32Array.of(1, 3, 5, 7));
  });

  it('an unaligned view of a larger buffer is fine', async () => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y } });
    expect((await plan.step({ x: range(9).subarray(3, 7) })).y).toEqual(Float32Array.of(7, 9, 11, 13));
  });
});

describe('the caller’s line', () => {
  it('is on the stack of an error of compile', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const y = unary(graph, 'affine', x);
    expect(() => compile(graph, { outputs: { y } })).toThrow(GraphError);
    try {
      compile(graph, { outputs: { y } });
    } catch (error) {
      expect((error as Error).stack).toContain('plan.test.ts');
      expect((error as Error).message).toMatch(/\[affine\] needs the attribute "scale".*4 -> 4/);
    }
  });

  it('is on the stack of an error of an argument and of native work', async () => {
    const graph = new Graph();
    const logits = graph.input('logits', [2, 3]);
    const labels = graph.input('labels', [2], 'i32');
    const [loss] = graph.append('crossEntropy', [logits, labels], [{ shape: [1] }, { shape: [2, 3] }], {
      labelSmoothing: 0,
    });
    using plan = compile(graph, { outputs: { loss: loss as Tensor } });
    async function namedCaller() {
      return await plan.step({ logits: range(6), labels: Int32Array.of(0, 3) });
    }
    const error = (await namedCaller().catch((reason: unknown) => reason)) as Error;
    expect(error).toBeInstanceOf(ExecutionError);
    expect(error.message).toBe('[crossEntropy] "labels"[1] is 3, expected 0 to 2');
    expect(error.stack).toContain('namedCaller');
    expect(error.stack).toContain('plan.test.ts');
    expect(error).toMatchObject({ name: 'ExecutionError', code: 'ERR_EXECUTION' });
  });
});

describe('run', () => {
  it('returns the outputs of all steps in one array', async () => {
    const { graph, step } = counterGraph();
    const p = graph.param('p', [2], 3);
    using plan = compile(graph, { outputs: { step, p } });
    expect(await plan.run(4)).toEqual({
      step: Int32Array.of(1, 2, 3, 4),
      p: Float32Array.of(3, 3, 3, 3, 3, 3, 3, 3),
    });
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53, '3', null, undefined, 4n])('refuses %s steps', async (steps) => {
    const { graph, step } = counterGraph();
    using plan = compile(graph, { outputs: { step } });
    await expect(plan.run(steps as number)).rejects.toThrow(ArgumentError);
  });

  it('refuses results of more than a gigabyte', async () => {
    const { graph: counter, step } = counterGraph();
    using plan = compile(counter, { outputs: { step } });
    await expect(plan.run(2 ** 40)).rejects.toThrow(/at most 1073741824/);
    // Also where steps times bytes does not fit in 63 bits.
    const { graph: large, x } = slowGraph();
    using wide = compile(large, { outputs: { x } });
    await expect(wide.run(Number.MAX_SAFE_INTEGER)).rejects.toThrow(ArgumentError);
  });
});

/** state += x in each step, x[2]; returns the state. */
function summingGraph() {
  const graph = new Graph();
  const x = graph.input('x', [2]);
  const sum = graph.state('sum', [2]);
  graph.appendUpdate('ema', [sum, ops.add(sum, x)], [sum], { momentum: 1, scale: 1 });
  return { graph, sum };
}

describe('run over feeds', () => {
  const parts = { x: Float32Array.of(1, 10, 2, 20, 3, 30) };
  const sums = Float32Array.of(1, 10, 3, 30, 6, 60);

  it('feeds each step its part, in order with other work', async () => {
    const { graph, sum } = summingGraph();
    using plan = compile(graph, { outputs: { sum } });
    const x = parts.x.slice();
    const [first, second] = [plan.run(3, { feeds: { x } }), plan.step({ x: Float32Array.of(4, 40) })];
    x.fill(0); // Too late: the values were copied.
    expect((await first).sum).toEqual(sums);
    expect((await second).sum).toEqual(Float32Array.of(10, 100));
  });

  it('on the calling thread gives the same, after what was queued', async () => {
    const { graph, sum } = summingGraph();
    using plan = compile(graph, { outputs: { sum } });
    const queued = plan.run(3, { feeds: parts });
    expect(plan.runSync(3, { feeds: parts }).sum).toEqual(sums.map((value, index) => value + (index % 2 ? 60 : 6)));
    expect((await queued).sum).toEqual(sums);
    const { graph: counter, step } = counterGraph();
    using counting = compile(counter, { outputs: { step } });
    expect(counting.runSync(2).step).toEqual(Int32Array.of(1, 2));
  });

  it('refuses feeds that are missing, unknown or not those of all steps, with the caller on the stack', async () => {
    const { graph, sum } = summingGraph();
    using plan = compile(graph, { outputs: { sum } });
    const expected = '"x" of shape 2 needs 8 values for 4 steps, got 6';
    const calledHere = () => plan.runSync(4, { feeds: parts });
    expect(calledHere).toThrow(`[runSync] ${expected}`);
    await expect(plan.run(4, { feeds: parts })).rejects.toThrow(`[run] ${expected}`);
    await expect(plan.run(3)).rejects.toThrow('[run] input "x" was not fed');
    await expect(plan.run(3, { feeds: { ...parts, y: parts.x } })).rejects.toThrow('[run] there is no input "y"');
    expect(() => plan.runSync(0, { feeds: parts })).toThrow('[runSync] steps is an integer of 1 or more, got number 0');
    expect(await plan.read('sum')).toEqual(Float32Array.of(0, 0));
    plan.dispose();
    expect(calledHere).toThrow(DisposedError);
  });

  it('stops at the step whose label is out of range; the earlier ones have counted', async () => {
    const { graph, step } = counterGraph();
    const labels = graph.input('labels', [1], 'i32');
    const loss = ops.crossEntropy(graph.state('z', [1, 3]), labels);
    using plan = compile(graph, { outputs: { step, loss } });
    const feeds = { labels: Int32Array.of(0, 2, 3, 1) };
    await expect(plan.run(4, { feeds })).rejects.toThrow(/"labels"\[0\] is 3, expected 0 to 2/);
    expect(await plan.read('step')).toEqual(Int32Array.of(2));
  });

  it('can be aborted between two steps', async () => {
    const { graph, step } = slowGraph();
    graph.input('unused', [1]);
    using plan = compile(graph, { outputs: { step } });
    const controller = new AbortController();
    const feeds = { unused: new Float32Array(2000) };
    const running = plan.run(2000, { feeds, signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    const error = (await running.catch((caught: unknown) => caught)) as AbortError;
    expect(error).toBeInstanceOf(AbortError);
    expect(await plan.read('step')).toEqual(Int32Array.of(error.completedSteps));
  });
});

describe('read and write', () => {
  it('see the tensors in call order', async () => {
    const { graph, step } = counterGraph();
    using plan = compile(graph, { outputs: { step } });
    const first = plan.step();
    const before = plan.read('step');
    const written = plan.write('step', Int32Array.of(41));
    const last = plan.step();
    expect((await first).step).toEqual(Int32Array.of(1));
    expect(await before).toEqual(Int32Array.of(1));
    expect(await written).toBeUndefined();
    expect((await last).step).toEqual(Int32Array.of(42));
  });

  it('start from data, from a number, from nothing', async () => {
    const graph = new Graph();
    graph.param('a', [3], Float32Array.of(1, 2, 3));
    graph.param('b', [2], -0.25);
    graph.state('c', [2], 'i32');
    graph.state('d', [2], 'u8', 255);
    using plan = compile(graph, { outputs: {} });
    expect(await plan.read('a')).toEqual(Float32Array.of(1, 2, 3));
    expect(await plan.read('b')).toEqual(Float32Array.of(-0.25, -0.25));
    expect(await plan.read('c')).toEqual(Int32Array.of(0, 0));
    expect(await plan.read('d')).toEqual(Uint8Array.of(255, 255));
    expect(plan.tensors().map(({ name, kind }) => `${kind} ${name}`)).toEqual([
      'param a',
      'param b',
      'state c',
      'state d',
    ]);
  });

  it('refuse unknown names and wrong data', async () => {
    const { graph, y } = affineGraph();
    graph.param('p', [2], 0);
    using plan = compile(graph, { outputs: { y } });
    await expect(plan.read('q')).rejects.toThrow('no param or state "q"');
    await expect(plan.read('x')).rejects.toThrow(ArgumentError);
    await expect(plan.write('p', new Float32Array(3))).rejects.toThrow('needs 2 values, got 3');
    await expect(plan.write('p', new Int32Array(2))).rejects.toThrow('got Int32Array');
    await expect(plan.write('q', new Float32Array(2))).rejects.toThrow(ArgumentError);
  });
});

describe('share', () => {
  it('makes persistent tensors of one name one memory, on one queue', async () => {
    const train = counterGraph();
    const other = counterGraph();
    other.graph.param('extra', [1], 5);
    const first = compile(train.graph, { outputs: { step: train.step } });
    const second = compile(other.graph, { outputs: { step: other.step }, share: first });
    const results = await Promise.all([first.step(), second.step(), first.step(), second.step()]);
    expect(results.map(({ step }) => step?.[0])).toEqual([1, 2, 3, 4]);
    first.dispose();
    expect((await second.step()).step).toEqual(Int32Array.of(5));
    expect(await second.read('extra')).toEqual(Float32Array.of(5));
    second.dispose();
  });

  it('refuses options of placement that are not the shared plan’s own', () => {
    const { graph, step } = counterGraph();
    using first = compile(graph, { outputs: { step }, device: 'cpu', threads: 2, precision: 'bf16' });
    const { isa } = first.describe();
    const others = [
      { threads: 1 },
      { precision: 'float32' },
      { isa: isa === 'scalar' ? 'sse' : 'scalar' },
      { device: 'cuda' },
    ];
    for (const other of others as Partial<CompileOptions>[]) {
      const [name] = Object.keys(other);
      const sharing = () => compile(graph, { outputs: {}, share: first, ...other });
      expect(sharing).toThrow(ArgumentError);
      expect(sharing).toThrow(`[compile] ${name} is `);
    }
    using same = compile(graph, { outputs: {}, share: first, device: 'auto', threads: 2, precision: 'bf16' });
    using sharing = compile(graph, { outputs: {}, share: same });
    expect(sharing.describe()).toMatchObject({ device: 'cpu', threads: 2, precision: 'bf16' });
  });

  it('refuses another shape or dtype, a disposed plan, and what is not a plan', () => {
    const { graph, step } = counterGraph();
    const first = compile(graph, { outputs: { step } });
    const wrong = new Graph();
    wrong.state('step', [2], 'i32', 0);
    expect(() => compile(wrong, { outputs: {}, share: first })).toThrow(/"step" is i32 2 here and i32 1/);
    const typed = new Graph();
    typed.state('step', [1], 'f32', 0);
    expect(() => compile(typed, { outputs: {}, share: first })).toThrow(GraphError);
    expect(() => compile(graph, { outputs: {}, share: {} as Plan })).toThrow(ArgumentError);
    first.dispose();
    expect(() => compile(graph, { outputs: {}, share: first })).toThrow(DisposedError);
  });

  it('leaves the store as it was when compile fails', async () => {
    const { graph, step } = counterGraph();
    using first = compile(graph, { outputs: { step } });
    const wrong = new Graph();
    wrong.param('fresh', [2], 1);
    wrong.state('step', [3], 'i32', 0);
    expect(() => compile(wrong, { outputs: {}, share: first })).toThrow(GraphError);
    const right = new Graph();
    right.param('fresh', [5], 2);
    using second = compile(right, { outputs: {}, share: first });
    expect(await second.read('fresh')).toEqual(new Float32Array(5).fill(2));
  });
});

describe('dispose', () => {
  it('lets queued work finish and refuses new work', async () => {
    const { graph, step, x } = slowGraph(512, 8);
    const plan = compile(graph, { outputs: { step, x } });
    const pending = [plan.step(), plan.step(), plan.run(3)];
    const started = performance.now();
    plan.dispose();
    plan.dispose();
    const disposed = performance.now() - started;
    for (const call of [plan.step(), plan.run(1), plan.read('a'), plan.write('a', new Float32Array(1))])
      await expect(call).rejects.toThrow(DisposedError);
    expect(() => plan.describe()).toThrow(DisposedError);
    const [first, second, third] = await Promise.all(pending);
    expect([first?.step?.[0], second?.step?.[0], [...(third?.step ?? [])]]).toEqual([1, 2, [3, 4, 5]]);
    // It did not wait for the work.
    expect(disposed).toBeLessThan((performance.now() - started) / 2);
  });

  it('comes with the end of a using block', async () => {
    const { graph, y } = affineGraph();
    let kept: Plan;
    {
      using plan = compile(graph, { outputs: { y } });
      kept = plan;
    }
    await expect(kept.step({ x: range(4) })).rejects.toThrow('[step] the plan was disposed');
  });

  it('can come a thousand times', async () => {
    for (let i = 0; i < 1000; i += 1) {
      const { graph, y } = affineGraph();
      const plan = compile(graph, { outputs: { y } });
      if (i % 10 === 0) expect((await plan.step({ x: range(4) })).y).toEqual(Float32Array.of(1, 3, 5, 7));
      plan.dispose();
    }
  });
});

describe('abort', () => {
  it('before the call rejects at once', async () => {
    const { graph, step } = counterGraph();
    using plan = compile(graph, { outputs: { step } });
    const reason = new Error('enough');
    const error = await plan.run(5, { signal: AbortSignal.abort(reason) }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ completedSteps: 0, cause: reason, code: 'ERR_ABORTED' });
    expect(await plan.read('step')).toEqual(Int32Array.of(0));
  });

  it('stops a run between two steps; the model is that of the last one', async () => {
    const { graph, step } = slowGraph();
    using plan = compile(graph, { outputs: { step } });
    const controller = new AbortController();
    const running = plan.run(1_000_000, { signal: controller.signal });
    setTimeout(() => controller.abort('tired'), 30);
    const error = (await running.catch((caught: unknown) => caught)) as AbortError;
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toBe('tired');
    expect(error.completedSteps).toBeGreaterThan(0);
    expect(error.completedSteps).toBeLessThan(1_000_000);
    expect(await plan.read('step')).toEqual(Int32Array.of(error.completedSteps));
  });

  it('of a queued step leaves the others alone', async () => {
    const { graph, step } = slowGraph();
    using plan = compile(graph, { outputs: { step } });
    const controller = new AbortController();
    const first = plan.run(5);
    const second = plan.step({}, { signal: controller.signal });
    const third = plan.step();
    controller.abort();
    await expect(second).rejects.toMatchObject({ name: 'AbortError', completedSteps: 0 });
    expect((await first).step).toEqual(Int32Array.of(1, 2, 3, 4, 5));
    expect((await third).step).toEqual(Int32Array.of(6));
  });

  it('reaches work that was queued before dispose', async () => {
    const { graph, step } = slowGraph();
    const plan = compile(graph, { outputs: { step } });
    const controller = new AbortController();
    const running = plan.run(2000, { signal: controller.signal });
    plan.dispose();
    controller.abort();
    await expect(running).rejects.toBeInstanceOf(AbortError);
  });

  it('refuses what is not a signal', async () => {
    const { graph, step } = counterGraph();
    using plan = compile(graph, { outputs: { step } });
    await expect(plan.step({}, { signal: {} as AbortSignal })).rejects.toThrow(ArgumentError);
  });
});

describe('options', () => {
  const { graph, y } = affineGraph();
  const cases: [string, unknown, RegExp][] = [
    ['no options', undefined, /options with outputs/],
    ['no outputs', {}, /outputs is an object/],
    ['a device', { outputs: { y }, device: 'tpu' }, /device is one of/],
    ['an isa', { outputs: { y }, isa: 'neon' }, /isa is one of/],
    ['threads 0', { outputs: { y }, threads: 0 }, /threads is an integer/],
    ['threads 1.5', { outputs: { y }, threads: 1.5 }, /threads is an integer/],
    ['threads 2^31', { outputs: { y }, threads: 2 ** 31 }, /threads is an integer/],
    ['an output', { outputs: { y: 3 } }, /expected a tensor, got number/],
  ];
  it.each(cases)('%s', (_, options, message) => {
    expect(() => compile(graph, options as never)).toThrow(ArgumentError);
    expect(() => compile(graph, options as never)).toThrow(message);
    expect(() => analyze(graph, options as never)).toThrow(message);
  });

  it('refuse a tensor of another graph and what is not a graph', () => {
    expect(() => compile(new Graph(), { outputs: { y } })).toThrow(GraphError);
    expect(() => compile({} as Graph, { outputs: {} })).toThrow(ArgumentError);
  });

  it('cuda without a device is a DeviceError', () => {
    expect(() => compile(graph, { outputs: { y }, device: 'cuda' })).toThrow(DeviceError);
  });

  it.each([1, 2, 3, 8])('%i threads give the same answer', async (threads) => {
    const { graph, x } = slowGraph(64, 2);
    using one = compile(graph, { outputs: { x }, threads: 1 });
    using many = compile(graph, { outputs: { x }, threads });
    expect(await many.step()).toEqual(await one.step());
    expect(many.describe().threads).toBe(threads);
  });

  it('memory that cannot be had is a DeviceError', () => {
    const huge = new Graph();
    const x = huge.state('x', [2 ** 30, 2 ** 10], 'f32');
    expect(() => compile(huge, { outputs: { x } })).toThrow(DeviceError);
  });
});

describe('describe', () => {
  it('names the launches, also without allocating', () => {
    const { graph, y } = affineGraph();
    using plan = compile(graph, { outputs: { y } });
    const about = plan.describe();
    expect(about).toMatchObject({ device: 'cpu', persistentBytes: 0, arenaBytes: 64, fused: [] });
    expect(about.launches).toEqual([{ op: 'affine', kernel: expect.any(String), name: 'affine', unit: -1, bytes: 32 }]);
    expect(about.text).toContain('affine');
    expect(analyze(graph, { outputs: { y } })).toEqual(about);
  });
});
