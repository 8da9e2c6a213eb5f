// Float64 reference of the dependence objectives (docs/ops.md, "Dependence objectives"). Called by interpreter.ts.
// Formulas are written from their definitions with plain m x m loops; the gradient is A = dL/dK (one formula per
// objective) carried to dL/dG. The rule easy to break: sigma, also a median one, is a constant of the gradient.
import type { Attrs } from '../../src/graph/graph';
import { at, bool, num, type Reference, str, type Value, zeros } from './value';

/** A square matrix as its rows. */
type Square = number[][];

function square(value: Value): Square {
  const m = value.shape[0]!;
  return Array.from({ length: m }, (_, i) => Array.from(value.data.subarray(i * m, (i + 1) * m)));
}

function flat(k: Square, shape: readonly number[]): Value {
  return { shape, data: Float64Array.from(k.flat()) };
}

function build(m: number, f: (i: number, j: number) => number): Square {
  return Array.from({ length: m }, (_, i) => Array.from({ length: m }, (_, j) => f(i, j)));
}

function sum(values: readonly number[]): number {
  return values.reduce((acc, value) => acc + value, 0);
}

/** H K H, H = I - 11'/m. */
function centre(k: Square): Square {
  const m = k.length;
  const rowMean = k.map((row) => sum(row) / m);
  const colMean = build(m, (j, i) => k[i]![j]!).map((col) => sum(col) / m);
  const mean = sum(rowMean) / m;
  return build(m, (i, j) => k[i]![j]! - rowMean[i]! - colMean[j]! + mean);
}

/** sum_ij a_ij b_ij, which is tr(AB) for symmetric matrices. */
function inner(a: Square, b: Square): number {
  return sum(a.map((row, i) => sum(row.map((value, j) => value * b[i]![j]!))));
}

function product(a: Square, b: Square): Square {
  const m = a.length;
  return build(m, (i, j) => {
    let total = 0;
    for (let l = 0; l < m; l++) total += a[i]![l]! * b[l]![j]!;
    return total;
  });
}

/** Inverse by Gauss-Jordan elimination with row pivoting. */
function inverse(a: Square): Square {
  const m = a.length;
  const work = a.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let col = 0; col < m; col++) {
    let pivot = col;
    for (let r = col + 1; r < m; r++) if (Math.abs(work[r]![col]!) > Math.abs(work[pivot]![col]!)) pivot = r;
    [work[col], work[pivot]] = [work[pivot]!, work[col]!];
    const lead = work[col]![col]!;
    work[col] = work[col]!.map((value) => value / lead);
    for (let r = 0; r < m; r++) {
      const factor = work[r]![col]!;
      if (r === col || factor === 0) continue;
      work[r] = work[r]!.map((value, j) => value - factor * work[col]![j]!);
    }
  }
  return work.map((row) => row.slice(m));
}

/** (Kc + eps m I)^-1 for a centred Kc. */
function regularInverse(kc: Square, eps: number): Square {
  const m = kc.length;
  return inverse(build(m, (i, j) => kc[i]![j]! + (i === j ? eps * m : 0)));
}

interface KernelOf {
  readonly e: Square;
  readonly sigma: number;
  /** Denominator of the Gaussian; 0 for linear or when all rows are equal. */
  readonly g: number;
}

function kernelOf(gram: Square, attrs: Attrs): KernelOf {
  const m = gram.length;
  const kernel = str(attrs, 'kernel');
  if (kernel === 'linear') return { e: gram, sigma: 0, g: 0 };
  if (kernel !== 'gaussian') throw new Error(`reference: unknown kernel ${kernel}`);
  const features = num(attrs, 'features');
  const d = build(m, (i, j) => (i === j ? 0 : Math.max(0, gram[i]![i]! + gram[j]![j]! - 2 * gram[i]![j]!)));
  let sigma = num(attrs, 'sigma');
  let g = 2 * sigma * sigma * features;
  if (sigma <= 0) {
    const upper = d.flatMap((row, i) => row.slice(i + 1)).sort((left, right) => left - right);
    g = 2 * upper[Math.floor((upper.length - 1) / 2)]!;
    sigma = Math.sqrt(g / (2 * features));
  }
  return { e: g === 0 ? build(m, () => 0) : build(m, (i, j) => Math.expm1(-d[i]![j]! / g)), sigma, g };
}

