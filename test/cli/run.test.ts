// gramian run: names to recipes, options handed over, progress on stderr, results on stdout.
import { describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli/app';
import { AbortError } from '../../src/errors';
import { type FakeEngine, fakeEngine, fakeIo, jsonLines } from './fakes';

async function cli(line: string, engine: FakeEngine = fakeEngine()) {
  const io = fakeIo();
  const code = await runCli(line.split(' '), io, engine);
  return { code, engine, stdout: io.stdout, stderr: io.stderr };
}

describe('run', () => {
  it('lists the recipes', async () => {
    const { code, stdout } = await cli('run --list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^recipe +scale small +reproduces\nfirst +2 minutes +paper 001 Fig\. 8\nsecond/);
    expect(jsonLines((await cli('run --list --json')).stdout)).toMatchObject([{ name: 'first' }, { name: 'second' }]);
  });

  it('hands its options over, with a folder for each recipe and the command that repeats it', async () => {
    const line = 'run second --scale smoke --data ckplus:CK --input 60x50 --seed 7 --out o --threads 3 --resume';
    const { engine, stdout } = await cli(line);
    expect(engine.recipesRun).toMatchObject([
      {
        name: 'second',
        options: {
          ...{ scale: 'smoke', data: 'ckplus:CK', input: [60, 50], seed: 7, threads: 3, resume: true, out: 'o/second' },
          command: 'gramian run second --scale smoke --data ckplus:CK --input 60x50 --seed 7',
        },
      },
    ]);
    expect(stdout).toMatch(/^second: o\/second\/report\.md \(\d+s\)\n$/);
  });

  it('leaves out what was not given', async () => {
    const { engine } = await cli('run first');
    const { options } = engine.recipesRun[0]!;
    expect(options).toMatchObject({ scale: 'small', resume: false, command: 'gramian run first --scale small' });
    for (const key of ['data', 'input', 'seed', 'threads', 'weights']) expect(options).not.toHaveProperty(key);
  });

  it('runs several, and all', async () => {
    const names = async (line: string) => (await cli(line)).engine.recipesRun.map(({ name }) => name);
    expect(await names('run second first')).toEqual(['second', 'first']);
    expect(await names('run all')).toEqual(['first', 'second']);
    expect(jsonLines((await cli('run all --json')).stdout)).toMatchObject([{ recipe: 'first' }, { recipe: 'second' }]);
  });

  it('says which trial ended, on stderr', async () => {
    const { stderr } = await cli('run first');
    expect(stderr).toBe('first 1/2 cfpn-bp  loss 0.5  train 25.00%\n');
  });

  it('needs a name', async () => {
    const { code, stderr } = await cli('run');
    expect([code, stderr]).toEqual([2, expect.stringContaining('expects NAME..., all or --list; none was given')]);
  });

  it('interrupted ends with 130 and says how to go on', async () => {
    const io = fakeIo();
    const runRecipe: FakeEngine['runRecipe'] = async (_, { signal }) => {
      io.interrupt();
      expect(signal?.aborted).toBe(true);
      throw new AbortError('stopped', 0);
    };
    expect(await runCli(['run', 'first'], io, fakeEngine({ runRecipe }))).toBe(130);
    expect(io.stderr).toContain('go on with --resume');
  });
});
