// ONNX models as graphs of the engine. parseOnnx() reads and checks a file; its model is then applied to tensors of a graph as
// often as wanted (training and inference, one image and many), each time with its weights as parameters of that graph.
// Called by users and `gramian import`. The rule easy to break: nodes are translated only where an output needs them, and an
// error of the engine's own checks is given the node's name, so that every failure is an InterchangeError.
import fs from 'node:fs/promises';
import { GramianError, InterchangeError } from '../../errors';
import type { Graph, Tensor } from '../../graph/graph';
import { countOf } from '../tensors';
import { folded, isFolded } from './fold';
import { OnnxNode, type Operator, Translation } from './node';
import { operators } from './ops';
import { type ModelData, type NodeData, readModel, type ValueInfo } from './schema';
import { type AnyValue, arranged, type Computed, type Constant, channelsLast, computed, plainOrder } from './values';

/** A value that is fixed when a model is applied: what shapes, axes and indices are made from. */
export interface KnownInput {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

export interface OnnxInput {
  /** A tensor of the graph; its shape is the input's, in the order of `layout`. */
  readonly tensor: Tensor;
  /** 'plain' is ONNX's order; 'channelsLast' is [N,H,W,C] for an input that the file has as [N,C,H,W]. Default 'plain'. */
  readonly layout?: 'plain' | 'channelsLast';
}

export interface ApplyOptions {
  /** Values of inputs by name. Those that only decide shapes, axes and indices have to be given here. */
  readonly constants?: Readonly<Record<string, KnownInput>>;
  /** Outputs that are wanted; all by default. */
  readonly outputs?: readonly string[];
  /** Takes any batch where the file fixes the first dimension of an input, as exporters do that trace one image. */
  readonly anyBatch?: boolean;
}

/** What applying a model gave: values computed by the graph, and those that were known already. */
export interface OnnxResult {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  /** In ONNX's order; [1] for a scalar. */
  readonly tensor?: Tensor;
  readonly data?: Float32Array | Float64Array;
}

/** An ONNX model in memory. */
export class OnnxModel {
  readonly #data: ModelData;
  readonly #file: string;

  /** Use parseOnnx() or loadOnnx(). */
  constructor(data: ModelData, file: string) {
    this.#data = data;
    this.#file = file;
  }

  /** Inputs that are no weights. A dimension is a number, or a name where it is free. */
  get inputs(): readonly ValueInfo[] {
    return this.#data.inputs;
  }
  get outputs(): readonly ValueInfo[] {
    return this.#data.outputs;
  }
  /** Version of ONNX's operators. */
  get opset(): number {
    return this.#data.opsets.get('') ?? 1;
  }
  get producer(): string {
    return this.#data.producer;
  }
  /** Weights by name, in ONNX's order. */
  get weights(): ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }> {
    return this.#data.initializers;
  }

  #fail(reason: string): never {
    throw new InterchangeError(`[onnx] ${this.#file}: ${reason}`);
  }

  /**
   * Appends the model to the graph of `inputs`. Weights become params named as the file's initializers (statistics of batch
   * normalisation become states) in the scope that is open. Throws InterchangeError where a node is not supported or its
   * inputs do not fit.
   */
  apply(graph: Graph, inputs: Readonly<Record<string, OnnxInput>>, options: ApplyOptions = {}): OnnxResult[] {
    const wanted = options.outputs ?? this.outputs.map(({ name }) => name);
    const unknown = wanted.find((name) => !this.outputs.some((output) => output.name === name));
    if (unknown !== undefined) this.#fail(`it has no output ${JSON.stringify(unknown)}`);
    const run = new Run(this.#data, this.#file, graph, wanted);
    run.give(inputs, options.constants ?? {}, options.anyBatch ?? false);
    run.translate();
    return wanted.map((name) => run.result(name));
  }
}

/** One application of a model. */
class Run {
  readonly #values = new Map<string, AnyValue>();
  /** Inputs of the model that each value depends on. */
  readonly #roots = new Map<string, ReadonlySet<string>>();
  readonly #needed: ReadonlySet<string>;
  readonly #nodes: readonly NodeData[];
  readonly #translation: Translation;
  readonly #data: ModelData;
  readonly #file: string;

  constructor(data: ModelData, file: string, graph: Graph, wanted: readonly string[]) {
    this.#data = data;
    this.#file = file;
    this.#translation = new Translation(graph, data.opsets.get('') ?? 1);
    const needed = new Set(wanted);
    const nodes: NodeData[] = [];
    for (const node of [...data.nodes].reverse()) {
      if (!node.outputs.some((name) => needed.has(name))) continue;
      nodes.push(node);
      for (const name of node.inputs) if (name !== '') needed.add(name);
    }
    this.#needed = needed;
    this.#nodes = nodes.reverse();
  }

