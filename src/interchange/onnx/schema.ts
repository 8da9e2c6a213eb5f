// An ONNX file as plain data: nodes with attributes, initializers, inputs and outputs. Called by model.ts. Field numbers are
// those of onnx.proto (ONNX IR). The rule easy to break: weights must be inside the file; data kept in another file is
// refused, since the name of that file comes from a stranger.
import { fromBfloat16, fromHalf } from '../half';
import { countOf, isShape } from '../tensors';
import { type Field, Message } from './protobuf';
import { type ElementType, elementType, isHeld, RAW_BYTES } from './types';

/** A tensor that is known while the model is imported. */
export interface TensorData {
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** float32 as it is; everything else in float64. */
  readonly data: Float32Array | Float64Array;
}

export interface NodeData {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  /** '' stands for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** Exactly one is there, by the attribute's type. */
export interface Attribute {
  readonly int?: number;
  readonly float?: number;
  readonly text?: string;
  readonly ints?: readonly number[];
  readonly floats?: readonly number[];
  readonly texts?: readonly string[];
  readonly tensor?: TensorData;
  /** A subgraph, as control flow has it, or another kind that is not read. */
  readonly other?: true;
}

export interface ValueInfo {
  readonly name: string;
  /** undefined where the value is no tensor (a sequence, a map, an optional). */
  readonly type: ElementType | undefined;
  /** A number, or a name for a dimension that is free; undefined where the file says nothing. */
  readonly shape: readonly (number | string)[] | undefined;
}

export interface ModelData {
  readonly producer: string;
  /** Versions by domain; '' is ONNX's own. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly nodes: readonly NodeData[];
  readonly initializers: ReadonlyMap<string, TensorData>;
  /** Inputs that are no initializers. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

const EXTERNAL = 1;
/** Attribute types of onnx.proto by number. */
const KINDS = { 1: 'float', 2: 'int', 3: 'text', 4: 'tensor', 6: 'floats', 7: 'ints', 8: 'texts' } as const;

/** Reads one raw element at a byte offset. */
const RAW: Partial<Record<ElementType, (view: DataView, at: number) => number>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  float16: (view, at) => fromHalf(view.getUint16(at, true)),
  bfloat16: (view, at) => fromBfloat16(view.getUint16(at, true)),
  uint8: (view, at) => view.getUint8(at),
  int8: (view, at) => view.getInt8(at),
  bool: (view, at) => (view.getUint8(at) === 0 ? 0 : 1),
  uint16: (view, at) => view.getUint16(at, true),
  int16: (view, at) => view.getInt16(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  int32: (view, at) => view.getInt32(at, true),
  uint64: (view, at) => Number(view.getBigUint64(at, true)),
  int64: (view, at) => Number(view.getBigInt64(at, true)),
};

interface TensorParts {
  readonly dims: number[];
  readonly values: number[];
  type: number;
  name: string;
  raw: Uint8Array | undefined;
  external: boolean;
}

/** Adds items one by one: a call with a million arguments overflows the stack. */
function append(list: number[], items: readonly number[]): void {
  for (const item of items) list.push(item);
}

/** Values in the typed fields are as their type stores them; small floats are there by their bits. */
function fromField(type: ElementType, value: number): number {
  if (type === 'float16') return fromHalf(value & 0xffff);
  if (type === 'bfloat16') return fromBfloat16(value & 0xffff);
  return type === 'bool' ? Number(value !== 0) : value;
}

function tensorParts(message: Message): TensorParts {
  const parts: TensorParts = { dims: [], values: [], type: 0, name: '', raw: undefined, external: false };
  for (const field of message.fields()) {
    if (field.number === 1) append(parts.dims, message.integers(field));
    else if (field.number === 2) parts.type = field.value;
    else if (field.number === 4) append(parts.values, message.reals(field, 4));
    else if ([5, 7, 11].includes(field.number)) append(parts.values, message.integers(field));
    else if (field.number === 10) append(parts.values, message.reals(field, 8));
    else if (field.number === 8) parts.name = message.text(field);
    else if (field.number === 9) parts.raw = message.message(field).bytes;
    else if (field.number === 13 || (field.number === 14 && field.value === EXTERNAL)) parts.external = true;
  }
  return parts;
}

/** A TensorProto with its name. Strings and complex numbers, which nothing here computes with, are refused. */
export function readTensor(message: Message): TensorData & { readonly name: string } {
  const { dims: shape, values, type: number, name, raw, external } = tensorParts(message);
  const what = `tensor ${JSON.stringify(name)}`;
  const type = elementType(number);
  if (type === undefined) message.fail(`${what} has element type ${number}`);
  if (external) message.fail(`${what} is in another file; save the model with its weights inside`);
  if (!isHeld(type)) message.fail(`${what} holds ${type} values`);
  const shown = `[${shape.join(', ')}]`;
  if (!isShape(shape)) message.fail(`${what} has shape ${shown}`);
  const count = countOf(shape);
  const held = raw === undefined ? values.length : raw.length / RAW_BYTES[type];
  if (held !== count) message.fail(`${what} of ${type} ${shown} has ${held} values, expected ${count}`);
  const data = type === 'float32' ? new Float32Array(count) : new Float64Array(count);
  if (raw === undefined) {
    for (let index = 0; index < count; index += 1) data[index] = fromField(type, values[index] as number);
  } else {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const read = RAW[type] as (view: DataView, at: number) => number;
    for (let index = 0; index < count; index += 1) data[index] = read(view, index * RAW_BYTES[type]);
  }
  return { name, type, shape, data };
}

function readAttribute(message: Message): [string, Attribute] {
  let [name, kind] = ['', 0];
  const seen: { -readonly [K in keyof Attribute]: Attribute[K] } = {};
  const [floats, ints, texts]: [number[], number[], string[]] = [[], [], []];
  let tensor: Field | undefined;
  for (const field of message.fields()) {
    if (field.number === 1) name = message.text(field);
    else if (field.number === 2) seen.float = message.reals(field, 4)[0] as number;
    else if (field.number === 3) seen.int = field.value;
    else if (field.number === 4) seen.text = message.text(field);
    else if (field.number === 5) tensor = field;
    else if (field.number === 7) append(floats, message.reals(field, 4));
    else if (field.number === 8) append(ints, message.integers(field));
    else if (field.number === 9) texts.push(message.text(field));
    else if (field.number === 20) kind = field.value;
  }
  if (name === '') message.fail('an attribute has no name');
  const type = (KINDS as Readonly<Record<number, keyof Attribute>>)[kind];
  if (type === undefined) return [name, { other: true }];
  if (type === 'tensor') {
    if (!tensor) message.fail(`attribute ${JSON.stringify(name)} lacks its tensor`);
    return [name, { tensor: readTensor(message.message(tensor)) }];
  }
  // A value of nothing but zeros is not written.
  const all: Attribute = { float: seen.float ?? 0, int: seen.int ?? 0, text: seen.text ?? '', floats, ints, texts };
  return [name, { [type]: all[type] }];
}

function readNode(message: Message): NodeData {
  const node = { name: '', op: '', domain: '' };
  const [inputs, outputs]: [string[], string[]] = [[], []];
  const attributes = new Map<string, Attribute>();
  for (const field of message.fields()) {
    if (field.number === 1) inputs.push(message.text(field));
    else if (field.number === 2) outputs.push(message.text(field));
    else if (field.number === 3) node.name = message.text(field);
    else if (field.number === 4) node.op = message.text(field);
    else if (field.number === 5) attributes.set(...readAttribute(message.message(field)));
    else if (field.number === 7) node.domain = message.text(field);
  }
  if (node.op === '') message.fail(`node ${JSON.stringify(node.name)} has no operator`);
  return { ...node, inputs, outputs, attributes };
}

function readDimension(message: Message): number | string {
  let dimension: number | string = '';
  for (const field of message.fields()) {
    if (field.number === 1) dimension = field.value;
    else if (field.number === 2) dimension = message.text(field);
  }
  return dimension;
}

function readTensorType(message: Message): Pick<ValueInfo, 'type' | 'shape'> {
  let type: ElementType | undefined;
  let shape: (number | string)[] | undefined;
  for (const field of message.fields()) {
    if (field.number === 1) type = elementType(field.value);
    if (field.number !== 2) continue;
    const list = message.message(field);
    shape = [...list.fields()]
      .filter(({ number }) => number === 1)
      .map((dimension) => readDimension(list.message(dimension)));
  }
  return { type, shape };
}

function readValueInfo(message: Message): ValueInfo {
  let name = '';
  let typed: Pick<ValueInfo, 'type' | 'shape'> = { type: undefined, shape: undefined };
  for (const field of message.fields()) {
    if (field.number === 1) name = message.text(field);
    if (field.number !== 2) continue;
    const inner = message.message(field);
    for (const kind of inner.fields()) if (kind.number === 1) typed = readTensorType(inner.message(kind));
  }
  return { name, ...typed };
}

function readGraph(message: Message): Pick<ModelData, 'nodes' | 'initializers' | 'inputs' | 'outputs'> {
  const nodes: NodeData[] = [];
  const initializers = new Map<string, TensorData>();
  const [inputs, outputs]: [ValueInfo[], ValueInfo[]] = [[], []];
  for (const field of message.fields()) {
    if (field.number === 1) nodes.push(readNode(message.message(field)));
    else if (field.number === 11) inputs.push(readValueInfo(message.message(field)));
    else if (field.number === 12) outputs.push(readValueInfo(message.message(field)));
    else if (field.number === 15) message.fail('it has sparse initializers');
    else if (field.number === 5) {
      const { name, ...tensor } = readTensor(message.message(field));
      if (initializers.has(name)) message.fail(`it has the initializer ${JSON.stringify(name)} twice`);
      initializers.set(name, tensor);
    }
  }
  return { nodes, initializers, inputs: inputs.filter(({ name }) => !initializers.has(name)), outputs };
}

/** The model in `bytes`. Throws InterchangeError `[onnx] file: reason` for anything malformed. */
export function readModel(bytes: Uint8Array, file: string): ModelData {
  const message: Message = new Message(bytes, file);
  const opsets = new Map<string, number>();
  let producer = '';
  let graph: Message | undefined;
  for (const field of message.fields()) {
    if (field.number === 2) producer = message.text(field);
    else if (field.number === 7) graph = message.message(field);
    else if (field.number === 8) {
      const inner = message.message(field);
      let [domain, version] = ['', 0];
      for (const part of inner.fields()) {
        if (part.number === 1) domain = inner.text(part);
        if (part.number === 2) version = part.value;
      }
      opsets.set(domain === 'ai.onnx' ? '' : domain, version);
    }
  }
  if (!graph) message.fail('it is no ONNX model: it has no graph');
  return { producer, opsets, ...readGraph(graph) };
}
