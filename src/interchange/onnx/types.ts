// Element types of ONNX and how their values are stored here: floats in float32, everything else as whole numbers. Called by
// schema.ts and the operators. The rule easy to break: on the engine every value is float32, so integers are exact up to 2^24
// and a bool is 0 or 1; while a model is imported, known integers are float64 and exact up to 2^53.

export const ELEMENT_TYPES = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
} as const;

export type ElementType = (typeof ELEMENT_TYPES)[keyof typeof ELEMENT_TYPES];

/** The type of that number in TensorProto.DataType; undefined for one that is not known. */
export function elementType(number: number): ElementType | undefined {
  return (ELEMENT_TYPES as Readonly<Record<number, ElementType>>)[number];
}

export const isFloat = (type: ElementType): boolean => /^(b?float)/.test(type);
export const isInteger = (type: ElementType): boolean => /^u?int/.test(type);
/** Whether an integer type holds a number; the ends of those of 64 bits are as near as float64 comes. */
export function holds(type: ElementType, x: number): boolean {
  const bits = 8 * RAW_BYTES[type];
  const [least, most] = type.startsWith('u') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  return Number.isInteger(x) && x >= least && x <= most;
}

/** Whether arithmetic of this type wraps around within what a network may reach. */
export const wraps = (type: ElementType): boolean => isInteger(type) && type !== 'int32' && type !== 'int64';
/** Types whose values this importer can hold at all. */
export const isHeld = (type: ElementType): boolean => type !== 'string' && !type.startsWith('complex');

/** Bytes of an element in TensorProto.raw_data. */
export const RAW_BYTES: Readonly<Record<ElementType, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  int32: 4,
  int64: 8,
  string: 0,
  bool: 1,
  float16: 2,
  float64: 8,
  uint32: 4,
  uint64: 8,
  complex64: 8,
  complex128: 16,
  bfloat16: 2,
};
