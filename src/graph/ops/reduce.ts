// Reductions and batch statistics. The rule easy to break: moments are memoised per tensor, and those of a last-axis
// concatenation are the concatenation of its parts', so a channel's statistics are computed once however many
// densely connected layers look at it.
import { ArgumentError, ShapeError } from '../../errors';
import type { Node, Tensor } from '../graph';
import { axisOf, boolean, describe, operands, rank, show, withDefaults } from './check';
import { stopGradient } from './elementwise';
import { concat } from './shape';

export interface ReduceOptions {
  /** Axes to reduce, counted from the end when negative. Default: all. */
  axes?: number | readonly number[];
  /** Keep the reduced axes with extent 1. Default false. */
  keepDims?: boolean;
}

function reduce(op: string, x: Tensor, options?: ReduceOptions): Tensor {
  const graph = operands(op, { x }, 'f32');
  const given = withDefaults<ReduceOptions>(op, options, { axes: x.shape.map((_, axis) => axis), keepDims: false });
  const list: unknown = typeof given.axes === 'number' ? [given.axes] : given.axes;
  if (!Array.isArray(list) || list.length === 0) {
    throw new ArgumentError(`[${op}] axes is an axis or a non-empty list of axes, got ${describe(given.axes)}`);
  }
  const axes = list.map((axis, index) => axisOf(op, `axes[${index}]`, axis, x.shape.length)).sort((a, b) => a - b);
  if (new Set(axes).size !== axes.length) throw new ArgumentError(`[${op}] axes repeat in ${describe(given.axes)}`);
  const keepDims = boolean(op, 'keepDims', given.keepDims);
  const kept = x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const left = kept.filter((_, axis) => !axes.includes(axis));
  const shape = keepDims ? kept : left.length === 0 ? [1] : left;
  return graph.append(op, [x], [{ shape }], { axes, keepDims })[0] as Tensor;
}

export const reduceSum = (x: Tensor, options?: ReduceOptions): Tensor => reduce('reduceSum', x, options);
export const reduceMean = (x: Tensor, options?: ReduceOptions): Tensor => reduce('reduceMean', x, options);
export const reduceMax = (x: Tensor, options?: ReduceOptions): Tensor => reduce('reduceMax', x, options);

/** [N,H,W,C] -> [N,C], the mean over space. */
export function globalAvgPool(x: Tensor): Tensor {
  operands('globalAvgPool', { x }, 'f32');
  rank('globalAvgPool', 'x', x, 4, '[N,H,W,C]');
  return reduceMean(x, { axes: [1, 2] });
}

export interface Moments {
  mean: Tensor;
  variance: Tensor;
}

/** Mean [C] and biased variance [C] of x[..., C] over all axes but the last. */
export function moments(x: Tensor): Moments {
  const graph = operands('moments', { x }, 'f32');
  if (x.shape.length < 2) throw new ShapeError(`[moments] x has rank >= 2, but ${show(x)} has rank 1`);
  const key = `moments:${x.id}`;
  const known = graph.memo.get(key) as [Tensor, Tensor] | undefined;
  const [mean, variance] = known ?? derivedMoments(x, graph.producer(x)) ?? appendMoments(x);
  graph.memo.set(key, [mean, variance]);
  return { mean, variance };
}

function appendMoments(x: Tensor): [Tensor, Tensor] {
  const shape = x.shape.slice(-1);
  return x.graph.append('moments', [x], [{ shape }, { shape }]) as [Tensor, Tensor];
}

/** The moments of a last-axis concatenation or of a stopped tensor, from those of what it was made of. */
function derivedMoments(x: Tensor, producer: Node | undefined): [Tensor, Tensor] | undefined {
  const source = (index: number): Tensor => x.graph.tensor(producer?.inputs[index] as number);
  if (producer?.op === 'concat' && producer.attrs.axis === x.shape.length - 1) {
    const parts = producer.inputs.map((_, index) => moments(source(index)));
    return [concat(parts.map((part) => part.mean)), concat(parts.map((part) => part.variance))];
  }
  if (producer?.op === 'stopGradient') {
    const { mean, variance } = moments(source(0));
    return [stopGradient(mean), stopGradient(variance)];
  }
  return undefined;
}
