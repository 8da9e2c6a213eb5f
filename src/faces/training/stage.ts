// One of MTCNN's networks in training (Zhang et al. 2016, section II.B): cross-entropy of face or no face, squared errors of the
// edges and of the landmarks, each over the samples that have it, by back-propagation and Adam. Called by train.ts. The rule easy
// to break: a step sees easy samples but does not learn from them; of every batch only the seven tenths that are hardest to
// classify count.
import { type CompileOptions, compile, type Plan } from '../../compile';
import type { Random } from '../../data/random';
import { DivergedError } from '../../errors';
import { grad } from '../../graph/gradients';
import { Graph, type Tensor, type TensorData } from '../../graph/graph';
import * as ops from '../../graph/ops';
import type { MtcnnNet } from '../../interchange/mtcnn';
import { MTCNN_HEADS, MTCNN_PIXELS, ONET_SIDE, oNet, PNET_WINDOW, pNet, RNET_SIDE, rNet } from '../../models';
import { update } from '../../optim';
import type { Weights } from '../../train/compileModel';
import { KINDS, type Kind, LANDMARKS, mirrored, OFFSETS, type Sample } from './samples';

/** Each network, its input's side, and the weights of edges and landmarks in its loss (section II.B). */
export const STAGES = {
  pnet: { model: pNet, side: PNET_WINDOW, edges: 0.5, points: 0.5 },
  rnet: { model: rNet, side: RNET_SIDE, edges: 0.5, points: 0.5 },
  onet: { model: oNet, side: ONET_SIDE, edges: 0.5, points: 1 },
} as const;

/** Share of a batch that its hardest samples make up. */
const HARD = 0.7;
/** Samples of each kind in a batch, out of five. */
const MIX: Readonly<Record<Kind, number>> = { negative: 3, positive: 1, part: 1 };

export interface StageOptions extends Pick<CompileOptions, 'threads'> {
  readonly batch: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** The network's initial weights. */
export function initialWeights(net: MtcnnNet, seed: number): Weights {
  const { model, side } = STAGES[net];
  const graph = new Graph({ training: false, seed });
  model(graph.input('x', [1, side, side, 3]));
  const params = graph.tensors.filter(({ kind }) => kind === 'param');
  const full = (data: TensorData | number | undefined, shape: readonly number[]): TensorData =>
    typeof data === 'object' ? data : new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(data ?? 0);
  return Object.fromEntries(params.map(({ name, shape, data }) => [name, { shape, data: full(data, shape) }]));
}

/** Bytes as the network reads them. */
function pixelsOf(graph: Graph, batch: number, side: number): Tensor {
  const images = graph.input('images', [batch, side, side, 3], 'u8');
  const labels = graph.constant('no_labels', [batch], new Int32Array(batch));
  const first = graph.constant('first_batch', [1], new Int32Array(1));
  const { mean, std } = MTCNN_PIXELS;
  return ops.datasetBatch(images, labels, first, {
    ...{ batch, size: [side, side], shuffle: false, mean: [...mean], std: [...std] },
  }).x;
}

const head = (y: Tensor, [first, count]: readonly [number, number]): Tensor =>
  ops.slice(y, [0, first], [y.shape[0]!, count]);

/** sum weight[n] |x[n] - target[n]|^2 */
function squaredError(x: Tensor, name: string): Tensor {
  const { graph, shape } = x;
  const target = graph.input(name, shape);
  const weight = graph.input(`${name}Weight`, [shape[0]!, 1]);
  return ops.reduceSum(ops.mul(ops.square(ops.sub(x, target)), weight));
}

function trainingGraph(net: MtcnnNet, { batch, steps, learningRate, seed }: StageOptions) {
  const { model, side, edges, points } = STAGES[net];
  const graph = new Graph({ training: true, seed });
  const raw = model(pixelsOf(graph, batch, side));
  const y = ops.reshape(raw, [batch, -1]);
  const logits = head(y, MTCNN_HEADS.logits);
  // A row of `faceTarget` is one-hot over the samples that count, or zeros.
  const target = graph.input('faceTarget', [batch, 2]);
  const face = ops.reduceSum(ops.mul(ops.logSoftmax(logits), target));
  let loss = ops.affine(face, { scale: -1 });
  const weighed = (error: Tensor, scale: number): Tensor => ops.affine(error, { scale });
  loss = ops.add(loss, weighed(squaredError(head(y, MTCNN_HEADS.offsets), 'offsets'), edges));
  if (net === 'onet') loss = ops.add(loss, weighed(squaredError(head(y, MTCNN_HEADS.landmarks), 'landmarks'), points));
  const params = graph.tensors.flatMap(({ kind }, id) => (kind === 'param' ? [graph.tensor(id)] : []));
  const gradients = grad(loss, params);
  const step = graph.state('step', [1], 'i32');
  const lr = ops.schedule(step, { kind: 'cosine', base: learningRate, total: steps, floor: learningRate / 100 });
  params.forEach((param, index) => {
    update(param, gradients[index]!, { kind: 'adam', lr, step });
  });
  ops.increment(step);
  return { graph, outputs: { loss } };
}

function lookingGraph(net: MtcnnNet, batch: number) {
  const { model, side } = STAGES[net];
  const graph = new Graph({ training: false });
  const logits = head(ops.reshape(model(pixelsOf(graph, batch, side)), [batch, -1]), MTCNN_HEADS.logits);
  return { graph, outputs: { logits } };
}

/** Which of the classified samples count: the hardest by cross-entropy, as weights that sum to 1. */
function hardest(kinds: readonly Kind[], logits: Float32Array): number[] {
  const losses = kinds.map((kind, index) => {
    if (kind === 'part') return -1;
    const [none, face] = [logits[2 * index]!, logits[2 * index + 1]!];
    const margin = kind === 'positive' ? none - face : face - none;
    return margin > 0 ? margin + Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin));
  });
  const classified = kinds.map((_, index) => index).filter((index) => losses[index]! >= 0);
  classified.sort((a, b) => losses[b]! - losses[a]! || a - b);
  const count = Math.max(1, Math.round(HARD * classified.length));
  const weights = new Array<number>(kinds.length).fill(0);
  for (const index of classified.slice(0, count)) weights[index] = 1 / count;
  return weights;
}