/** U-centring of Song et al. (JMLR 2012): zero diagonal, rows of the off-diagonal part summing to zero; m >= 4. */
function uCentre(k: Square): Square {
  const m = k.length;
  const r = k.map((row, i) => sum(row) - row[i]!);
  const t = sum(r);
  return build(m, (i, j) => (i === j ? 0 : k[i]![j]! - (r[i]! + r[j]!) / (m - 2) + t / ((m - 1) * (m - 2))));
}

/** Unbiased HSIC of Song et al., in its three-term form; 0 for m < 4. */
function unbiasedHsic(k: Square, l: Square): number {
  const m = k.length;
  if (m < 4) return 0;
  const kt = build(m, (i, j) => (i === j ? 0 : k[i]![j]!));
  const lt = build(m, (i, j) => (i === j ? 0 : l[i]![j]!));
  const kRows = kt.map(sum);
  const lRows = lt.map(sum);
  const cross = sum(kRows.map((value, i) => value * lRows[i]!));
  const trace = inner(kt, lt);
  return (trace + (sum(kRows) * sum(lRows)) / ((m - 1) * (m - 2)) - (2 * cross) / (m - 2)) / (m * (m - 3));
}

const TINY_NORM = 1e-12;

function cka(kc: Square, lc: Square): number {
  const [nk, nl] = [Math.sqrt(inner(kc, kc)), Math.sqrt(inner(lc, lc))];
  return nk < TINY_NORM || nl < TINY_NORM ? 0 : inner(kc, lc) / (nk * nl);
}

/** dcka(K, L)/dK. */
function ckaSlope(kc: Square, lc: Square): Square {
  const m = kc.length;
  const [nk, nl] = [Math.sqrt(inner(kc, kc)), Math.sqrt(inner(lc, lc))];
  if (nk < TINY_NORM || nl < TINY_NORM) return build(m, () => 0);
  const value = cka(kc, lc);
  return build(m, (i, j) => (lc[i]![j]! / nl - (value * kc[i]![j]!) / nk) / nk);
}

interface Terms {
  /** The X and Y terms as they enter the loss, without beta. */
  readonly x: number;
  readonly y: number;
  readonly loss: number;
  /** dL/dK, symmetric. */
  readonly slope: Square;
}

function terms(e: Square, others: readonly Square[], attrs: Attrs): Terms {
  const m = e.length;
  const [ex, ey, rx, ry] = others as [Square, Square, Square, Square];
  const beta = num(attrs, 'beta');
  const [kc, exc, eyc] = [centre(e), centre(ex), centre(ey)];
  switch (str(attrs, 'kind')) {
    case 'hsic': {
      if (bool(attrs, 'unbiased')) {
        const [x, y] = [unbiasedHsic(e, ex), unbiasedHsic(e, ey)];
        const u = uCentre(build(m, (i, j) => ex[i]![j]! - beta * ey[i]![j]!));
        return { x, y, loss: x - beta * y, slope: build(m, (i, j) => u[i]![j]! / (m * (m - 3))) };
      }
      const c = (m - 1) ** num(attrs, 'power');
      const [x, y] = [inner(kc, exc) / c, inner(kc, eyc) / c];
      return { x, y, loss: x - beta * y, slope: build(m, (i, j) => (exc[i]![j]! - beta * eyc[i]![j]!) / c) };
    }
    case 'nhsic': {
      const eps = num(attrs, 'eps');
      const inv = regularInverse(kc, eps);
      const rz = product(kc, inv);
      const [x, y] = [inner(rz, rx), inner(rz, ry)];
      const b = build(m, (i, j) => rx[i]![j]! - beta * ry[i]![j]!);
      const inside = centre(product(product(inv, b), inv));
      return { x, y, loss: x - beta * y, slope: build(m, (i, j) => eps * m * inside[i]![j]!) };
    }
    case 'cka': {
      const [x, y] = [cka(kc, exc), cka(kc, eyc)];
      const [sx, sy] = [ckaSlope(kc, exc), ckaSlope(kc, eyc)];
      return { x, y, loss: x - beta * y, slope: build(m, (i, j) => sx[i]![j]! - beta * sy[i]![j]!) };
    }
    case 'phsic': {
      const gamma = num(attrs, 'gamma');
      const c = (m - 1) ** 2;
      const [x, y] = [inner(kc, kc) / c, inner(kc, eyc) / c];
      return { x, y, loss: x - gamma * y, slope: build(m, (i, j) => (2 * kc[i]![j]! - gamma * eyc[i]![j]!) / c) };
    }
    default:
      throw new Error(`reference: unknown objective ${str(attrs, 'kind')}`);
  }
}

