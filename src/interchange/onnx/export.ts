// Writes an inference graph as an ONNX file. Called by users, `gramian export`, and the benchmarks that hand our networks to
// ONNX Runtime. Images are NCHW inside the file, as other tools want them: a tensor of rank 4 is written that way where its op
// has channels, and transposed where rows are read (reshape, gather).
// The rule easy to break: outputs are named by the caller, so those names are taken before any tensor gets one.
import { ArgumentError } from '../../errors';
import type { Graph, Node, Shape, Tensor, TensorData } from '../../graph/graph';
import { exporters } from './exportOps';
import { valueRecord } from './write';
import { type Exporter, inLayout, type Layout, OnnxWriter } from './writer';

export type { Layout } from './writer';

export interface ExportOptions {
  /** Inputs of the file by name: inputs of the graph. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Outputs of the file by name. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Value of a param, state or constant of that name; its initial value where this gives undefined. */
  readonly weights?: (name: string) => TensorData | undefined;
  /** Order of inputs and outputs of rank 4. Default 'channelsFirst'. */
  readonly layout?: Layout;
  /** Name of the free first dimension of inputs and outputs; null fixes it to the graph's. Default 'N'. */
  readonly batch?: string | null;
  /** Key and value pairs kept in the file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Nodes between `given` and the outputs, in order; updates of states are none of them. */
function neededNodes(graph: Graph, outputs: readonly Tensor[], given: ReadonlySet<number>): Node[] {
  const needed = new Set(outputs.map(({ id }) => id));
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    const makes = (id: number): boolean => needed.has(id) && !given.has(id) && graph.tensors[id]?.kind === 'temp';
    if (!node.outputs.some(makes)) continue;
    nodes.push(node);
    for (const id of node.inputs) needed.add(id);
  }
  return nodes.reverse();
}

/**
 * The ONNX file (opset 18) of an inference graph: what `outputs` need of it. Throws ArgumentError for a graph in training, an
 * input that is no float input of the graph, and an op that ONNX has no counterpart for.
 */
export function exportOnnx(graph: Graph, options: ExportOptions): Uint8Array {
  const { layout = 'channelsFirst', batch = 'N', metadata = {} } = options;
  if (graph.training) throw new ArgumentError('[onnx] expected a graph for inference (training: false)');
  const inputs = Object.entries(options.inputs);
  const outputs = Object.entries(options.outputs);
  const writer = new OnnxWriter(graph, options.weights ?? (() => undefined), [
    ...inputs.map(([name]) => name),
    ...outputs.map(([name]) => name),
  ]);
  const shapeOf = (shape: Shape): (number | string)[] => {
    const [first, ...rest] = inLayout(shape, layout);
    return [batch ?? first!, ...rest];
  };
  const values: Buffer[] = [];
  for (const [name, tensor] of inputs) {
    const { kind, dtype } = graph.info(tensor);
    if (dtype !== 'f32') throw new ArgumentError(`[onnx] input "${name}" is ${dtype}, expected float32`);
    if (kind !== 'input' && kind !== 'temp')
      throw new ArgumentError(`[onnx] input "${name}" is a ${kind} of the graph`);
    writer.place(tensor.id, layout, name);
    values.push(valueRecord(11, name, shapeOf(tensor.shape)));
  }
  const given = new Set(inputs.map(([, { id }]) => id));
  const wanted = outputs.map(([, tensor]) => tensor);
  for (const node of neededNodes(graph, wanted, given)) {
    if (!Object.hasOwn(exporters, node.op)) {
      throw new ArgumentError(`[onnx] "${node.name}": the op ${node.op} has no counterpart in ONNX here`);
    }
    (exporters[node.op] as Exporter)(writer, node);
  }
  for (const [name, tensor] of outputs) {
    writer.emit('Identity', [writer.input(tensor.id, layout)], [name]);
    values.push(valueRecord(12, name, shapeOf(tensor.shape)));
  }
  return writer.bytes(values, metadata);
}
