// What an ONNX value is while a model is imported: known, or computed by the engine's graph. A computed value keeps the order
// in which its axes lie in memory, so that a network that others laid out as NCHW runs as NHWC: a transposition only changes
// that order, and data moves where an operator needs another one. Called by every operator.
// The rule easy to break: `shape` is ONNX's, in ONNX's order; the engine's tensor has the extents in `order`.
import type { Shape, Tensor } from '../../graph/graph';
import * as ops from '../../graph/ops';
import type { TensorData } from './schema';
import type { ElementType } from './types';

export interface Constant extends TensorData {
  readonly kind: 'constant';
  /** Name of the initializer it is, or is another form of. */
  readonly source?: string | undefined;
}

export interface Computed {
  readonly kind: 'computed';
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Of shape order.map((axis) => shape[axis]); [1] for a scalar. */
  readonly tensor: Tensor;
  /** The axes of `shape` as they lie in memory, outermost first. */
  readonly order: readonly number[];
}

export type Value = Constant | Computed;

/** Places that the engine chose, i32 [N,k]. Only GatherND reads them, and only once they are sorted. */
export interface Places {
  readonly kind: 'places';
  readonly type: 'int64';
  readonly shape: readonly number[];
  readonly tensor: Tensor;
  /** The engine has them in ascending order; ONNX's TopK in the order of their values, until another one sorts them. */
  readonly sorted: boolean;
}

export type AnyValue = Value | Places;

/** 0, 1, ... rank - 1: ONNX's own order. */
export const plainOrder = (rank: number): number[] => Array.from({ length: rank }, (_, axis) => axis);

/** NCHW laid out as NHWC, for any number of axes of space. */
export const channelsLast = (rank: number): number[] => [0, ...plainOrder(rank).slice(2), 1];

export const sameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((item, index) => item === b[index]);

/** Extents in memory. */
export function physicalShape(shape: readonly number[], order: readonly number[]): Shape {
  return order.length === 0 ? [1] : order.map((axis) => shape[axis]!);
}

export function computed(
  tensor: Tensor,
  type: ElementType,
  shape: readonly number[],
  order: readonly number[] = plainOrder(shape.length),
): Computed {
  return { kind: 'computed', type, shape, tensor, order };
}

/** The axes that are longer than 1, as they lie. */
const long = (shape: readonly number[], order: readonly number[]): number[] => order.filter((axis) => shape[axis]! > 1);

/** The engine's tensor of a computed value with its axes in another order. */
export function arranged({ tensor, shape, order }: Computed, wanted: readonly number[]): Tensor {
  if (sameList(order, wanted)) return tensor;
  // Where only axes of extent 1 change place no value does.
  if (sameList(long(shape, order), long(shape, wanted))) return ops.reshape(tensor, physicalShape(shape, wanted));
  return ops.transpose(
    tensor,
    wanted.map((axis) => order.indexOf(axis)),
  );
}
