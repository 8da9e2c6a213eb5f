// The graph as plain data: tensors and nodes in append order, built by ops/*.ts, read by gradients.ts, print.ts
// and compile.ts. Everything here is JSON but for constants' typed arrays. The rule easy to break: a node may only
// name tensors that already exist, so append order is always a valid order of execution.
import { ArgumentError, GraphError } from '../errors';

export type DType = 'f32' | 'i32' | 'u8';
/** input: fed each step; param: trained; state: persistent but not trained; const: fixed data; temp: made by a node. */
export type TensorKind = 'input' | 'param' | 'state' | 'const' | 'temp';
export type Shape = readonly number[];
export type AttrValue = number | boolean | string | readonly number[];
export type Attrs = Readonly<Record<string, AttrValue>>;
export type TensorData = Float32Array | Int32Array | Uint8Array;

/**
 * How a persistent tensor starts: explicit data, one number for all, or a function that makes the data when it is first
 * read (see layers/init.ts), so that a graph which is only looked at never draws its weights.
 */
export type Initial = TensorData | number | (() => TensorData);

/** A handle into a graph. Cheap, immutable; `id` indexes `graph.tensors`. */
export interface Tensor {
  readonly graph: Graph;
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly name: string;
}

export interface TensorInfo {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly kind: TensorKind;
  readonly name: string;
  /** Initial value of a persistent tensor or the data of a const. Drawn at the first reading where it is random. */
  readonly data?: TensorData | number;
  /** Unit the tensor belongs to (-1: none). */
  readonly unit: number;
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly attrs: Attrs;
  readonly unit: number;
  readonly name: string;
}

/** A trainable part with its own objective. No gradient crosses its border. */
export interface Unit {
  readonly index: number;
  readonly name: string;
  /** What the unit maps its inputs to; set when the unit's function returns. */
  output: Tensor | undefined;
  /** Parameters declared inside the unit. */
  readonly params: Tensor[];
  /** Weight of the unit's cross-entropy, when its output is logits; see UnitOptions. */
  readonly crossEntropy?: number;
}

export interface UnitOptions {
  /**
   * The unit's output is logits of its own [N,classes]: it is trained by their cross-entropy times this weight (above 0),
   * and back-propagation adds that to the loss. The last unit, whose output is the model's, weighs 1 unless told.
   */
  readonly crossEntropy?: number;
}

const ITEM_BYTES: Record<DType, number> = { f32: 4, i32: 4, u8: 1 };
const MAX_RANK = 6;

function dtypeOf(data: unknown): DType | undefined {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  return data instanceof Uint8Array ? 'u8' : undefined;
}

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Bytes of a dense tensor. */
export function bytesOf(shape: Shape, dtype: DType): number {
  return sizeOf(shape) * ITEM_BYTES[dtype];
}

/** `8x48x48x32`, as error messages and prints show shapes. */
export function formatShape(shape: Shape): string {
  return shape.join('x');
}

function checkShape(what: string, shape: Shape): void {
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > MAX_RANK) {
    throw new ArgumentError(`[${what}] a shape has 1 to ${MAX_RANK} dimensions, got ${JSON.stringify(shape)}`);
  }
  for (const extent of shape) {
    if (!Number.isSafeInteger(extent) || extent < 1) {
      throw new ArgumentError(
        `[${what}] every dimension is a positive integer, got ${String(extent)} in [${shape.join(', ')}]`,
      );
    }
  }
  if (sizeOf(shape) > 2 ** 40) throw new ArgumentError(`[${what}] ${formatShape(shape)} has more than 2^40 elements`);
}

function checkData(kind: TensorKind, name: string, shape: Shape, dtype: DType, data: TensorData | number): void {
  if (typeof data === 'number') {
    if (Number.isFinite(data)) return;
    throw new ArgumentError(`[${kind}] "${name}" starts from a finite number, got ${data}`);
  }
  const given = dtypeOf(data);
  if (given !== dtype) {
    const got = given === undefined ? typeof data : `${given} data`;
    throw new ArgumentError(`[${kind}] "${name}" starts from a number or ${dtype} data, got ${got}`);
  }
  if (data.length !== sizeOf(shape)) {
    const needed = `of shape ${formatShape(shape)} needs ${sizeOf(shape)} values`;
    throw new ArgumentError(`[${kind}] "${name}" ${needed}, got ${data.length}`);
  }
}

/** `info` with data that is made, checked and kept at its first reading. */
function withLaterData(info: TensorInfo, make: () => TensorData): TensorInfo {
  let made: TensorData | undefined;
  return Object.defineProperty(info, 'data', {
    enumerable: true,
    get() {
      if (made === undefined) {
        const data = make();
        checkData(info.kind, info.name, info.shape, info.dtype, data);
        made = data;
      }
      return made;
    },
  });
}

