// AlexNet, a baseline of papers 000 and 001: the one-tower form of Krizhevsky 2014 (arXiv:1404.5997), which torchvision has.
// The papers' input is 224x224, where the last map is 6x6 as printed; a larger one is pooled to at most 6x6 and a smaller one is
// read as it is, so that the first fully connected layer is narrower. Local response normalisation is left out, as there, and
// weights start as He et al. 2015: from the N(0, 0.01) and biases of 1 of 2012, meant for both, Adam hardly learns (docs/models.md).
// Names: `features/0/weight` is torchvision's `features.0.weight` with its axes OIHW turned to HWIO; a leading `head/` falls
// away; `classifier/*/weight` is transposed, and the rows of classifier.1 go from the order (c, h, w) to (h, w, c).
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { poolTo } from '../layers/normalize';
import { type ConvolutionOptions, convolution, dropout, padded } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkCount, checkImages, type ModelOptions } from './options';

export interface AlexnetOptions extends ModelOptions {
  /** Neurons of each of the two hidden fully connected layers, 4096. */
  readonly hidden?: number;
  /** Share of features dropped before each of them, 0.5. */
  readonly dropout?: number;
}

/** The smallest input whose last 3x3 pooling still finds a window. */
const LEAST = 63;

interface Layer extends ConvolutionOptions {
  /** Place in torchvision's list of layers, which numbers rectifiers and poolings too. */
  readonly place: number;
  readonly filters: number;
  readonly pooled?: true;
}

const LAYERS: readonly Layer[] = [
  { place: 0, filters: 64, kernel: 11, stride: 4, padding: padded(2), bias: 0, pooled: true },
  { place: 3, filters: 192, kernel: 5, padding: padded(2), bias: 0, pooled: true },
  { place: 6, filters: 384, kernel: 3, padding: padded(1), bias: 0 },
  { place: 8, filters: 256, kernel: 3, padding: padded(1), bias: 0 },
  { place: 10, filters: 256, kernel: 3, padding: padded(1), bias: 0, pooled: true },
];

/** x [N,H,W,C] of at least 63x63 -> logits [N,classes]. Units: each layer with what follows it. */
export function alexnet(x: Tensor, options: AlexnetOptions): Tensor {
  const { classes, step, hidden = 4096, dropout: rate = 0.5 } = options;
  checkImages('alexnet', x, options, LEAST);
  checkCount('alexnet', 'hidden', hidden);
  const { graph } = x;
  let map = x;
  for (const { place, filters, pooled, ...convolved } of LAYERS) {
    map = graph.unit(`features/${place}`, () => {
      const y = ops.relu(convolution(`/features/${place}`, map, filters, convolved));
      return pooled ? ops.maxPool(y, { kernel: 3, stride: 2 }) : y;
    });
  }
  let features = ops.flatten(poolTo(map, 6));
  for (const place of [1, 4]) {
    const deviation = Math.sqrt(2 / features.shape[1]!);
    features = graph.unit(`classifier/${place}`, () =>
      ops.relu(dense(`/classifier/${place}`, dropout(features, rate, step), hidden, { deviation })),
    );
  }
  return graph.unit('head', () => dense('classifier/6', features, classes));
}
