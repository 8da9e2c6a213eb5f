// One ONNX file while it is written: its nodes, weights and names. Called by export.ts and the exporters of exportOps.ts. The
// rule easy to break: a tensor may be there in two layouts; an exporter asks for the one it needs and says which it gives.
import { ArgumentError } from '../../errors';
import type { AttrValue, Graph, Node, Shape, TensorData, TensorInfo } from '../../graph/graph';
import { sizeOf } from '../../graph/graph';
import { permute } from './nd';
import { type AttributeIn, initializerRecord, modelRecord, nodeRecord } from './write';

/** Order of a tensor of rank 4: as it is here (NHWC), or as ONNX has images (NCHW). Other ranks are always plain. */
export type Layout = 'plain' | 'channelsFirst';

/** The operators' version: the first in which Resize names its axes. */
const OPSET = 18;
const TO_FIRST = [0, 3, 1, 2];
const TO_PLAIN = [0, 2, 3, 1];

export const inLayout = (shape: Shape, layout: Layout): number[] =>
  layout === 'channelsFirst' && shape.length === 4 ? TO_FIRST.map((axis) => shape[axis]!) : [...shape];

/** One file while it is written. */
export class OnnxWriter {
  readonly #graph: Graph;
  readonly #weights: (name: string) => TensorData | undefined;
  readonly #parts: Buffer[] = [];
  readonly #initializers: Buffer[] = [];
  /** Names by tensor and layout. */
  readonly #names = new Map<string, string>();
  readonly #taken = new Set<string>();
  readonly #constants = new Map<string, string>();

  constructor(graph: Graph, weights: (name: string) => TensorData | undefined, reserved: readonly string[]) {
    this.#graph = graph;
    this.#weights = weights;
    for (const name of reserved) this.#taken.add(name);
  }

  info(id: number): TensorInfo {
    return this.#graph.tensors[id] as TensorInfo;
  }

  /** A name nobody has, `wanted` if it is free. */
  fresh(wanted: string): string {
    let name = wanted;
    for (let count = 2; this.#taken.has(name); count += 1) name = `${wanted}:${count}`;
    this.#taken.add(name);
    return name;
  }

  emit(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeIn>> = {},
  ): void {
    this.#parts.push(nodeRecord(op, inputs, outputs, attributes));
  }

  /** A list of whole numbers, or one float, as an initializer; the same list is written once. */
  constant(values: readonly number[], kind: 'int64' | 'float32', shape: readonly number[] = [values.length]): string {
    const key = `${kind}:${shape.join()}:${values.join()}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.fresh(`constant_${this.#constants.size}`);
    const data = kind === 'int64' ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
    this.#initializers.push(initializerRecord(name, shape, data));
    this.#constants.set(key, name);
    return name;
  }

  /** A weight with its axes in another order, by the weight's own name where it is written once. */
  weight(id: number, perm?: readonly number[]): string {
    const { name, shape, dtype } = this.info(id);
    const key = `${id}:${perm?.join() ?? 'plain'}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const value = this.#valueOf(id);
    if (dtype !== 'f32') throw new ArgumentError(`[onnx] "${name}" is ${dtype}, expected float32 weights`);
    const turned = perm
      ? permute({ shape, data: value as Float32Array }, perm)
      : { shape, data: value as Float32Array };
    const made = this.fresh(name);
    this.#initializers.push(initializerRecord(made, turned.shape, turned.data as Float32Array));
    this.#names.set(key, made);
    return made;
  }

  /** Whether a tensor has a value of its own: a param, a state or a constant. */
  isWeight(id: number): boolean {
    return ['param', 'state', 'const'].includes(this.info(id).kind);
  }

  #valueOf(id: number): TensorData {
    const { name, shape, data } = this.info(id);
    const given = this.#weights(name);
    if (given !== undefined) {
      if (given.length === sizeOf(shape)) return given;
      throw new ArgumentError(`[onnx] "${name}" has ${sizeOf(shape)} values, got ${given.length}`);
    }
    return typeof data === 'object' ? data : new Float32Array(sizeOf(shape)).fill(data ?? 0);
  }

  /** Says that a tensor is there under a name. */
  place(id: number, layout: Layout, name: string): void {
    this.#names.set(`${id}:${this.#effective(id, layout)}`, name);
  }

  #effective(id: number, layout: Layout): Layout {
    return this.info(id).shape.length === 4 ? layout : 'plain';
  }

  /** A name for a node's output in that layout. */
  output(id: number, layout: Layout = 'plain'): string {
    const name = this.fresh(this.info(id).name);
    this.place(id, layout, name);
    return name;
  }

  has(id: number, layout: Layout): boolean {
    return this.#names.has(`${id}:${this.#effective(id, layout)}`);
  }

  /** The name of a tensor in a layout; it is transposed there when it is only in the other one. */
  input(id: number, layout: Layout = 'plain'): string {
    const wanted = this.#effective(id, layout);
    const known = this.#names.get(`${id}:${wanted}`);
    if (known !== undefined) return known;
    const { shape, name } = this.info(id);
    if (this.isWeight(id)) return this.weight(id, wanted === 'plain' ? undefined : TO_FIRST);
    const other = this.#names.get(`${id}:${wanted === 'plain' ? 'channelsFirst' : 'plain'}`);
    if (other === undefined) throw new ArgumentError(`[onnx] "${name}" is no input of the file and nothing makes it`);
    const made = this.fresh(`${name}:${wanted === 'plain' ? 'nhwc' : 'nchw'}`);
    const [, height, width, channels] = shape as [number, number, number, number];
    if ((height === 1 && width === 1) || channels === 1) {
      // Nothing changes place, and a reshape is free.
      this.emit('Reshape', [other, this.constant([-1, ...inLayout(shape, wanted).slice(1)], 'int64')], [made]);
    } else {
      this.emit('Transpose', [other], [made], { perm: { ints: wanted === 'plain' ? TO_PLAIN : TO_FIRST } });
    }
    this.place(id, wanted, made);
    return made;
  }

  bytes(values: readonly Buffer[], metadata: Readonly<Record<string, string>>): Buffer {
    const graph = [...this.#parts, ...this.#initializers, ...values];
    return modelRecord(graph, { producer: 'gramian', version: '', opset: OPSET, metadata });
  }
}

export type Exporter = (writer: OnnxWriter, node: Node) => void;

/** A number, boolean or text attribute. */
export const attr = <T extends AttrValue>(node: Node, name: string): T => node.attrs[name] as T;
