// Inception v2, a baseline of papers 000 and 001: the batch-normalised Inception of Ioffe and Szegedy 2015 (arXiv:1502.03167,
// Figure 5). The papers' input is 224x224; any of at least 8x8 works, with any number of channels. Where that figure's rows do
// not add up to its output of 576 (4c and 4d), the pool projections have 96 channels, as in the authors' released network.
// Left out: the two side classifiers and the separable first convolution of the released network; windows are padded 'same'.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalize } from '../layers/normalize';
import { convolution } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkImages, type ModelOptions } from './options';

export type InceptionV2Options = ModelOptions;

interface Module {
  readonly name: string;
  /** Channels of the branch of one 1x1 convolution; none where the module halves the resolution. */
  readonly single?: number;
  /** Channels of the 1x1 and the 3x3 convolution. */
  readonly triple: readonly [number, number];
  /** Channels of the 1x1 and of each of the two 3x3 convolutions. */
  readonly double: readonly [number, number];
  readonly pool: 'avg' | 'max';
  /** Channels of the 1x1 convolution behind the pooling; without one its result passes through. */
  readonly projection?: number;
}

const LEAST = 8;
const MODULES: readonly Module[] = [
  { name: '3a', single: 64, triple: [64, 64], double: [64, 96], pool: 'avg', projection: 32 },
  { name: '3b', single: 64, triple: [64, 96], double: [64, 96], pool: 'avg', projection: 64 },
  { name: '3c', triple: [128, 160], double: [64, 96], pool: 'max' },
  { name: '4a', single: 224, triple: [64, 96], double: [96, 128], pool: 'avg', projection: 128 },
  { name: '4b', single: 192, triple: [96, 128], double: [96, 128], pool: 'avg', projection: 128 },
  { name: '4c', single: 160, triple: [128, 160], double: [128, 160], pool: 'avg', projection: 96 },
  { name: '4d', single: 96, triple: [128, 192], double: [160, 192], pool: 'avg', projection: 96 },
  { name: '4e', triple: [128, 192], double: [192, 256], pool: 'max' },
  { name: '5a', single: 352, triple: [192, 320], double: [160, 224], pool: 'avg', projection: 128 },
  { name: '5b', single: 352, triple: [192, 320], double: [192, 224], pool: 'max', projection: 128 },
];

/** ReLU(BN(conv(x))). The authors name no initial weights; He et al. 2015 (fan-in) is the usual choice for rectifiers. */
function convBn(name: string, x: Tensor, filters: number, kernel: number, stride = 1): Tensor {
  return x.graph.scope(name, () =>
    normalize('bn', convolution('conv', x, filters, { kernel, stride }), { activation: 'relu' }),
  );
}

/** Branches of several window sizes side by side: [N,H,W,C] -> [N,H/s,W/s,sum], s = 2 where nothing is projected. */
function inception(x: Tensor, { single, triple, double, pool, projection }: Module): Tensor {
  const stride = projection === undefined ? 2 : 1;
  const branches: Tensor[] = [];
  if (single !== undefined) branches.push(convBn('1x1', x, single, 1));
  branches.push(convBn('3x3', convBn('3x3_reduce', x, triple[0], 1), triple[1], 3, stride));
  const first = convBn('double3x3_1', convBn('double3x3_reduce', x, double[0], 1), double[1], 3);
  branches.push(convBn('double3x3_2', first, double[1], 3, stride));
  const window = { kernel: 3, stride, padding: 'same' } as const;
  const pooled = pool === 'avg' ? ops.avgPool(x, window) : ops.maxPool(x, window);
  branches.push(projection === undefined ? pooled : convBn('pool_projection', pooled, projection, 1));
  return ops.concat(branches);
}

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: two of the stem, every module, the classifier. */
export function inceptionV2(x: Tensor, options: InceptionV2Options): Tensor {
  checkImages('inceptionV2', x, options, LEAST);
  const { graph } = x;
  const halved = (map: Tensor): Tensor => ops.maxPool(map, { kernel: 3, stride: 2, padding: 'same' });
  const conv1 = graph.unit('conv1', () => halved(convBn('7x7', x, 64, 7, 2)));
  let map = graph.unit('conv2', () => halved(convBn('3x3', convBn('3x3_reduce', conv1, 64, 1), 192, 3)));
  for (const module of MODULES) {
    const input = map;
    map = graph.unit(`inception${module.name}`, () => inception(input, module));
  }
  return graph.unit('head', () => dense('fc', ops.globalAvgPool(map), options.classes));
}
