// Builders of the ops that move data without computing: reshape, transpose, concat, slice, pad, broadcast, gather.
// The rule easy to break: one that would change nothing (concat of one tensor, reshape or broadcast to the same shape)
// returns its argument and appends no node.
import { ArgumentError, ShapeError } from '../../errors';
import { formatShape, type Shape, sizeOf, type Tensor } from '../graph';
import {
  axisOf,
  describe,
  integer,
  integers,
  operands,
  rank,
  real,
  sameShape,
  shapeOf,
  show,
  type Unchecked,
  withDefaults,
} from './check';

/** x, of any dtype, in row-major order as another shape; one dimension may be -1 and is then worked out. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const graph = operands('reshape', { x });
  const wanted = shapeOf('reshape', 'shape', shape, -1);
  const free = wanted.filter((extent) => extent === -1).length;
  if (free > 1) throw new ArgumentError(`[reshape] at most one dimension is -1, got ${describe(shape)}`);
  if (wanted.includes(0)) throw new ArgumentError(`[reshape] every dimension is >= 1 or -1, got ${describe(shape)}`);
  const rest = sizeOf(wanted.filter((extent) => extent !== -1));
  const size = sizeOf(x.shape);
  const target = wanted.map((extent) => (extent === -1 ? Math.floor(size / rest) : extent));
  if (sizeOf(target) !== size) {
    throw new ShapeError(`[reshape] ${show(x)} has ${size} elements, which do not make ${wanted.join('x')}`);
  }
  if (sameShape(target, x.shape)) return x;
  return graph.append('reshape', [x], [{ shape: target, dtype: x.dtype }])[0] as Tensor;
}

/** [N, ...] as [N, rest]. */
export function flatten(x: Tensor): Tensor {
  operands('flatten', { x }, 'f32');
  return reshape(x, [x.shape[0] as number, -1]);
}

/** y.shape[i] = x.shape[perm[i]]; perm names every axis once. */
export function transpose(x: Tensor, perm: readonly number[]): Tensor {
  const graph = operands('transpose', { x }, 'f32');
  const axes = integers('transpose', 'perm', perm, 0, x.shape.length);
  if ([...axes].sort((a, b) => a - b).some((axis, index) => axis !== index)) {
    throw new ArgumentError(`[transpose] perm names every axis of ${show(x)} once, got ${describe(perm)}`);
  }
  const shape = axes.map((axis) => x.shape[axis] as number);
  return graph.append('transpose', [x], [{ shape }], { perm: axes })[0] as Tensor;
}

/** Joins tensors along an axis (default the last); their other dimensions agree. */
export function concat(xs: readonly Tensor[], options?: { axis?: number }): Tensor {
  if (!Array.isArray(xs) || xs.length === 0) {
    throw new ArgumentError(`[concat] the first argument is a non-empty list of tensors, got ${describe(xs)}`);
  }
  const tensors: readonly Tensor[] = xs;
  const graph = operands('concat', Object.fromEntries(tensors.map((x, index) => [`xs[${index}]`, x])), 'f32');
  const first = tensors[0] as Tensor;
  const given = withDefaults('concat', options, { axis: -1 });
  const axis = axisOf('concat', 'axis', given.axis, first.shape.length);
  for (const x of tensors) {
    const fits = x.shape.length === first.shape.length && x.shape.every((e, i) => i === axis || e === first.shape[i]);
    if (!fits) throw new ShapeError(`[concat] ${show(x)} does not join ${show(first)} on axis ${axis}`);
  }
  if (tensors.length === 1) return first;
  const total = tensors.reduce((sum, x) => sum + (x.shape[axis] as number), 0);
  const shape = first.shape.map((extent, index) => (index === axis ? total : extent));
  return graph.append('concat', tensors, [{ shape }], { axis })[0] as Tensor;
}

/** The box of `size` that starts at `begin`; a size of -1 reaches the end. */
export function slice(x: Tensor, begin: readonly number[], size: readonly number[]): Tensor {
  const graph = operands('slice', { x }, 'f32');
  const from = integers('slice', 'begin', begin, 0, x.shape.length);
  const wanted = integers('slice', 'size', size, -1, x.shape.length);
  const shape = x.shape.map((extent, axis) => {
    const start = from[axis] as number;
    const length = wanted[axis] === -1 ? extent - start : (wanted[axis] as number);
    if (length < 1 || start + length > extent) {
      throw new ShapeError(
        `[slice] begin ${describe(from)} with size ${describe(wanted)} leaves ${show(x)} on axis ${axis}, which has ${extent}`,
      );
    }
    return length;
  });
  return graph.append('slice', [x], [{ shape }], { begin: from, size: shape })[0] as Tensor;
}

/** x with `before` and `after` cells of `value` around it on each axis. */
export function pad(
  x: Tensor,
  before: readonly number[],
  after: readonly number[],
  options?: { value?: number },
): Tensor {
  const graph = operands('pad', { x }, 'f32');
  const head = integers('pad', 'before', before, 0, x.shape.length);
  const tail = integers('pad', 'after', after, 0, x.shape.length);
  const { value } = withDefaults('pad', options, { value: 0 });
  const shape = x.shape.map((extent, axis) => extent + (head[axis] as number) + (tail[axis] as number));
  const attrs = { before: head, after: tail, value: real('pad', 'value', value) };
  return graph.append('pad', [x], [{ shape }], attrs)[0] as Tensor;
}

/** x repeated to a shape it broadcasts to, as numpy. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  const graph = operands('broadcastTo', { x }, 'f32');
  const target = shapeOf('broadcastTo', 'shape', shape);
  const lead = target.length - x.shape.length;
  if (lead < 0 || x.shape.some((extent, axis) => extent !== 1 && extent !== target[axis + lead])) {
    throw new ShapeError(`[broadcastTo] ${show(x)} does not broadcast to ${formatShape(target)}`);
  }
  if (sameShape(target, x.shape)) return x;
  return graph.append('broadcastTo', [x], [{ shape: target }])[0] as Tensor;
}

/** y[n,k] = x[n, index[n,k]] for x[N,P,D] and index i32[N,K]; an index outside 0..P-1 is an error at run time. */
export function gather(x: Tensor, index: Tensor): Tensor {
  const graph = operands('gather', { x }, 'f32');
  operands('gather', { index }, 'i32', graph);
  rank('gather', 'x', x, 3, '[N,P,D]');
  rank('gather', 'index', index, 2, '[N,K]');
  const [n, , d] = x.shape as [number, number, number];
  const [samples, k] = index.shape as [number, number];
  if (samples !== n)
    throw new ShapeError(`[gather] index has ${samples} samples but x has ${n} (${show(x)}, ${show(index)})`);
  return graph.append('gather', [x, index], [{ shape: [n, k, d] }])[0] as Tensor;
}

/** i32[N,k]: of each sample of x[N,P,D], the k rows of largest L2 norm, ascending. Not differentiable. */
export function topK(x: Tensor, options: { k: number }): Tensor {
  const graph = operands('topK', { x }, 'f32');
  rank('topK', 'x', x, 3, '[N,P,D]');
  const given = withDefaults<Unchecked<{ k: number }>>('topK', options, { k: undefined });
  const [n, p] = x.shape as [number, number, number];
  const k = integer('topK', 'k', given.k, 1, p);
  return graph.append('topK', [x], [{ shape: [n, k], dtype: 'i32' }], { k })[0] as Tensor;
}
