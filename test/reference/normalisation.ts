// Float64 reference of batchNorm, rowNormalize and their gradients (docs/ops.md, "Normalisation").
// Called by interpreter.ts. batchNormGradInput in training includes the path through mean and variance, so a graph
// that also sends gradients through `moments` would count it twice.
import { activate, activateSlope } from './elementwise';
import { at, bool, matrixOf, num, type Reference, str, type Value, zeros } from './value';

interface Normal {
  readonly xhat: number;
  /** gamma * xhat + beta, before the activation. */
  readonly pre: number;
  readonly invStd: number;
}

/** xhat and pre-activation of element i, column c; stats = [mean, variance, gamma, beta]. */
function normal(x: Value, stats: readonly Value[], i: number, c: number, eps: number): Normal {
  const [mean, variance, gamma, beta] = stats as [Value, Value, Value, Value];
  const invStd = 1 / Math.sqrt(variance.data[c]! + eps);
  const xhat = (x.data[i]! - mean.data[c]!) * invStd;
  return { xhat, pre: gamma.data[c]! * xhat + beta.data[c]!, invStd };
}

const batchNorm: Reference = ([x, ...stats], _shapes, attrs) => {
  bool(attrs, 'training'); // Decides the gradient only.
  const { cols } = matrixOf(x!);
  const data = x!.data.map((_value, i) => {
    const { pre } = normal(x!, stats, i, i % cols, num(attrs, 'eps'));
    return activate(str(attrs, 'activation'), pre, num(attrs, 'alpha'));
  });
  return [{ shape: x!.shape, data }];
};

const batchNormGradParams: Reference = ([dy, x, ...stats], shapes, attrs) => {
  const { cols } = matrixOf(x!);
  const dgamma = zeros(at(shapes, 0));
  const dbeta = zeros(at(shapes, 1));
  for (let i = 0; i < x!.data.length; i++) {
    const { xhat, pre } = normal(x!, stats, i, i % cols, num(attrs, 'eps'));
    const d = dy!.data[i]! * activateSlope(str(attrs, 'activation'), pre, num(attrs, 'alpha'));
    dgamma.data[i % cols]! += d * xhat;
    dbeta.data[i % cols]! += d;
  }
  return [dgamma, dbeta];
};

const batchNormGradInput: Reference = ([dy, x, ...rest], _shapes, attrs) => {
  const stats = rest.slice(0, 4);
  const [gamma, dgamma, dbeta] = [at(rest, 2), at(rest, 4), at(rest, 5)];
  const { rows, cols } = matrixOf(x!);
  const data = x!.data.map((_value, i) => {
    const c = i % cols;
    const { xhat, pre, invStd } = normal(x!, stats, i, c, num(attrs, 'eps'));
    const d = dy!.data[i]! * activateSlope(str(attrs, 'activation'), pre, num(attrs, 'alpha'));
    const through = bool(attrs, 'training') ? dbeta.data[c]! / rows + (xhat * dgamma.data[c]!) / rows : 0;
    return gamma.data[c]! * invStd * (d - through);
  });
  return [{ shape: x!.shape, data }];
};

function rowNorm(z: Value, row: number): number {
  const { cols } = matrixOf(z);
  let sum = 0;
  for (let c = 0; c < cols; c++) sum += z.data[row * cols + c]! ** 2;
  return Math.sqrt(sum);
}

const rowNormalize: Reference = ([z], _shapes, attrs) => {
  const { cols } = matrixOf(z!);
  const eps = num(attrs, 'eps');
  const data = z!.data.map((value, i) => value / Math.max(rowNorm(z!, Math.floor(i / cols)), eps));
  return [{ shape: z!.shape, data }];
};

const rowNormalizeGrad: Reference = ([dy, z], _shapes, attrs) => {
  const { rows, cols } = matrixOf(z!);
  const eps = num(attrs, 'eps');
  const dz = zeros(z!.shape);
  for (let r = 0; r < rows; r++) {
    const norm = rowNorm(z!, r);
    if (norm < eps) continue;
    let dot = 0;
    for (let c = 0; c < cols; c++) dot += (z!.data[r * cols + c]! / norm) * dy!.data[r * cols + c]!;
    for (let c = 0; c < cols; c++) {
      const i = r * cols + c;
      dz.data[i] = (dy!.data[i]! - (z!.data[i]! / norm) * dot) / norm;
    }
  }
  return [dz];
};

export const normalisation: Record<string, Reference> = {
  batchNorm,
  batchNormGradParams,
  batchNormGradInput,
  rowNormalize,
  rowNormalizeGrad,
};
