// A step on two streams (native/cuda/turns.h): the bits of one stream, and every wait between the two is needed: without it the
// software device finds work on the same bytes that no order binds, or the capture is refused.
// The rule easy to break: a plan that has lost a wait ends the context, so the device is healed before the next.
import { afterEach, describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { DeviceError } from '../../src/errors';
import { mnistGraph } from './compare';
import { device, findings, forget, images, onCard, report, useImage } from './device';

const STEPS = 3;
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

describe.skipIf(images.length === 0)('a step on two streams', () => {
  it.each(METHODS)('has the bits of one stream, by %s', async (method) => {
    useImage('ptx80');
    const step = await mnistGraph(method);
    process.env.GRAMIAN_CUDA_STREAMS = '1';
    const one = await train(step);
    delete process.env.GRAMIAN_CUDA_STREAMS;
    for (const seed of [1, 2, 3]) {
      if (!onCard) device().configure(`seed=${seed}`);
      expect(await train(step), `seed ${seed}`).toEqual(one);
    }
    expect(findings()).toEqual([]);
  });
});

describe.skipIf(images.length === 0 || onCard)('a step on two streams', () => {
  it.each(METHODS)('needs every wait between them, by %s', async (method) => {
    useImage('ptx80');
    const step = await mnistGraph(method);
    const before = waits();
    await train(step, 1);
    const count = waits() - before;
    const unneeded: string[] = [];
    for (let n = 1; n <= count; n++) {
      device().configure(`unwaited=${n}`);
      const error = await train(step, 1).catch((reason: unknown) => reason);
      const found = findings();
      // Without the first, the second stream is no part of the capture and runs at once.
      const ordered = n === 1 || found.every((text) => text.startsWith('order'));
      if (!(error instanceof DeviceError) || !ordered) unneeded.push(`wait ${n} of ${count}: ${error}, ${found}`);
      device().configure('heal;unwaited=0');
    }
    process.stdout.write(`gates: MNIST, ${method}: ${count} waits between two streams, each one needed\n`);
    expect(count).toBeGreaterThan(2);
    expect(unneeded).toEqual([]);
  });
});
