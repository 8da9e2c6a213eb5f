// A row from build to report with peers that are made up: who is judged how, who is timed, what the ratios are of. Times
// are invented by the peers, so nothing here depends on the machine.
import { describe, expect, it } from 'vitest';
import { type MeasureOptions, measure } from '../../src/cli/bench';
import { measurementOf, type Timed } from '../../src/cli/bench/measurement';
import { NoAnswer, type PeerContender, type PeerHost } from '../../src/cli/bench/peer';
import type { Measurement, Report } from '../../src/cli/bench/reports';
import type { TensorData } from '../../src/graph/graph';
import { product } from './productRow';

type Answer = (ours: readonly (readonly TensorData[])[]) => readonly (readonly TensorData[])[];

interface Made extends Pick<PeerContender, 'name' | 'precision'> {
  readonly answer: Answer;
  readonly sample?: PeerContender['sample'];
}

function host(made: readonly Made[], dropped: string[]): PeerHost {
  return {
    name: 'made up',
    version: '1',
    ceilings: async () => ({ 'made up bf16': { gflops: 1000, gbps: 1 } }),
    open: async ({ trace }) =>
      made.map(({ name, precision, answer, sample = async (count) => 50 * count }) => ({
        name,
        precision,
        check: async () => answer(trace.results),
        sample,
        drop: async () => void dropped.push(name),
      })),
    close: async () => undefined,
  };
}

const options: MeasureOptions = { target: 'peers', seconds: 0.01, device: 'cpu', threads: 1 };
const probe = async ({ precision }: { precision?: string }) => ({ gflops: precision === 'bf16' ? 200 : 100, gbps: 10 });

async function reports(made: readonly Made[], dropped: string[] = []): Promise<Report[]> {
  const all: Report[] = [];
  for await (const one of measure(options, { hosts: [host(made, dropped)], rows: [product], probe })) all.push(one);
  return all;
}

const times =
  (factor: number): Answer =>
  (ours) =>
    ours.map((step) => step.map((values) => Float32Array.from(values, (value) => value * factor)));

const fail = (error: Error) => (): never => {
  throw error;
};

describe('a row with peers', () => {
  it('times who agrees and tells of the others', async () => {
    const dropped: string[] = [];
    const all = await reports(
      [
        { name: 'exact', precision: 'float32', answer: times(1) },
        { name: 'slower', precision: 'float32', answer: times(1.0001), sample: async (count) => 80 * count },
        { name: 'rough', precision: 'bf16', answer: times(1.01), sample: async (count) => 30 * count },
        { name: 'wrong', precision: 'float32', answer: times(1.01) },
        { name: 'late', precision: 'float32', answer: fail(new NoAnswer('late', 7)) },
        { name: 'broken', precision: 'float32', answer: fail(new Error('no such op')) },
        { name: 'dies', precision: 'float32', answer: times(1), sample: fail(new Error('out of memory')) },
      ],
      dropped,
    );
    const { ours, peers, ratio, ratioAnyPrecision } = all[1] as Measurement;
    expect(peers.exact).toMatchObject({ medianMs: 50, deviation: 0 });
    expect(peers.slower).toMatchObject({ medianMs: 80 });
    expect(peers.rough).toMatchObject({ medianMs: 30, deviation: expect.closeTo(0.01) });
    expect(peers.wrong).toMatchObject({ deviation: expect.closeTo(0.01), disagrees: { ours: expect.any(Array) } });
    expect(peers.wrong).not.toHaveProperty('medianMs');
    expect(peers.late).toEqual({ unanswered: 7 });
    expect(peers.broken).toEqual({ failed: 'no such op' });
    expect(peers.dies).toEqual({ failed: 'out of memory' });
    expect(dropped.sort()).toEqual(['broken', 'dies', 'exact', 'late', 'rough', 'slower', 'wrong']);
    expect(ratio).toBeCloseTo(50 / ours.medianMs);
    expect(ratioAnyPrecision).toBeCloseTo(30 / ours.medianMs);
    const bf16 = ours.bf16!;
    expect(bf16.deviation).toBeGreaterThan(1e-5);
    expect(bf16.deviation).toBeLessThan(bf16.tolerance);
    expect(bf16.overFloat32).toBeCloseTo(ours.medianMs / bf16.medianMs!);
    expect(bf16.ratio).toBeCloseTo(30 / bf16.medianMs!);
    expect(bf16.ratioAnyPrecision).toBeCloseTo(30 / bf16.medianMs!);
  });

  it('has no ratio to peers that were not timed', async () => {
    const [, found] = await reports([{ name: 'late', precision: 'float32', answer: fail(new NoAnswer('late', 7)) }]);
    for (const key of ['ratio', 'ratioAnyPrecision']) expect(found).not.toHaveProperty(key);
    expect((found as Measurement).ours.bf16).not.toHaveProperty('ratio');
  });

  it('is measured against the ceilings of all, in both precisions', async () => {
    const [setting] = await reports([]);
    expect(setting).toMatchObject({
      ceilings: {
        'gramian float32': { gflops: 100 },
        'gramian bf16': { gflops: 200 },
        'made up bf16': { gflops: 1000 },
      },
      peers: { 'made up': '1' },
    });
  });
});

describe('a measurement', () => {
  const sampled = (medianMs: number) => ({ medianMs, bestMs: medianMs, spreadMs: 0, samples: 5 });
  const ceilings = {
    'gramian float32': { gflops: 100, gbps: 10 },
    'gramian bf16': { gflops: 150, gbps: 10 },
    'other bf16': { gflops: 400, gbps: 20 },
  };
  const timed: Timed = {
    row: { id: 'x', title: 'x', batch: 8 },
    work: { flops: 2e9, bytes: 1e6 },
    arenaBytes: 1,
    times: new Map([
      ['gramian', sampled(40)],
      ['gramian bf16', sampled(25)],
      ['a', sampled(80)],
      ['b', sampled(50)],
    ]),
    own: { float32: 'gramian', bf16: 'gramian bf16' },
    bf16: { deviation: 0.01, tolerance: 0.05 },
    peers: { a: { deviation: 0 }, b: { deviation: 0.01 } },
    agreeing: [
      { name: 'a', precision: 'float32' },
      { name: 'b', precision: 'bf16' },
    ],
  };

  it('holds each precision against its own ceiling', () => {
    const { ours, peers, ratio, ratioAnyPrecision } = measurementOf(timed, ceilings);
    expect(ours).toMatchObject({ gflops: expect.closeTo(50), roofline: expect.closeTo(0.5), imagesPerSecond: 200 });
    expect(ours.bf16).toMatchObject({ gflops: expect.closeTo(80), roofline: expect.closeTo(0.2), overFloat32: 1.6 });
    expect(ours.bf16).toMatchObject({ ratio: 2, ratioAnyPrecision: 2, tolerance: 0.05 });
    expect(peers.a!.roofline).toBeCloseTo(0.25);
    expect(peers.b!.roofline).toBeCloseTo(0.1);
    expect([ratio, ratioAnyPrecision]).toEqual([2, 1.25]);
  });

  it('says so when our bf16 disagrees', () => {
    const only = new Map([['gramian', sampled(40)]]);
    const bf16 = { deviation: 0.5, tolerance: 0.05, disagrees: { ours: [1], theirs: [2] } };
    expect(measurementOf({ ...timed, times: only, bf16 }, ceilings).ours.bf16).toEqual(bf16);
    expect(measurementOf({ ...timed, bf16: undefined, times: only }, ceilings).ours).not.toHaveProperty('bf16');
  });
});