  #fail(reason: string, options?: ErrorOptions): never {
    throw new InterchangeError(`[onnx] ${this.#file}: ${reason}`, options);
  }

  give(
    inputs: Readonly<Record<string, OnnxInput>>,
    constants: Readonly<Record<string, KnownInput>>,
    anyBatch: boolean,
  ): void {
    for (const [name, tensor] of this.#data.initializers) {
      this.#values.set(name, { kind: 'constant', ...tensor, source: name });
    }
    for (const name of [...Object.keys(inputs), ...Object.keys(constants)]) {
      if (this.#data.inputs.some((input) => input.name === name)) continue;
      const names = this.#data.inputs.map((input) => input.name).join(', ') || 'none';
      this.#fail(`it has no input ${JSON.stringify(name)}; its inputs are ${names}`);
    }
    for (const info of this.#data.inputs) {
      const known = Object.hasOwn(constants, info.name) ? constants[info.name] : undefined;
      const given = Object.hasOwn(inputs, info.name) ? inputs[info.name] : undefined;
      if (known) this.#values.set(info.name, this.#known(info, known));
      else if (given) this.#values.set(info.name, this.#given(info, given, anyBatch));
      else if (this.#needed.has(info.name)) this.#fail(`its input ${JSON.stringify(info.name)} is not given`);
    }
  }

  #known({ name, type }: ValueInfo, { shape, data }: KnownInput): Constant {
    if (type === undefined) this.#fail(`its input ${JSON.stringify(name)} is no tensor`);
    if (data.length !== countOf(shape)) {
      this.#fail(`its input ${JSON.stringify(name)} of [${shape.join(', ')}] was given ${data.length} values`);
    }
    const values = type === 'float32' ? Float32Array.from(data) : Float64Array.from(data);
    return { kind: 'constant', type, shape, data: values };
  }

  #given({ name, type, shape }: ValueInfo, { tensor, layout = 'plain' }: OnnxInput, anyBatch: boolean): Computed {
    if (type === undefined) this.#fail(`its input ${JSON.stringify(name)} is no tensor`);
    const rank = shape?.length ?? tensor.shape.length;
    const order = layout === 'plain' ? plainOrder(rank) : channelsLast(rank);
    if (rank > 0 && rank !== tensor.shape.length) {
      this.#fail(`its input ${JSON.stringify(name)} has rank ${rank}, got [${tensor.shape.join(', ')}]`);
    }
    const own = plainOrder(rank).map((axis) => tensor.shape[order.indexOf(axis)]!);
    const isFree = (extent: number | string, axis: number): boolean =>
      typeof extent === 'string' || extent <= 0 || (anyBatch && axis === 0);
    const wrong = shape?.findIndex((extent, axis) => !isFree(extent, axis) && extent !== own[axis]);
    if (wrong !== undefined && wrong >= 0) {
      this.#fail(`its input ${JSON.stringify(name)} is [${shape?.join(', ')}], got [${own.join(', ')}]`);
    }
    this.#roots.set(name, new Set([name]));
    return computed(tensor, type, own, order);
  }

  translate(): void {
    for (const data of this.#nodes) {
      const inputs = data.inputs.map((name) => (name === '' ? undefined : this.#read(data, name)));
      const roots = data.inputs.map((name) => this.#roots.get(name) ?? new Set<string>());
      const node = new OnnxNode({
        data,
        inputs,
        translation: this.#translation,
        roots: (index) => [...(roots[index] ?? [])],
        wants: (index) => this.#needed.has(data.outputs[index] ?? ''),
        file: this.#file,
      });
      const made = this.#one(node, data);
      const all = new Set(roots.flatMap((names) => [...names]));
      data.outputs.forEach((name, index) => {
        if (name === '') return;
        const value = made[index];
        if (!value) {
          if (this.#needed.has(name)) node.fail(`its output ${index} is not supported`);
          return;
        }
        if (this.#values.has(name)) node.fail(`its output ${JSON.stringify(name)} is made twice`);
        this.#values.set(name, value);
        if (value.kind !== 'constant') this.#roots.set(name, all);
      });
    }
  }

  #read(node: NodeData, name: string): AnyValue {
    const value = this.#values.get(name);
    return (
      value ??
      this.#fail(
        `node ${JSON.stringify(node.name)} (${node.op}) reads ${JSON.stringify(name)}, which nothing makes before`,
      )
    );
  }

  #one(node: OnnxNode, data: NodeData): readonly (AnyValue | undefined)[] {
    if (data.domain !== '' && data.domain !== 'ai.onnx') node.fail(`operators of ${data.domain} are not supported`);
    try {
      const known = folded(node);
      if (known) return known;
      if (!Object.hasOwn(operators, node.op)) {
        // What the engine has no op for may still be worked out here.
        if (isFolded(node.op)) for (const index of node.inputs.keys()) node.constant(index, `input ${index}`);
        node.fail('the operator is not supported');
      }
      const made = (operators[node.op] as Operator)(node);
      return 'kind' in made ? [made] : made;
    } catch (error) {
      if (error instanceof InterchangeError && error.message.includes(this.#file)) throw error;
      if (!(error instanceof GramianError)) throw error;
      node.fail(error.message, { cause: error });
    }
  }

  result(name: string): OnnxResult {
    const value = this.#values.get(name);
    if (!value) this.#fail(`nothing makes its output ${JSON.stringify(name)}`);
    if (value.kind === 'places') this.#fail(`its output ${JSON.stringify(name)} holds places that TopK found`);
    const { type, shape } = value;
    if (value.kind === 'constant') return { name, type, shape, data: value.data };
    return { name, type, shape, tensor: arranged(value, plainOrder(shape.length)) };
  }
}

/** Reads and checks a model in memory. Throws InterchangeError `[onnx] file: reason` for anything malformed. */
export function parseOnnx(bytes: Uint8Array, file = 'buffer'): OnnxModel {
  return new OnnxModel(readModel(bytes, file), file);
}

/** parseOnnx() of a file. Rejects with InterchangeError naming it. */
export async function loadOnnx(path: string): Promise<OnnxModel> {
  let bytes: Uint8Array;
  try {
    bytes = await fs.readFile(path);
  } catch (cause) {
    throw new InterchangeError(`[onnx] ${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  return parseOnnx(bytes, path);
}
