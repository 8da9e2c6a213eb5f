// The arithmetic of the benchmarks, with a clock that stands still between turns: medians, rooflines, turns, agreement.
import { describe, expect, it } from 'vitest';
import { disagreement } from '../../src/cli/bench/peer';
import {
  alternate,
  deviation,
  leastSamples,
  median,
  quantile,
  ratesOf,
  repetitions,
  summarize,
} from '../../src/cli/bench/statistics';

describe('statistics', () => {
  it('takes the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  it('interpolates quantiles', () => {
    expect(quantile([4, 1, 3, 2, 5], 0.25)).toBe(2);
    expect(quantile([1, 2], 0.75)).toBe(1.75);
    expect(quantile([7], 0.25)).toBe(7);
  });

  it('summarises', () => {
    expect(summarize([5, 1, 2, 3, 4])).toEqual({ medianMs: 3, bestMs: 1, spreadMs: 2, samples: 5 });
  });

  it('puts short work into long samples, and long work into few', () => {
    expect([repetitions(0.5), repetitions(30), repetitions(0)]).toEqual([40, 1, 200_000]);
    expect([leastSamples(1), leastSamples(1500), leastSamples(60_000)]).toEqual([5, 3, 1]);
  });
});

describe('roofline', () => {
  const ceilings = { gflops: 100, gbps: 10 };

  it('is the ceiling that is nearer', () => {
    const byFlops = ratesOf({ flops: 5e9, bytes: 1e6 }, 100, ceilings);
    expect(byFlops.gflops).toBeCloseTo(50);
    expect(byFlops.roofline).toBeCloseTo(0.5);
    const byBytes = ratesOf({ flops: 1e6, bytes: 2e8 }, 100, ceilings);
    expect(byBytes.gbps).toBeCloseTo(2);
    expect(byBytes.roofline).toBeCloseTo(0.2);
  });

  it('is absent without ceilings', () => {
    expect(ratesOf({ flops: 1, bytes: 1 }, 1)).not.toHaveProperty('roofline');
  });
});

describe('turns', () => {
  it('alternate, rest in between, warm up short work untimed and count the time of each', async () => {
    const turns: string[] = [];
    const contender = (name: string, ms: number) => ({
      name,
      sample: async (count: number) => {
        turns.push(`${name}${count}`);
        return count === 6 ? 1e4 : ms * count;
      },
    });
    const rests: number[] = [];
    const sleep = async (ms: number) => rests.push(ms);
    const options = { seconds: 0.1, settleMs: 7, sleep };
    const times = await alternate([contender('a', 10), contender('b', 40)], options);
    expect(turns.slice(0, 10)).toEqual(['a1', 'a1', 'b1', 'b1', 'a6', 'a2', 'b1', 'a6', 'a2', 'b1']);
    expect(times.get('a')).toMatchObject({ medianMs: 10, samples: 5 });
    expect(times.get('b')).toMatchObject({ medianMs: 40, spreadMs: 0, samples: 5 });
    expect(new Set(rests)).toEqual(new Set([7]));
  });

  it('go on without one that fails, if somebody hears of it', async () => {
    let left = 3;
    const dies = {
      name: 'dies',
      sample: async () => {
        left -= 1;
        if (left === 0) throw new Error('gone');
        return 30;
      },
    };
    const lasts = { name: 'lasts', sample: async (count: number) => 30 * count };
    const heard: string[] = [];
    const onFailure = (name: string, error: unknown) => void heard.push(`${name}: ${(error as Error).message}`);
    const times = await alternate([dies, lasts], { seconds: 0.1, onFailure });
    expect([...times.keys()]).toEqual(['lasts']);
    expect(heard).toEqual(['dies: gone']);
    left = 1;
    expect([...(await alternate([dies, lasts], { seconds: 0.1, onFailure })).keys()]).toEqual(['lasts']);
    left = 2;
    await expect(alternate([dies, lasts], { seconds: 0.1 })).rejects.toThrow('gone');
  });

  it('end for work that takes no time at all', async () => {
    const times = await alternate([{ name: 'a', sample: async () => 0 }], { seconds: 0.01 });
    expect(times.get('a')!.medianMs).toBe(0);
  });
});

describe('agreement', () => {
  it('is relative to the largest value', () => {
    expect(deviation([10, 0], [10, 0.1])).toBeCloseTo(0.01);
    expect(deviation([0, 0], [0, 0])).toBe(0);
  });

  it('is out of reach for other lengths, nothing against something, and what is not finite', () => {
    expect(deviation([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(deviation([0], [1])).toBe(Number.POSITIVE_INFINITY);
    expect(deviation([1], [Number.NaN])).toBe(Number.POSITIVE_INFINITY);
  });

  it('compares losses one by one', () => {
    const ours = [[Float32Array.of(100, 1)]];
    const theirs = [[Float32Array.of(100, 1.5)]];
    expect(disagreement(ours, theirs, false)).toBeCloseTo(0.005);
    expect(disagreement(ours, theirs, true)).toBeCloseTo(0.5);
    expect(disagreement(ours, [], true)).toBe(Number.POSITIVE_INFINITY);
    expect(disagreement(ours, [[]], true)).toBe(Number.POSITIVE_INFINITY);
  });
});
