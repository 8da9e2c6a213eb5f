// Float64 reference of the elementwise family of docs/ops.md. Called by interpreter.ts.
// The rule easy to break: reluGrad, tanhGrad, sigmoidGrad, leakyReluGrad and eluGrad read the op's *output*,
// absGrad its input.
import type { Attrs, Shape } from '../../src/graph/graph';
import { at, count, num, type Reference, unravel, type Value, zeros } from './value';

function map(f: (x: number, attrs: Attrs) => number): Reference {
  return ([x], _shapes, attrs) => [{ shape: x!.shape, data: x!.data.map((value) => f(value, attrs)) }];
}

function map2(f: (dy: number, y: number, attrs: Attrs) => number): Reference {
  return ([dy, y], _shapes, attrs) => [{ shape: y!.shape, data: dy!.data.map((d, i) => f(d, y!.data[i]!, attrs)) }];
}

/** Position in a tensor of shape `from` that element `index` of a broadcast result reads (numpy rules). */
function broadcastOffset(index: readonly number[], from: Shape): number {
  const skip = index.length - from.length;
  let flat = 0;
  for (let axis = 0; axis < from.length; axis++) {
    flat = flat * from[axis]! + (from[axis] === 1 ? 0 : index[skip + axis]!);
  }
  return flat;
}

/** x read as if it had shape `to`. */
export function broadcast(x: Value, to: Shape): Value {
  const result = zeros(to);
  for (let i = 0; i < result.data.length; i++) result.data[i] = x.data[broadcastOffset(unravel(i, to), x.shape)]!;
  return result;
}

function binary(f: (a: number, b: number) => number): Reference {
  return ([a, b], shapes) => {
    const shape = at(shapes, 0);
    const left = broadcast(a!, shape);
    const right = broadcast(b!, shape);
    return [{ shape, data: left.data.map((value, i) => f(value, right.data[i]!)) }];
  };
}

export function activate(kind: string, x: number, alpha: number): number {
  switch (kind) {
    case 'none':
      return x;
    case 'relu':
      return x <= 0 ? 0 : x; // Written so that NaN stays NaN.
    case 'leakyRelu':
      return x > 0 ? x : alpha * x;
    case 'elu':
      return x > 0 ? x : alpha * Math.expm1(x);
    case 'tanh':
      return Math.tanh(x);
    case 'sigmoid':
      return 1 / (1 + Math.exp(-x));
    default:
      throw new Error(`reference: unknown activation ${kind}`);
  }
}

/** Derivative of `activate` at input x. */
export function activateSlope(kind: string, x: number, alpha: number): number {
  const y = activate(kind, x, alpha);
  switch (kind) {
    case 'relu':
      return x > 0 ? 1 : 0;
    case 'leakyRelu':
      return x > 0 ? 1 : alpha;
    case 'elu':
      return x > 0 ? 1 : y + alpha;
    case 'tanh':
      return 1 - y * y;
    case 'sigmoid':
      return y * (1 - y);
    default:
      return 1;
  }
}

export const elementwise: Record<string, Reference> = {
  relu: map((x) => activate('relu', x, 0)),
  tanh: map(Math.tanh),
  sigmoid: map((x) => 1 / (1 + Math.exp(-x))),
  exp: map(Math.exp),
  log: map(Math.log),
  sqrt: map(Math.sqrt),
  square: map((x) => x * x),
  abs: map(Math.abs),
  leakyRelu: map((x, attrs) => activate('leakyRelu', x, num(attrs, 'alpha'))),
  elu: map((x, attrs) => activate('elu', x, num(attrs, 'alpha'))),
  affine: map((x, attrs) => num(attrs, 'scale') * x + num(attrs, 'offset')),
  stopGradient: map((x) => x),
  reluGrad: map2((dy, y) => (y > 0 ? dy : 0)),
  tanhGrad: map2((dy, y) => dy * (1 - y * y)),
  sigmoidGrad: map2((dy, y) => dy * y * (1 - y)),
  leakyReluGrad: map2((dy, y, attrs) => dy * (y > 0 ? 1 : num(attrs, 'alpha'))),
  eluGrad: map2((dy, y, attrs) => dy * (y > 0 ? 1 : y + num(attrs, 'alpha'))),
  absGrad: map2((dy, x) => dy * Math.sign(x)),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  fill: (_inputs, shapes, attrs) => {
    const shape = at(shapes, 0);
    return [{ shape, data: new Float64Array(count(shape)).fill(num(attrs, 'value')) }];
  },
};
