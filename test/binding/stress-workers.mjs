// node test/binding/stress-workers.mjs N: N times, a worker is terminated somewhere in a native step (or exits, or is
// left to the garbage collector). Exits 0 when the process survived. Run by lifecycle.test.ts with a small N.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { addon, options } from './addon.mjs';

/** `products` products of [size, size], kept alive by an update. */
function graph(size, products) {
  const square = { shape: [size, size], dtype: 'f32' };
  const tensors = [
    { ...square, kind: 'param', name: 'a', data: 0.01 },
    { ...square, kind: 'state', name: 'taken', data: 0 },
  ];
  const nodes = [];
  for (let i = 0; i < products; i += 1) {
    tensors.push({ ...square, kind: 'temp', name: `x${i}` });
    const attrs = { transA: false, transB: false };
    const from = i === 0 ? 0 : i + 1;
    nodes.push({ op: 'matmul', inputs: [from, 0], outputs: [i + 2], attrs, unit: 0, name: `product${i}` });
  }
  const attrs = { momentum: 0.5, scale: 1 };
  nodes.push({ op: 'ema', inputs: [1, products + 1], outputs: [1], attrs, unit: 0, name: 'take' });
  return { tensors, nodes, outputs: [1] };
}

function busy() {
  const plans = [0, 1, 2].map(() => new addon.Plan(graph(96, 8), options));
  plans.push(new addon.Plan(graph(96, 8), options, plans[0]));
  for (const plan of plans) plan.run([], 50, 0).catch(() => {});
  for (let i = 0; i < 20; i += 1) plans[i % 4].step([], 0).catch(() => {});
  plans[1].dispose();
  return plans;
}

async function terminateOne(round) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { round } });
  const exited = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  if (round % 4 !== 3) await new Promise((resolve) => setTimeout(resolve, (round * 7) % 12));
  if (round % 5 === 4) {
    await exited;
  } else {
    await worker.terminate();
  }
}

if (isMainThread) {
  const count = Number(process.argv[2] ?? 200);
  for (let round = 0; round < count; round += 2) await Promise.all([terminateOne(round), terminateOne(round + 1)]);
  console.log(`${count} workers terminated`);
} else {
  const plans = busy();
  parentPort.postMessage(plans.length);
  if (workerData.round % 5 === 4) setTimeout(() => process.exit(0), 3);
}
