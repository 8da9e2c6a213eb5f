// The papers' composite T = BN -> activation -> separable convolution (paper 001, section III.B), the building block of
// every model here, and the dense (fully connected) composite of Fusion_3. Called by blocks.ts and models/.
import type { Graph, Shape, Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalLater } from './init';
import { type Activation, connectionWeights, normalize, whiten } from './normalize';

export interface SeparableOptions {
  readonly activation?: Activation;
  /** Stride of the depthwise step, 1 by default. */
  readonly stride?: number;
  /** The tensors `x` is the concatenation of, when each gets a learned connection weight. */
  readonly sources?: readonly Tensor[];
}

/** A parameter that starts as `heNormal`. */
function heParam(graph: Graph, name: string, shape: Shape, fanIn: number): Tensor {
  return graph.param(name, shape, normalLater(graph, name, shape, Math.sqrt(2 / fanIn)));
}

/** Depthwise 3x3 then pointwise 1x1, no bias (a batch normalisation always follows). x [N,H,W,C] -> [N,H/s,W/s,filters]. */
export function separableConv(x: Tensor, filters: number, stride = 1): Tensor {
  const { graph } = x;
  const channels = x.shape[3]!;
  const depthwise = heParam(graph, 'depthwise', [3, 3, 1, channels], 9);
  const pointwise = heParam(graph, 'pointwise', [1, 1, channels, filters], channels);
  return ops.conv2d(ops.depthwiseConv2d(x, depthwise, { stride }), pointwise);
}

/** T: BN -> activation -> separable convolution. Declares its parameters in the scope it is called in. */
export function composite(x: Tensor, filters: number, options: SeparableOptions = {}): Tensor {
  // A single source's weight would be undone by the normalisation that follows.
  const weights = options.sources && options.sources.length > 1 ? connectionWeights(options.sources) : undefined;
  const active = normalize('bn', x, {
    activation: options.activation ?? 'relu',
    ...(weights ? { channelWeights: weights } : {}),
  });
  return separableConv(active, filters, options.stride ?? 1);
}

/**
 * First layer on a raw image: BN (no gain, no offset) -> 3x3 convolution. A separable convolution of a one-channel image would give every
 * output channel the same map times a number, and a rectifier before it would drop half the image, so T is not used.
 */
export function stem(x: Tensor, filters: number, stride = 1): Tensor {
  const { graph } = x;
  const channels = x.shape[3]!;
  const weight = heParam(graph, 'weight', [3, 3, channels, filters], 9 * channels);
  return ops.conv2d(whiten('bn', x), weight, { stride });
}

export interface DenseOptions {
  /** Every bias starts with it, 0 by default; null leaves the bias out, as before a BN. */
  readonly bias?: number | null;
  /** Standard deviation of the initial weights, sqrt(1 / inputs) by default. */
  readonly deviation?: number;
}

/** Fully connected layer with parameters `name`/weight [C,units] and `name`/bias. x [N,C] -> [N,units]. */
export function dense(name: string, x: Tensor, units: number, options: DenseOptions = {}): Tensor {
  const { graph } = x;
  const { bias = 0 } = options;
  return graph.scope(name, () => {
    const shape = [x.shape[1]!, units];
    const deviation = options.deviation ?? Math.sqrt(1 / shape[0]!);
    const weight = graph.param('weight', shape, normalLater(graph, 'weight', shape, deviation));
    return bias === null ? ops.dense(x, weight) : ops.dense(x, weight, graph.param('bias', [units], bias));
  });
}
