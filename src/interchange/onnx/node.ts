// One node while it is translated: its attributes and inputs with their checks, and how constants become tensors of the
// graph. Given to every operator of ops/. The rule easy to break: an operator reports what is wrong through fail(), so that
// an error names the node, and asks for what it must know through constant(), so that an error says what to give.
import { InterchangeError } from '../../errors';
import type { Graph, Tensor } from '../../graph/graph';
import { permute } from './nd';
import type { Attribute, NodeData } from './schema';
import {
  type AnyValue,
  arranged,
  type Computed,
  type Constant,
  computed,
  type Places,
  physicalShape,
  plainOrder,
  type Value,
} from './values';

/** What the nodes of one import share. */
export class Translation {
  readonly graph: Graph;
  readonly opset: number;
  readonly #made = new Map<string, Tensor>();
  readonly #numbers = new Map<Constant, number>();

  constructor(graph: Graph, opset: number) {
    this.graph = graph;
    this.opset = opset;
  }

  /**
   * A constant as a tensor of the graph, with its axes in `order`: a param or state under the initializer's name where it is
   * one and `role` says so, else a constant. The same constant in the same order is made once.
   */
  tensorOf(constant: Constant, order: readonly number[], role: 'param' | 'state' | 'const'): Tensor {
    const number = this.#numbers.get(constant) ?? this.#numbers.size;
    this.#numbers.set(constant, number);
    const key = `${number}:${order.join()}:${role}`;
    const known = this.#made.get(key);
    if (known) return known;
    const made = this.#make(constant, order, role);
    this.#made.set(key, made);
    return made;
  }

  #make(constant: Constant, order: readonly number[], role: 'param' | 'state' | 'const'): Tensor {
    const { graph } = this;
    const data = Float32Array.from(permute(constant, order).data);
    const shape = physicalShape(constant.shape, order);
    const { source } = constant;
    if (source === undefined || role === 'const') return graph.constant(source ?? 'constant', shape, data);
    let name = source;
    const taken = new Set(graph.tensors.map((tensor) => tensor.name));
    for (let copy = 2; taken.has(graph.scoped(name)); copy += 1) name = `${source}:${copy}`;
    return role === 'param' ? graph.param(name, shape, data) : graph.state(name, shape, 'f32', data);
  }
}

export interface NodeContext {
  readonly data: NodeData;
  readonly inputs: readonly (AnyValue | undefined)[];
  readonly translation: Translation;
  /** Names of the model's inputs that the i-th input depends on. */
  readonly roots: (index: number) => readonly string[];
  /** Whether anybody reads the i-th output. */
  readonly wants: (index: number) => boolean;
  readonly file: string;
}

export class OnnxNode {
  readonly op: string;
  readonly opset: number;
  readonly graph: Graph;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly string[];
  readonly translation: Translation;
  readonly wants: (index: number) => boolean;
  readonly #context: NodeContext;

  constructor(context: NodeContext) {
    this.op = context.data.op;
    this.opset = context.translation.opset;
    this.graph = context.translation.graph;
    this.inputs = context.inputs.map((input) => (input?.kind === 'places' ? undefined : input));
    this.outputs = context.data.outputs;
    this.translation = context.translation;
    this.wants = context.wants;
    this.#context = context;
  }

  /** `node "conv1" (Conv)` */
  get title(): string {
    const { name, outputs } = this.#context.data;
    return `node ${JSON.stringify(name || outputs[0] || '')} (${this.op})`;
  }

  fail(reason: string, options?: ErrorOptions): never {
    throw new InterchangeError(`[onnx] ${this.#context.file}: ${this.title}: ${reason}`, options);
  }

