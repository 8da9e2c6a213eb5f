// Builders of the nodes that change persistent tensors in place, and the learning-rate schedule. The rule easy to
// break: append gradients before updates; a gradient node that would read an updated tensor is refused by grad().
import { ArgumentError } from '../../errors';
import type { Graph, Tensor } from '../graph';
import { boolean, choice, hasShape, integer, operands, real, show, type Unchecked, withDefaults } from './check';

/** Checks that tensors are shaped as `p` and are not one another. */
function alike(op: string, p: Tensor, others: Readonly<Record<string, Tensor>>): void {
  const seen = new Set([p]);
  for (const [what, tensor] of Object.entries(others)) {
    hasShape(op, what, tensor, p.shape, `as ${show(p)}`);
    if (seen.has(tensor)) throw new ArgumentError(`[${op}] ${what} "${tensor.name}" is given twice`);
    seen.add(tensor);
  }
}

function counter(op: string, step: Tensor, owner?: Graph): Graph {
  const graph = operands(op, { step }, 'i32', owner);
  hasShape(op, 'step', step, [1], 'a counter');
  return graph;
}

export interface AdamState {
  /** Moments, states shaped as the parameter. */
  m: Tensor;
  v: Tensor;
  /** Learning rate [1]. */
  lr: Tensor;
  /** Counter i32[1]; the update number is step + 1. */
  step: Tensor;
}
export interface AdamOptions {
  beta1?: number;
  beta2?: number;
  eps?: number;
  weightDecay?: number;
  /** AdamW: decay the parameter itself instead of adding to the gradient. */
  decoupled?: boolean;
}

/** Adam (Kingma and Ba 2015) or, decoupled, AdamW (Loshchilov and Hutter 2019): updates p, m and v. */
export function adam(p: Tensor, g: Tensor, state: AdamState, options?: AdamOptions): void {
  const op = 'adam';
  const { m, v, lr, step } = withDefaults<Unchecked<AdamState>>(op, state, {
    ...{ m: undefined, v: undefined, lr: undefined, step: undefined },
  }) as AdamState;
  const graph = operands(op, { p, g, m, v, lr }, 'f32');
  counter(op, step, graph);
  alike(op, p, { g, m, v });
  hasShape(op, 'lr', lr, [1], 'a learning rate');
  const defaults = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, decoupled: false };
  const given = withDefaults(op, options, defaults);
  const attrs = {
    beta1: real(op, 'beta1', given.beta1, { least: 0, below: 1 }),
    beta2: real(op, 'beta2', given.beta2, { least: 0, below: 1 }),
    eps: real(op, 'eps', given.eps, { above: 0 }),
    weightDecay: real(op, 'weightDecay', given.weightDecay, { least: 0 }),
    decoupled: boolean(op, 'decoupled', given.decoupled),
  };
  graph.appendUpdate(op, [p, g, m, v, lr, step], [p, m, v], attrs);
}

export interface SgdState {
  /** State shaped as the parameter. */
  velocity: Tensor;
  /** Learning rate [1]. */
  lr: Tensor;
}
export interface SgdOptions {
  momentum?: number;
  nesterov?: boolean;
  weightDecay?: number;
}

/** Stochastic gradient descent with momentum: updates p and velocity. */
export function sgd(p: Tensor, g: Tensor, state: SgdState, options?: SgdOptions): void {
  const op = 'sgd';
  const given = withDefaults<Unchecked<SgdState>>(op, state, { velocity: undefined, lr: undefined });
  const { velocity, lr } = given as SgdState;
  const graph = operands(op, { p, g, velocity, lr }, 'f32');
  alike(op, p, { g, velocity });
  hasShape(op, 'lr', lr, [1], 'a learning rate');
  const chosen = withDefaults(op, options, { momentum: 0, nesterov: false, weightDecay: 0 });
  const attrs = {
    momentum: real(op, 'momentum', chosen.momentum, { least: 0, below: 1 }),
    nesterov: boolean(op, 'nesterov', chosen.nesterov),
    weightDecay: real(op, 'weightDecay', chosen.weightDecay, { least: 0 }),
  };
  graph.appendUpdate(op, [p, g, velocity, lr], [p, velocity], attrs);
}

/** s = (1 - momentum) s + momentum * scale * x; momentum in [0, 1]. */
export function ema(s: Tensor, x: Tensor, options: { momentum: number; scale?: number }): void {
  const graph = operands('ema', { s, x }, 'f32');
  alike('ema', s, { x });
  const given = withDefaults<Unchecked<{ momentum: number; scale: number }>>('ema', options, {
    momentum: undefined,
    scale: 1,
  });
  const momentum = real('ema', 'momentum', given.momentum, { least: 0, most: 1 });
  graph.appendUpdate('ema', [s, x], [s], { momentum, scale: real('ema', 'scale', given.scale) });
}

/** Adds 1 to a counter i32[1]. */
export function increment(step: Tensor): void {
  counter('increment', step).appendUpdate('increment', [step], [step]);
}

export interface ScheduleOptions {
  /** Default 'constant'. */
  kind?: 'constant' | 'step' | 'cosine' | 'exponential';
  /** Learning rate after the warm-up, >= 0. */
  base: number;
  /** Steps of linear rise. Default 0. */
  warmup?: number;
  /** cosine: the step at which `floor` is reached. Default 1. */
  total?: number;
  /** step and exponential: steps per factor. Default 1. */
  every?: number;
  /** step and exponential: what the rate is multiplied by. Default 1. */
  factor?: number;
  /** cosine: the last rate. Default 0. */
  floor?: number;
}

/** The learning rate [1] of a step (docs/ops.md has the formulas). */
export function schedule(step: Tensor, options: ScheduleOptions): Tensor {
  const op = 'schedule';
  const graph = counter(op, step);
  const given = withDefaults<Unchecked<ScheduleOptions>>(op, options, {
    ...{ kind: 'constant', base: undefined, warmup: 0, total: 1, every: 1, factor: 1, floor: 0 },
  });
  const attrs = {
    kind: choice(op, 'kind', given.kind, ['constant', 'step', 'cosine', 'exponential']),
    base: real(op, 'base', given.base, { least: 0 }),
    warmup: integer(op, 'warmup', given.warmup, 0),
    total: integer(op, 'total', given.total, 1),
    every: integer(op, 'every', given.every, 1),
    factor: real(op, 'factor', given.factor, { above: 0 }),
    floor: real(op, 'floor', given.floor, { least: 0 }),
  };
  return graph.append(op, [step], [{ shape: [1] }], attrs)[0] as Tensor;
}
