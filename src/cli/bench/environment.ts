// What a figure was measured on. Called by bench.ts, so that every result says it.
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import type { DeviceInfo } from '../../compile';
import { version } from '../version';

export interface Environment {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly isa: string;
  readonly threads: number;
  readonly node: string;
  readonly gramian: string;
  /** The CUDA device that computed, where one did. */
  readonly card?: DeviceInfo;
  /** Short hash, with `+` behind it when files differ from it; absent outside a checkout. */
  readonly commit?: string;
  /** One, five and fifteen minutes, before the first measurement. */
  readonly load: readonly number[];
}

function git(...args: string[]): string | undefined {
  try {
    const cwd = path.join(__dirname, '../../..');
    return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

function commit(): string | undefined {
  const root = git('rev-parse', '--show-toplevel');
  // An installed package may lie inside somebody else's repository.
  if (root === undefined || path.resolve(root) !== path.join(__dirname, '../../..')) return undefined;
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '-uno') ? '+' : ''}`;
}

export function environment(engine: { isa: string; threads: number; card?: DeviceInfo }): Environment {
  const found = commit();
  return {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    isa: engine.isa,
    threads: engine.threads,
    ...(engine.card ? { card: engine.card } : {}),
    node: process.version,
    gramian: version(),
    ...(found === undefined ? {} : { commit: found }),
    load: os.loadavg().map((value) => Number(value.toFixed(2))),
  };
}
