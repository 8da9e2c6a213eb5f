// The small separable dense net that the benchmarks compare: stem, two dense blocks of five layers with a pooling
// between, global pool, dense layer. Called by rows.ts. The rule easy to break: 50,952 parameters with one input channel
// and seven classes (no bias but the last layer's, no normalisation in the stem); peers are compared on exactly this net.
import type { Tensor } from '../../graph/graph';
import * as ops from '../../graph/ops';
import { composite, dense, separableConv } from '../../layers';

export const SMALL_NET_PARAMETERS = 50_952;
const STEM = 32;
const GROWTH = 24;
const LAYERS = 5;

function block(name: string, x: Tensor): Tensor {
  const { graph } = x;
  let all = x;
  for (let layer = 1; layer <= LAYERS; layer += 1) {
    all = ops.concat([all, graph.unit(`${name}/layer${layer}`, () => composite(all, GROWTH))]);
  }
  return all;
}

/** x [N,H,W,C] -> logits [N,classes]. */
export function smallNet(x: Tensor, options: { classes: number }): Tensor {
  const { graph } = x;
  const stem = graph.unit('stem', () => separableConv(x, STEM));
  const first = block('block1', stem);
  const second = block('block2', ops.maxPool(first, { kernel: 2 }));
  return graph.unit('head', () => dense('fc', ops.globalAvgPool(second), options.classes));
}
