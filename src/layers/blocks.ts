// The larger pieces of the papers' networks: dense block, feature pyramid, channel attention. Each T inside is a unit
// of its own, trained by its own objective. Called by models/. Shapes are NHWC.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import type { Activation } from './normalize';
import { normalize } from './normalize';
import { composite, dense, type SeparableOptions, stem } from './separable';

export interface BlockOptions {
  readonly activation: Activation;
  /** Channels of each inner layer. */
  readonly growth: number;
  /** Channels of the last layer, which is the block's output. */
  readonly width: number;
  readonly layers: number;
  /** Stride of the first layer: where the block lowers the resolution. */
  readonly stride: number;
  /** The block's input is the raw image. */
  readonly first: boolean;
  /** Learned weights on the connections (paper 001, eq. 7). */
  readonly weighted: boolean;
}

/** T as a unit. */
export function unitComposite(name: string, x: Tensor, filters: number, options: SeparableOptions): Tensor {
  return x.graph.unit(name, () => composite(x, filters, options));
}

/**
 * Dense block (paper 001, Fig. 1): layer i reads the concatenation of the outputs of layers 0..i-1 and the last layer's
 * output leaves the block. x [N,H,W,C] -> [N,H/stride,W/stride,width].
 */
export function denseBlock(name: string, x: Tensor, options: BlockOptions): Tensor {
  const { graph } = x;
  const { activation, growth, width, layers, stride } = options;
  return graph.scope(name, () => {
    const first = layers === 1 ? width : growth;
    let last = options.first
      ? graph.unit('layer1', () => stem(x, first, stride))
      : unitComposite('layer1', x, first, { activation, stride });
    // Nested concatenations: each layer's output is placed behind the earlier ones in one buffer.
    let all = last;
    const sources = [last];
    for (let layer = 2; layer <= layers; layer += 1) {
      last = unitComposite(`layer${layer}`, all, layer === layers ? width : growth, {
        activation,
        ...(options.weighted ? { sources: [...sources] } : {}),
      });
      sources.push(last);
      if (layer < layers) all = ops.concat([all, last]);
    }
    return last;
  });
}

/** Maps of a pyramid, finest first. */
export interface PyramidOptions {
  readonly activation: Activation;
  readonly channels: number;
  readonly levels: number;
  /** Finest level (0 = the input's scale) that the way up has to reach. */
  readonly until: number;
}

function upsampleTo(x: Tensor, like: Tensor): Tensor {
  return ops.resize(x, [like.shape[1]!, like.shape[2]!], { mode: 'nearest', coordinates: 'asymmetric' });
}

/**
 * Feature pyramid (paper 001, Fig. 3 v): down by stride-2 T, up by upsampling, concatenation with the finer map and T.
 * Returns the maps of the way up by level; levels finer than `until` are not computed.
 */
export function pyramid(name: string, x: Tensor, options: PyramidOptions): Map<number, Tensor> {
  const { activation, channels, levels, until } = options;
  return x.graph.scope(name, () => {
    const down = [x];
    for (let level = 1; level < levels; level += 1) {
      down.push(unitComposite(`down${level}`, down[level - 1]!, channels, { activation, stride: 2 }));
    }
    let map = down[levels - 1]!;
    const up = new Map([[levels - 1, map]]);
    for (let level = levels - 2; level >= until; level -= 1) {
      const finer = down[level]!;
      map = unitComposite(`up${level}`, ops.concat([upsampleTo(map, finer), finer]), channels, { activation });
      up.set(level, map);
    }
    return up;
  });
}

/**
 * Channel attention of Fusion_3 (paper 001, eq. 15): W = F2(F1(GAP(X))), F = BN, ReLU, FC, C -> C/8 -> C, X scaled by W.
 * F2's bias starts at 1, so that training begins from the unweighted map. x [N,H,W,C] -> same.
 */
export function channelAttention(name: string, x: Tensor, activation: Activation): Tensor {
  return x.graph.unit(name, () => {
    const channels = x.shape[3]!;
    const squeezed = dense('fc1', normalize('bn1', ops.globalAvgPool(x), { activation }), Math.max(1, channels >> 3), {
      bias: null,
    });
    const weights = dense('fc2', normalize('bn2', squeezed, { activation }), channels, { bias: 1 });
    return ops.channelScale(x, weights);
  });
}
