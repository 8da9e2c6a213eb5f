// gramian serve: what it asks the engine for, what it prints, and that Ctrl-C ends it with everything closed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli/app';
import type { ServeSettings } from '../../src/cli/serve';
import { ArgumentError } from '../../src/errors';
import { fakeEngine, fakeIo, jsonLines } from './fakes';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'gramian-cli-serve-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Runs a command line until it has printed its address, then interrupts it. */
async function serving(line: string) {
  const io = fakeIo();
  const asked: ServeSettings[] = [];
  let closed = 0;
  const fake = fakeEngine();
  const engine = fakeEngine({
    async serve(settings, onProblem) {
      asked.push(settings);
      onProblem('a frame failed');
      const served = await fake.serve(settings, onProblem);
      return {
        ...served,
        async close() {
          closed += 1;
        },
      };
    },
  });
  const code = runCli(line.split(' '), io, engine);
  await expect.poll(() => io.stdout).toContain('http://');
  expect([io.listening, closed]).toEqual([true, 0]);
  io.interrupt();
  expect(await code).toBe(0);
  expect([io.listening, closed]).toEqual([false, 1]);
  return { io, settings: asked[0] };
}

describe('serve', () => {
  it('prints the address and what recognises', async () => {
    const { io, settings } = await serving('serve');
    expect(io.stdout).toBe('A fake.\nhttp://127.0.0.1:8047/#token\nOpen this address in a browser; Ctrl-C ends.\n');
    expect(io.stderr).toBe('gramian: a frame failed\n');
    expect(settings).toEqual({
      ...{ port: 8047, needsFaces: true, faces: { detector: 'tiny', run: 'face-api', attributes: false } },
    });
  });

  it('of a run does without faces and says why there are none', async () => {
    const { io, settings } = await serving(`serve --run ${dir} --port 0`);
    expect(settings).toMatchObject({ run: dir, port: 0, needsFaces: false });
    expect(io.stderr).toContain('note: no live page: no weights\n');
    expect(io.stderr).not.toContain('not there yet');
  });

  it('of a run with an option of faces needs both', async () => {
    const { settings, io } = await serving(`serve --run ${dir}/later --classifier ${dir} --attributes`);
    expect(settings).toMatchObject({ faces: { run: dir, attributes: true }, needsFaces: true });
    expect(io.stderr).toContain(`note: ${dir}/later is not there yet`);
  });

  it('prints one JSON line', async () => {
    const { io } = await serving('serve --json');
    expect(jsonLines(io.stdout)).toEqual([{ url: 'http://127.0.0.1:8047/#token', port: 8047, live: true }]);
  });

  it('answers a port that is taken with 2', async () => {
    const io = fakeIo();
    const engine = fakeEngine({
      async serve() {
        throw new ArgumentError('[serve] port 8047 of 127.0.0.1 cannot be had');
      },
    });
    expect(await runCli(['serve'], io, engine)).toBe(2);
    expect(io.stderr).toBe('gramian: [serve] port 8047 of 127.0.0.1 cannot be had\n');
    expect(io.listening).toBe(false);
  });
});

it('the program serves a run and ends with Ctrl-C', async () => {
  const root = path.resolve(__dirname, '../..');
  const loader = path.join(root, 'node_modules/tsx/dist/loader.mjs');
  const args = ['--import', loader, path.join(root, 'src/cli/main.ts'), 'serve', '--run', dir, '--port', '0', '--json'];
  // In a folder without face-api's weights there is only the run.
  const program = spawn(process.execPath, args, { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(program.stdout, 'data')) as [Buffer];
  const { url, port } = JSON.parse(String(line)) as { url: string; port: number };
  const token = url.split('#')[1];
  const response = await fetch(`http://127.0.0.1:${port}/api/about`, { headers: { authorization: `Bearer ${token}` } });
  expect(await response.json()).toMatchObject({ run: dir });
  // A page that is open does not keep the program from ending.
  program.kill('SIGINT');
  expect(await once(program, 'exit')).toEqual([0, null]);
});
