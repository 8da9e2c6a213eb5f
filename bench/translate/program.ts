// A benchmark row as peers get it: the forward part of our own graph, plain data, with the values of its weights and
// batches. Called by the hosts in bench/peers; the translators beside this file read it. The rule easy to break: batch
// normalisation while training reads no mean and variance here, because every peer measures its batch itself.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Trace } from '../../src/cli/bench/ours';
import type { Workload } from '../../src/cli/bench/rows';
import { type Attrs, type Graph, type Node, sizeOf, type TensorData, type TensorInfo } from '../../src/graph/graph';

export interface ProgramTensor {
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32' | 'u8';
  /** weight: has a value of its own; given: a new value each step; temp: made by a node. */
  readonly role: 'weight' | 'given' | 'temp';
  readonly trained: boolean;
}

export interface ProgramNode {
  readonly op: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly attrs: Attrs;
  /** Inputs through which no gradient goes: borders of units, and what no loss reads. */
  readonly detached: readonly boolean[];
  /** Does not depend on what is given, so an inference computes it once. */
  readonly fixed: boolean;
}

export interface Program {
  readonly kind: 'train' | 'infer' | 'kernel';
  readonly lr: number;
  readonly tensors: Readonly<Record<number, ProgramTensor>>;
  readonly nodes: readonly ProgramNode[];
  /** Ids in the order in which values are handed over. */
  readonly weights: readonly number[];
  readonly given: readonly number[];
  readonly results: readonly number[];
}

function isWeight({ kind }: TensorInfo): boolean {
  return kind === 'param' || kind === 'state' || kind === 'const';
}

/** What a node really reads. */
function readsOf(node: Node): readonly number[] {
  if (node.op !== 'batchNorm' || node.attrs.training !== true) return node.inputs;
  const [x, , , gamma, beta] = node.inputs as [number, number, number, number, number];
  return [x, gamma, beta];
}

/** Nodes that the results need, in order; `given` tensors are not looked behind. */
function forwardNodes(graph: Graph, results: readonly number[], given: ReadonlySet<number>): Node[] {
  const needed = new Set(results);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    const updates = node.outputs.some((id) => isWeight(graph.tensors[id]!));
    if (updates || !node.outputs.some((id) => needed.has(id) && !given.has(id))) continue;
    nodes.push(node);
    for (const id of readsOf(node)) needed.add(id);
  }
  return nodes.reverse();
}

/** Nodes through which a gradient goes: those a loss of the same unit reads, found from the losses backwards. */
function differentiable(nodes: readonly Node[], local: boolean): Set<Node> {
  if (!local) return new Set(nodes);
  const wanted = new Map<number, Set<number>>();
  const found = new Set<Node>();
  for (const node of [...nodes].reverse()) {
    const isLoss = node.op === 'hsicObjective' || node.op === 'crossEntropy';
    const wants = node.outputs.some((id) => wanted.get(node.unit)?.has(id));
    if (node.unit < 0 || !(isLoss || wants)) continue;
    found.add(node);
    const unit = wanted.get(node.unit) ?? new Set<number>();
    wanted.set(node.unit, unit);
    for (const id of readsOf(node)) unit.add(id);
  }
  return found;
}

function kindOf({ graph, given, training }: Workload): Program['kind'] {
  if (training) return 'train';
  return given.some((tensor) => graph.info(tensor).kind === 'input') ? 'infer' : 'kernel';
}

export function programOf(workload: Workload): Program {
  const { graph, training } = workload;
  const kind = kindOf(workload);
  const given = workload.given.map(({ id }) => id);
  const results = workload.results.map(({ id }) => id);
  const nodes = forwardNodes(graph, results, new Set(given));
  const local = training?.method === 'cka';
  const open = differentiable(nodes, local);
  const unitOf = new Map(nodes.flatMap((node) => node.outputs.map((id) => [id, node.unit] as const)));
  const varying = new Set(given);
  const translated = nodes.map((node): ProgramNode => {
    const inputs = readsOf(node);
    const fixed = kind === 'infer' && !inputs.some((id) => varying.has(id));
    if (!fixed) for (const id of node.outputs) varying.add(id);
    const border = (id: number): boolean => local && unitOf.has(id) && unitOf.get(id) !== node.unit;
    const joins = node.op === 'concat' && node.outputs.some((id) => results.includes(id));
    const detached = inputs.map((id) => kind === 'train' && !joins && (!open.has(node) || border(id)));
    return { op: node.op, inputs, outputs: node.outputs, attrs: node.attrs, detached, fixed };
  });
  const used = [...new Set([...given, ...translated.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])])];
  const tensors = used.map((id): [number, ProgramTensor] => {
    const info = graph.tensors[id]!;
    const role = given.includes(id) ? 'given' : isWeight(info) ? 'weight' : 'temp';
    return [id, { shape: info.shape, dtype: info.dtype, role, trained: info.kind === 'param' }];
  });
  const weights = tensors.filter(([, { role }]) => role === 'weight').map(([id]) => id);
  return {
    kind,
    lr: training?.lr ?? 0,
    tensors: Object.fromEntries(tensors),
    nodes: translated,
    weights,
    given,
    results,
  };
}

/** Initial value of a weight. */
export function weightValue(graph: Graph, id: number): TensorData {
  const { data, shape } = graph.tensors[id]!;
  if (typeof data === 'object') return data;
  return new Float32Array(sizeOf(shape)).fill(data ?? 0);
}

/** Where a value lies in the file `data.bin` of a task's folder. */
export interface Stored {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32' | 'u8';
  readonly trained: boolean;
  readonly offset: number;
  readonly bytes: number;
}

export interface Manifest {
  readonly weights: readonly Stored[];
  /** [step][tensor] */
  readonly steps: readonly (readonly Stored[])[];
}

/** Writes program.json, manifest.json and data.bin into `folder`, for peers in other processes. */
export function writeTask(folder: string, workload: Workload, program: Program, trace: Trace): void {
  mkdirSync(folder, { recursive: true });
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const store = (id: number, data: TensorData): Stored => {
    const { shape, dtype, trained } = program.tensors[id]!;
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const stored = { id, shape, dtype, trained, offset, bytes: data.byteLength };
    // Every value begins at a multiple of four.
    const gap = (4 - (data.byteLength % 4)) % 4;
    if (gap > 0) pieces.push(new Uint8Array(gap));
    offset += data.byteLength + gap;
    return stored;
  };
  const weights = program.weights.map((id) => store(id, weightValue(workload.graph, id)));
  const steps = trace.given.map((values) => values.map((value, index) => store(program.given[index]!, value)));
  writeFileSync(path.join(folder, 'data.bin'), Buffer.concat(pieces));
  writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify({ weights, steps } satisfies Manifest));
  writeFileSync(path.join(folder, 'program.json'), JSON.stringify(program));
}
