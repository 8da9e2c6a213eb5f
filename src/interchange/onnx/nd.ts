// Arithmetic on known arrays while a model is imported: shapes, indices and weights. Called by fold.ts and wherever a weight
// is laid out anew. The rule easy to break: a file of a few bytes can ask for any size, so every result is checked by
// `room` before it is allocated.
import { InterchangeError } from '../../errors';
import { countOf } from '../tensors';

export type Data = Float32Array | Float64Array;

export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Data;
}

/** Elements that a result may have beyond those of what it is made from. */
const MOST = 2 ** 24;

/** Number of elements of a result that is about to be made from so many. */
export function room(shape: readonly number[], from = 0): number {
  const count = countOf(shape);
  const most = Math.max(MOST, from);
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0) || !(count <= most)) {
    throw new InterchangeError(`[onnx] a known tensor of [${shape.join(', ')}] has more than ${most} elements`);
  }
  return count;
}

/** Most numbers of a list that is worked with one by one, such as indices. */
const LONGEST_LIST = 2 ** 24;

/** Whole numbers 0 .. count - 1. */
export function iota(count: number): number[] {
  if (!(count <= LONGEST_LIST)) throw new InterchangeError(`[onnx] a list of ${count} numbers is too long`);
  return Array.from({ length: count }, (_, index) => index);
}

/** An empty array of the same type. */
export function like(data: Data, count: number): Data {
  return data instanceof Float32Array ? new Float32Array(count) : new Float64Array(count);
}

/** Elements between neighbours along each axis of a dense array. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/**
 * Calls `visit(to, from, step)` for every row of `shape`, whose size was checked: the row begins at `to` in order and at `from`
 * by the strides, and its elements are `step` apart there.
 */
export function rows(
  shape: readonly number[],
  strides: readonly number[],
  start: number,
  visit: (to: number, from: number, step: number) => void,
): void {
  const inner = shape.at(-1) ?? 1;
  const step = strides.at(-1) ?? 0;
  const outer = shape.slice(0, -1);
  const count = countOf(outer);
  const index = outer.map(() => 0);
  let from = start;
  for (let row = 0; row < count; row += 1) {
    visit(row * inner, from, step);
    for (let axis = outer.length - 1; axis >= 0; axis -= 1) {
      index[axis]! += 1;
      from += strides[axis]!;
      if (index[axis]! < outer[axis]!) break;
      from -= strides[axis]! * outer[axis]!;
      index[axis] = 0;
    }
  }
}

/** A strided view of `x` as a dense array. */
export function strided(
  { data }: NdArray,
  shape: readonly number[],
  strides: readonly number[],
  start: number,
): NdArray {
  const made = like(data, room(shape, data.length));
  const inner = shape.at(-1) ?? 1;
  rows(shape, strides, start, (to, from, step) => {
    for (let index = 0; index < inner; index += 1) made[to + index] = data[from + index * step]!;
  });
  return { shape, data: made };
}

/** Axis i of the result is axis perm[i] of x. */
export function permute(x: NdArray, perm: readonly number[]): NdArray {
  if (perm.every((axis, index) => axis === index)) return x;
  const strides = stridesOf(x.shape);
  return strided(
    x,
    perm.map((axis) => x.shape[axis]!),
    perm.map((axis) => strides[axis]!),
    0,
  );
}

/** The numpy broadcast of two shapes; undefined where they do not fit. Extents of 0 are kept. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis += 1) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape.push(left === 1 ? right : left);
  }
  return shape;
}

/** x repeated to a shape that it broadcasts to. */
export function expand(x: NdArray, shape: readonly number[]): NdArray {
  const lead = shape.length - x.shape.length;
  const own = stridesOf(x.shape);
  const strides = shape.map((_, axis) => (axis < lead || x.shape[axis - lead] === 1 ? 0 : own[axis - lead]!));
  return strided(x, shape, strides, 0);
}

/** f of two arrays, element by element, with broadcasting; undefined where the shapes do not fit. */
export function combine(a: NdArray, b: NdArray, f: (a: number, b: number) => number): NdArray | undefined {
  const shape = broadcastShape(a.shape, b.shape);
  if (!shape) return undefined;
  const [left, right] = [expand(a, shape).data, expand(b, shape).data];
  const data = like(a.data, left.length);
  for (let index = 0; index < data.length; index += 1) data[index] = f(left[index]!, right[index]!);
  return { shape, data };
}

export function map({ shape, data }: NdArray, f: (x: number) => number): NdArray {
  const made = like(data, data.length);
  for (let index = 0; index < data.length; index += 1) made[index] = f(data[index]!);
  return { shape, data: made };
}

/** Slices of x along an axis, in the order of `indices`, which are within the axis. */
export function take(x: NdArray, axis: number, indices: readonly number[]): NdArray {
  const shape = x.shape.map((extent, index) => (index === axis ? indices.length : extent));
  const made = like(x.data, room(shape, x.data.length));
  const inner = countOf(x.shape.slice(axis + 1));
  const outer = countOf(x.shape.slice(0, axis));
  const extent = x.shape[axis]!;
  for (let row = 0; row < outer; row += 1) {
    indices.forEach((from, to) => {
      const begin = (row * extent + from) * inner;
      made.set(x.data.subarray(begin, begin + inner), (row * indices.length + to) * inner);
    });
  }
  return { shape, data: made };
}

/** Arrays one behind the other along an axis; their other extents agree. */
export function join(parts: readonly NdArray[], axis: number): NdArray {
  const [first] = parts as [NdArray];
  const total = parts.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  const shape = first.shape.map((extent, index) => (index === axis ? total : extent));
  const made = like(
    first.data,
    room(
      shape,
      parts.reduce((sum, { data }) => sum + data.length, 0),
    ),
  );
  const outer = countOf(first.shape.slice(0, axis));
  let at = 0;
  for (let row = 0; row < outer; row += 1) {
    for (const part of parts) {
      const length = countOf(part.shape.slice(axis));
      made.set(part.data.subarray(row * length, (row + 1) * length), at);
      at += length;
    }
  }
  return { shape, data: made };
}

/** Folds the axes with f from `start`; they stay with extent 1. */
export function reduce(x: NdArray, axes: readonly number[], start: number, f: (sum: number, x: number) => number) {
  const shape = x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const data = like(x.data, room(shape, x.data.length)).fill(start);
  const own = stridesOf(shape);
  const strides = own.map((stride, axis) => (axes.includes(axis) ? 0 : stride));
  const inner = x.shape.at(-1) ?? 1;
  rows(x.shape, strides, 0, (from, to, step) => {
    for (let index = 0; index < inner; index += 1) {
      data[to + index * step] = f(data[to + index * step]!, x.data[from + index]!);
    }
  });
  return { shape, data };
}
