// DenseNet-121 (Huang et al. 2017, arXiv:1608.06993), a baseline of paper 001, in the bottleneck and compression form (BC).
// The paper's input is 224x224; any of at least 29x29 works, with any number of channels. As in torchvision, whose weights fit:
// `features/conv0/weight` is `features.conv0.weight` with its axes OIHW turned to HWIO; gamma, beta and running_variance are
// weight, bias and running_var; a leading `stem/` or `head/` falls away; the classifier is transposed. Running statistics
// belong to the tensor (decisions), so a normalisation of a concatenation keeps only those of the newest 32 channels, as
// `running_mean_1`: the last 32 of torchvision's, whose others repeat what earlier layers have.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalize } from '../layers/normalize';
import { convolution, padded } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkCount, checkImages, type ModelOptions } from './options';

export interface DensenetOptions extends ModelOptions {
  /** Channels every layer adds, 32; the stem has twice as many. */
  readonly growth?: number;
}

/** The smallest input that the three transitions can halve: 8 cells a side behind the stem. */
const LEAST = 29;
const BLOCKS = [6, 12, 24, 16];
/** A layer's 1x1 convolution has this many times the growth in channels. */
const BOTTLENECK = 4;

/** One layer: BN, ReLU, 1x1, BN, ReLU, 3x3. x [N,H,W,C] -> [N,H,W,growth]. */
function layer(x: Tensor, growth: number): Tensor {
  const narrow = normalize('norm1', x, { activation: 'relu' });
  const y = convolution('conv1', narrow, BOTTLENECK * growth, { kernel: 1 });
  return convolution('conv2', normalize('norm2', y, { activation: 'relu' }), growth, { padding: padded(1) });
}

/** BN, ReLU, 1x1 to half the channels, mean of 2x2. */
function transition(x: Tensor): Tensor {
  const y = convolution('conv', normalize('norm', x, { activation: 'relu' }), x.shape[3]! >> 1, { kernel: 1 });
  return ops.avgPool(y, { kernel: 2 });
}

/** x [N,H,W,C] of at least 29x29 -> logits [N,classes]. Units: the stem, every layer, every transition, the classifier. */
export function densenet121(x: Tensor, options: DensenetOptions): Tensor {
  const { growth = 32 } = options;
  checkImages('densenet121', x, options, LEAST);
  checkCount('densenet121', 'growth', growth);
  const { graph } = x;
  let all = graph.unit('stem', () =>
    graph.scope('features', () => {
      const y = convolution('conv0', x, 2 * growth, { kernel: 7, stride: 2, padding: padded(3) });
      const active = normalize('norm0', y, { activation: 'relu' });
      return ops.maxPool(active, { kernel: 3, stride: 2, padding: padded(1) });
    }),
  );
  BLOCKS.forEach((layers, index) => {
    for (let number = 1; number <= layers; number += 1) {
      const input = all;
      const made = graph.unit(`features/denseblock${index + 1}/denselayer${number}`, () => layer(input, growth));
      // Nested concatenations: each layer's output is placed behind the earlier ones in one buffer.
      all = ops.concat([input, made]);
    }
    const joined = all;
    if (index < BLOCKS.length - 1) all = graph.unit(`features/transition${index + 1}`, () => transition(joined));
  });
  return graph.unit('head', () => {
    const active = normalize('features/norm5', all, { activation: 'relu' });
    return dense('classifier', ops.globalAvgPool(active), options.classes);
  });
}
