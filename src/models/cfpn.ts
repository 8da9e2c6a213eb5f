// CFPN (paper 001): four dense blocks, three cascaded feature pyramids, channel attention. One function for the papers'
// 224x224 form (first block at stride 2) and the 48x48-native form (stride 1); any input of at least 8x8 works.
// Where the paper is silent: growth 32 inside a block, whose last layer gives the 128 channels; each block lowers the
// resolution in its first layer; upsampling is nearest-neighbour.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { channelAttention, denseBlock, pyramid, unitComposite } from '../layers/blocks';
import { type Activation, poolTo, whiten } from '../layers/normalize';
import { dense } from '../layers/separable';
import { checkImages, type ModelOptions } from './options';

export interface CfpnOptions extends ModelOptions {
  readonly activation?: Activation;
  /** Channels of a dense block's inner layers, 32. */
  readonly growth?: number;
  /** Channels of a dense block's output, 128. */
  readonly width?: number;
  /** Channels of a pyramid's maps, 64. */
  readonly pyramidChannels?: number;
  /** Learned weights on a dense block's connections (eq. 7), true. */
  readonly weighted?: boolean;
  /**
   * What the linear classifier reads. `pooled`: the global pool of the attended map, as the paper prints. `multiscale`
   * (default): cells of the blocks' outputs, the fused maps and the attended map, which suits units that are trained one
   * by one: nothing asks an early unit to keep what only a late one would use.
   */
  readonly classifier?: CfpnClassifier;
}

export const CFPN_CLASSIFIERS = ['pooled', 'multiscale'] as const;
export type CfpnClassifier = (typeof CFPN_CLASSIFIERS)[number];

/** Cells a side of each map that the multiscale classifier reads. */
const CELLS = 4;

/** The maps as one normalised vector an image: [N, sum of cells*cells*C]. */
function readout(maps: readonly Tensor[]): Tensor {
  const parts = maps.map((map, index) => ops.flatten(whiten(`bn${index + 1}`, poolTo(map, CELLS))));
  return ops.concat(parts);
}

const LEAST = 8;
/** Inputs at least this large take the paper's form: the first block halves the resolution too. */
const STRIDED_FROM = 96;
const LEVELS = 5;
const FUSED_LEVEL = 2;

/** x [N,H,W,C] -> logits [N,classes]. Units: every T, the attention, and the classifier as the last one. */
export function cfpn(x: Tensor, options: CfpnOptions): Tensor {
  checkImages('cfpn', x, options, LEAST);
  const [, height, width] = x.shape;
  const activation = options.activation ?? 'relu';
  const channels = options.pyramidChannels ?? 64;
  const block = {
    activation,
    growth: options.growth ?? 32,
    width: options.width ?? 128,
    layers: 5,
    weighted: options.weighted ?? true,
  };
  const stride = Math.min(height!, width!) >= STRIDED_FROM ? 2 : 1;
  const block1 = denseBlock('block1', x, { ...block, stride, first: true });
  const block2 = denseBlock('block2', block1, { ...block, stride: 2, first: false });
  const block3 = denseBlock('block3', block2, { ...block, stride: 2, first: false });
  const block4 = denseBlock('block4', block3, { ...block, stride: 2, first: false });

  const coarse = unitComposite('fusion1/coarse', block4, channels, { activation });
  const fine = unitComposite('fusion1/fine', block3, channels, { activation });
  const size: [number, number] = [fine.shape[1]!, fine.shape[2]!];
  const base = ops.concat([ops.resize(coarse, size, { mode: 'nearest', coordinates: 'asymmetric' }), fine]);

  const fused: Tensor[] = [];
  let input = base;
  for (let stage = 1; stage <= 3; stage += 1) {
    // Only the fused level of the last pyramid is used, so its way up ends there.
    const until = stage < 3 ? 0 : FUSED_LEVEL;
    const maps = pyramid(`pyramid${stage}`, input, { activation, channels, levels: LEVELS, until });
    fused.push(maps.get(FUSED_LEVEL)!);
    if (stage < 3) {
      const narrowed = unitComposite(`fusion2_${stage}`, base, channels, { activation });
      input = ops.concat([narrowed, maps.get(0)!]);
    }
  }
  const attended = channelAttention('fusion3', ops.concat(fused), activation);
  const maps = [block1, block2, block3, block4, ...fused, attended];
  return x.graph.unit('head', () => {
    const features = options.classifier === 'pooled' ? ops.globalAvgPool(attended) : readout(maps);
    return dense('fc', features, options.classes);
  });
}
