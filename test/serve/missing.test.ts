// Without the optional package ws there is no live page, and the error says what to do; the run view needs none.
import { expect, it, vi } from 'vitest';
import { serve } from '../../src/serve/server';

vi.mock('ws', () => {
  throw new Error("Cannot find package 'ws'");
});

it('names the package that is missing, and serves a run without it', async () => {
  const faces = { classNames: [], stream: () => ({ process: () => Promise.reject(new Error('not reached')) }) };
  await expect(serve({ faces })).rejects.toMatchObject({
    code: 'ERR_MISSING_PACKAGE',
    message: '[serve] the live page talks over ws, which is not installed: run `npm install ws`',
  });
  const server = await serve({ run: 'runs/none' });
  await server.close();
});