function checkName(what: string, name: string): void {
  if (typeof name !== 'string' || name.length === 0) {
    throw new ArgumentError(`[${what}] a name is a non-empty string, got ${String(name)}`);
  }
}

export class Graph {
  readonly tensors: TensorInfo[] = [];
  readonly nodes: Node[] = [];
  readonly units: Unit[] = [];
  /** Whether layers use batch statistics and dropout (training) or running statistics (inference). */
  readonly training: boolean;
  /** Seed of every random initial value, dropout mask and augmentation of this graph. */
  readonly seed: number;
  readonly #frozen: (name: string) => boolean;
  /** Results of `moments` and the like, so that each is appended once; keyed by op and tensor id. */
  readonly memo = new Map<string, Tensor[]>();
  readonly #names = new Set<string>();
  readonly #fresh = new Map<string, number>();
  readonly #handles: Tensor[] = [];
  readonly #scopes: string[] = [];
  #unit = -1;

  /** @param options.frozen whether the param or normalisation of that full name is left as it is in training. */
  constructor(options: { training?: boolean; seed?: number; frozen?: (name: string) => boolean } = {}) {
    this.training = options.training ?? true;
    this.seed = options.seed ?? 1;
    this.#frozen = options.frozen ?? (() => false);
    if (!Number.isSafeInteger(this.seed) || this.seed < 0) {
      throw new ArgumentError(`[graph] the seed is a non-negative integer, got ${String(this.seed)}`);
    }
  }

  /** Whether training leaves what has this full name as it is. */
  isFrozen(name: string): boolean {
    return this.#frozen(name);
  }

  /** Handle of an existing tensor. */
  tensor(id: number): Tensor {
    const handle = this.#handles[id];
    if (!handle) throw new GraphError(`[graph] there is no tensor ${id}; the graph has ${this.#handles.length}`);
    return handle;
  }

  info(tensor: Tensor): TensorInfo {
    this.checkOwn('graph', tensor);
    return this.tensors[tensor.id] as TensorInfo;
  }

  /** The node that makes a temp tensor; undefined for the other kinds. */
  producer(tensor: Tensor): Node | undefined {
    const index = this.#producers.get(tensor.id);
    return index === undefined ? undefined : this.nodes[index];
  }
  readonly #producers = new Map<number, number>();

  /** A tensor fed by the caller at each step. */
  input(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    return this.#add('input', name, shape, dtype);
  }

