// The program as a process of its own: help and mistakes without the addon, exit codes, a reader that leaves early.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.resolve(__dirname, '../..');
const main = path.join(root, 'src/cli/main.ts');
/** Node's options that let it run TypeScript, from any folder. */
const loader = ['--import', path.join(root, 'node_modules/tsx/dist/loader.mjs')];

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'gramian-main-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function gramian(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...loader, main, ...args], {
    cwd: dir,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('the program', () => {
  it('prints help and leaves with 0', () => {
    const { status, stdout, stderr } = gramian('--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('Usage: gramian COMMAND');
  });

  it('answers a mistake on stderr and leaves with 2', () => {
    const { status, stdout, stderr } = gramian('train', '--epoch', '3');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe(
      'gramian: "train" has no option --epoch; did you mean "--epochs"?\nSee gramian train --help.\n',
    );
  });

  it('answers missing data with 1 and makes no run folder', () => {
    const { status, stdout, stderr } = gramian('train', '--data', 'fer2013:none.csv', '--json');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('none.csv');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(existsSync(path.join(dir, 'runs'))).toBe(false);
  });

  it('writes synthetic faces that another run of it reproduces', () => {
    const lines = [1, 2].map((times) => gramian('synth', '--out', `${times}.csv`, '--count', '10', '--json'));
    expect(lines.map((line) => line.status)).toEqual([0, 0]);
    expect(JSON.parse(lines[0]?.stdout ?? '')).toMatchObject({ splits: { train: 8, validation: 1, test: 1 } });
    const { status } = spawnSync('cmp', ['1.csv', '2.csv'], { cwd: dir });
    expect(status).toBe(0);
  });

  it('ends quietly when its reader leaves', () => {
    const command = `"${process.execPath}" ${loader.join(' ')} "${main}" train --help | head -1`;
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: dir, encoding: 'utf8' });
    expect(stdout).toMatch(/^gramian train: .*\n$/);
    expect(stderr).toBe('');
  });
});
