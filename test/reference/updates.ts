// Float64 reference of the updates (docs/ops.md, "Updates"). Called by interpreter.ts, which writes the returned
// values over the persistent tensors named as the node's outputs. The rule easy to break: `step` counts finished
// steps, so Adam's t is step + 1.
import type { Attrs } from '../../src/graph/graph';
import { at, bool, num, type Reference, str, type Value, zeros } from './value';

function scalar(value: Value | undefined): number {
  if (value?.data.length !== 1) throw new Error('reference: expected a scalar');
  return value.data[0]!;
}

const adam: Reference = ([p, g, m, v, lrValue, step], _shapes, attrs) => {
  const [beta1, beta2, eps] = [num(attrs, 'beta1'), num(attrs, 'beta2'), num(attrs, 'eps')];
  const decay = num(attrs, 'weightDecay');
  const decoupled = bool(attrs, 'decoupled');
  const lr = scalar(lrValue);
  const t = scalar(step) + 1;
  const result = [zeros(p!.shape), zeros(p!.shape), zeros(p!.shape)] as [Value, Value, Value];
  for (let i = 0; i < p!.data.length; i++) {
    const old = p!.data[i]!;
    const grad = g!.data[i]! + (decoupled ? 0 : decay * old);
    const m1 = beta1 * m!.data[i]! + (1 - beta1) * grad;
    const v1 = beta2 * v!.data[i]! + (1 - beta2) * grad * grad;
    const mHat = m1 / (1 - beta1 ** t);
    const vHat = v1 / (1 - beta2 ** t);
    result[0].data[i] = old - (decoupled ? lr * decay * old : 0) - (lr * mHat) / (Math.sqrt(vHat) + eps);
    result[1].data[i] = m1;
    result[2].data[i] = v1;
  }
  return result;
};

const sgd: Reference = ([p, g, velocity, lrValue], _shapes, attrs) => {
  const momentum = num(attrs, 'momentum');
  const lr = scalar(lrValue);
  const result = [zeros(p!.shape), zeros(p!.shape)] as [Value, Value];
  for (let i = 0; i < p!.data.length; i++) {
    const grad = g!.data[i]! + num(attrs, 'weightDecay') * p!.data[i]!;
    const v = momentum * velocity!.data[i]! + grad;
    result[0].data[i] = p!.data[i]! - lr * (bool(attrs, 'nesterov') ? grad + momentum * v : v);
    result[1].data[i] = v;
  }
  return result;
};

const ema: Reference = ([s, x], _shapes, attrs) => {
  const momentum = num(attrs, 'momentum');
  const scale = num(attrs, 'scale');
  const data = s!.data.map((old, i) => (1 - momentum) * old + momentum * scale * x!.data[i]!);
  return [{ shape: s!.shape, data }];
};

/** The learning rate at a step. */
function rate(step: number, attrs: Attrs): number {
  const base = num(attrs, 'base');
  const warmup = num(attrs, 'warmup');
  if (step < warmup) return (base * (step + 1)) / warmup;
  const s = step - warmup;
  switch (str(attrs, 'kind')) {
    case 'constant':
      return base;
    case 'step':
      return base * num(attrs, 'factor') ** Math.floor(s / num(attrs, 'every'));
    case 'exponential':
      return base * num(attrs, 'factor') ** (s / num(attrs, 'every'));
    case 'cosine': {
      const part = Math.min(1, s / Math.max(1, num(attrs, 'total') - warmup));
      return num(attrs, 'floor') + ((base - num(attrs, 'floor')) * (1 + Math.cos(Math.PI * part))) / 2;
    }
    default:
      throw new Error(`reference: unknown schedule ${str(attrs, 'kind')}`);
  }
}

export const updates: Record<string, Reference> = {
  adam,
  sgd,
  ema,
  increment: ([step]) => [{ shape: step!.shape, data: step!.data.map((value) => value + 1) }],
  schedule: ([step], shapes, attrs) => [{ shape: at(shapes, 0), data: Float64Array.of(rate(scalar(step), attrs)) }],
};
