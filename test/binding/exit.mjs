// node test/binding/exit.mjs WAY: one way for a process to end while native work is queued or plans are left behind.
// Run by lifecycle.test.ts, which looks at the exit code and at what was printed.
import { addon, options } from './addon.mjs';

const graph = {
  tensors: [
    { shape: [512, 512], dtype: 'f32', kind: 'param', name: 'a', data: 0.001 },
    { shape: [512, 512], dtype: 'f32', kind: 'temp', name: 'x' },
    { shape: [512, 512], dtype: 'f32', kind: 'state', name: 's', data: 0 },
  ],
  nodes: [
    { op: 'matmul', inputs: [0, 0], outputs: [1], attrs: { transA: false, transB: false }, unit: 0, name: 'mm' },
    { op: 'ema', inputs: [2, 1], outputs: [2], attrs: { momentum: 0.5, scale: 1 }, unit: 0, name: 'take' },
  ],
  outputs: [],
};
const compile = () => new addon.Plan(graph, options);

const ways = {
  /** In the middle of a long run. */
  exit() {
    compile().run([], 1e6, 0);
    setTimeout(() => process.exit(7), 20);
  },
  /** At once, before the thread has begun. */
  'exit-now'() {
    compile().run([], 1e6, 0);
    process.exit(7);
  },
  /** An exception nobody catches. */
  throw() {
    compile().run([], 1e6, 0);
    setTimeout(() => {
      throw new Error('on purpose');
    }, 20);
  },
  /** An idle plan that was never disposed must not keep the process alive. */
  async idle() {
    const plan = compile();
    await plan.step([], 0);
    console.log('stepped');
  },
  /** Work in flight must keep it alive until it settles, though nobody holds the plan. */
  pending() {
    compile()
      .run([], 30, 0)
      .then(() => console.log('settled'));
  },
  /** Plans that nobody disposes are freed by the garbage collector. */
  async collect() {
    const once = async () => {
      await compile().step([], 0);
    };
    for (let i = 0; i < 20; i += 1) await once();
    const settle = async () => {
      for (let i = 0; i < 3; i += 1) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return process.memoryUsage().rss / 2 ** 20;
    };
    const before = await settle();
    for (let i = 0; i < 200; i += 1) await once();
    const grown = (await settle()) - before;
    // 200 plans of 3 MiB and more would be 600. A sanitized build keeps up to 256 that were freed.
    console.log(grown < 300 ? 'collected' : `grown by ${grown} MiB`);
  },
};

await ways[process.argv[2]]();
