// What one step of CFPN (48x48, batch 8) enqueues on device cuda, with the planner's joins and without them: calls of the
// driver and of cuBLAS while the step is captured, so no step has to be executed. The numbers are pinned: a change of them is
// a change of the plan, and belongs into docs/cuda.md too. The rule easy to break: a launch that a capture replays is counted
// once, by the call that captured it.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { cfpnGraph } from './compare';
import { images, onCard, report, useImage } from './device';

const KERNELS = ['cuLaunchKernel'];
const LIBRARY = ['cublasGemm'];

interface Enqueued {
  readonly launches: number;
  readonly kernels: number;
  readonly library: number;
}

/** `launches` are those of describe(); a launch may enqueue several kernels, and neighbours may share one. */
function enqueued({ graph, outputs }: Awaited<ReturnType<typeof cfpnGraph>>): Enqueued {
  const before = report().calls;
  using plan = compile(graph, { outputs, device: 'cuda' });
  const after = report().calls;
  const calls = (names: readonly string[]) =>
    names.reduce((sum, name) => sum + (after[name] ?? 0) - (before[name] ?? 0), 0);
  return { launches: plan.describe().launches.length, kernels: calls(KERNELS), library: calls(LIBRARY) };
}

const text = ({ launches, kernels, library }: Enqueued) =>
  `${launches} launches (${kernels} kernels, ${library} calls of cuBLAS)`;

describe.skipIf(images.length === 0 || onCard)('a step of CFPN on cuda', () => {
  it.each([
    ['cka', { launches: 1332, kernels: 1444, library: 122 }, { launches: 1152, kernels: 1247, library: 122 }],
    ['bp', { launches: 1022, kernels: 756, library: 123 }, { launches: 840, kernels: 587, library: 123 }],
  ] as const)('is joined, by %s', async (method, apart, joined) => {
    useImage('ptx80');
    const step = await cfpnGraph(method);
    process.env.GRAMIAN_CUDA_JOIN = '0';
    const before = enqueued(step);
    delete process.env.GRAMIAN_CUDA_JOIN;
    const after = enqueued(step);
    process.stdout.write(`gates: CFPN 48x48, batch 8, ${method}: ${text(before)} apart, ${text(after)} joined\n`);
    expect(before).toEqual(apart);
    expect(after).toEqual(joined);
  });
});
