// Every driver and cuBLAS call of one compile, two steps and a read failing once: a typed error or none, nothing left on the
// device, and the next plan trains as if nothing had been. The rule easy to break: a failed call that gives memory back is no
// error of the user's, so no error may come of it either.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { DeviceError } from '../../src/errors';
import { device, forget, images, onCard, report, settled, useImage } from './device';
import { feedsOf, perceptron } from './perceptron';

const OUT_OF_MEMORY = 2;

async function train(): Promise<number[]> {
  const { graph, outputs } = perceptron();
  const plan = compile(graph, { outputs, device: 'cuda' });
  try {
    const losses = [(await plan.step(feedsOf(0))).loss![0]!, (await plan.step(feedsOf(1))).loss![0]!];
    await plan.read('first');
    return losses;
  } finally {
    plan.dispose();
  }
}

const callsMade = () => Object.values(report().calls).reduce((sum, count) => sum + count, 0);

describe.skipIf(images.length === 0 || onCard)('a driver call that fails', () => {
  it('is a typed error, leaks nothing and leaves the process able to train, whichever it is', async () => {
    useImage('ptx80');
    const expected = await train();
    await forget();
    const before = callsMade();
    await train();
    await settled();
    const calls = callsMade() - before;
    expect(calls).toBeGreaterThan(80);
    const wrong: string[] = [];
    let [errors, lost] = [0, 0];
    for (let n = 1; n <= calls; n++) {
      device().configure(`forget;nofail;fail=${n}:${OUT_OF_MEMORY}`);
      const error = await train().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      const left = await settled(lost);
      lost += left;
      if (error !== undefined) errors += 1;
      if (error !== undefined && !(error instanceof DeviceError)) wrong.push(`call ${n}: ${String(error)}`);
      // A call that gives something back and fails leaves that one thing, which goes with the context.
      if (left > (error === undefined ? 1 : 0)) wrong.push(`call ${n}: ${left} things left, ${String(error)}`);
    }
    device().configure('nofail');
    expect(wrong).toEqual([]);
    expect(errors).toBeGreaterThan(calls / 2);
    expect(await train()).toEqual(expected);
    process.stdout.write(
      `gates: ${calls} calls of a compile and two steps, each failed once: ${errors} typed errors\n`,
    );
  });
});
