// The cases of gradcheck.test.ts: every differentiable op by its builder, and every objective on every kernel.
// Inputs stay away from kinks (relu at 0, ties of maxima), where a derivative does not exist.

import type { Shape, Tensor } from '../../src/graph/graph';
import {
  abs,
  activation,
  add,
  affine,
  avgPool,
  batchNorm,
  bias,
  broadcastTo,
  channelScale,
  concat,
  conv2d,
  convTranspose2d,
  crossEntropy,
  dense,
  depthwiseConv2d,
  div,
  dropout,
  elu,
  exp,
  flatten,
  gather,
  globalAvgPool,
  gram,
  hsicNormalize,
  hsicObjective,
  kernelMatrix,
  labelKernel,
  leakyRelu,
  log,
  logSoftmax,
  matmul,
  maximum,
  maxPool,
  minimum,
  moments,
  mul,
  pad,
  reduceMax,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  resize,
  rowNormalize,
  sigmoid,
  slice,
  softmax,
  sqrt,
  square,
  sub,
  tanh,
  transpose,
} from '../../src/graph/ops';
import type { GradCase, GradFill, GradInput } from './gradcheck';

type Build = (inputs: Record<string, Tensor>, sigma: number) => Tensor;

function case1(name: string, x: Shape, build: (x: Tensor) => Tensor, fill: GradFill = 'free'): GradCase {
  return { name, inputs: { x: { shape: x, fill } }, build: ({ x: tensor }) => build(tensor!) };
}

function case2(
  name: string,
  a: Shape,
  b: Shape,
  build: (a: Tensor, b: Tensor) => Tensor,
  fill: GradFill = 'free',
): GradCase {
  return {
    name,
    inputs: { a: { shape: a }, b: { shape: b, fill } },
    build: ({ a: left, b: right }) => build(left!, right!),
  };
}

const image: Shape = [2, 4, 5, 3];

const unary: GradCase[] = [
  case1('relu', [3, 5], relu),
  case1('tanh', [3, 5], tanh),
  case1('sigmoid', [3, 5], sigmoid),
  case1('exp', [3, 5], exp),
  case1('log', [3, 5], log, 'positive'),
  case1('sqrt', [3, 5], sqrt, 'positive'),
  case1('square', [3, 5], square),
  case1('abs', [3, 5], abs),
  case1('leakyRelu', [3, 5], (x) => leakyRelu(x, { alpha: 0.2 })),
  case1('elu', [3, 5], (x) => elu(x, { alpha: 0.7 })),
  case1('affine', [3, 5], (x) => affine(x, { scale: -1.5, offset: 2 })),
  case1('x used twice', [3, 5], (x) => mul(x, tanh(x))),
  case1('x squared by mul', [4], (x) => mul(x, x)),
  case1('activation elu', [3, 5], (x) => activation(x, 'elu', 0.3)),
  {
    name: 'dropout',
    inputs: { x: { shape: [4, 9] }, step: { shape: [1], dtype: 'i32', fill: [3] } },
    build: ({ x, step }) => dropout(x!, step!, { rate: 0.4, seed: 5 }),
  },
];

const binary: GradCase[] = (
  [
    ['add', add],
    ['sub', sub],
    ['mul', mul],
    ['div', div],
    ['maximum', maximum],
    ['minimum', minimum],
  ] as const
).flatMap(([name, op]) => [
  case2(`${name} same shape`, [3, 4], [3, 4], op, 'positive'),
  case2(`${name} with a row`, [2, 3, 4], [4], op, 'positive'),
  case2(`${name} with a scalar`, [3, 4], [1], op, 'positive'),
  case2(`${name} outer`, [3, 1], [1, 4], op, 'positive'),
  case2(`${name} of a row and a block`, [4], [2, 3, 4], op, 'positive'),
]);

