// Writes ONNX files: protocol buffers' wire format for the few records of onnx.proto that a model needs. Called by export.ts.
// The rule easy to break: a field is its number and wire type, then its value; nested records carry their length in front.

/** Element types of TensorProto.DataType that are written. */
export const FLOAT = 1;
export const INT64 = 7;
/** Version of the file format that goes with opset 18. */
const IR_VERSION = 8;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  // Two's complement of 64 bits, as the format has negative numbers.
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

const integer = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);

function record(field: number, ...parts: (Uint8Array | string)[]): Buffer {
  const pieces = parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part));
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return Buffer.concat([varint(field * 8 + 2), varint(length), ...pieces]);
}

function real(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + 5), bytes]);
}

export type AttributeIn =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string };

function attribute(name: string, value: AttributeIn): Buffer {
  if ('float' in value) return record(5, record(1, name), real(2, value.float), integer(20, 1));
  if ('int' in value) return record(5, record(1, name), integer(3, value.int), integer(20, 2));
  if ('text' in value) return record(5, record(1, name), record(4, value.text), integer(20, 3));
  return record(5, record(1, name), ...value.ints.map((one) => integer(8, one)), integer(20, 7));
}

/** A NodeProto of a graph. */
export function nodeRecord(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeIn>>,
): Buffer {
  return record(
    1,
    ...inputs.map((input) => record(1, input)),
    ...outputs.map((output) => record(2, output)),
    record(3, `${op}:${outputs.find((output) => output !== '')}`),
    record(4, op),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  );
}

/** A TensorProto of a graph's initializers. */
export function initializerRecord(
  name: string,
  shape: readonly number[],
  values: Float32Array | BigInt64Array,
): Buffer {
  const type = values instanceof Float32Array ? FLOAT : INT64;
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return record(5, ...shape.map((extent) => integer(1, extent)), integer(2, type), record(8, name), record(9, raw));
}

/** An input (field 11) or output (field 12) of a graph; a dimension is a number, or a name where it is free. */
export function valueRecord(field: 11 | 12, name: string, shape: readonly (number | string)[]): Buffer {
  const extents = shape.map((extent) => record(1, typeof extent === 'number' ? integer(1, extent) : record(2, extent)));
  return record(field, record(1, name), record(2, record(1, integer(1, FLOAT), record(2, ...extents))));
}

export function modelRecord(
  graph: readonly Uint8Array[],
  {
    producer,
    version,
    opset,
    metadata,
  }: { producer: string; version: string; opset: number; metadata: Readonly<Record<string, string>> },
): Buffer {
  return Buffer.concat([
    integer(1, IR_VERSION),
    record(2, producer),
    record(3, version),
    record(7, ...graph, record(2, 'graph')),
    record(8, record(1, ''), integer(2, opset)),
    ...Object.entries(metadata).map(([key, value]) => record(14, record(1, key), record(2, value))),
  ]);
}