  #attribute<K extends keyof Attribute>(name: string, kind: K): NonNullable<Attribute[K]> | undefined {
    const attribute = this.#context.data.attributes.get(name);
    if (attribute === undefined) return undefined;
    return attribute[kind] ?? this.fail(`its attribute "${name}" is no ${kind}`);
  }

  has(name: string): boolean {
    return this.#context.data.attributes.has(name);
  }
  int(name: string, fallback: number): number {
    return this.#attribute(name, 'int') ?? fallback;
  }
  float(name: string, fallback: number): number {
    return this.#attribute(name, 'float') ?? fallback;
  }
  text(name: string, fallback: string): string {
    return this.#attribute(name, 'text') ?? fallback;
  }
  ints(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'ints');
  }
  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'floats');
  }
  texts(name: string): readonly string[] | undefined {
    return this.#attribute(name, 'texts');
  }
  tensor(name: string): Constant | undefined {
    const found = this.#attribute(name, 'tensor');
    return found && { kind: 'constant', ...found };
  }

  /** An input of places that the engine chose, where it is one. */
  places(index: number): Places | undefined {
    const input = this.#context.inputs[index];
    return input?.kind === 'places' ? input : undefined;
  }

  /** An input that must be there. */
  value(index: number): Value {
    if (this.places(index)) this.fail(`its input ${index} holds the places that TopK found, which only GatherND reads`);
    return this.inputs[index] ?? this.fail(`its input ${index} is missing`);
  }

  /** An input whose value must be known; `what` names it in the error. */
  constant(index: number, what: string): Constant {
    const value = this.value(index);
    if (value.kind === 'constant') return value;
    const names = this.#context.roots(index);
    const advice = names.length > 0 ? `give \`constants\` for ${names.map((name) => `"${name}"`).join(', ')}` : '';
    this.fail(`${what} must be known when the model is imported${advice && `; ${advice}`}`);
  }

  /** The whole numbers of a known input. */
  integers(index: number, what: string): number[] {
    const { data } = this.constant(index, what);
    const values = Array.from(data);
    return values.every(Number.isInteger) ? values : this.fail(`${what} holds [${values.join(', ')}]`);
  }

  /** A list of integers that older versions have as an attribute and newer ones as an input; undefined where it is left out. */
  list(name: string, index: number): readonly number[] | undefined {
    if (this.has(name)) return this.ints(name);
    return this.inputs[index] === undefined ? undefined : this.integers(index, name);
  }

  /** 0 .. rank - 1 from an axis that may count from the end. */
  axis(axis: number, rank: number): number {
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
      this.fail(`axis ${axis} is outside a tensor of rank ${rank}`);
    }
    return axis < 0 ? axis + rank : axis;
  }

  /** Axes without repetition, in ascending order. */
  axes(axes: readonly number[], rank: number): number[] {
    const found = axes.map((axis) => this.axis(axis, rank));
    if (new Set(found).size !== found.length) this.fail(`the axes [${axes.join(', ')}] repeat`);
    return found.sort((a, b) => a - b);
  }

  /** An input as a computed value: a constant becomes a tensor of the graph in ONNX's order. */
  computed(index: number): Computed {
    return this.asComputed(this.value(index));
  }

  asComputed(value: Value, role: 'param' | 'state' | 'const' = 'const'): Computed {
    if (value.kind === 'computed') return value;
    const order = plainOrder(value.shape.length);
    return computed(this.translation.tensorOf(value, order, role), value.type, value.shape, order);
  }

  /** The engine's tensor of a value with its axes in an order. Weights are `param` or `state`. */
  ordered(value: Value, order: readonly number[], role: 'param' | 'state' | 'const' = 'const'): Tensor {
    if (value.kind === 'constant') return this.translation.tensorOf(value, order, role);
    return arranged(value, order);
  }

  /** In ONNX's own order. */
  plain(value: Value): Tensor {
    return this.ordered(value, plainOrder(value.shape.length));
  }
}

/** One operator: its outputs, as many as anybody reads. */
export type Operator = (node: OnnxNode) => AnyValue | readonly (AnyValue | undefined)[];
export type OperatorTable = Readonly<Record<string, Operator>>;