  /** A trained tensor. Its name, with the scopes around it, is its name in checkpoints. */
  param(name: string, shape: Shape, initial: Initial): Tensor {
    const tensor = this.#add('param', this.scoped(name), shape, 'f32', initial);
    if (this.#unit >= 0) this.units[this.#unit]?.params.push(tensor);
    return tensor;
  }

  /** A persistent tensor that is not trained: optimiser moments, running statistics, counters. */
  state(name: string, shape: Shape, dtype: DType = 'f32', initial: Initial = 0): Tensor {
    return this.#add('state', this.scoped(name), shape, dtype, initial);
  }

  /** Fixed data. */
  constant(name: string, shape: Shape, data: TensorData): Tensor {
    checkName('const', name);
    const dtype = dtypeOf(data);
    if (dtype === undefined) {
      throw new ArgumentError(
        `[const] "${name}" is a Float32Array, an Int32Array or a Uint8Array, got ${data === null ? 'null' : typeof data}`,
      );
    }
    return this.#add('const', this.#unused(this.scoped(name)), shape, dtype, data);
  }

  /** Appends a node and the tensors it makes. Called by ops/*.ts after their shape rule; not a user's function. */
  append(
    op: string,
    inputs: readonly Tensor[],
    outputs: readonly { shape: Shape; dtype?: DType }[],
    attrs: Attrs = {},
    name: string = op,
  ): Tensor[] {
    for (const input of inputs) this.checkOwn(op, input);
    const unique = this.#unused(this.scoped(name));
    // A lone output takes the node's name itself; otherwise the name is claimed here, so that no other node gets it.
    if (outputs.length !== 1) this.#names.add(unique);
    const made = outputs.map((output, index) =>
      this.#add('temp', outputs.length > 1 ? `${unique}:${index}` : unique, output.shape, output.dtype ?? 'f32'),
    );
    const nodeIndex = this.nodes.length;
    for (const tensor of made) this.#producers.set(tensor.id, nodeIndex);
    this.nodes.push({
      op,
      inputs: inputs.map((input) => input.id),
      outputs: made.map((output) => output.id),
      attrs,
      unit: this.#unit,
      name: unique,
    });
    return made;
  }

  /** Appends a node that writes persistent tensors in place. */
  appendUpdate(op: string, inputs: readonly Tensor[], writes: readonly Tensor[], attrs: Attrs = {}): void {
    for (const tensor of [...inputs, ...writes]) this.checkOwn(op, tensor);
    for (const tensor of writes) {
      const { kind } = this.info(tensor);
      if (kind !== 'param' && kind !== 'state') {
        throw new GraphError(`[${op}] only a param or a state can be updated, "${tensor.name}" is a ${kind}`);
      }
    }
    const unique = this.#unused(this.scoped(op));
    this.#names.add(unique);
    this.nodes.push({
      op,
      inputs: inputs.map((input) => input.id),
      outputs: writes.map((output) => output.id),
      attrs,
      unit: this.#unit,
      name: unique,
    });
  }

  /** Runs `body` with `name/` put before every name made inside. */
  scope<T>(name: string, body: () => T): T {
    checkName('scope', name);
    this.#scopes.push(name);
    try {
      return body();
    } finally {
      this.#scopes.pop();
    }
  }

  /** Runs `body` as a unit: its params and nodes belong to it, its result is what its objective looks at. */
  unit(name: string, body: () => Tensor, options: UnitOptions = {}): Tensor {
    checkName('unit', name);
    const { crossEntropy } = options;
    if (crossEntropy !== undefined && !(Number.isFinite(crossEntropy) && crossEntropy > 0)) {
      throw new ArgumentError(`[unit] the weight of "${name}"'s cross-entropy is above 0, got ${String(crossEntropy)}`);
    }
    if (this.#unit >= 0)
      throw new GraphError(`[unit] "${name}" is inside unit "${this.units[this.#unit]?.name}"; units do not nest`);
    if (this.units.some((unit) => unit.name === this.scoped(name))) {
      throw new GraphError(`[unit] the name "${this.scoped(name)}" is taken`);
    }
    const unit: Unit = {
      index: this.units.length,
      name: this.scoped(name),
      output: undefined,
      params: [],
      ...(crossEntropy === undefined ? {} : { crossEntropy }),
    };
    this.units.push(unit);
    return this.inUnit(unit, () => {
      const output = this.scope(name, body);
      this.checkOwn('unit', output);
      unit.output = output;
      return output;
    });
  }

  /** Appends to an existing unit: its objective, gradients and updates. */
  inUnit<T>(unit: Unit, body: () => T): T {
    if (this.units[unit?.index] !== unit) throw new GraphError('[unit] the unit is not one of this graph');
    const outer = this.#unit;
    this.#unit = unit.index;
    try {
      return body();
    } finally {
      this.#unit = outer;
    }
  }

  /** `block1/layer2/weight`: a name inside the scopes now open. A leading slash makes it absolute. */
  scoped(name: string): string {
    const parts = [...this.#scopes, name];
    const root = parts.findLastIndex((part) => part.startsWith('/'));
    return root < 0 ? parts.join('/') : parts.slice(root).join('/').slice(1);
  }

  checkOwn(op: string, tensor: Tensor): void {
    if (tensor === null || typeof tensor !== 'object' || !('graph' in tensor) || !('id' in tensor)) {
      throw new ArgumentError(`[${op}] expected a tensor, got ${tensor === null ? 'null' : typeof tensor}`);
    }
    if (tensor.graph !== this) throw new GraphError(`[${op}] tensor "${tensor.name}" belongs to another graph`);
  }

  #unused(name: string): string {
    if (!this.#names.has(name)) return name;
    let count = this.#fresh.get(name) ?? 1;
    while (this.#names.has(`${name}_${count}`)) count += 1;
    this.#fresh.set(name, count + 1);
    return `${name}_${count}`;
  }

  #add(kind: TensorKind, name: string, shape: Shape, dtype: DType, data?: Initial): Tensor {
    checkShape(kind, shape);
    checkName(kind, name);
    if (!Object.hasOwn(ITEM_BYTES, dtype)) {
      throw new ArgumentError(`[${kind}] the dtype of "${name}" is f32, i32 or u8, got ${String(dtype)}`);
    }
    if (this.#names.has(name)) throw new GraphError(`[${kind}] the name "${name}" is taken`);
    if (data !== undefined && typeof data !== 'function') checkData(kind, name, shape, dtype, data);
    this.#names.add(name);
    const frozen = Object.freeze([...shape]);
    const info: TensorInfo = { shape: frozen, dtype, kind, name, unit: this.#unit };
    if (typeof data === 'function') this.tensors.push(withLaterData(info, data));
    else this.tensors.push(data === undefined ? info : { ...info, data });
    const handle: Tensor = Object.freeze({ graph: this, id: this.tensors.length - 1, shape: frozen, dtype, name });
    this.#handles.push(handle);
    return handle;
  }
}
