// Bimodal distribution removal against the five lines of its definition, on errors whose answer is known, and on a small
// network that it has to make converge the way the papers describe.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random';
import { ArgumentError } from '../../src/errors';
import { DistributionRemoval, removalRule } from '../../src/train/distributionRemoval';

/** Indices to drop, straight from the definition. */
function definition(errors: number[], alpha: number): number[] {
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const subset = errors.filter((error) => error > mean(errors));
  if (subset.length === 0) return [];
  const deviation = Math.sqrt(mean(subset.map((error) => (error - mean(subset)) ** 2)));
  return errors.flatMap((error, i) => (error > mean(errors) && error >= mean(subset) + alpha * deviation ? [i] : []));
}

describe('removalRule', () => {
  it('by hand', () => {
    // Mean 3, variance 62/6; above it 5 and 9 with mean 7 and deviation 2.
    const errors = [0, 1, 0, 5, 9, 3];
    expect(removalRule(errors, 1)).toEqual({
      samples: 6,
      mean: 3,
      variance: 62 / 6,
      candidates: 2,
      candidateMean: 7,
      candidateDeviation: 2,
      threshold: 9,
      outliers: Uint32Array.of(4),
    });
    expect([...removalRule(errors, 0).outliers]).toEqual([4]);
    expect([...removalRule([1, 1, 1, 5, 5], 0.5).outliers]).toEqual([3, 4]);
  });
  it('equals the definition for any errors and any alpha', () => {
    // Multiples of 1/8 are added and squared exactly, so a tie is a tie in both.
    const errors = fc.array(
      fc.integer({ min: 0, max: 200 }).map((value) => value / 8),
      { minLength: 1, maxLength: 40 },
    );
    fc.assert(
      fc.property(errors, fc.double({ min: 0, max: 1, noNaN: true }), (values, alpha) => {
        expect([...removalRule(values, alpha).outliers]).toEqual(definition(values, alpha));
      }),
    );
  });
  it('removes no fewer with a smaller alpha, and never all', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { minLength: 1, maxLength: 30 }), (values) => {
        const counts = [0, 0.3, 0.6, 1].map((alpha) => removalRule(values, alpha).outliers.length);
        expect(counts).toEqual([...counts].sort((a, b) => b - a));
        expect(counts[0]).toBeLessThan(values.length);
      }),
    );
  });
  it('finds nothing among equal errors, also where their mean is not exact', () => {
    // The means of three and of ten times 0.1 are rounded up and down.
    for (const errors of [[0.1, 0.1, 0.1], Array<number>(10).fill(0.1), [2], [0, 0]]) {
      const { outliers, candidates, threshold } = removalRule(errors, 0);
      expect([outliers.length, candidates, threshold]).toEqual([0, 0, null]);
    }
  });
  it.each([
    [[], 1],
    [[1, Number.NaN], 1],
    [[Number.POSITIVE_INFINITY], 1],
    [[1, 2], -0.1],
    [[1, 2], 1.1],
    [[1, 2], Number.NaN],
  ])('refuses %j with alpha %f', (errors, alpha) => {
    expect(() => removalRule(errors, alpha)).toThrow(ArgumentError);
  });
});