const shapes: GradCase[] = [
  case1('reshape', [2, 6], (x) => square(reshape(x, [3, -1]))),
  case1('flatten', image, (x) => square(flatten(x))),
  case1('transpose', [2, 3, 4], (x) => square(transpose(x, [2, 0, 1]))),
  case1('slice', [4, 5], (x) => square(slice(x, [1, 2], [2, -1]))),
  case1('pad', [3, 2], (x) => square(pad(x, [1, 0], [0, 2], { value: 0.5 }))),
  case1('broadcastTo', [3, 1], (x) => square(broadcastTo(x, [2, 3, 4]))),
  case1('concat with itself', [2, 3], (x) => concat([square(x), x], { axis: 0 })),
  case2('concat on the last axis', [2, 3], [2, 4], (a, b) => square(concat([a, b]))),
  case2('concat on the first axis', [2, 3], [1, 3], (a, b) => square(concat([a, b], { axis: 0 }))),
  {
    name: 'gather with a repeated index',
    inputs: { x: { shape: [2, 4, 3] }, index: { shape: [2, 3], dtype: 'i32', fill: [3, 1, 1, 0, 2, 3] } },
    build: ({ x, index }) => square(gather(x!, index!)),
  },
  ...([[0], [1], [0, 2], [0, 1, 2]] as const).flatMap((axes) => [
    case1(`reduceSum over ${axes.join(',')}`, [2, 3, 4], (x) => square(reduceSum(x, { axes }))),
    case1(`reduceMean over ${axes.join(',')}`, [2, 3, 4], (x) => square(reduceMean(x, { axes, keepDims: true }))),
    case1(`reduceMax over ${axes.join(',')}`, [2, 3, 4], (x) => square(reduceMax(x, { axes }))),
  ]),
  case1('globalAvgPool', image, (x) => square(globalAvgPool(x))),
  case1('moments: mean', [2, 3, 4], (x) => square(moments(x).mean)),
  case1('moments: variance', [2, 3, 4], (x) => square(moments(x).variance)),
  case1('moments: both', [5, 3], (x) => mul(moments(x).mean, moments(x).variance)),
];

const linear: GradCase[] = [
  ...[false, true].flatMap((transA) =>
    [false, true].map((transB) =>
      case2(
        `matmul ${transA ? "A'" : 'A'} ${transB ? "B'" : 'B'}`,
        transA ? [4, 3] : [3, 4],
        transB ? [5, 4] : [4, 5],
        (a, b) => matmul(a, b, { transA, transB }),
      ),
    ),
  ),
  case1('gram by matmul', [3, 4], (x) => matmul(x, x, { transB: true })),
  {
    name: 'dense',
    inputs: { x: { shape: [3, 4] }, w: { shape: [4, 2] }, b: { shape: [2] } },
    build: ({ x, w, b }) => square(dense(x!, w!, b)),
  },
  case2('bias', image, [3], (a, b) => square(bias(a, b))),
  case2('channelScale per channel', image, [3], channelScale),
  case2('channelScale per sample', image, [2, 3], channelScale),
  case2('conv2d same', image, [3, 3, 3, 4], (x, w) => conv2d(x, w)),
  case2('conv2d valid', image, [2, 3, 3, 2], (x, w) => conv2d(x, w, { padding: 'valid' })),
  case2('conv2d stride 2', image, [3, 3, 3, 2], (x, w) => conv2d(x, w, { stride: 2 })),
  case2('conv2d dilation 2', image, [3, 3, 3, 2], (x, w) => conv2d(x, w, { dilation: 2 })),
  case2('conv2d odd padding', image, [2, 2, 3, 2], (x, w) =>
    conv2d(x, w, { padding: { top: 1, bottom: 0, left: 0, right: 1 }, stride: [1, 2] }),
  ),
  case2('conv2d 1x1', image, [1, 1, 3, 5], (x, w) => conv2d(x, w)),
  case2('transposed conv2d', [2, 3, 4, 3], [3, 2, 2, 3], (x, w) =>
    convTranspose2d(x, w, { stride: [2, 3], outputPadding: [1, 2], padding: { top: 1, bottom: 0, left: 0, right: 1 } }),
  ),
  case2('transposed conv2d in groups', [1, 3, 3, 4], [2, 2, 3, 4], (x, w) =>
    convTranspose2d(x, w, { groups: 2, dilation: 2 }),
  ),
  case2('conv2d in groups', [1, 4, 4, 4], [3, 3, 2, 6], (x, w) => conv2d(x, w, { groups: 2 })),
  case2('depthwise', image, [3, 3, 1, 3], (x, w) => depthwiseConv2d(x, w)),
  case2('depthwise stride 2, multiplier 2', image, [3, 3, 1, 6], (x, w) => depthwiseConv2d(x, w, { stride: 2 })),
];

const channel = (fill: GradFill = 'free', fixed = false): GradInput => ({ shape: [3], fill, fixed });

