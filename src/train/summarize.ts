// What a network costs before it runs: parameters and multiply-adds per layer, units, and the arena a training step
// needs by local objectives and by back-propagation. Called by the CLI's `summary`.
import { analyze } from '../compile';
import { type Graph, type Node, sizeOf } from '../graph/graph';
import { modelNamed, type PublishedFigures, published } from '../models';
import { OBJECTIVE_DEFAULTS } from '../objectives/options';
import { trainingGraph } from './trainer';

export interface LayerSummary {
  readonly name: string;
  readonly op: string;
  /** Output shape without the batch. */
  readonly shape: readonly number[];
  readonly parameters: number;
  /** Multiply-adds for one image. */
  readonly macs: number;
  readonly unit: string;
}

export interface UnitSummary {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parameters: number;
  readonly macs: number;
}

export interface Summary {
  readonly model: string;
  readonly input: readonly [number, number, number];
  readonly batch: number;
  readonly parameters: number;
  readonly macs: number;
  readonly units: UnitSummary[];
  /** Bytes of the training step's arena. */
  readonly arenaBytes: { readonly hsic: number; readonly bp: number };
  readonly layers: LayerSummary[];
  /** What the model's paper prints, for one image of its own input and classes; absent where it prints nothing. */
  readonly published?: PublishedFigures;
}

export interface SummaryOptions {
  readonly input: readonly [number, number, number];
  readonly batch: number;
  readonly classes: number;
}

function stepGraph(model: string, options: SummaryOptions, name: 'cka' | 'bp'): ReturnType<typeof trainingGraph> {
  const [height, width, channels] = options.input;
  const count = options.batch;
  return trainingGraph({
    model: modelNamed(model),
    spec: { classes: options.classes, input: options.input, mean: [0.5], std: [0.5] },
    data: {
      name: 'shape only',
      images: new Uint8Array(count * height * width * channels),
      labels: new Int32Array(count),
      count,
      height,
      width,
      channels,
      classes: Array.from({ length: options.classes }, (_, index) => String(index)),
      synthetic: true,
    },
    objective: { ...OBJECTIVE_DEFAULTS, name },
    batch: options.batch,
    seed: 1,
    lr: 0.001,
  });
}

/** Multiply-adds of a product for the whole batch; undefined for other nodes. */
function multiplyAdds(graph: Graph, node: Node): number | undefined {
  const shapeOf = (id: number): readonly number[] => graph.tensors[id]!.shape;
  const output = sizeOf(shapeOf(node.outputs[0]!));
  if (node.op === 'conv2d') return output * sizeOf(shapeOf(node.inputs[1]!).slice(0, 3));
  if (node.op === 'matmul') return output * shapeOf(node.inputs[0]!)[node.attrs.transA ? 0 : 1]!;
  return undefined;
}

/** Forward layers in order: the products, and the parameters that each node is the first to read. */
function layersOf(graph: Graph, forwardNodes: number, batch: number): LayerSummary[] {
  const seen = new Set<number>();
  const layers: LayerSummary[] = [];
  for (const node of graph.nodes.slice(0, forwardNodes)) {
    let parameters = 0;
    for (const id of node.inputs) {
      const { kind, shape } = graph.tensors[id]!;
      if (kind === 'param' && !seen.has(id)) parameters += sizeOf(shape);
      if (kind === 'param') seen.add(id);
    }
    // A product of persistent tensors alone, such as the connection weights, is done once a step and not once an image.
    const ofImages = graph.tensors[node.inputs[0] ?? -1]?.kind === 'temp';
    const isLayer = ofImages && multiplyAdds(graph, node) !== undefined;
    if (parameters === 0 && !isLayer) continue;
    layers.push({
      name: node.name,
      op: node.op,
      shape: graph.tensors[node.outputs[0]!]!.shape.slice(ofImages ? 1 : 0),
      parameters,
      macs: isLayer ? multiplyAdds(graph, node)! / batch : 0,
      unit: graph.units[node.unit]?.name ?? '',
    });
  }
  return layers;
}

/** Summary of the model named `model` for inputs [height, width, channels]. */
export function summarize(model: string, options: SummaryOptions): Summary {
  const local = stepGraph(model, options, 'cka');
  const backPropagated = stepGraph(model, options, 'bp');
  const { graph } = local;
  const lastForward = graph.nodes.findLastIndex((node) => node.outputs.includes(graph.units.at(-1)!.output!.id));
  const layers = layersOf(graph, lastForward + 1, options.batch);
  const sum = (key: 'parameters' | 'macs', unit?: string): number =>
    layers.reduce((total, layer) => total + (unit === undefined || layer.unit === unit ? layer[key] : 0), 0);
  return {
    model,
    input: options.input,
    batch: options.batch,
    parameters: sum('parameters'),
    macs: sum('macs'),
    units: graph.units.map((unit) => ({
      name: unit.name,
      shape: unit.output!.shape.slice(1),
      parameters: sum('parameters', unit.name),
      macs: sum('macs', unit.name),
    })),
    arenaBytes: {
      hsic: analyze(graph, { outputs: local.outputs }).arenaBytes,
      bp: analyze(backPropagated.graph, { outputs: backPropagated.outputs }).arenaBytes,
    },
    layers,
    ...(Object.hasOwn(published, model) ? { published: published[model]! } : {}),
  };
}