describe('DistributionRemoval', () => {
  it('checks at the start epoch and every so many after it', () => {
    const removal = new DistributionRemoval(4, { startEpoch: 50, every: 10 });
    expect([1, 40, 49, 50, 51, 60, 65, 70].filter((epoch) => removal.due(epoch))).toEqual([50, 60, 70]);
    expect(() => removal.check(51, [1, 2, 3, 4])).toThrow(/epoch 51 is not one to check after/);
  });
  it('keeps indices of the whole set over several checks, and records them', () => {
    const removal = new DistributionRemoval(6, { startEpoch: 1, every: 1, alpha: 0 });
    const first = removal.check(1, [0, 8, 0, 4, 0, 8]);
    expect([[...first.removed], [...removal.remaining], first.halt]).toEqual([[1, 5], [0, 2, 3, 4], false]);
    const second = removal.check(2, [0, 0, 6, 2]);
    expect([[...second.removed], [...removal.remaining]]).toEqual([[3], [0, 2, 4]]);
    const third = removal.check(3, [0, 0.1, 0]);
    expect([third.halt, third.removed.length, removal.remaining.length]).toEqual([true, 0, 3]);
    expect(removal.records.map(({ epoch, action, removed, left }) => [epoch, action, removed, left])).toEqual([
      [1, 'remove', 2, 4],
      [2, 'remove', 1, 3],
      [3, 'halt', 0, 3],
    ]);
    expect(removal.records[0]).toMatchObject({ alpha: 0, samples: 6, variance: 12.888888888888888 });
    expect(() => removal.check(4, [1, 2])).toThrow(/each of 3 remaining samples, got 2/);
  });
  it('waits while the variance is above the start, halts only below 0.01', () => {
    const removal = new DistributionRemoval(2, { startEpoch: 1, every: 1, startVariance: 0.1 });
    expect(removal.check(1, [0, 1]).record).toMatchObject({ variance: 0.25, action: 'wait', removed: 0, left: 2 });
    const exact = new DistributionRemoval(2, { startEpoch: 1, every: 1, haltVariance: 1, alpha: 1 });
    expect(exact.check(1, [0, 2]).record).toMatchObject({ variance: 1, action: 'remove', removed: 1 });
    expect(new DistributionRemoval(2, { startEpoch: 1 }).check(1, [0, 0.19]).halt).toBe(true);
    expect(new DistributionRemoval(2, { startEpoch: 1 }).check(1, [0, 0.21]).halt).toBe(false);
  });
  it('goes on from a saved state', () => {
    const options = { startEpoch: 1, every: 1, alpha: 0.5 };
    const removal = new DistributionRemoval(6, options);
    removal.check(1, [0, 8, 0, 4, 0, 8]);
    removal.check(2, [1, 1, 1, 1]);
    const again = new DistributionRemoval(JSON.parse(JSON.stringify(removal.state)), options);
    expect(again.state).toEqual(removal.state);
    expect(again.check(3, [0, 0, 6, 2])).toEqual(removal.check(3, [0, 0, 6, 2]));
  });
  it('hands out copies', () => {
    const removal = new DistributionRemoval(3);
    removal.remaining[0] = 9;
    expect([...removal.remaining]).toEqual([0, 1, 2]);
  });
  it.each([
    { alpha: 2 },
    { startEpoch: 0 },
    { every: 0 },
    { every: 1.5 },
    { haltVariance: -1 },
    { haltVariance: 0.2, startVariance: 0.1 },
    { startVariance: Number.NaN },
  ])('refuses %j', (options) => {
    expect(() => new DistributionRemoval(5, options)).toThrow(ArgumentError);
  });
  it.each([0, 1, 1.5, Number.NaN])('refuses %j samples', (samples) => {
    expect(() => new DistributionRemoval(samples)).toThrow(ArgumentError);
  });
});

describe('on a classifier', () => {
  /** Two clouds on a line, every tenth label wrong: [x, label, wrong]. */
  const points = Array.from({ length: 200 }, (_, i) => {
    const random = new Random(3, i);
    const side = i % 2;
    const wrong = i % 10 === 4 || i % 20 === 5;
    return { x: (side ? 2 : -2) + random.normal() / 2, label: wrong ? 1 - side : side, wrong };
  });

  it('removes the wrong labels and then ends below a variance of 0.01', () => {
    const removal = new DistributionRemoval(points.length, { startEpoch: 20, every: 10 });
    let [weight, bias, epoch, halt] = [0, 0, 0, false];
    const loss = (i: number) => {
      const { x, label } = points[i]!;
      return Math.log1p(Math.exp((label ? -1 : 1) * (weight * x + bias)));
    };
    while (!halt && epoch < 2000) {
      epoch += 1;
      for (const i of removal.remaining) {
        const { x, label } = points[i]!;
        const slope = 1 / (1 + Math.exp(-(weight * x + bias))) - label;
        weight -= 0.05 * slope * x;
        bias -= 0.05 * slope;
      }
      if (removal.due(epoch)) halt = removal.check(epoch, Array.from(removal.remaining, loss)).halt;
    }
    expect(halt).toBe(true);
    expect(removal.records.at(-1)!.variance).toBeLessThan(0.01);
    expect(removal.records.slice(0, -1).every(({ variance }) => variance >= 0.01)).toBe(true);
    const kept = new Set(removal.remaining);
    expect(points.filter(({ wrong }, i) => wrong && kept.has(i))).toEqual([]);
    expect(kept.size).toBeGreaterThan(0.75 * points.length);
  });
});