function effectiveRank(gram: Square): number {
  const gc = centre(gram);
  const size = inner(gc, gc);
  return size === 0 ? 0 : sum(gc.map((row, i) => row[i]!)) ** 2 / size;
}

const hsicObjective: Reference = ([gramValue, ...rest], shapes, attrs) => {
  const gram = square(gramValue!);
  const m = gram.length;
  const { e, g } = kernelOf(gram, attrs);
  const others = rest.map(square);
  const { x, y, loss, slope } = terms(e, others, attrs);
  const [ex, ey] = [at(others, 0), at(others, 1)];
  const [kc, exc, eyc] = [centre(e), centre(ex), centre(ey)];
  const report = [
    loss,
    x,
    y,
    unbiasedHsic(e, ex),
    unbiasedHsic(e, ey),
    cka(kc, exc),
    cka(kc, eyc),
    effectiveRank(gram),
  ];
  let dG = slope;
  if (str(attrs, 'kernel') === 'gaussian') {
    const s = build(m, (i, j) => slope[i]![j]! * (1 + e[i]![j]!));
    const rows = s.map(sum);
    dG = build(m, (i, j) => (g === 0 ? 0 : (2 / g) * (s[i]![j]! - (i === j ? rows[i]! : 0))));
  }
  return [
    { shape: at(shapes, 0), data: Float64Array.of(loss) },
    { shape: at(shapes, 1), data: Float64Array.from(report) },
    flat(dG, at(shapes, 2)),
  ];
};

/** Rows of z, minus the column means when `center`. */
function rowsOf(z: Value, center: boolean): number[][] {
  const [m, d] = z.shape as [number, number];
  const rows = Array.from({ length: m }, (_, i) => Array.from(z.data.subarray(i * d, (i + 1) * d)));
  if (!center) return rows;
  const means = Array.from({ length: d }, (_, c) => sum(rows.map((row) => row[c]!)) / m);
  return rows.map((row) => row.map((value, c) => value - means[c]!));
}

const gram: Reference = ([z], shapes, attrs) => {
  const rows = rowsOf(z!, bool(attrs, 'center'));
  const dot = (a: readonly number[], b: readonly number[]) => {
    let total = 0;
    for (let c = 0; c < a.length; c++) total += a[c]! * b[c]!;
    return total;
  };
  return [
    flat(
      build(rows.length, (i, j) => dot(rows[i]!, rows[j]!)),
      at(shapes, 0),
    ),
  ];
};

const gramGrad: Reference = ([dGValue, z], shapes, attrs) => {
  const dG = square(dGValue!);
  const m = dG.length;
  const twice = build(m, (i, j) => dG[i]![j]! + dG[j]![i]!);
  const weight = bool(attrs, 'center') ? centre(twice) : twice;
  const dz = zeros(at(shapes, 0));
  const d = dz.shape[1]!;
  for (let i = 0; i < m; i++)
    for (let c = 0; c < d; c++) {
      for (let j = 0; j < m; j++) dz.data[i * d + c]! += weight[i]![j]! * z!.data[j * d + c]!;
    }
  return [dz];
};

export const hsic: Record<string, Reference> = {
  gram,
  gramGrad,
  kernelMatrix: ([gramValue], shapes, attrs) => {
    const { e, sigma } = kernelOf(square(gramValue!), attrs);
    return [flat(e, at(shapes, 0)), { shape: at(shapes, 1), data: Float64Array.of(sigma) }];
  },
  labelKernel: ([labels], shapes) => {
    const same = build(labels!.data.length, (i, j) => (labels!.data[i] === labels!.data[j] ? 1 : 0));
    return [flat(same, at(shapes, 0))];
  },
  hsicNormalize: ([e], shapes, attrs) => {
    const kc = centre(square(e!));
    return [flat(product(kc, regularInverse(kc, num(attrs, 'eps'))), at(shapes, 0))];
  },
  hsicObjective,
};
