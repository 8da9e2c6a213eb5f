// The float64 reference's currency: dense row-major values, attribute readers and index walking, used by every family
// file of this folder. It shares no code with src/ or native/ but the graph's types, so that a mistake there cannot
// hide here. The rule easy to break: a reference function never writes its inputs; it returns fresh arrays.
import type { Attrs, Shape } from '../../src/graph/graph';

/** A dense row-major tensor; i32 and u8 values are held as numbers. */
export interface Value {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** One op: its inputs, the shapes the graph promises for its outputs, its attributes. */
export type Reference = (inputs: readonly Value[], outputs: readonly Shape[], attrs: Attrs) => Value[];

export function count(shape: Shape): number {
  let product = 1;
  for (const extent of shape) product *= extent;
  return product;
}

export function zeros(shape: Shape): Value {
  return { shape, data: new Float64Array(count(shape)) };
}

/** Input or output shape that must exist. */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`reference: item ${index} of ${items.length} is missing`);
  return item;
}

export function num(attrs: Attrs, key: string): number {
  const value = attrs[key];
  if (typeof value !== 'number') throw new Error(`reference: attribute ${key} is ${String(value)}, expected a number`);
  return value;
}

export function bool(attrs: Attrs, key: string): boolean {
  const value = attrs[key];
  if (typeof value !== 'boolean')
    throw new Error(`reference: attribute ${key} is ${String(value)}, expected a boolean`);
  return value;
}

export function str(attrs: Attrs, key: string): string {
  const value = attrs[key];
  if (typeof value !== 'string') throw new Error(`reference: attribute ${key} is ${String(value)}, expected a string`);
  return value;
}

export function list(attrs: Attrs, key: string): readonly number[] {
  const value = attrs[key];
  if (!Array.isArray(value)) throw new Error(`reference: attribute ${key} is ${String(value)}, expected a list`);
  return value as readonly number[];
}

/** Row-major strides of a shape. */
export function strides(shape: Shape): number[] {
  const result = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) result[axis] = result[axis + 1]! * shape[axis + 1]!;
  return result;
}

/** The index of each axis of flat position `flat`. */
export function unravel(flat: number, shape: Shape): number[] {
  const index = new Array<number>(shape.length);
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return index;
}

/** Flat position of an index. */
export function ravel(index: readonly number[], shape: Shape): number {
  let flat = 0;
  for (let axis = 0; axis < shape.length; axis++) flat = flat * shape[axis]! + index[axis]!;
  return flat;
}

/** Rows and columns of a value seen as a matrix: cols is the last dimension. */
export function matrixOf(value: Value): { rows: number; cols: number } {
  const cols = value.shape[value.shape.length - 1]!;
  return { rows: value.data.length / cols, cols };
}
