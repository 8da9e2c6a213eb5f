// A step on some streams (native/cuda/turns.h): the bits of one stream, and every wait between them is needed: without it the
// software device finds work on the same bytes that no order binds, or bytes that nothing has written, or no capture to end.
// The rule easy to break: a plan that has lost a wait ends the context, so the device is healed before the next.
import { afterEach, describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { DeviceError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { mnistGraph } from './compare';
import { device, findings, forget, images, onCard, report, useImage } from './device';
import { feedsOf, perceptron } from './perceptron';

const STEPS = 2;
const SIDE = 64;
const METHODS = ['bp', 'cka'] as const;
type Step = Awaited<ReturnType<typeof mnistGraph>>;

/** The losses of a few steps and all parameters behind them. */
async function train({ graph, outputs }: Step, steps = STEPS): Promise<Record<string, ArrayLike<number>>> {
  using plan = compile(graph, { outputs, device: 'cuda' });
  const results: Record<string, ArrayLike<number>> = { ...(await plan.run(steps)) };
  for (const { name } of plan.tensors()) results[name] = await plan.read(name);
  return results;
}

const waits = () => report().calls.cuStreamWaitEvent ?? 0;

afterEach(forget);

describe.skipIf(images.length === 0)('a step on some streams', () => {
  it.each(METHODS)('has the bits of one, by %s', async (method) => {
    const step = await mnistGraph(method);
    for (const image of onCard ? images : images.slice(1, 2)) {
      useImage(image);
      process.env.GRAMIAN_CUDA_STREAMS = '1';
      const one = await train(step);
      for (const streams of ['2', '3', '5']) {
        process.env.GRAMIAN_CUDA_STREAMS = streams;
        if (!onCard) device().configure(`seed=${streams}`);
        expect(await train(step), `${image}, ${streams} streams`).toEqual(one);
      }
    }
    delete process.env.GRAMIAN_CUDA_STREAMS;
    expect(findings()).toEqual([]);
  });
});

describe.skipIf(images.length === 0 || onCard)('a step on some streams', () => {
  it.each(['0', '9', 'two', '2x', '-1'])('refuses to have %s of them', (streams) => {
    useImage('ptx80');
    const { graph, outputs } = perceptron();
    process.env.GRAMIAN_CUDA_STREAMS = streams;
    try {
      const refused = /\[cuda\] expected GRAMIAN_CUDA_STREAMS to be a whole number from 1 to 8, got/;
      expect(() => compile(graph, { outputs, device: 'cuda' })).toThrow(refused);
    } finally {
      delete process.env.GRAMIAN_CUDA_STREAMS;
    }
  });

  it('keeps the place of what a launch beside the longest way reads, also where that way reads it last', () => {
    useImage('ptx80');
    const graph = new Graph();
    const square = () => new Float32Array(SIDE * SIDE).fill(1 / SIDE);
    const first = ops.exp(graph.input('x', [SIDE, SIDE]));
    ops.ema(graph.state('average', [SIDE, SIDE]), first, { momentum: 0.5 });
    let y = first;
    for (let i = 0; i < 3; i++) y = ops.matmul(y, graph.param(`w${i}`, [SIDE, SIDE], square()));
    const outputs = { y: ops.reduceSum(y) };
    const blocksOf = (streams: string) => {
      process.env.GRAMIAN_CUDA_STREAMS = streams;
      const { arenaBytes } = analyze(graph, { outputs, device: 'cuda' });
      delete process.env.GRAMIAN_CUDA_STREAMS;
      return Math.floor(arenaBytes / (SIDE * SIDE * 4));
    };
    expect(blocksOf('1')).toBe(2);
    expect(blocksOf('2')).toBe(3);
  });

  it('needs every wait between them', async () => {
    useImage('ptx80');
    const { graph, outputs } = perceptron();
    const run = async () => {
      using plan = compile(graph, { outputs, device: 'cuda' });
      await plan.step(feedsOf(0));
      await plan.read('first');
    };
    const before = waits();
    await run();
    const count = waits() - before;
    const unneeded: string[] = [];
    for (let n = 1; n <= count; n++) {
      device().configure(`unwaited=${n}`);
      const error = await run().catch((reason: unknown) => reason);
      const found = findings();
      if (!(error instanceof DeviceError)) unneeded.push(`wait ${n} of ${count}: ${error}, ${found}`);
      device().configure('heal;unwaited=0');
    }
    process.stdout.write(`gates: ${count} waits between streams, each one needed\n`);
    expect(count).toBeGreaterThan(2);
    expect(unneeded).toEqual([]);
  });
});
