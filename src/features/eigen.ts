// Eigenvalues and eigenvectors of a symmetric matrix in float64: Householder reduction to a tridiagonal matrix, then QL
// steps with implicit shifts (Golub, Van Loan, Matrix Computations, 8.3). Called by pca.ts and lpq.ts.
// The rule easy to break: vectors are kept as rows, so that every inner loop runs along memory.
import { ArgumentError, ShapeError } from '../errors';

export interface Eigen {
  /** [n], largest first. */
  readonly values: Float64Array;
  /** [n, n]: row i is the unit vector of values[i]. */
  readonly vectors: Float64Array;
}

const MAX_SWEEPS = 64;

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** [n]: the element below diagonal i; the last is 0. */
  readonly below: Float64Array;
  /** [n, n]: the transposed product of the reflections. */
  readonly basis: Float64Array;
}

/**
 * The reflection I - scale v v' that turns x into a multiple of the first unit vector; x becomes v. A zero tail needs
 * none: scale 0.
 */
function reflection(x: Float64Array): { scale: number; image: number } {
  const largest = x.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  const tail = x.subarray(1).some((value) => value !== 0);
  if (!tail) return { scale: 0, image: x[0]! };
  const norm = largest * Math.sqrt(x.reduce((sum, value) => sum + (value / largest) ** 2, 0));
  const image = x[0]! > 0 ? -norm : norm; // The sign that adds instead of cancelling.
  x[0]! -= image;
  const squares = x.reduce((sum, value) => sum + (value / largest) ** 2, 0) * largest * largest;
  return { scale: 2 / squares, image };
}

/** a - v w' - w v' with the w that a reflection on both sides of the trailing block calls for. */
function reflectBlock(a: Float64Array, n: number, first: number, v: Float64Array, scale: number): void {
  const size = n - first;
  const w = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const row = (first + i) * n + first;
    let sum = 0;
    for (let j = 0; j < size; j++) sum += a[row + j]! * v[j]!;
    w[i] = scale * sum;
  }
  const half = (scale / 2) * v.reduce((sum, value, i) => sum + value * w[i]!, 0);
  for (let i = 0; i < size; i++) w[i]! -= half * v[i]!;
  for (let i = 0; i < size; i++) {
    const row = (first + i) * n + first;
    const [vi, wi] = [v[i]!, w[i]!];
    for (let j = 0; j < size; j++) a[row + j]! -= vi * w[j]! + wi * v[j]!;
  }
}

/** Overwrites `a`. */
function tridiagonal(a: Float64Array, n: number): Tridiagonal {
  const below = new Float64Array(n);
  const reflections: { v: Float64Array; scale: number }[] = [];
  for (let k = 0; k + 1 < n; k++) {
    const v = a.slice(k * n + k + 1, (k + 1) * n); // Row k is column k: the block stays symmetric.
    const { scale, image } = reflection(v);
    below[k] = image;
    reflections.push({ v, scale });
    if (scale !== 0) reflectBlock(a, n, k + 1, v, scale);
  }
  const diagonal = Float64Array.from({ length: n }, (_, i) => a[i * n + i]!);
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  for (let k = n - 2; k >= 0; k--) {
    const { v, scale } = reflections[k]!;
    if (scale === 0) continue;
    for (let i = k + 1; i < n; i++) {
      const row = i * n + k + 1;
      let sum = 0;
      for (let j = 0; j < v.length; j++) sum += basis[row + j]! * v[j]!;
      sum *= scale;
      for (let j = 0; j < v.length; j++) basis[row + j]! -= sum * v[j]!;
    }
  }
  return { diagonal, below, basis };
}

/** Turns rows i and i+1 of the basis by the rotation (cosine, sine). */
function rotateRows(basis: Float64Array, n: number, i: number, cosine: number, sine: number): void {
  const [upper, lower] = [i * n, (i + 1) * n];
  for (let k = 0; k < n; k++) {
    const [a, b] = [basis[upper + k]!, basis[lower + k]!];
    basis[lower + k] = sine * a + cosine * b;
    basis[upper + k] = cosine * a - sine * b;
  }
}

/** One QL step with an implicit shift on the rows first..last of an unreduced tridiagonal matrix. */
function qlStep({ diagonal: d, below: e, basis }: Tridiagonal, n: number, first: number, last: number): void {
  const ratio = (d[first + 1]! - d[first]!) / (2 * e[first]!);
  const shifted = ratio + (ratio < 0 ? -1 : 1) * Math.hypot(ratio, 1);
  let g = d[last]! - d[first]! + e[first]! / shifted;
  let [sine, cosine, moved] = [1, 1, 0];
  for (let i = last - 1; i >= first; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // The matrix falls apart here; the caller's next search finds the pieces.
      d[i + 1]! -= moved;
      e[last] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1]! - moved;
    const turn = (d[i]! - g) * sine + 2 * cosine * b;
    moved = sine * turn;
    d[i + 1] = g + moved;
    g = cosine * turn - b;
    rotateRows(basis, n, i, cosine, sine);
  }
  d[first]! -= moved;
  e[first] = g;
  e[last] = 0;
}

/**
 * All eigenvalues and eigenvectors of the symmetric [n, n] matrix `a` (its upper and lower halves must agree; it is not
 * changed). O(n^3). Throws ShapeError for a wrong length, ArgumentError for numbers that are not finite.
 */
export function symmetricEigen(a: ArrayLike<number>, n: number): Eigen {
  if (!Number.isSafeInteger(n) || n < 1 || a.length !== n * n) {
    throw new ShapeError(`[eigen] expected ${n * n} numbers for [${n}, ${n}], got ${a.length}`);
  }
  const copy = Float64Array.from(a);
  if (!copy.every(Number.isFinite)) throw new ArgumentError('[eigen] expected finite numbers');
  const matrix = tridiagonal(copy, n);
  const { diagonal: d, below: e, basis } = matrix;
  for (let first = 0; first < n; first++) {
    for (let sweep = 0; ; sweep++) {
      let last = first;
      while (last + 1 < n && Math.abs(e[last]!) > Number.EPSILON * (Math.abs(d[last]!) + Math.abs(d[last + 1]!)))
        last++;
      if (last === first) break;
      if (sweep === MAX_SWEEPS) throw new ArgumentError(`[eigen] no eigenvalue ${first} after ${sweep} steps`);
      qlStep(matrix, n, first, last);
    }
  }
  const order = Array.from(d.keys()).sort((i, j) => d[j]! - d[i]! || i - j);
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) vectors.set(basis.subarray(from * n, (from + 1) * n), to * n);
  return { values: Float64Array.from(order, (i) => d[i]!), vectors };
}

/**
 * Turns a vector so that its entry of largest magnitude is positive: an eigenvector has no sign of its own, and without
 * a rule rounding would choose it. Of entries equally large to 1e-6 the first counts.
 */
export function fixSign(vector: Float64Array): void {
  const largest = vector.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  const first = vector.find((value) => Math.abs(value) >= largest * (1 - 1e-6)) ?? 0;
  if (first < 0) for (let i = 0; i < vector.length; i++) vector[i] = -vector[i]!;
}
