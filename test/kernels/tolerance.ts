// How a kernel's result is compared with the oracle's: bit for bit, or within an error that float32 can explain.
// Used by kernels.test.ts; other tests may use firstMismatch too. The rule easy to break: an expected value that
// float32 cannot hold (overflow, NaN) must be met exactly, since no tolerance can speak about it.
import type { Shape } from '../../src/graph/graph';
import { unravel } from '../reference/value';

/** 2e-6 is 33 half units in the last place of float32. */
export const DEFAULT_TOLERANCE = 2e-6;

/**
 * Allowed error relative to size, for sums of `terms` products. The rounding of a sum of random terms grows like the
 * square root of their number; kernels sum in blocks, so the growth only shows beyond about 256 terms.
 */
export function allowedError(tolerance: number, terms: number): number {
  return tolerance * Math.max(1, Math.sqrt(terms) / 16);
}

export interface Comparison {
  readonly shape: Shape;
  /** Error relative to size; 0 means equal values (of either zero). */
  readonly relative: number;
  /** Size is the element's own instead of the largest in the tensor. */
  readonly perElement?: boolean;
  /** Error allowed whatever the size. Default 1e-7 per element, else 1e-12. */
  readonly floor?: number;
}

/** Undefined when all elements agree, else a sentence about the first that does not. */
export function firstMismatch(got: ArrayLike<number>, want: Float64Array, how: Comparison): string | undefined {
  if (got.length !== want.length) return `expected ${want.length} values, got ${got.length}`;
  let scale = 0;
  for (const value of want) if (Number.isFinite(Math.fround(value))) scale = Math.max(scale, Math.abs(value));
  const floor = how.floor ?? (how.perElement ? 1e-7 : 1e-12);
  for (let i = 0; i < want.length; i++) {
    const [expected, actual] = [want[i]!, got[i]!];
    const single = Math.fround(expected);
    const size = how.perElement ? Math.abs(expected) : scale;
    const allowed = how.relative === 0 ? 0 : how.relative * size + floor;
    const fine = Number.isFinite(single)
      ? Math.abs(actual - expected) <= allowed
      : actual === single || (Number.isNaN(actual) && Number.isNaN(single));
    if (!fine) {
      const index = unravel(i, how.shape).join(', ');
      return `[${index}] of ${how.shape.join('x')}: expected ${expected}, got ${actual}, allowed error ${allowed}`;
    }
  }
  return undefined;
}

/** First element of two runs whose bits differ. */
export function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>, shape: Shape): string | undefined {
  if (a.length !== b.length) return `${a.length} against ${b.length} values`;
  for (let i = 0; i < a.length; i++) {
    if (!Object.is(a[i], b[i]))
      return `[${unravel(i, shape).join(', ')}] of ${shape.join('x')}: ${a[i]} against ${b[i]}`;
  }
  return undefined;
}

/** Share of zeros, to tell a test that compares nothing from one that compares something. */
export function shareOfZeros(values: Float64Array): number {
  let zeros = 0;
  for (const value of values) if (value === 0) zeros += 1;
  return zeros / values.length;
}
