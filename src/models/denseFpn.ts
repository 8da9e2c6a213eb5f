// The dense CNN with one feature pyramid of paper 000, CFPN's predecessor: 1 to 4 dense blocks, one top-down pyramid whose
// maps are joined on the channel axis, global pool (its "layer 10"), FC ("layer 11"). Its attention is a learned weight on each
// map that enters a concatenation (section 3), in the blocks and in the pyramid; the channel attention that paper
// 001 adds is an option. Where the paper is silent: sizes and growth as in CFPN; the maps meet at the
// coarsest one's resolution; the pooled features are normalised, because units that are trained by themselves set their scale at
// will. The paper names no widths for its 7 M parameters.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { channelAttention, denseBlock, unitComposite } from '../layers/blocks';
import { type Activation, whiten } from '../layers/normalize';
import { dense } from '../layers/separable';
import { checkImages, type ModelOptions } from './options';

export interface DenseFpnOptions extends ModelOptions {
  /** Dense blocks, 1 to 4; the paper found 3 best. */
  readonly blocks?: number;
  /** Of every T, relu. */
  readonly activation?: Activation;
  /** Channels of a dense block's inner layers, 32. */
  readonly growth?: number;
  /** Channels of a dense block's output, 128. */
  readonly width?: number;
  /** Channels of the pyramid's maps, 64. */
  readonly pyramidChannels?: number;
  /** Learned weights on what the blocks and the pyramid concatenate, true. */
  readonly weighted?: boolean;
  /** Channel attention on the joined maps, as CFPN has it (paper 001, eq. 15), false. */
  readonly attention?: boolean;
}

const LEAST = 8;

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: every T, the attention if there is one, the classifier. */
export function denseFpn(x: Tensor, options: DenseFpnOptions): Tensor {
  const blocks = options.blocks ?? 3;
  if (!Number.isInteger(blocks) || blocks < 1 || blocks > 4) {
    throw new ArgumentError(`[denseFpn] blocks is 1, 2, 3 or 4, got ${String(blocks)}`);
  }
  checkImages('denseFpn', x, options, LEAST);
  const { activation = 'relu', weighted = true } = options;
  const channels = options.pyramidChannels ?? 64;
  const maps: Tensor[] = [];
  let map = x;
  for (let index = 1; index <= blocks; index += 1) {
    map = denseBlock(`block${index}`, map, {
      activation,
      growth: options.growth ?? 32,
      width: options.width ?? 128,
      layers: 5,
      weighted,
      stride: index === 1 ? 1 : 2,
      first: index === 1,
    });
    maps.push(map);
  }
  // Top-down: the coarsest map first, each finer one joined with the upsampled coarser.
  let above = unitComposite(`pyramid/level${blocks}`, maps[blocks - 1]!, channels, { activation });
  const levels = [above];
  for (let index = blocks - 1; index >= 1; index -= 1) {
    const finer = maps[index - 1]!;
    const upsampled = ops.resize(above, [finer.shape[1]!, finer.shape[2]!], {
      mode: 'nearest',
      coordinates: 'asymmetric',
    });
    const sources = [upsampled, finer];
    above = unitComposite(`pyramid/level${index}`, ops.concat(sources), channels, {
      activation,
      ...(weighted ? { sources } : {}),
    });
    const stride = 2 ** (blocks - index);
    levels.push(ops.avgPool(above, { kernel: stride, stride, padding: 'same' }));
  }
  const joined = ops.concat(levels);
  const attended = options.attention ? channelAttention('attention', joined, activation) : joined;
  return x.graph.unit('head', () => dense('fc', whiten('bn', ops.globalAvgPool(attended)), options.classes));
}
