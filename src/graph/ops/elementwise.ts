// Elementwise op builders: activations, arithmetic with numpy broadcasting, dropout. Called by layers, objectives and
// gradient rules. The rule easy to break: relu, leakyRelu, elu, tanh and sigmoid are differentiated from their output,
// which is why alpha may not be negative.
import { ArgumentError, ShapeError } from '../../errors';
import { formatShape, Graph, type Shape, type Tensor } from '../graph';
import {
  choice,
  describe,
  hasShape,
  integer,
  operands,
  real,
  sameShape,
  shapeOf,
  show,
  type Unchecked,
  withDefaults,
} from './check';
import { reshape } from './shape';

export const ACTIVATIONS = ['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** alpha of an activation when the caller gives none; 0 where it has no meaning. */
export const DEFAULT_ALPHA: Readonly<Record<Activation, number>> = {
  none: 0,
  relu: 0,
  leakyRelu: 0.01,
  elu: 1,
  tanh: 0,
  sigmoid: 0,
};

function unary(op: string, x: Tensor, attrs: Record<string, number> = {}): Tensor {
  const graph = operands(op, { x }, 'f32');
  return graph.append(op, [x], [{ shape: x.shape }], attrs)[0] as Tensor;
}

/** max(x, 0) */
export const relu = (x: Tensor): Tensor => unary('relu', x);
export const tanh = (x: Tensor): Tensor => unary('tanh', x);
/** 1 / (1 + exp(-x)) */
export const sigmoid = (x: Tensor): Tensor => unary('sigmoid', x);
export const exp = (x: Tensor): Tensor => unary('exp', x);
/** Natural logarithm. */
export const log = (x: Tensor): Tensor => unary('log', x);
export const sqrt = (x: Tensor): Tensor => unary('sqrt', x);
export const square = (x: Tensor): Tensor => unary('square', x);
export const abs = (x: Tensor): Tensor => unary('abs', x);

/** x > 0 ? x : alpha x, alpha >= 0. */
export function leakyRelu(x: Tensor, options?: { alpha?: number }): Tensor {
  const { alpha } = withDefaults('leakyRelu', options, { alpha: DEFAULT_ALPHA.leakyRelu });
  return unary('leakyRelu', x, { alpha: real('leakyRelu', 'alpha', alpha, { least: 0 }) });
}

/** x > 0 ? x : alpha (exp(x) - 1), alpha >= 0. */
export function elu(x: Tensor, options?: { alpha?: number }): Tensor {
  const { alpha } = withDefaults('elu', options, { alpha: DEFAULT_ALPHA.elu });
  return unary('elu', x, { alpha: real('elu', 'alpha', alpha, { least: 0 }) });
}

/** The activation of that name; 'none' returns x itself. alpha is used by leakyRelu and elu. */
export function activation(x: Tensor, kind: Activation, alpha?: number): Tensor {
  operands('activation', { x }, 'f32');
  const options = alpha === undefined ? {} : { alpha };
  switch (choice('activation', 'kind', kind, ACTIVATIONS)) {
    case 'none':
      return x;
    case 'relu':
      return relu(x);
    case 'leakyRelu':
      return leakyRelu(x, options);
    case 'elu':
      return elu(x, options);
    case 'tanh':
      return tanh(x);
    case 'sigmoid':
      return sigmoid(x);
  }
}

/** scale * x + offset, both numbers. */
export function affine(x: Tensor, options?: { scale?: number; offset?: number }): Tensor {
  const { scale, offset } = withDefaults('affine', options, { scale: 1, offset: 0 });
  return unary('affine', x, { scale: real('affine', 'scale', scale), offset: real('affine', 'offset', offset) });
}

/** The numpy broadcast of two shapes; undefined when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): number[] | undefined {
  const dimensions = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let axis = 0; axis < dimensions; axis++) {
    const left = a[axis - dimensions + a.length] ?? 1;
    const right = b[axis - dimensions + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    result.push(Math.max(left, right));
  }
  return result;
}

function binary(op: string, a: Tensor, b: Tensor): Tensor {
  const graph = operands(op, { a, b }, 'f32');
  const shape = broadcastShapes(a.shape, b.shape);
  if (!shape) throw new ShapeError(`[${op}] ${show(a)} and ${show(b)} do not broadcast`);
  return graph.append(op, [a, b], [{ shape }])[0] as Tensor;
}

export const add = (a: Tensor, b: Tensor): Tensor => binary('add', a, b);
export const sub = (a: Tensor, b: Tensor): Tensor => binary('sub', a, b);
export const mul = (a: Tensor, b: Tensor): Tensor => binary('mul', a, b);
export const div = (a: Tensor, b: Tensor): Tensor => binary('div', a, b);
export const maximum = (a: Tensor, b: Tensor): Tensor => binary('maximum', a, b);
export const minimum = (a: Tensor, b: Tensor): Tensor => binary('minimum', a, b);

/** x[..., C] + b[C] */
export function bias(x: Tensor, b: Tensor): Tensor {
  operands('bias', { x, b }, 'f32');
  hasShape('bias', 'b', b, x.shape.slice(-1), `one value per channel of ${show(x)}`);
  return add(x, b);
}

/** x times a factor per channel, s[C], or per sample and channel, s[N,C] or s[N,1,...,1,C]. */
export function channelScale(x: Tensor, s: Tensor): Tensor {
  operands('channelScale', { x, s }, 'f32');
  const batch = x.shape[0] as number;
  const channels = x.shape.at(-1) as number;
  const spread = x.shape.map((extent, axis) => (axis === 0 || axis === x.shape.length - 1 ? extent : 1));
  if (sameShape(s.shape, [channels])) return mul(x, s);
  if (x.shape.length > 1 && sameShape(s.shape, spread)) return mul(x, s);
  if (x.shape.length > 1 && sameShape(s.shape, [batch, channels])) return mul(x, reshape(s, spread));
  throw new ShapeError(
    `[channelScale] s has shape ${channels}, ${batch}x${channels} or ${formatShape(spread)}, but ${show(s)} was given for ${show(x)}`,
  );
}

/** A constant f32 tensor. */
export function fill(graph: Graph, shape: Shape, value: number): Tensor {
  if (!(graph instanceof Graph))
    throw new ArgumentError(`[fill] the first argument is a graph, got ${describe(graph)}`);
  const attrs = { value: real('fill', 'value', value) };
  return graph.append('fill', [], [{ shape: shapeOf('fill', 'shape', shape) }], attrs)[0] as Tensor;
}

/** x itself, as a constant to the gradient. */
export const stopGradient = (x: Tensor): Tensor => unary('stopGradient', x);

/** 1 above 0, -1 below, 0 at 0. A constant to the gradient. */
export function sign(x: Tensor): Tensor {
  const graph = operands('sign', { x }, 'f32');
  return graph.append('absGrad', [fill(graph, x.shape, 1), stopGradient(x)], [{ shape: x.shape }])[0] as Tensor;
}

/**
 * Keeps each element with probability 1 - rate and scales it by 1/(1 - rate). `step` is the i32[1] step counter; rate is
 * in [0, 1), seed an integer from 0 to 2^53 - 1. Each dropout of a graph draws from a stream of its own.
 */
export function dropout(x: Tensor, step: Tensor, options: { rate: number; seed: number }): Tensor {
  const graph = operands('dropout', { x }, 'f32');
  operands('dropout', { step }, 'i32', graph);
  hasShape('dropout', 'step', step, [1], 'a counter');
  const given = withDefaults<Unchecked<{ rate: number; seed: number }>>('dropout', options, {
    rate: undefined,
    seed: undefined,
  });
  const rate = real('dropout', 'rate', given.rate, { least: 0, below: 1 });
  const seed = integer('dropout', 'seed', given.seed, 0, Number.MAX_SAFE_INTEGER);
  const streams = graph.nodes.filter((node) => node.op === 'dropout').map((node) => node.attrs.node as number);
  const node = streams.reduce((next, stream) => Math.max(next, stream + 1), 0);
  return graph.append('dropout', [x, step], [{ shape: x.shape }], { rate, seed, node })[0] as Tensor;
}
