// Batch normalisation whose statistics belong to the tensor, not to the layer that reads it: a dense block's channel is
// measured once, whichever number of later layers normalise it. Called by every layer that begins with BN.
// The rule easy to break: a concatenation has no statistics of its own, only those of its parts.
import type { Graph, Tensor } from '../graph/graph';
import * as ops from '../graph/ops';

export type Activation = 'none' | 'relu' | 'leakyRelu' | 'elu' | 'tanh' | 'sigmoid';

export interface Statistics {
  /** [C] */
  readonly mean: Tensor;
  /** [C], biased */
  readonly variance: Tensor;
}

/** Share of the newest batch in the running statistics. */
const RUNNING_MOMENTUM = 0.1;

/** Inputs of the last-axis concatenation that made `x`, or undefined. */
function concatenated(x: Tensor): Tensor[] | undefined {
  const node = x.graph.producer(x);
  if (node?.op !== 'concat' || node.attrs.axis !== x.shape.length - 1) return undefined;
  return node.inputs.map((id) => x.graph.tensor(id));
}

/**
 * Running mean and variance of one tensor, updated once a step while training. They are named after the first layer that
 * normalises it (`part` tells the parts of a concatenation apart), so a training and an inference graph agree.
 */
function runningStatistics(x: Tensor, part = ''): Statistics {
  const { graph } = x;
  const key = `running:${x.id}`;
  const known = graph.memo.get(key);
  if (known) return { mean: known[0]!, variance: known[1]! };
  const parts = concatenated(x)?.map((source, index) => runningStatistics(source, `${part}_${index}`));
  const channels = x.shape.at(-1)!;
  const statistics: Statistics = parts
    ? {
        mean: ops.concat(parts.map((part) => part.mean)),
        variance: ops.concat(parts.map((part) => part.variance)),
      }
    : {
        mean: graph.state(`running_mean${part}`, [channels]),
        variance: graph.state(`running_variance${part}`, [channels], 'f32', 1),
      };
  graph.memo.set(key, [statistics.mean, statistics.variance]);
  if (learns(graph) && !parts) updateRunning(x, statistics);
  return statistics;
}

function updateRunning(x: Tensor, running: Statistics): void {
  const rows = x.shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
  const batch = ops.moments(x);
  ops.ema(running.mean, batch.mean, { momentum: RUNNING_MOMENTUM });
  // The running variance is the unbiased one, as in the frameworks people compare with.
  ops.ema(running.variance, batch.variance, { momentum: RUNNING_MOMENTUM, scale: rows / Math.max(1, rows - 1) });
}

/** Whether the normalisation whose scope is open learns: not in inference, nor in a frozen layer. */
function learns(graph: Graph): boolean {
  return graph.training && !graph.isFrozen(graph.scoped('gamma'));
}

/**
 * Statistics a layer normalises `x` with: the batch's while training, the running ones otherwise and in a frozen layer.
 * Called inside the layer's scope. A frozen layer that is the first to read x leaves its running statistics as they are.
 */
export function statisticsOf(x: Tensor): Statistics {
  const running = runningStatistics(x);
  return learns(x.graph) ? ops.moments(x) : running;
}

/** Average-pools [m,H,W,C] to at most cells x cells. */
export function poolTo(z: Tensor, cells: number): Tensor {
  if (z.shape.length !== 4 || cells <= 0) return z;
  const kernel: [number, number] = [Math.ceil(z.shape[1]! / cells), Math.ceil(z.shape[2]! / cells)];
  if (kernel[0] === 1 && kernel[1] === 1) return z;
  return ops.avgPool(z, { kernel, stride: kernel, padding: 'same' });
}

export interface NormalizeOptions {
  readonly activation?: Activation;
  readonly alpha?: number;
  /** [C]: multiplies gain and offset, i.e. weights each channel after normalisation (see connectionWeights). */
  readonly channelWeights?: Tensor;
}

/** A constant vector of `value`, one for each length in a graph. */
export function constantVector(graph: Graph, length: number, value: number): Tensor {
  const key = `vector:${length}:${value}`;
  const known = graph.memo.get(key);
  if (known) return known[0]!;
  const made = graph.constant(`/constant_${value}_${length}`, [length], new Float32Array(length).fill(value));
  graph.memo.set(key, [made]);
  return made;
}

/** BN(x) without gain and offset, for what a convolution or an objective reads directly. x: [..., C]. */
export function whiten(name: string, x: Tensor): Tensor {
  const { graph } = x;
  const channels = x.shape.at(-1)!;
  return graph.scope(name, () =>
    ops.batchNorm(x, {
      ...statisticsOf(x),
      gamma: constantVector(graph, channels, 1),
      beta: constantVector(graph, channels, 0),
      training: learns(graph),
    }),
  );
}

/** act(BN(x)) with learned gain and offset `gamma`, `beta` of shape [C]. x: [..., C]. */
export function normalize(name: string, x: Tensor, options: NormalizeOptions = {}): Tensor {
  const { graph } = x;
  return graph.scope(name, () => {
    const channels = x.shape.at(-1)!;
    let gamma = graph.param('gamma', [channels], 1);
    let beta = graph.param('beta', [channels], 0);
    if (options.channelWeights) {
      gamma = ops.mul(gamma, options.channelWeights);
      beta = ops.mul(beta, options.channelWeights);
    }
    const statistics = statisticsOf(x);
    return ops.batchNorm(x, {
      ...statistics,
      gamma,
      beta,
      activation: options.activation ?? 'none',
      alpha: options.alpha ?? (options.activation === 'elu' ? 1 : 0.01),
      training: learns(graph),
    });
  });
}

/**
 * One learned weight for each earlier layer a dense layer reads (paper 001, eq. 7), spread over its channels: [C].
 * Applied after normalisation, because batch normalisation would undo a weight put before it; a rectifier commutes
 * with it for positive weights.
 */
export function connectionWeights(sources: readonly Tensor[]): Tensor {
  const { graph } = sources[0]!;
  const widths = sources.map((source) => source.shape.at(-1)!);
  const channels = widths.reduce((sum, width) => sum + width, 0);
  const spread = new Float32Array(sources.length * channels);
  let offset = 0;
  widths.forEach((width, source) => {
    spread.fill(1, source * channels + offset, source * channels + offset + width);
    offset += width;
  });
  const weights = graph.param('connection', [1, sources.length], 1);
  const table = graph.constant('connection_table', [sources.length, channels], spread);
  return ops.reshape(ops.matmul(weights, table), [channels]);
}
