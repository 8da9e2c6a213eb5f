// The eigenvalue solver against Jacobi's rotations and against its own definition, on easy and on degenerate matrices.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random';
import { ArgumentError, ShapeError } from '../../src/errors';
import { fixSign, symmetricEigen } from '../../src/features/eigen';
import { jacobi } from './reference';

/** n x n, symmetric, of the given rank, entries of about 1. */
function symmetric(n: number, rank: number, seed: number): number[][] {
  const random = new Random(seed);
  const factors = Array.from({ length: rank }, () => Array.from({ length: n }, () => random.normal()));
  const signs = factors.map(() => random.normal());
  return Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (__, j) => factors.reduce((sum, f, k) => sum + signs[k]! * f[i]! * f[j]!, 0)),
  );
}

/** Largest entry of |A v - lambda v| and of |V V' - I|. */
function residuals(a: number[][], { values, vectors }: ReturnType<typeof symmetricEigen>) {
  const n = a.length;
  const rows = a.map((_, i) => Array.from(vectors.subarray(i * n, (i + 1) * n)));
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const equation = rows.flatMap((v, k) => a.map((row, i) => Math.abs(dot(row, v) - values[k]! * v[i]!)));
  const angles = rows.flatMap((v, k) => rows.map((w, l) => Math.abs(dot(v, w) - (k === l ? 1 : 0))));
  return { equation: Math.max(...equation), angle: Math.max(...angles) };
}

describe('symmetricEigen', () => {
  it('solves any symmetric matrix, of full rank or not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 0, max: 24 }), fc.nat(), (n, rank, seed) => {
        const a = symmetric(n, rank, seed);
        const found = symmetricEigen(a.flat(), n);
        const size = Math.max(1, ...a.flat().map(Math.abs));
        const { equation, angle } = residuals(a, found);
        expect(equation).toBeLessThan(1e-12 * n * size);
        expect(angle).toBeLessThan(1e-12);
        for (const [i, value] of jacobi(a).values.entries()) {
          expect(Math.abs(found.values[i]! - value)).toBeLessThan(1e-12 * n * size);
        }
      }),
      { numRuns: 60 },
    );
  });
  it('keeps to known cases', () => {
    expect(symmetricEigen([7], 1)).toEqual({ values: Float64Array.of(7), vectors: Float64Array.of(1) });
    expect([...symmetricEigen([0, 0, 0, 0], 2).values]).toEqual([0, 0]);
    const { values, vectors } = symmetricEigen([2, 0, 0, 0, 3, 4, 0, 4, 9], 3);
    expect([...values].map((value) => Math.round(value * 1e12) / 1e12)).toEqual([11, 2, 1]);
    expect(Math.abs(vectors[2]! / vectors[1]!)).toBeCloseTo(2, 12);
    const diagonal = symmetricEigen([1, 0, 0, 0, 5, 0, 0, 0, 3], 3);
    expect([...diagonal.values]).toEqual([5, 3, 1]);
    expect([...diagonal.vectors]).toEqual([0, 1, 0, 0, 0, 1, 1, 0, 0]);
  });
  it('settles on a large matrix of rank one and on entries far from 1', () => {
    const n = 300;
    const ones = new Float64Array(n * n).fill(1);
    const { values } = symmetricEigen(ones, n);
    expect(values[0]).toBeCloseTo(n, 9);
    expect(Math.max(...values.subarray(1).map(Math.abs))).toBeLessThan(1e-10);
    for (const scale of [1e-150, 1e150]) {
      const scaled = symmetricEigen([2 * scale, scale, scale, 2 * scale], 2).values;
      expect([scaled[0]! / scale, scaled[1]! / scale].map((value) => Math.round(value * 1e9) / 1e9)).toEqual([3, 1]);
    }
  });
  it('refuses what is not a finite square', () => {
    expect(() => symmetricEigen([1, 2, 3], 2)).toThrow(ShapeError);
    expect(() => symmetricEigen([1, Number.NaN, Number.NaN, 1], 2)).toThrow(ArgumentError);
  });
});

describe('fixSign', () => {
  it('makes the largest entry positive, the first of equal ones', () => {
    const turned = (values: number[]) => {
      const vector = Float64Array.from(values);
      fixSign(vector);
      return [...vector];
    };
    expect(turned([1, -3, 2])).toEqual([-1, 3, -2]);
    expect(turned([-0.5, 0.5 + 1e-9])).toEqual([0.5, -0.5 - 1e-9]);
    expect(turned([2, -1])).toEqual([2, -1]);
  });
});
