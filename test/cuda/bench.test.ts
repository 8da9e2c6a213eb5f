// gramian bench on device cuda, on the software device: it names the card, and times rows in the precisions the card has.
// The rule easy to break: the ceilings are handed in, because a product of 8192 is beyond the software device.
import { describe, expect, it } from 'vitest';
import { type MeasureOptions, measure } from '../../src/cli/bench';
import type { Measurement, Report, Setting } from '../../src/cli/bench/reports';
import type { Row } from '../../src/cli/bench/rows';
import { reportLines } from '../../src/cli/bench/text';
import { product } from '../bench/productRow';
import { images, onCard, useImage } from './device';

const options: MeasureOptions = { target: 'kernels', seconds: 0.01, device: 'cuda' };
const probe = async ({ precision }: { precision?: string }) => ({ gflops: precision === 'bf16' ? 200 : 100, gbps: 10 });

async function reportsOf(asked: MeasureOptions, rows?: readonly Row[]): Promise<Report[]> {
  const all: Report[] = [];
  for await (const one of measure(asked, { probe, ...(rows && { rows }) })) all.push(one);
  return all;
}

describe.skipIf(images.length === 0 || onCard)('gramian bench --device cuda', () => {
  it('names the card and times a kernel', async () => {
    useImage('ptx80');
    const [setting, row] = await reportsOf({ ...options, rows: ['relu'] });
    expect(setting).toMatchObject({
      environment: { card: { id: 'cuda', name: 'Software CUDA device (sm_120)', image: 'compute_80 PTX' } },
      ceilings: { 'gramian float32': { gflops: 100, gbps: 10 } },
    });
    expect(row).toMatchObject({ row: 'relu', ours: { medianMs: expect.any(Number) } });
    expect((row as Measurement).ours.bf16).toBeUndefined();
    expect(reportLines(setting!)).toContain(
      'Software CUDA device (sm_120), sm_120, driver for CUDA 13.0, compute_80 PTX',
    );
  });

  it('times our bf16 beside our float32, where the card has it', async () => {
    useImage('ptx80');
    const [setting, row] = await reportsOf(options, [product]);
    expect(setting).toMatchObject({ ceilings: { 'gramian bf16': { gflops: 200 } } });
    const { ours } = row as Measurement;
    expect(ours.bf16).toMatchObject({ medianMs: expect.any(Number), deviation: expect.any(Number) });
    expect(ours.bf16!.deviation).toBeGreaterThan(0);
    useImage('ptx75');
    const [older, alone] = await reportsOf(options, [product]);
    expect(Object.keys((older as Setting).ceilings)).toEqual(['gramian float32']);
    expect((alone as Measurement).ours.bf16).toBeUndefined();
  });
});
