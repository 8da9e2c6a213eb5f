// Reverse-mode differentiation on the graph itself: grad() appends the nodes that compute the gradients, by the rules of
// gradients/rules.ts. Called by the trainer once per unit (or once for the whole network: back-propagation is the same
// with one unit). The rule easy to break: gradients are appended before the updates of what they read, which grad()
// checks, since a node appended later sees the updated values.
import { ArgumentError, GraphError } from '../errors';
import { type Gradient, type Rule, rules, stops } from './gradients/rules';
import type { Graph, Node, Tensor, Unit } from './graph';
import { describe, hasShape, operands, type Unchecked, withDefaults } from './ops/check';
import { add, affine, fill } from './ops/elementwise';

export { rules, stops } from './gradients/rules';

export interface GradOptions {
  /** Only nodes of this unit are differentiated, and the gradient nodes belong to it. Default: every node. */
  within?: Unit;
  /** Gradient of the loss itself, shaped as it. Default: ones. */
  seed?: Tensor;
}

/**
 * d sum(seed * loss) / d each tensor of `wrt`, shaped as that tensor; zeros for one the loss does not depend on.
 * Only operations between a tensor of `wrt` and the loss get gradient nodes. Throws a GraphError when one of them has no
 * rule (a second derivative, for instance), when the loss depends on `wrt` through an operand that a rule takes as constant
 * (running statistics, class weights, an objective's kernels), or when a value the gradient needs has been updated since it was used.
 * Operations in `stops` count as constants: nothing passes through them.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[], options?: GradOptions): Tensor[] {
  const graph = operands('grad', { loss }, 'f32');
  if (!Array.isArray(wrt)) throw new ArgumentError(`[grad] wrt is a list of tensors, got ${describe(wrt)}`);
  operands('grad', Object.fromEntries(wrt.map((tensor, index) => [`wrt[${index}]`, tensor])), 'f32', graph);
  const defaults = { within: undefined, seed: undefined };
  const { within, seed } = withDefaults<Unchecked<GradOptions>>('grad', options, defaults) as GradOptions;
  if (seed !== undefined) {
    operands('grad', { seed }, 'f32', graph);
    hasShape('grad', 'seed', seed, loss.shape, 'as the loss');
  }
  if (within === undefined) return walk(graph, loss, wrt, seed ?? 1, () => true);
  checkUnit(graph, loss, within);
  return graph.inUnit(within, () => walk(graph, loss, wrt, seed ?? 1, (node) => node.unit === within.index));
}

function checkUnit(graph: Graph, loss: Tensor, within: Unit): void {
  if (typeof within !== 'object' || within === null || graph.units[within.index] !== within) {
    throw new ArgumentError(`[grad] within is a unit of the graph, got ${describe(within)}`);
  }
  const producer = graph.producer(loss);
  if (producer && producer.unit !== within.index) {
    const place = graph.units[producer.unit]?.name;
    const where = place === undefined ? 'outside every unit' : `in unit "${place}"`;
    throw new GraphError(`[grad] the loss "${loss.name}" is made ${where}, not in unit "${within.name}"`);
  }
}

function walk(
  graph: Graph,
  loss: Tensor,
  wrt: readonly Tensor[],
  seed: Tensor | number,
  allowed: (node: Node) => boolean,
): Tensor[] {
  const nodes = [...graph.nodes];
  const dependent = dependents(graph, nodes, wrt, allowed);
  const written = lastWrites(graph, nodes);
  const gradients = new Map<number, Gradient>([[loss.id, seed]]);
  for (let index = nodes.length - 1; index >= 0; index--) {
    const node = nodes[index] as Node;
    if (!allowed(node) || isUpdate(graph, node)) continue;
    if (!node.outputs.some((id) => gradients.has(id) && dependent.has(id))) continue;
    const before = graph.nodes.length;
    graph.scope(`/grad/${node.name}`, () => differentiate(graph, node, dependent, gradients));
    checkReads(graph, before, index, written);
  }
  return wrt.map((tensor) => materialise(graph, tensor, gradients.get(tensor.id) ?? 0));
}

/** Applies a node's rule and adds what it gives to the gradients of its inputs. */
function differentiate(graph: Graph, node: Node, dependent: Set<number>, gradients: Map<number, Gradient>): void {
  const rule = rules[node.op] as Rule | undefined;
  if (!rule) {
    throw new GraphError(`[grad] "${node.name}" (${node.op}) lies on the way to the loss and is not differentiable`);
  }
  const outputs = node.outputs.map((id) => graph.tensor(id));
  const inputs = node.inputs.map((id) => graph.tensor(id));
  let tensors: (Tensor | undefined)[] | undefined;
  const constant = gradients.get(node.outputs[0] as number);
  const others = node.outputs.slice(1).some((id) => gradients.has(id));
  const parts = rule({
    graph,
    node,
    inputs,
    outputs,
    constant: typeof constant === 'number' && !others ? constant : undefined,
    get outputGradients() {
      tensors ??= outputs.map((output) => {
        const gradient = gradients.get(output.id);
        return gradient === undefined ? undefined : materialise(graph, output, gradient);
      });
      return tensors;
    },
  });
  inputs.forEach((input, position) => {
    const part = parts[position];
    if (part === undefined || !dependent.has(input.id)) return;
    gradients.set(input.id, sum(gradients.get(input.id), part()));
  });
}

/** Ids of the tensors whose value depends on `wrt` through nodes that pass gradients on. */
function dependents(
  graph: Graph,
  nodes: readonly Node[],
  wrt: readonly Tensor[],
  allowed: (node: Node) => boolean,
): Set<number> {
  const reached = new Set(wrt.map((tensor) => tensor.id));
  for (const node of nodes) {
    if (!allowed(node) || Object.hasOwn(stops, node.op) || isUpdate(graph, node)) continue;
    if (!node.inputs.some((id) => reached.has(id))) continue;
    for (const id of node.outputs) reached.add(id);
  }
  return reached;
}

function isUpdate(graph: Graph, node: Node): boolean {
  return node.outputs.some((id) => graph.tensors[id]?.kind !== 'temp');
}

/** For each persistent tensor that is updated, the index of the last node that does so. */
function lastWrites(graph: Graph, nodes: readonly Node[]): Map<number, number> {
  const writes = new Map<number, number>();
  nodes.forEach((node, index) => {
    if (isUpdate(graph, node)) for (const id of node.outputs) writes.set(id, index);
  });
  return writes;
}

/** Refuses gradient nodes (those from `first` on) that would read a tensor updated since node `used` read it. */
function checkReads(graph: Graph, first: number, used: number, written: Map<number, number>): void {
  for (const node of graph.nodes.slice(first)) {
    const late = node.inputs.find((id) => (written.get(id) ?? -1) > used);
    if (late === undefined) continue;
    const { name } = graph.tensor(late);
    const user = graph.nodes[used]?.name;
    throw new GraphError(`[grad] "${name}" is updated after "${user}" uses it; take gradients before updates`);
  }
}

function sum(a: Gradient | undefined, b: Gradient): Gradient {
  if (a === undefined) return b;
  if (typeof a === 'number') return typeof b === 'number' ? a + b : affine(b, { offset: a });
  return typeof b === 'number' ? affine(a, { offset: b }) : add(a, b);
}

function materialise(graph: Graph, like: Tensor, gradient: Gradient): Tensor {
  return typeof gradient === 'number' ? fill(graph, like.shape, gradient) : gradient;
}
