// Where the threads of a plan may run: beside the one that hands out the work, never on its processor. Read from the system,
// in processes of their own, whose threads are known. The rule easy to break: on one processor there is no beside.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';

/** Runs steps on two threads with pauses between them, then prints the processors that each thread may use. */
const SCRIPT = `
  const { readdirSync, readFileSync } = require('node:fs');
  const { Graph, compile, ops } = require('./src');
  const allowed = (task) =>
    /Cpus_allowed_list:\\t(.*)/.exec(readFileSync('/proc/self/task/' + task + '/status', 'utf8'))[1];
  (async () => {
    const graph = new Graph();
    const x = graph.input('x', [256, 256]);
    const plan = compile(graph, { outputs: { y: ops.matmul(x, x) }, threads: 2 });
    const value = new Float32Array(256 * 256).fill(1);
    for (let i = 0; i < 5; i += 1) {
      const { y } = await plan.step({ x: value });
      if (y[0] !== 256) throw new Error('a wrong product');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    console.log(JSON.stringify({ own: allowed(process.pid), all: readdirSync('/proc/self/task').map(allowed) }));
    plan.dispose();
  })();
`;

/** The numbers of "0-2,5". */
function numbers(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: last! - first + 1 }, (_, index) => first + index);
  });
}

function processorsOf(command: string, ...before: string[]): { own: number[]; others: number[][] } {
  const args = [...before, '--import', 'tsx', '-e', SCRIPT];
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  expect(status, stderr).toBe(0);
  const { own, all } = JSON.parse(stdout) as { own: string; all: string[] };
  return { own: numbers(own), others: all.filter((list) => list !== own).map(numbers) };
}

describe.skipIf(process.platform !== 'linux')('threads of a plan', () => {
  it.skipIf(availableParallelism() < 2)('may run everywhere but on the processor of the one that calls them', () => {
    const { own, others } = processorsOf(process.execPath);
    // One thread helps; the others are the plan's own, Node's and its pools'.
    expect(others).toHaveLength(1);
    expect(own).toEqual(expect.arrayContaining(others[0]!));
    expect(others[0]).toHaveLength(own.length - 1);
  });

  const taskset = spawnSync('taskset', ['-c', '0', 'true']).status === 0;
  it.skipIf(!taskset)('stay on one processor where the process may use no other', () => {
    expect(processorsOf('taskset', '-c', '0', process.execPath)).toEqual({ own: [0], others: [] });
  });
});
