// Residual networks (He et al. 2016, arXiv:1512.03385): baselines of papers 000 and 001, the transfer networks of 003, and
// the ResNet-18 of 002. The papers' input is 224x224 (002: 48x48); any of at least 8x8 works, with any number of channels.
// As in torchvision, whose weights fit: a bottleneck halves the resolution in its 3x3 convolution, and all sides are padded
// alike. Names: `layer1/0/conv1/weight` is torchvision's `layer1.0.conv1.weight` with its axes OIHW turned to HWIO; gamma,
// beta and running_variance are its weight, bias and running_var; a leading `stem/` or `head/` falls away; fc is transposed.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { type Activation, normalize } from '../layers/normalize';
import { convolution, padded } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkCount, checkImages, type ModelOptions } from './options';

export interface ResnetOptions extends ModelOptions {
  /** Channels of the first of the four stages, 64; each later one has twice as many. */
  readonly width?: number;
  /** Standard deviation of all initial filters; sqrt(2 / fan-out) by default, as He et al. 2015 and torchvision have it. */
  readonly deviation?: number;
}

interface Form {
  readonly name: string;
  /** Blocks of each stage. */
  readonly blocks: readonly [number, number, number, number];
  /** Blocks of 1x1, 3x3, 1x1 with four times the channels out, instead of two 3x3. */
  readonly bottleneck: boolean;
}

const LEAST = 8;
const EXPANSION = 4;

interface ConvBn {
  readonly kernel: number;
  readonly stride?: number;
  readonly activation: Activation;
}

type Convolve = (names: readonly [string, string], x: Tensor, filters: number, form: ConvBn) => Tensor;

/** BN(conv(x)) with what follows; `names` are those of the convolution and of the normalisation. */
const convolver =
  (options: ResnetOptions): Convolve =>
  ([conv, bn], x, filters, { kernel, stride = 1, activation }) => {
    const deviation = options.deviation ?? Math.sqrt(2 / (kernel * kernel * filters));
    const y = convolution(conv, x, filters, { kernel, stride, padding: padded(kernel >> 1), deviation });
    return normalize(bn, y, { activation });
  };

/** One residual block: act(F(x) + x), where x is projected when its shape differs. */
function block(convolve: Convolve, x: Tensor, filters: number, stride: number, bottleneck: boolean): Tensor {
  const active = 'relu';
  const out = bottleneck ? EXPANSION * filters : filters;
  let y: Tensor;
  if (bottleneck) {
    y = convolve(['conv1', 'bn1'], x, filters, { kernel: 1, activation: active });
    y = convolve(['conv2', 'bn2'], y, filters, { kernel: 3, stride, activation: active });
    y = convolve(['conv3', 'bn3'], y, out, { kernel: 1, activation: 'none' });
  } else {
    y = convolve(['conv1', 'bn1'], x, filters, { kernel: 3, stride, activation: active });
    y = convolve(['conv2', 'bn2'], y, out, { kernel: 3, activation: 'none' });
  }
  const fits = stride === 1 && x.shape[3] === out;
  const shortcut = fits
    ? x
    : convolve(['downsample/0', 'downsample/1'], x, out, { kernel: 1, stride, activation: 'none' });
  return ops.relu(ops.add(y, shortcut));
}

function resnet(x: Tensor, options: ResnetOptions, form: Form): Tensor {
  const { width = 64 } = options;
  checkImages(form.name, x, options, LEAST);
  checkCount(form.name, 'width', width);
  const { graph } = x;
  const convolve = convolver(options);
  let map = graph.unit('stem', () => {
    const y = convolve(['conv1', 'bn1'], x, width, { kernel: 7, stride: 2, activation: 'relu' });
    return ops.maxPool(y, { kernel: 3, stride: 2, padding: padded(1) });
  });
  form.blocks.forEach((count, stage) => {
    for (let index = 0; index < count; index += 1) {
      const stride = stage > 0 && index === 0 ? 2 : 1;
      const input = map;
      map = graph.unit(`layer${stage + 1}/${index}`, () =>
        block(convolve, input, width * 2 ** stage, stride, form.bottleneck),
      );
    }
  });
  return graph.unit('head', () => dense('fc', ops.globalAvgPool(map), options.classes));
}

type Resnet = (x: Tensor, options: ResnetOptions) => Tensor;

const of =
  (form: Form): Resnet =>
  (x, options) =>
    resnet(x, options, form);

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: the stem, every residual block, the classifier. */
export const resnet18 = of({ name: 'resnet18', blocks: [2, 2, 2, 2], bottleneck: false });
/** As `resnet18`, of 50 layers. */
export const resnet50 = of({ name: 'resnet50', blocks: [3, 4, 6, 3], bottleneck: true });
/** As `resnet18`, of 101 layers. */
export const resnet101 = of({ name: 'resnet101', blocks: [3, 4, 23, 3], bottleneck: true });