/** The arrays of a step, but for which samples count. */
function feedsOf(samples: readonly Sample[], side: number) {
  const count = samples.length;
  const bytes = side * side * 3;
  const feeds = {
    images: new Uint8Array(count * bytes),
    offsets: new Float32Array(count * OFFSETS),
    offsetsWeight: new Float32Array(count),
    landmarks: new Float32Array(count * LANDMARKS),
    landmarksWeight: new Float32Array(count),
  };
  const edged = samples.filter(({ kind }) => kind !== 'negative').length;
  const marked = samples.filter(({ landmarks }) => landmarks).length;
  samples.forEach(({ pixels, kind, offsets, landmarks }, index) => {
    feeds.images.set(pixels, index * bytes);
    feeds.offsets.set(offsets, index * OFFSETS);
    if (kind !== 'negative') feeds.offsetsWeight[index] = 1 / edged;
    if (!landmarks) return;
    feeds.landmarks.set(landmarks, index * LANDMARKS);
    feeds.landmarksWeight[index] = 1 / marked;
  });
  return feeds;
}

/** A batch of the mix, half of it mirrored. A kind that there is none of leaves its places to negatives. */
function drawBatch(
  pools: Readonly<Record<Kind, readonly Sample[]>>,
  batch: number,
  side: number,
  random: Random,
): Sample[] {
  const places = KINDS.flatMap((kind) => new Array<Kind>(MIX[kind]).fill(kind));
  return Array.from({ length: batch }, (_, index) => {
    const kind = places[index % places.length]!;
    const pool = pools[kind].length > 0 ? pools[kind] : pools.negative;
    const sample = pool[random.below(pool.length)]!;
    return random.uniform() < 0.5 ? mirrored(sample, side) : sample;
  });
}

export interface StageProgress {
  readonly net: MtcnnNet;
  readonly step: number;
  readonly steps: number;
  /** Mean since the last report. */
  readonly loss: number;
}

const REPORT_EVERY = 50;

/**
 * Trains one network on samples of all kinds and answers its weights. Yields to the event loop at every step.
 * Rejects with DivergedError when the loss is no number.
 */
export async function trainStage(
  net: MtcnnNet,
  samples: readonly Sample[],
  options: StageOptions,
  random: Random,
  onProgress: (progress: StageProgress) => void,
): Promise<Weights> {
  const { batch, steps, threads } = options;
  const { side } = STAGES[net];
  const pools = Object.fromEntries(KINDS.map((kind) => [kind, samples.filter((one) => one.kind === kind)])) as Record<
    Kind,
    Sample[]
  >;
  const training = trainingGraph(net, options);
  const plan = compile(training.graph, { outputs: training.outputs, ...(threads === undefined ? {} : { threads }) });
  let looking: Plan | undefined;
  try {
    const { graph, outputs } = lookingGraph(net, batch);
    looking = compile(graph, { outputs, share: plan });
    let sum = 0;
    for (let step = 1; step <= steps; step += 1) {
      const drawn = drawBatch(pools, batch, side, random);
      const kinds = drawn.map(({ kind }) => kind);
      const { landmarks, landmarksWeight, ...feeds } = feedsOf(drawn, side);
      const { logits } = await looking.step({ images: feeds.images });
      const faceTarget = new Float32Array(2 * batch);
      hardest(kinds, logits as Float32Array).forEach((weight, index) => {
        faceTarget[2 * index + (kinds[index] === 'positive' ? 1 : 0)] = weight;
      });
      const points = net === 'onet' ? { landmarks, landmarksWeight } : {};
      const { loss } = await plan.step({ ...feeds, ...points, faceTarget });
      if (!Number.isFinite(loss![0]))
        throw new DivergedError(`[mtcnn] the loss of ${net} is ${loss![0]} at step ${step}`);
      sum += loss![0]!;
      const since = ((step - 1) % REPORT_EVERY) + 1;
      if (since < REPORT_EVERY && step < steps) continue;
      onProgress({ net, step, steps, loss: sum / since });
      sum = 0;
    }
    const params = plan.tensors().filter(({ kind }) => kind === 'param');
    const read = params.map(async ({ name, shape }) => [name, { shape, data: await plan.read(name) }] as const);
    return Object.fromEntries(await Promise.all(read));
  } finally {
    looking?.dispose();
    plan.dispose();
  }
}
