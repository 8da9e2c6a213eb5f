// The rows of the benchmarks: what is measured, each as a graph with the tensors that all contenders are given and must
// agree on. Called by bench.ts and bench/peers.ts. The rule easy to break: a row's id is what --rows takes and what
// results are compared by, so it does not change once results are kept.
import type { ImageDataset } from '../../data/types';
import { ArgumentError } from '../../errors';
import { grad } from '../../graph/gradients';
import { Graph, sizeOf, type Tensor } from '../../graph/graph';
import * as ops from '../../graph/ops';
import { type ModelFunction, modelNamed } from '../../models';
import { OBJECTIVE_DEFAULTS } from '../../objectives/options';
import { trainingGraph } from '../../train/trainer';
import { selectById, unknownWord } from './select';
import { smallNet } from './smallNet';
import type { Work } from './statistics';
import { workOf } from './work';

export const GROUPS = ['kernels', 'step', 'infer', 'growth', 'memory'] as const;
export type Group = (typeof GROUPS)[number];

/** The quantities in which rows of the growth table differ. */
export type Along = 'batch' | 'input' | 'blocks' | 'threads';

export interface Row {
  readonly id: string;
  readonly group: Group;
  /** One line for people. */
  readonly title: string;
  /** Whether peers are compared on it. */
  readonly peers: boolean;
  readonly batch?: number;
  readonly threads?: number;
  /** Its place in the growth table. */
  readonly growth?: { readonly along: Along; readonly value: number };
  build(): Workload;
}

/** A row's graph. `results` and `given` are for checking and for peers; a timed run returns `outputs`. */
export interface Workload {
  readonly graph: Graph;
  /** Small, so that copying them costs nothing. */
  readonly outputs: Record<string, Tensor>;
  /** What contenders must agree on, in order. */
  readonly results: readonly Tensor[];
  /** Tensors whose values peers are given at each step. */
  readonly given: readonly Tensor[];
  /** A model that is compiled for inference and given its images from JavaScript, as a server would do it. */
  readonly inference?: Inference;
  readonly training?: { readonly method: 'cka' | 'bp'; readonly lr: number };
  readonly work: Work;
}

/** What a row asks of a model: its probabilities, the row's results, for these images. */
export interface Inference extends Pick<NetSettings, 'model' | 'input' | 'classes'> {
  readonly images: Float32Array;
}

