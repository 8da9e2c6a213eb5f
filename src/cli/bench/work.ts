// Counts what a graph costs whoever runs it: FLOP of its products and convolutions, bytes that must move. Called by the
// rows of the benchmarks. The rule easy to break: this is arithmetic of the algorithm, so fusion and recomputation of the
// engine change neither number.
import { bytesOf, type Graph, type Node, sizeOf, type Tensor } from '../../graph/graph';
import type { Work } from './statistics';

function flopsOf(graph: Graph, node: Node): number {
  const shape = (id: number): readonly number[] => graph.tensors[id]!.shape;
  const [first, second] = node.inputs.map(shape);
  const output = shape(node.outputs[0] ?? 0);
  /** One product per tap, input channel of the group and cell of the output. */
  const taps = (filter: readonly number[]): number => filter[0]! * filter[1]! * filter[2]!;
  switch (node.op) {
    case 'conv2d':
      return 2 * sizeOf(output) * taps(second!);
    case 'conv2dGradInput':
      return 2 * sizeOf(first!) * taps(second!);
    case 'conv2dGradFilter':
      return 2 * sizeOf(second!) * taps(output);
    case 'matmul':
      return 2 * sizeOf(output) * (node.attrs.transA ? first![0]! : first![1]!);
    // Symmetric: one triangle and the diagonal.
    case 'gram':
      return first![0]! * (first![0]! + 1) * first![1]!;
    case 'gramGrad':
      return 2 * first![0]! ** 2 * second![1]!;
    default:
      return 0;
  }
}

function isPersistent(kind: string): boolean {
  return kind === 'param' || kind === 'state';
}

/** Indices of the nodes that the outputs or any persistent tensor need. */
export function liveNodes(graph: Graph, outputs: readonly Tensor[]): Set<number> {
  const needed = new Set(outputs.map(({ id }) => id));
  const live = new Set<number>();
  for (let index = graph.nodes.length - 1; index >= 0; index -= 1) {
    const node = graph.nodes[index]!;
    const updates = node.outputs.some((id) => isPersistent(graph.tensors[id]!.kind));
    if (!updates && !node.outputs.some((id) => needed.has(id))) continue;
    live.add(index);
    for (const id of node.inputs) needed.add(id);
  }
  return live;
}

/** @param outputs what a step returns. */
export function workOf(graph: Graph, outputs: readonly Tensor[]): Work {
  const live = liveNodes(graph, outputs);
  const read = new Set<number>();
  const written = new Set<number>();
  let flops = 0;
  for (const index of live) {
    const node = graph.nodes[index]!;
    flops += flopsOf(graph, node);
    // Of a data set only the batch moves.
    if (node.op === 'datasetBatch') for (const id of node.outputs) read.add(id);
    else for (const id of node.inputs) if (graph.tensors[id]!.kind !== 'temp') read.add(id);
    for (const id of node.outputs) if (isPersistent(graph.tensors[id]!.kind)) written.add(id);
  }
  for (const { id } of outputs) written.add(id);
  const bytes = (ids: Iterable<number>): number =>
    [...ids].reduce((sum, id) => sum + bytesOf(graph.tensors[id]!.shape, graph.tensors[id]!.dtype), 0);
  return { flops, bytes: bytes(read) + bytes(written) };
}
