// The dense CNN with one feature pyramid of paper 000, CFPN's predecessor: 1 to 4 dense blocks with weighted
// connections, one top-down pyramid whose maps are joined on the channel axis, global pool (its "layer 10"), FC ("layer
// 11"). Where the paper is silent: sizes and growth as in CFPN; the maps meet at the coarsest one's resolution.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import { formatShape } from '../graph/graph';
import * as ops from '../graph/ops';
import { denseBlock, unitComposite } from '../layers/blocks';
import type { Activation } from '../layers/normalize';
import { dense } from '../layers/separable';

export interface DenseFpnOptions {
  readonly classes: number;
  /** Dense blocks, 1 to 4; the paper found 3 best. */
  readonly blocks?: number;
  readonly activation?: Activation;
  readonly growth?: number;
  readonly width?: number;
  readonly pyramidChannels?: number;
  readonly weighted?: boolean;
}

/** x [N,H,W,C] -> logits [N,classes]. */
export function denseFpn(x: Tensor, options: DenseFpnOptions): Tensor {
  const blocks = options.blocks ?? 3;
  if (!Number.isInteger(blocks) || blocks < 1 || blocks > 4) {
    throw new ArgumentError(`[denseFpn] blocks is 1, 2, 3 or 4, got ${String(blocks)}`);
  }
  if (x.shape.length !== 4 || x.shape[1]! < 8 || x.shape[2]! < 8) {
    throw new ArgumentError(
      `[denseFpn] expected an image batch [N,H,W,C] of at least 8x8, got ${formatShape(x.shape)}`,
    );
  }
  const activation = options.activation ?? 'relu';
  const channels = options.pyramidChannels ?? 64;
  const maps: Tensor[] = [];
  let map = x;
  for (let index = 1; index <= blocks; index += 1) {
    map = denseBlock(`block${index}`, map, {
      activation,
      growth: options.growth ?? 32,
      width: options.width ?? 128,
      layers: 5,
      weighted: options.weighted ?? true,
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
    above = unitComposite(`pyramid/level${index}`, ops.concat([upsampled, finer]), channels, { activation });
    const stride = 2 ** (blocks - index);
    levels.push(ops.avgPool(above, { kernel: stride, stride, padding: 'same' }));
  }
  return x.graph.unit('head', () => dense('fc', ops.globalAvgPool(ops.concat(levels)), options.classes));
}
