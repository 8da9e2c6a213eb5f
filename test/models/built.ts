// A model's graph and what the tests of models ask of it. Graphs are built and never run, so that large networks cost nothing.
import { Graph, sizeOf, type Tensor, type Unit } from '../../src/graph/graph';
import { type ModelFunction, type ModelOptions, modelNamed } from '../../src/models';

export const CLASSES = 7;
export const BATCH = 2;

export interface Built {
  readonly graph: Graph;
  readonly logits: Tensor;
}

export type Build = (x: Tensor, options: ModelOptions) => Tensor;

/** @param shape of one image, or of one feature vector. */
export function built(build: Build, shape: readonly number[], training = true, classes = CLASSES): Built {
  const graph = new Graph({ training });
  const x = graph.input('image', [BATCH, ...shape]);
  const step = training ? { step: graph.input('step', [1], 'i32') } : {};
  return { graph, logits: build(x, { classes, ...step }) };
}

export const named =
  (name: string): Build =>
  (x, options) =>
    modelNamed(name)(x, options);

export function unit(graph: Graph, name: string): Unit {
  const found = graph.units.find((item) => item.name === name);
  if (!found) throw new Error(`no unit "${name}" among ${graph.units.map((item) => item.name).join(', ')}`);
  return found;
}

/** Shape of a unit's output without the batch. */
export const shapeOf = (graph: Graph, name: string): readonly number[] => unit(graph, name).output!.shape.slice(1);

export function declared(graph: Graph, kind: 'param' | 'state'): string[] {
  return graph.tensors
    .filter((info) => info.kind === kind)
    .map((info) => `${info.name} ${info.dtype} ${info.shape.join('x')}`)
    .sort();
}

export const parametersOf = (graph: Graph): number =>
  graph.tensors.reduce((sum, info) => sum + (info.kind === 'param' ? sizeOf(info.shape) : 0), 0);

/** What makes large networks narrow, for tests that compute them: all layers are there, with fewer channels or neurons. */
const NARROW: Readonly<Record<string, object>> = {
  alexnet: { hidden: 64 },
  ferCnn: { hidden: 64 },
  ferVgg: { hidden: 64 },
  ferResnet18: { width: 16 },
  resnet18: { width: 16 },
  resnet50: { width: 16 },
  resnet101: { width: 16 },
  densenet121: { growth: 8 },
};

/** The model of that name, narrow where its full width would take seconds. */
export function narrowed(name: string): ModelFunction {
  const model = modelNamed(name);
  return (x, options) => model(x, { ...options, ...NARROW[name] });
}

/** Parameters of the model of that name; classes 7 unless told. */
export const parametersNamed = (name: string, shape: readonly number[], classes = CLASSES): number =>
  parametersOf(built(named(name), shape, true, classes).graph);

/** Smallest image or feature vector each model takes; 8x8 where the table has none. */
const LEAST: Readonly<Record<string, readonly number[]>> = {
  alexnet: [63, 63, 1],
  densenet121: [29, 29, 1],
  mlp: [10],
  mffCnn: [40, 40, 1],
  mffCnnUnselected: [40, 40, 1],
  mffCnnHighLevel: [40, 40, 1],
  mffCnnConcatenated: [40, 40, 1],
};

export const leastShape = (name: string): readonly number[] => LEAST[name] ?? [8, 8, 1];