const normalisation: GradCase[] = [
  ...(['none', 'relu', 'leakyRelu', 'elu', 'tanh', 'sigmoid'] as const).flatMap((kind): GradCase[] => [
    {
      name: `batchNorm ${kind}, batch statistics`,
      inputs: { x: { shape: [2, 3, 2, 3] }, gamma: channel('positive'), beta: channel() },
      build: ({ x, gamma, beta }) =>
        batchNorm(x!, { ...moments(x!), gamma: gamma!, beta: beta!, activation: kind, alpha: 0.3 }),
    },
    {
      name: `batchNorm ${kind}, running statistics`,
      training: false,
      inputs: {
        x: { shape: [4, 3] },
        mean: channel('free', true),
        variance: channel('positive', true),
        gamma: channel('positive'),
        beta: channel(),
      },
      build: ({ x, mean, variance, gamma, beta }) =>
        batchNorm(x!, { mean: mean!, variance: variance!, gamma: gamma!, beta: beta!, activation: kind, alpha: 0.3 }),
    },
  ]),
  {
    name: 'batchNorm of a concatenation',
    inputs: {
      a: { shape: [4, 2] },
      b: { shape: [4, 1] },
      gamma: channel('positive'),
      beta: channel(),
    },
    build: ({ a, b, gamma, beta }) => {
      const x = concat([tanh(a!), square(b!)]);
      return batchNorm(x, { ...moments(x), gamma: gamma!, beta: beta!, activation: 'tanh' });
    },
  },
  case1('rowNormalize', [3, 5], (x) => rowNormalize(x)),
  case1('rowNormalize below eps', [2, 3], (x) => rowNormalize(affine(x, { scale: 1e-9 }), { eps: 1e9 })),
];

const pooling: GradCase[] = [
  case1('maxPool', image, (x) => square(maxPool(x, { kernel: 2 }))),
  case1('maxPool overlapping, padded', image, (x) => square(maxPool(x, { kernel: 3, stride: 1, padding: 'same' }))),
  case1('avgPool', image, (x) => square(avgPool(x, { kernel: 2 }))),
  case1('avgPool overlapping, padded', image, (x) => square(avgPool(x, { kernel: 3, stride: 2, padding: 'same' }))),
  ...(['nearest', 'bilinear'] as const).flatMap((mode) =>
    (['halfPixel', 'aligned', 'asymmetric'] as const).flatMap((coordinates) => [
      case1(`resize up ${mode} ${coordinates}`, [1, 3, 4, 2], (x) => square(resize(x, [5, 7], { mode, coordinates }))),
      case1(`resize down ${mode} ${coordinates}`, [1, 5, 6, 2], (x) =>
        square(resize(x, [3, 2], { mode, coordinates })),
      ),
    ]),
  ),
];

const labels: GradInput = { shape: [5], dtype: 'i32', fill: [0, 2, 1, 2, 2] };

const classification: GradCase[] = [
  case1('softmax', [3, 4], (x) => square(softmax(x))),
  case1('logSoftmax', [3, 4], (x) => square(logSoftmax(x))),
  ...[0, 0.1].flatMap((labelSmoothing): GradCase[] => [
    {
      name: `crossEntropy smoothing ${labelSmoothing}`,
      inputs: { x: { shape: [5, 3] }, labels },
      build: ({ x, labels: y }) => crossEntropy(x!, y!, { labelSmoothing }),
    },
    {
      name: `crossEntropy weighted, smoothing ${labelSmoothing}`,
      inputs: { x: { shape: [5, 3] }, labels, weights: { shape: [3], fill: [1, 2, 0.5], fixed: true } },
      build: ({ x, labels: y, weights }) => crossEntropy(x!, y!, { labelSmoothing, classWeights: weights! }),
    },
    {
      name: `local-ce head, smoothing ${labelSmoothing}`,
      inputs: { z: { shape: [5, 2, 2, 2] }, w: { shape: [2, 3] }, b: { shape: [3] }, labels },
      build: ({ z, w, b, labels: y }) =>
        square(crossEntropy(dense(globalAvgPool(tanh(z!)), w!, b), y!, { labelSmoothing })),
    },
  ]),
  {
    name: 'predsim: similarity matching and 1 % cross-entropy',
    inputs: {
      z: { shape: [5, 6] },
      w: { shape: [6, 3] },
      labels,
      target: { shape: [5, 5], fill: [1, 0, 0.5, 0], fixed: true },
    },
    build: ({ z, w, labels: y, target }) => {
      const similarity = gram(rowNormalize(z!), { center: false });
      const matching = reduceMean(square(sub(similarity, target!)));
      return add(affine(matching, { scale: 0.99 }), affine(crossEntropy(dense(z!, w!), y!), { scale: 0.01 }));
    },
  },
];

interface Objective {
  readonly name: string;
  readonly options: Omit<Parameters<typeof hsicObjective>[1], 'features' | 'kernel' | 'sigma'>;
}

