// plan.profile(): the launches of describe() with their times, and steps that change the model like step()'s.
// Runs on the plainest kernels. The rule easy to break: times differ from run to run, so a test compares them with zero
// or with the clock around the call, never with one another.
import { describe, expect, it } from 'vitest';
import { compile, type Plan } from '../../src/compile';
import { AbortError, ArgumentError, DisposedError, ExecutionError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const feeds = {
  x: Float32Array.from({ length: 48 }, (_, i) => Math.sin(i)),
  bias: Float32Array.from({ length: 6 }, (_, i) => i - 2),
};

/** A step that moves a param by what is fed, and counts. */
function trained(): Plan {
  const graph = new Graph();
  const x = graph.input('x', [8, 6]);
  const bias = graph.input('bias', [6]);
  const w = graph.param('w', [8, 6], 0.5);
  const step = graph.state('step', [1], 'i32', 0);
  const y = graph.unit('inner', () => ops.tanh(ops.mul(x, w)));
  const z = ops.add(y, bias);
  graph.appendUpdate('ema', [w, z], [w], { momentum: 0.25, scale: 1 });
  graph.appendUpdate('increment', [step], [step]);
  return compile(graph, { outputs: { z } });
}

/** A step of a millisecond or more without inputs, that counts. */
function slow(): Plan {
  const graph = new Graph();
  const step = graph.state('step', [1], 'i32', 0);
  let x: Tensor = graph.param('a', [192, 192], 0.5);
  for (let i = 0; i < 4; i += 1) x = ops.matmul(x, x);
  graph.appendUpdate('increment', [step], [step]);
  return compile(graph, { outputs: { x } });
}

describe('profile', () => {
  it('gives every launch of describe() in order, with a time', async () => {
    using plan = trained();
    const { launches } = plan.describe();
    expect(launches.map(({ op }) => op).toSorted()).toEqual(['add', 'ema', 'increment', 'mul', 'tanh']);
    expect(launches.find(({ op }) => op === 'tanh')).toMatchObject({ name: 'inner/tanh', unit: 0 });
    for (const options of [undefined, {}, { steps: 1 }, { steps: 4 }]) {
      const profile = await plan.profile(feeds, options);
      expect(profile.map(({ milliseconds, ...launch }) => launch)).toEqual(launches);
      for (const { milliseconds } of profile) {
        expect(Number.isFinite(milliseconds)).toBe(true);
        expect(milliseconds).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('measures milliseconds of one step, less than passed by the clock', async () => {
    using plan = slow();
    const begun = performance.now();
    const profile = await plan.profile({}, { steps: 30 });
    const passed = performance.now() - begun;
    for (const { op, milliseconds } of profile) if (op === 'matmul') expect(milliseconds).toBeGreaterThan(0);
    const sum = profile.reduce((total, { milliseconds }) => total + milliseconds, 0);
    // Seconds would be too few by far, and the sum of all steps too much.
    expect(sum * 30).toBeGreaterThan(passed / 100);
    expect(sum * 30).toBeLessThanOrEqual(passed);
  });

  it('is one step without feeds and options', async () => {
    using plan = slow();
    expect(await plan.profile()).toHaveLength(5);
    expect(await plan.read('step')).toEqual(Int32Array.of(1));
  });

  it('of a plan without launches is empty', async () => {
    const graph = new Graph();
    using plan = compile(graph, { outputs: { x: graph.input('x', [2]) } });
    expect(await plan.profile({ x: Float32Array.of(1, 2) }, { steps: 3 })).toEqual([]);
  });

  it('leaves params and states as so many steps do, and later steps right', async () => {
    using profiled = trained();
    using stepped = trained();
    await profiled.profile(feeds, { steps: 3 });
    for (let i = 0; i < 3; i += 1) await stepped.step(feeds);
    for (const { name } of stepped.tensors()) expect(await profiled.read(name)).toEqual(await stepped.read(name));
    expect(await profiled.read('step')).toEqual(Int32Array.of(3));
    expect(await profiled.read('w')).not.toEqual(new Float32Array(48).fill(0.5));
    expect(await profiled.step(feeds)).toEqual(await stepped.step(feeds));
  });

  it('copies feeds at call time and stands in the queue with other work', async () => {
    using plan = trained();
    using stepped = trained();
    const own = { x: feeds.x.slice(), bias: feeds.bias.slice() };
    const work = [plan.step(feeds), plan.profile(own, { steps: 2 }), plan.read('step'), plan.step(feeds)] as const;
    own.x.fill(99);
    own.bias.fill(99);
    const [, profile, count, last] = await Promise.all(work);
    expect(profile).toHaveLength(5);
    expect(count).toEqual(Int32Array.of(3));
    for (let i = 0; i < 3; i += 1) await stepped.step(feeds);
    expect(last).toEqual(await stepped.step(feeds));
  });
});

describe('profile refuses', () => {
  const wrongFeeds: [string, unknown, RegExp][] = [
    ['nothing', {}, /^\[profile\] input "x" was not fed/],
    ['null', null, /^\[profile\] feeds is an object/],
    ['an unknown name', { ...feeds, z: feeds.x }, /^\[profile\] there is no input "z"; the inputs are x, bias/],
    ['a plain array', { ...feeds, bias: [1, 2] }, /^\[profile\] "bias" is a Float32Array, got Array/],
    ['too few values', { ...feeds, bias: new Float32Array(5) }, /^\[profile\] "bias" of shape 6 needs 6 values, got 5/],
  ];
  it.each(wrongFeeds)('%s as feeds', async (_, wrong, message) => {
    using plan = trained();
    const error = await plan.profile(wrong as never).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(message);
    expect(await plan.read('step')).toEqual(Int32Array.of(0));
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, '3', 3n, null])('%s steps', async (steps) => {
    using plan = trained();
    const error = await plan.profile(feeds, { steps: steps as number }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(/^\[profile\] steps is an integer of 1 or more, got /);
    expect(await plan.read('step')).toEqual(Int32Array.of(0));
  });

  it('a label out of range, on the caller’s line, and changes nothing', async () => {
    const graph = new Graph();
    const step = graph.state('step', [1], 'i32', 0);
    const loss = ops.crossEntropy(graph.input('logits', [2, 3]), graph.input('labels', [2], 'i32'));
    graph.appendUpdate('increment', [step], [step]);
    using plan = compile(graph, { outputs: { loss } });
    const wrong = { logits: new Float32Array(6), labels: Int32Array.of(0, 3) };
    const error = (await plan.profile(wrong).catch((reason: unknown) => reason)) as Error;
    expect(error).toBeInstanceOf(ExecutionError);
    expect(error.stack).toContain('profile.test.ts');
    expect(await plan.read('step')).toEqual(Int32Array.of(0));
  });

  it('a disposed plan, and finishes what was queued before', async () => {
    const plan = slow();
    const pending = plan.profile({}, { steps: 2 });
    plan.dispose();
    await expect(plan.profile()).rejects.toThrow(DisposedError);
    await expect(plan.profile()).rejects.toThrow('[profile] the plan was disposed');
    expect(await pending).toHaveLength(5);
  });
});

describe('abort of a profile', () => {
  it('before the call rejects at once', async () => {
    using plan = slow();
    const reason = new Error('enough');
    const error = await plan.profile({}, { signal: AbortSignal.abort(reason) }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ completedSteps: 0, cause: reason });
    expect(await plan.read('step')).toEqual(Int32Array.of(0));
  });

  it('stops between two steps; the model is that of the last one', async () => {
    using plan = slow();
    const controller = new AbortController();
    const running = plan.profile({}, { steps: 1_000_000, signal: controller.signal });
    setTimeout(() => controller.abort('tired'), 300);
    const error = (await running.catch((caught: unknown) => caught)) as AbortError;
    expect(error).toBeInstanceOf(AbortError);
    expect(error.message).toMatch(/^\[profile\] aborted after \d+ of 1000000 steps/);
    expect(error.cause).toBe('tired');
    expect(error.completedSteps).toBeGreaterThan(0);
    expect(error.completedSteps).toBeLessThan(1_000_000);
    expect(await plan.read('step')).toEqual(Int32Array.of(error.completedSteps));
    expect(await plan.profile()).toHaveLength(5);
  });

  it('refuses what is not a signal', async () => {
    using plan = slow();
    await expect(plan.profile({}, { signal: {} as AbortSignal })).rejects.toThrow(ArgumentError);
  });
});
