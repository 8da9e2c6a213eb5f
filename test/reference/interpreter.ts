// The float64 oracle: runs a graph node by node, in append order, with the naive references of this folder.
// Tests compare the engine's kernels with it and check gradients against central differences of it.
// The rule easy to break: nodes see persistent tensors as earlier nodes of the same step left them.
import type { Graph, Shape, TensorData } from '../../src/graph/graph';
import { classification } from './classification';
import { elementwise } from './elementwise';
import { hsic } from './hsic';
import { linear } from './linear';
import { normalisation } from './normalisation';
import { pooling } from './pooling';
import { random } from './random';
import { shape } from './shape';
import { updates } from './updates';
import { count, type Reference, type Value } from './value';

/** Every op of docs/ops.md. */
export const references: ReadonlyMap<string, Reference> = new Map(
  [elementwise, shape, linear, normalisation, pooling, classification, hsic, updates, random].flatMap((family) =>
    Object.entries(family),
  ),
);

/** What a caller may feed: exact float64 values, or the engine's own arrays. */
export type Feed = TensorData | Float64Array | readonly number[];

export class ReferenceSession {
  readonly #graph: Graph;
  readonly #persistent = new Map<number, Value>();

  constructor(graph: Graph) {
    this.#graph = graph;
    graph.tensors.forEach((info, id) => {
      if (info.kind === 'input' || info.kind === 'temp') return;
      const { data } = info;
      const values = new Float64Array(count(info.shape));
      if (typeof data === 'number') values.fill(data);
      else if (data) values.set(data);
      this.#persistent.set(id, { shape: info.shape, data: values });
    });
  }

  /** Runs every node once; returns the value of every tensor by id. */
  step(feeds: Readonly<Record<string, Feed>> = {}): Map<number, Value> {
    const values = new Map<number, Value>(this.#persistent);
    this.#graph.tensors.forEach((info, id) => {
      if (info.kind !== 'input') return;
      const feed = feeds[info.name];
      if (!feed) throw new Error(`reference: input "${info.name}" is not fed`);
      values.set(id, checked(info.name, info.shape, Float64Array.from(feed)));
    });
    for (const node of this.#graph.nodes) {
      const reference = references.get(node.op);
      if (!reference) throw new Error(`reference: unknown op ${node.op}`);
      const inputs = node.inputs.map((id) => {
        const value = values.get(id);
        if (!value) throw new Error(`reference: ${node.name} reads tensor ${id} before it is made`);
        return value;
      });
      const shapes = node.outputs.map((id) => this.#graph.tensors[id]!.shape);
      const results = reference(inputs, shapes, node.attrs);
      node.outputs.forEach((id, index) => {
        const result = results[index];
        if (!result) throw new Error(`reference: ${node.op} made no output ${index}`);
        const value = checked(node.name, shapes[index]!, result.data);
        values.set(id, value);
        if (this.#persistent.has(id)) this.#persistent.set(id, value);
      });
    }
    return values;
  }

  /** Value of a persistent tensor. */
  read(name: string): Float64Array {
    return this.#persistent.get(this.#find(name))!.data.slice();
  }

  write(name: string, data: Feed): void {
    const id = this.#find(name);
    const { shape: extents } = this.#persistent.get(id)!;
    this.#persistent.set(id, checked(name, extents, Float64Array.from(data)));
  }

  #find(name: string): number {
    const id = this.#graph.tensors.findIndex((info, index) => info.name === name && this.#persistent.has(index));
    if (id < 0) throw new Error(`reference: there is no persistent tensor "${name}"`);
    return id;
  }
}

function checked(name: string, extents: Shape, data: Float64Array): Value {
  if (data.length !== count(extents)) {
    throw new Error(
      `reference: "${name}" has ${data.length} values, its shape ${extents.join('x')} needs ${count(extents)}`,
    );
  }
  return { shape: extents, data };
}