const OBJECTIVES: Objective[] = [
  { name: 'hsic p=1', options: { kind: 'hsic', power: 1, beta: 3 } },
  { name: 'hsic p=2', options: { kind: 'hsic', power: 2, beta: 100 } },
  { name: 'hsic unbiased', options: { kind: 'hsic', unbiased: true, beta: 3 } },
  { name: 'nhsic', options: { kind: 'nhsic', beta: 3, eps: 1e-2 } },
  { name: 'nhsic eps 1e-5', options: { kind: 'nhsic', beta: 3, eps: 1e-5 } },
  { name: 'cka', options: { kind: 'cka', beta: 10 } },
  { name: 'cka with beta 0', options: { kind: 'cka', beta: 0 } },
  { name: 'phsic', options: { kind: 'phsic', gamma: 2 } },
];

type KernelSetting = 'gaussian fixed' | 'gaussian median' | 'linear' | 'cosine';

/** Objective on a Gram matrix, with X and Y kernels made from fixed inputs. */
function objectiveOf(
  z: Tensor,
  x: Tensor,
  y: Tensor,
  { options }: Objective,
  setting: KernelSetting,
  sigma: number,
  center: boolean,
) {
  const features = z.shape[1]!;
  const u = setting === 'cosine' ? rowNormalize(z) : z;
  const Ex = kernelMatrix(gram(x), { features: x.shape[1]! }).kernel;
  const Ey = labelKernel(y);
  const normal = options.kind === 'nhsic' ? { Rx: hsicNormalize(Ex), Ry: hsicNormalize(Ey) } : {};
  const kernel = setting.startsWith('gaussian') ? ('gaussian' as const) : ('linear' as const);
  const width = setting === 'gaussian fixed' ? 0.8 : sigma;
  return hsicObjective({ G: gram(u, { center }), Ex, Ey, ...normal }, { ...options, kernel, sigma: width, features })
    .loss;
}

/** An inverse of condition 1e5 loses that many digits of the differences; a longer step makes up for it. */
function stepOf({ options }: Objective): { step?: number } {
  return options.kind === 'nhsic' && options.eps === 1e-5 ? { step: 1e-4 } : {};
}

const objectives: GradCase[] = OBJECTIVES.flatMap((objective) =>
  (['gaussian fixed', 'gaussian median', 'linear', 'cosine'] as const).flatMap((setting) =>
    [4, 7].map((m): GradCase => {
      const center = m === 7;
      const build: Build = ({ z, x, y }, sigma) => objectiveOf(z!, x!, y!, objective, setting, sigma, center);
      return {
        name: `${objective.name}, ${setting}, ${m} samples`,
        inputs: {
          z: { shape: [m, 3] },
          x: { shape: [m, 4], fixed: true },
          y: { shape: [m], dtype: 'i32', fill: [0, 1, 1, 2, 0, 2, 1] },
        },
        build,
        ...stepOf(objective),
        ...(setting === 'gaussian median' ? { median: ({ z }) => ({ gram: gram(z!, { center }), features: 3 }) } : {}),
      };
    }),
  ),
);

/** A whole unit: batchNorm, relu, separable convolution, pooling, objective. */
const units: GradCase[] = OBJECTIVES.map((objective) => ({
  name: `unit under ${objective.name}`,
  ...stepOf(objective),
  inputs: {
    image: { shape: [4, 4, 4, 2] },
    gamma: { shape: [2], fill: 'positive' },
    beta: { shape: [2] },
    depth: { shape: [3, 3, 1, 2] },
    point: { shape: [1, 1, 2, 3] },
    x: { shape: [4, 4], fixed: true },
    y: { shape: [4], dtype: 'i32', fill: [0, 1, 1, 2] },
  },
  build: ({ image: input, gamma, beta, depth, point, x, y }) => {
    const normal = batchNorm(input!, { ...moments(input!), gamma: gamma!, beta: beta!, activation: 'relu' });
    const mixed = conv2d(depthwiseConv2d(normal, depth!), point!);
    const z = flatten(avgPool(mixed, { kernel: 2 }));
    return objectiveOf(z, x!, y!, objective, 'gaussian fixed', 0, true);
  },
}));

export const gradCases: readonly GradCase[] = [
  ...unary,
  ...binary,
  ...shapes,
  ...linear,
  ...normalisation,
  ...pooling,
  ...classification,
  case1('gram', [4, 3], (x) => square(gram(x, { center: false }))),
  case1('gram centred', [4, 3], (x) => square(gram(x))),
  ...objectives,
  ...units,
];
