// Memory promises: the arena of local training against back-propagation, and a steady state that allocates nothing.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { summarize } from '../../src/train/summarize';

describe('memory', () => {
  it('the arena of cfpn at batch 128 by HSIC is at most half of that by back-propagation', () => {
    const { arenaBytes } = summarize('cfpn', { input: [48, 48, 1], batch: 128, classes: 7 });
    expect(arenaBytes.hsic).toBeGreaterThan(0);
    expect(arenaBytes.hsic).toBeLessThanOrEqual(arenaBytes.bp / 2);
  });

  it('500 epochs of a tiny model grow resident memory by less than 1 KB an epoch', () => {
    const script = join(__dirname, 'rssSlope.ts');
    const child = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', script], { encoding: 'utf8' });
    expect(child.status, child.stderr).toBe(0);
    const { bytesPerEpoch } = JSON.parse(child.stdout) as { bytesPerEpoch: number };
    expect(bytesPerEpoch).toBeLessThan(1024);
  }, 120_000);
});
