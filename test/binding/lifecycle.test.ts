// Ends of processes and workers in the middle of native work, each in a process of its own: what a crash would take
// with it must not be the test runner. The long form is `node test/binding/stress-workers.mjs 200`.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

function node(script: string, ...args: string[]) {
  const file = path.join(__dirname, script);
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', file, ...args], {
    encoding: 'utf8',
    timeout: 110_000,
  });
  return { status, signal, stdout: stdout.trim(), stderr };
}

describe('the end of a process', () => {
  it.each([
    ['exit', 7, ''],
    ['exit-now', 7, ''],
    ['throw', 1, ''],
    ['idle', 0, 'stepped'],
    ['pending', 0, 'settled'],
    ['collect', 0, 'collected'],
  ])('%s ends with code %i', (way, status, stdout) => {
    expect(node('exit.mjs', way)).toMatchObject({ status, signal: null, stdout });
  });
});

describe('the end of a worker', () => {
  it('in the middle of a step, twenty times', { timeout: 120_000 }, () => {
    expect(node('stress-workers.mjs', '20')).toMatchObject({
      status: 0,
      signal: null,
      stdout: '20 workers terminated',
    });
  });
});