/** Values between -1 and 1 that no kernel can find easy. */
export function noise(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

type Inputs = (shape: readonly number[]) => Tensor;

function firstOf(x: Tensor): Tensor {
  const zeros = x.shape.map(() => 0);
  return ops.slice(
    x,
    zeros,
    zeros.map(() => 1),
  );
}

/** A kernel over persistent inputs, so that its time holds no copies; only one element of each result is returned. */
function kernelRow(id: string, title: string, peers: boolean, build: (input: Inputs, graph: Graph) => Tensor[]): Row {
  const work = (): Workload => {
    const graph = new Graph({ training: true });
    let inputs = 0;
    const results = build((shape) => {
      inputs += 1;
      return graph.param(`input${inputs}`, shape, noise(sizeOf(shape), inputs));
    }, graph);
    const counted = workOf(graph, results);
    const outputs = Object.fromEntries(results.map((result, index) => [`first${index}`, firstOf(result)]));
    return { graph, outputs, results, given: [], work: counted };
  };
  return { id, group: 'kernels', title, peers, build: work };
}

const ROWS_M = 128;
const ROWS_D = 50_176;

/** The features' Gram matrix, kernel, HSIC with inputs and labels, and the gradient by the features. */
function hsic(input: Inputs, graph: Graph): Tensor[] {
  const z = input([ROWS_M, ROWS_D]);
  const x = graph.constant('x', [ROWS_M, 64], noise(ROWS_M * 64, 11));
  const labels = graph.constant(
    'labels',
    [ROWS_M],
    Int32Array.from({ length: ROWS_M }, (_, index) => (index * 5) % 7),
  );
  const { kernel: Ex } = ops.kernelMatrix(ops.gram(x), { features: 64 });
  const Ey = ops.labelKernel(labels);
  const { loss } = ops.hsicObjective({ G: ops.gram(z), Ex, Ey }, { kind: 'hsic', features: ROWS_D });
  return [loss, grad(loss, [z])[0]!];
}

const KERNEL_ROWS: readonly Row[] = [
  kernelRow('hsic', 'HSIC value and gradient, Z [128,50176]', true, hsic),
  kernelRow('gram', 'Gram matrix, Z [128,50176]', true, (input) => [ops.gram(input([ROWS_M, ROWS_D]))]),
  kernelRow('pointwise', 'pointwise [32,28,28,128] -> 64', true, (input) => [
    ops.conv2d(input([32, 28, 28, 128]), input([1, 1, 128, 64])),
  ]),
  kernelRow('depthwise', 'depthwise 3x3 [32,28,28,128]', true, (input) => [
    ops.depthwiseConv2d(input([32, 28, 28, 128]), input([3, 3, 1, 128])),
  ]),
  kernelRow('matmul', 'matmul 512x512x512', false, (input) => [ops.matmul(input([512, 512]), input([512, 512]))]),
  kernelRow('conv3x3', 'conv2d 3x3 64->64, 32x28x28', false, (input) => [
    ops.conv2d(input([32, 28, 28, 64]), input([3, 3, 64, 64])),
  ]),
  kernelRow('moments', 'moments 32x48x48x64', false, (input) => [ops.moments(input([32, 48, 48, 64])).mean]),
  kernelRow('add', 'add 4M', false, (input) => [ops.add(input([4096, 1024]), input([4096, 1024]))]),
  kernelRow('relu', 'relu 4M', false, (input) => [ops.relu(input([4096, 1024]))]),
  kernelRow('maxpool', 'maxPool 2x2, 32x48x48x64', false, (input) => [
    ops.maxPool(input([32, 48, 48, 64]), { kernel: 2 }),
  ]),
  kernelRow('softmax', 'softmax 4096x1000', false, (input) => [ops.softmax(input([4096, 1000]))]),
];

export interface NetSettings {
  readonly name: string;
  readonly model: ModelFunction;
  readonly input: readonly [number, number, number];
  readonly classes: number;
  readonly batch: number;
}

/** Steps that losses are compared over; the data set holds as many batches. */
export const CHECK_STEPS = 5;
/**
 * Small: a fresh deep net under ReLU and BN turns a relative change of 1e-7 of its input into one of 0.6 % of its gradient
 * (measured on CFPN by bp, in PyTorch against itself), so larger updates would compare roundings and not programs. Without
 * updates the losses would still be off by ten times what is tolerated.
 */
const LEARNING_RATE = 2e-5;

/**
 * Stripes whose direction and width tell the class, under noise. What is in them does not change the time; but of noise
 * alone a deep net amplifies rounding errors within five steps until no two libraries agree.
 */
function pictures({ batch, input, classes }: NetSettings): ImageDataset {
  const [height, width, channels] = input;
  const count = CHECK_STEPS * batch;
  const images = Uint8Array.from(noise(count * height * width * channels, 7), (value, index) => {
    const pixel = Math.floor(index / channels);
    const image = Math.floor(pixel / (height * width));
    const label = image % classes;
    const [y, x] = [Math.floor((pixel % (height * width)) / width), pixel % width];
    const along = x * Math.cos(label) + y * Math.sin(label) + image;
    return 127 + 80 * Math.sin((along * (2 + label)) / 12) + 40 * value;
  });
  return {
    name: 'stripes',
    images,
    labels: Int32Array.from({ length: count }, (_, index) => index % classes),
    classes: Array.from({ length: classes }, (_, index) => String(index)),
    ...{ count, height, width, channels, synthetic: true },
  };
}

/** The training step as the trainer runs it. */
export function stepRow(id: string, net: NetSettings, method: 'cka' | 'bp', extra: Partial<Row> = {}): Row {
  const title = `${net.name} ${net.input.join('x')}, batch ${net.batch}, ${method}`;
  const build = (): Workload => {
    const { graph, outputs } = trainingGraph({
      model: net.model,
      spec: { classes: net.classes, input: net.input, mean: [0.5], std: [0.3] },
      data: pictures(net),
      objective: { ...OBJECTIVE_DEFAULTS, name: method },
      batch: net.batch,
      seed: 1,
      lr: LEARNING_RATE,
    });
    const fed = graph.nodes.find(({ op }) => op === 'datasetBatch')!.outputs.map((tensor) => graph.tensor(tensor));
    const all = Object.values(outputs);
    const training = { method, lr: LEARNING_RATE };
    return { graph, outputs, results: [outputs.losses!], given: fed, training, work: workOf(graph, all) };
  };
  return { id, group: 'step', title, peers: true, batch: net.batch, build, ...extra };
}

/** One call for each batch, its images handed over from JavaScript. Peers are given the graph of the whole batch. */
export function inferRow(id: string, net: NetSettings, extra: Partial<Row> = {}): Row {
  const title = `${net.name} ${net.input.join('x')} inference, batch ${net.batch}`;
  const build = (): Workload => {
    const graph = new Graph({ training: false });
    const shape = [net.batch, ...net.input];
    const x = graph.input('images', shape);
    const probabilities = ops.softmax(net.model(x, { classes: net.classes }));
    const inference = { ...net, images: noise(sizeOf(shape), 3) };
    const results = [probabilities];
    return { graph, outputs: { probabilities }, results, given: [x], inference, work: workOf(graph, results) };
  };
  return { id, group: 'infer', title, peers: true, batch: net.batch, build, ...extra };
}

const netOf = (name: string, batch: number, side = 48): NetSettings => ({
  name,
  model: name === 'small' ? smallNet : modelNamed(name),
  input: [side, side, 1],
  classes: 7,
  batch,
});

/** CFPN's local step (or denseFpn's, which has any number of blocks), one quantity changed at a time. */
function growthRows(): Row[] {
  const row = (along: Along, value: number, net: NetSettings, extra: Partial<Row> = {}): Row =>
    stepRow(`growth-${along}-${value}`, net, 'cka', {
      group: 'growth',
      peers: false,
      growth: { along, value },
      ...extra,
    });
  return [
    ...[16, 32, 64, 128, 256, 512].map((batch) => row('batch', batch, netOf('cfpn', batch))),
    ...[48, 96, 160, 224].map((side) => row('input', side, netOf('cfpn', 32, side))),
    ...[1, 2, 3, 4].map((blocks) => row('blocks', blocks, netOf(`denseFpn${blocks}`, 64))),
    ...[1, 2].map((threads) => row('threads', threads, netOf('cfpn', 64), { threads })),
  ];
}

/** Every row that is timed, in the order of the table. */
export const ROWS: readonly Row[] = [
  ...(['cka', 'bp'] as const).flatMap((method) =>
    [64, 128].map((batch) => stepRow(`cfpn-${method}-${batch}`, netOf('cfpn', batch), method)),
  ),
  stepRow('small-bp-128', netOf('small', 128), 'bp'),
  inferRow('small-infer-1', netOf('small', 1)),
  inferRow('small-infer-128', netOf('small', 128)),
  ...KERNEL_ROWS,
  ...growthRows(),
];

/**
 * The rows that `words` (ids, or beginnings of ids up to a dash: `growth`, `cfpn-bp`) name, in the order of the table.
 * @throws ArgumentError for a word that names none, with the nearest.
 */
export function selectRows<T extends { readonly id: string }>(
  rows: readonly T[],
  words: readonly string[],
): readonly T[] {
  const unknown = unknownWord(rows, words);
  if (unknown !== undefined) throw new ArgumentError(`[bench] --rows expects ids of rows, ${unknown}`);
  return selectById(rows, words);
}
