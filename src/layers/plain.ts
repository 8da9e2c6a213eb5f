// The plain layers of networks that other people designed: a full and a separable convolution, dropout. Called by models/. The rule easy
// to break: their authors pad all sides alike (`padded`), which differs from 'same' where a stride leaves a cell over, and
// weights that were trained elsewhere fit only that.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalLater } from './init';
import { separableConv } from './separable';

export interface ConvolutionOptions {
  /** Extent of the square window, 3 by default. */
  readonly kernel?: number;
  /** 1 by default. */
  readonly stride?: number;
  /** 'same' (TensorFlow's) by default. */
  readonly padding?: ops.Padding;
  /** Every bias starts with it; without it there is none, as before a BN. */
  readonly bias?: number;
  /** Standard deviation of the initial weights, sqrt(2 / fan-in) by default (He et al. 2015). */
  readonly deviation?: number;
}

/** The same number of zero cells on all four sides. */
export function padded(cells: number): ops.ExplicitPadding {
  return { top: cells, bottom: cells, left: cells, right: cells };
}

/** Convolution with parameters `name`/weight [k,k,C,filters] and, if asked for, `name`/bias. x [N,H,W,C] -> [N,H',W',filters]. */
export function convolution(name: string, x: Tensor, filters: number, options: ConvolutionOptions = {}): Tensor {
  const { graph } = x;
  const { kernel = 3, stride = 1, padding = 'same', bias } = options;
  return graph.scope(name, () => {
    const shape = [kernel, kernel, x.shape[3]!, filters];
    const deviation = options.deviation ?? Math.sqrt(2 / (kernel * kernel * shape[2]!));
    const weight = graph.param('weight', shape, normalLater(graph, 'weight', shape, deviation));
    const y = ops.conv2d(x, weight, { stride, padding });
    return bias === undefined ? y : ops.bias(y, graph.param('bias', [filters], bias));
  });
}

/**
 * Depthwise 3x3, then pointwise 1x1 with a bias: parameters `name`/depthwise [3,3,1,C], `name`/pointwise [1,1,C,filters] and
 * `name`/bias, padded 'same'. x [N,H,W,C] -> [N,H/stride,W/stride,filters].
 */
export function separable(name: string, x: Tensor, filters: number, stride = 1): Tensor {
  const { graph } = x;
  return graph.scope(name, () => ops.bias(separableConv(x, filters, stride), graph.param('bias', [filters], 0)));
}

/**
 * Dropout while training, x itself in inference and at rate 0. `step` is the counter i32 [1] of training steps that masks are
 * drawn from; a training graph without it throws ArgumentError.
 */
export function dropout(x: Tensor, rate: number, step: Tensor | undefined): Tensor {
  if (!x.graph.training || rate === 0) return x;
  if (!step) {
    throw new ArgumentError(
      '[dropout] expected the option `step`, the counter of training steps that masks are drawn from, got none',
    );
  }
  return ops.dropout(x, step, { rate, seed: x.graph.seed });
}
