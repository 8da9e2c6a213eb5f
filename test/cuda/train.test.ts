// Training on device cuda against the CPU, step by step: a small net on MNIST by both methods, and a few steps of CFPN with its
// local objectives; twenty are npx tsx test/cuda/twentySteps.ts. The rule easy to break: both devices draw the same batches,
// so losses are compared step for step.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../softcuda/client';
import { cfpnSteps, furthest, mnistSteps } from './compare';
import { findings, images, onCard, useImage } from './device';

describe.skipIf(images.length === 0)('training on cuda', () => {
  it.each(['bp', 'cka'] as const)('a small net on MNIST has the losses of the cpu, by %s', async (method) => {
    useImage('ptx80');
    const trained = await mnistSteps(method, 50);
    expect(trained.cpu.every(Number.isFinite)).toBe(true);
    const far = furthest(trained);
    process.stdout.write(`gates: MNIST, ${method}, 50 steps: losses within ${far.toExponential(1)} (at most 1e-3)\n`);
    expect(far).toBeLessThan(1e-3);
    expect(trained.cpu.at(-1)).toBeLessThan(trained.cpu[trained.units - 1]!);
    expect(findings()).toEqual([]);
  });

  it('CFPN has the losses of the cpu, by cka', async () => {
    useImage('ptx80');
    const steps = onCard ? 20 : 1;
    const trained = await cfpnSteps(steps);
    const far = furthest(trained);
    process.stdout.write(
      `gates: CFPN 48x48, batch 8, ${steps} steps: losses within ${far.toExponential(1)} (at most 1e-4)\n`,
    );
    expect(far).toBeLessThan(1e-4);
    expect(findings()).toEqual([]);
  });

  it('is what gramian train does with --device cuda', () => {
    const out = mkdtempSync(path.join(tmpdir(), 'gramian-cuda-'));
    try {
      const words =
        '--device cuda --model cfpn --method bp --data synthetic:16 --input 16x16 --batch 8 --epochs 1 --json';
      const main = path.join(root, 'dist/cli/main.js');
      const { GRAMIAN_CUDA_IMAGE: _image, SOFTCUDA: _settings, ...clean } = process.env;
      const done = spawnSync(process.execPath, [main, 'train', ...words.split(' '), '--out', out], {
        encoding: 'utf8',
        env: onCard ? clean : { ...clean, GRAMIAN_SOFTCUDA: '1' },
      });
      expect(done.stderr).not.toContain('gramian: [');
      expect(done.status).toBe(0);
      expect(existsSync(path.join(out, 'last.safetensors'))).toBe(true);
    } finally {
      rmSync(out, { recursive: true });
    }
  });
});
