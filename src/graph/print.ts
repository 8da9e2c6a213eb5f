// A graph as text, one node a line, for people: debugging, error reports, snapshots in tests. Nothing parses it.
import { type AttrValue, formatShape, type Graph, type Node, type Tensor } from './graph';

/** `%3 stem/w 3x3x1x32`; the dtype is shown when it is not f32. */
function operand(tensor: Tensor): string {
  return `%${tensor.id} ${tensor.name} ${extent(tensor)}`;
}

function extent(tensor: Tensor): string {
  return tensor.dtype === 'f32' ? formatShape(tensor.shape) : `${tensor.dtype} ${formatShape(tensor.shape)}`;
}

function attribute(name: string, value: AttrValue): string {
  return ` ${name}=${typeof value === 'object' ? `[${value.join(',')}]` : String(value)}`;
}

function line(graph: Graph, node: Node): string {
  const inputs = node.inputs.map((id) => operand(graph.tensor(id))).join(', ');
  const outputs = node.outputs.map((id) => graph.tensor(id));
  const ids = outputs.map((tensor) => `%${tensor.id}`).join(',');
  const attrs = Object.entries(node.attrs).map(([name, value]) => attribute(name, value));
  const unit = node.unit < 0 ? '' : `   unit ${node.unit}`;
  return `${ids} ${node.name} = ${node.op}(${inputs})${attrs.join('')} -> ${outputs.map(extent).join(', ')}${unit}`;
}

/**
 * The declared tensors (inputs, params, states, constants), then the nodes in order of execution:
 * `%12 stem/conv2d = conv2d(%3 image 8x48x48x1, %5 stem/w 3x3x1x32) strideH=1 ... -> 8x48x48x32   unit 0`.
 * A node that updates persistent tensors has their numbers on its left.
 */
export function print(graph: Graph): string {
  const declared = graph.tensors.flatMap((info, id) =>
    info.kind === 'temp' ? [] : [`${operand(graph.tensor(id))}   ${info.kind}`],
  );
  const units = graph.units.map((unit) => `unit ${unit.index}   ${unit.name}`);
  return [...units, ...declared, ...graph.nodes.map((node) => line(graph, node)), ''].join('\n');
}
