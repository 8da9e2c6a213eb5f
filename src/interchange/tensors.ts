// Tensors by name as the importers beside this file give them and compileModel() takes them, and the rule they share for
// sizes. The rule easy to break: nothing is allocated from a number in a file before it is checked against the bytes there.
import { InterchangeError } from '../errors';

export interface NamedTensor {
  /** Zero or more extents; [] is a scalar. */
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** An object without a prototype, so any name is safe. */
export type NamedTensors = Record<string, NamedTensor>;

/** Extents of a tensor of another tool: a list of whole numbers whose product stays below 2^31. */
export function isShape(value: unknown): value is number[] {
  if (!Array.isArray(value) || value.length > 16) return false;
  if (!value.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) return false;
  return value.reduce((product: number, extent: number) => Math.min(product * extent, 2 ** 31), 1) < 2 ** 31;
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Throws InterchangeError `[format] file: reason`. */
export function refuse(format: string, file: string, reason: string, options?: ErrorOptions): never {
  throw new InterchangeError(`[${format}] ${file}: ${reason}`, options);
}
