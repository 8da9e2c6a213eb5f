// gramian bench on device cuda, on the software device: it names the card, leaves out what cuda has not, and times a row.
// The rule easy to break: the ceilings are handed in, because a product of 8192 is beyond the software device.
import { describe, expect, it } from 'vitest';
import { measure } from '../../src/cli/bench';
import type { Report } from '../../src/cli/bench/reports';
import { reportLines } from '../../src/cli/bench/text';
import { images, onCard, useImage } from './device';

describe.skipIf(images.length === 0 || onCard)('gramian bench --device cuda', () => {
  it('names the card and times a kernel', async () => {
    useImage('ptx80');
    const probe = async () => ({ gflops: 100, gbps: 10 });
    const all: Report[] = [];
    const options = { target: 'kernels', seconds: 0.01, device: 'cuda', rows: ['relu'] } as const;
    for await (const one of measure(options, { probe })) all.push(one);
    const [setting, row] = all;
    expect(setting).toMatchObject({
      environment: { card: { id: 'cuda', name: 'Software CUDA device (sm_120)', image: 'compute_80 PTX' } },
      ceilings: { 'gramian float32': { gflops: 100, gbps: 10 } },
    });
    expect(Object.keys((setting as { ceilings: object }).ceilings)).toEqual(['gramian float32']);
    expect(row).toMatchObject({ row: 'relu', ours: { medianMs: expect.any(Number) } });
    expect(reportLines(setting!)).toContain(
      'Software CUDA device (sm_120), sm_120, driver for CUDA 13.0, compute_80 PTX',
    );
  });
});
