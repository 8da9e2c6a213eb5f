// The three networks of paper 002 for FER2013 (48x48x1): a plain CNN, a VGG-like one, and ResNet-18. Any input of at least 8x8
// works; the first fully connected layer reads the map that is left, 6x6 at 48x48. Where the paper is silent: a convolution
// before a BN has no bias; dropout of 0.5 stands before the layers of 1024 and 256 neurons in the CNN, and before and behind both
// of VGG's layers of 4096; fully connected layers start as PyTorch's do, which its function of weights leaves alone, at a sixth of
// He et al.'s variance: from that their rectifiers die in Adam's first steps (docs/models.md).
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalize } from '../layers/normalize';
import { convolution, dropout } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkCount, checkImages, type ModelOptions } from './options';
import { type ResnetOptions, resnet18 } from './resnet';

export interface FerOptions extends ModelOptions {
  /** Neurons of a hidden fully connected layer at most, 4096. */
  readonly hidden?: number;
}

const LEAST = 8;
/** All filters start from N(0, 0.04) (section IV.B). */
const DEVIATION = 0.04;

interface Hidden {
  readonly neurons: number;
  /** Share of the layer's inputs that is dropped. */
  readonly dropped: number;
}

/** ReLU(BN(conv3x3(x))) */
function convBn(x: Tensor, filters: number): Tensor {
  return normalize('bn', convolution('conv', x, filters, { deviation: DEVIATION }), { activation: 'relu' });
}

/** Fully connected units `fc1`, `fc2`, ..., and the classifier. */
function classify(map: Tensor, layers: readonly Hidden[], { classes, step, hidden = 4096 }: FerOptions): Tensor {
  const { graph } = map;
  let features = ops.flatten(map);
  layers.forEach(({ neurons: printed, dropped }, index) => {
    const neurons = Math.min(printed, hidden);
    const input = features;
    const deviation = Math.sqrt(1 / (3 * input.shape[1]!));
    features = graph.unit(`fc${index + 1}`, () =>
      ops.relu(dense(`/fc${index + 1}`, dropout(input, dropped, step), neurons, { deviation })),
    );
  });
  return graph.unit('head', () => dense('fc', features, classes));
}

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: every convolution, every fully connected layer. */
export function ferCnn(x: Tensor, options: FerOptions): Tensor {
  checkImages('ferCnn', x, options, LEAST);
  checkCount('ferCnn', 'hidden', options.hidden ?? 1);
  let map = x;
  [64, 128, 256].forEach((filters, index) => {
    const input = map;
    map = x.graph.unit(`conv${index + 1}`, () => ops.maxPool(convBn(input, filters), { kernel: 2 }));
  });
  const layers = [
    { neurons: 4096, dropped: 0.2 },
    { neurons: 1024, dropped: 0.5 },
    { neurons: 256, dropped: 0.5 },
  ];
  return classify(map, layers, options);
}

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: every convolution, every fully connected layer. */
export function ferVgg(x: Tensor, options: FerOptions): Tensor {
  checkImages('ferVgg', x, options, LEAST);
  checkCount('ferVgg', 'hidden', options.hidden ?? 1);
  const { graph } = x;
  let map = x;
  const blocks = [
    { convolutions: 2, filters: 32 },
    { convolutions: 3, filters: 64 },
    { convolutions: 3, filters: 128 },
  ];
  blocks.forEach(({ convolutions, filters }, block) => {
    for (let index = 1; index <= convolutions; index += 1) {
      const input = map;
      map = graph.unit(`block${block + 1}/conv${index}`, () => {
        const y = convBn(input, filters);
        return index === convolutions ? ops.maxPool(y, { kernel: 2 }) : y;
      });
    }
  });
  const layers = [
    { neurons: 4096, dropped: 0.5 },
    { neurons: 4096, dropped: 0.5 },
    { neurons: 1024, dropped: 0.5 },
    { neurons: 256, dropped: 0 },
  ];
  return classify(map, layers, options);
}

/** `resnet18` whose filters start as those of the other two. */
export function ferResnet18(x: Tensor, options: ResnetOptions): Tensor {
  checkImages('ferResnet18', x, options, LEAST);
  return resnet18(x, { ...options, deviation: DEVIATION });
}
