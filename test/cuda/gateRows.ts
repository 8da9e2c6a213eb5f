// Every op of the catalogue once or twice at a size that fills a device for a moment: what gates.test.ts counts on. Sizes are
// those of a training step made smaller, and multiples of 4 channels, because the gates judge ordinary work, not edges.
// The rule easy to break: an op of the table without a line here fails a test.
import type { Attrs, Shape } from '../../src/graph/graph';
import { type Case, f32, type InputSpec, i32, type Row, state, u8 } from '../kernels/case';
import {
  below,
  bytes,
  constant,
  gramFill,
  labelKernelFill,
  positive,
  probability,
  symmetricFill,
} from '../kernels/fills';

const CHANNELS: Shape = [72];
const ROWS: Shape = [256, 96];
const BATCH = 64;
const SQUARE: Shape = [BATCH, BATCH];
const LR = f32([1], constant(0.1));
const STEP = i32([1], constant(3));

function row(op: string, inputs: readonly InputSpec[], outputs: readonly Shape[], attrs: Attrs = {}): Row {
  return { op, exact: false, cases: [{ inputs, outputs: outputs.map((shape) => ({ shape })), attrs }] };
}

/** Images of side x side pixels, and of half that. */
interface Sizes {
  readonly side: number;
  readonly image: Shape;
  readonly half: Shape;
}

const channelsOf = ({ side }: Sizes, channels: number): Shape => [4, side, side, channels];

function elementwise({ image }: Sizes): Row[] {
  const unary = (op: string, attrs: Attrs = {}) => row(op, [f32(image, positive)], [image], attrs);
  const gradient = (op: string, attrs: Attrs = {}) => row(op, [f32(image), f32(image, probability)], [image], attrs);
  return [
    ...['relu', 'tanh', 'sigmoid', 'exp', 'log', 'sqrt', 'square', 'abs', 'stopGradient'].map((op) => unary(op)),
    ...['leakyRelu', 'elu'].map((op) => unary(op, { alpha: 0.2 })),
    unary('affine', { scale: 2, offset: 1 }),
    ...['reluGrad', 'tanhGrad', 'sigmoidGrad', 'absGrad'].map((op) => gradient(op)),
    ...['leakyReluGrad', 'eluGrad'].map((op) => gradient(op, { alpha: 0.2 })),
    ...['add', 'sub', 'mul', 'div', 'maximum', 'minimum'].flatMap((op) => [
      row(op, [f32(image), f32(image, positive)], [image]),
      row(op, [f32(image), f32(CHANNELS, positive)], [image]),
    ]),
    row('fill', [], [image], { value: 1 }),
    row('dropout', [f32(image), STEP], [image], { rate: 0.5, seed: 1, node: 2 }),
  ];
}

const shapes = (at: Sizes): Row[] => [
  row('reshape', [f32(at.image)], [[4, at.side ** 2, 72]]),
  row('transpose', [f32([512, 384])], [[384, 512]], { perm: [1, 0] }),
  row('transpose', [f32(at.image)], [[4, 72, at.side, at.side]], { perm: [0, 3, 1, 2] }),
  row('concat', [f32(at.image), f32(channelsOf(at, 24))], [channelsOf(at, 96)], { axis: 3 }),
  row('slice', [f32(at.image)], [channelsOf(at, 24)], { begin: [0, 0, 0, 24], size: channelsOf(at, 24) }),
  row('pad', [f32(at.image)], [[4, at.side + 2, at.side + 2, 72]], {
    before: [0, 1, 1, 0],
    after: [0, 1, 1, 0],
    value: 0,
  }),
  row('broadcastTo', [f32(CHANNELS)], [at.image]),
  row('gather', [f32([8, at.side ** 2, 72]), i32([8, 64], below(at.side ** 2))], [[8, 64, 72]]),
  row('gatherGrad', [f32([8, 64, 72]), i32([8, 64], below(at.side ** 2))], [[8, at.side ** 2, 72]]),
  { ...row('topK', [f32([8, 196, 72])], []), cases: [topK()] },
  ...['reduceSum', 'reduceMean', 'reduceMax'].flatMap((op) => [
    row(op, [f32(at.image)], [CHANNELS], { axes: [0, 1, 2], keepDims: false }),
    row(op, [f32(at.image)], [[4, 72]], { axes: [1, 2], keepDims: false }),
    row(op, [f32(ROWS)], [[256]], { axes: [1], keepDims: false }),
  ]),
  row('reduceMaxGrad', [f32(CHANNELS), f32(at.image), f32(CHANNELS)], [at.image], { axes: [0, 1, 2] }),
  row('moments', [f32(at.image)], [CHANNELS, CHANNELS]),
];

function topK(): Case {
  return { inputs: [f32([8, 196, 72])], outputs: [{ shape: [8, 49], dtype: 'i32' }], attrs: { k: 49 } };
}

const same = { strideH: 1, strideW: 1, padTop: 1, padBottom: 1, padLeft: 1, padRight: 1, dilationH: 1, dilationW: 1 };
const bare = { ...same, padTop: 0, padBottom: 0, padLeft: 0, padRight: 0 };

function convolutions(x: Shape, w: Shape, attrs: Attrs): Row[] {
  const y = [...x.slice(0, 3), w[3]!];
  return [
    row('conv2d', [f32(x), f32(w)], [y], attrs),
    row('conv2dGradInput', [f32(y), f32(w)], [x], attrs),
    row('conv2dGradFilter', [f32(x), f32(y)], [w], attrs),
  ];
}

/** A network's first convolution. */
function firstGradFilter(at: Sizes): Row {
  const [x, y] = [channelsOf(at, 1), channelsOf(at, 32)];
  return row('conv2dGradFilter', [f32(x), f32(y)], [[3, 3, 1, 32]], { ...same, groups: 1 });
}

const linear = (at: Sizes): Row[] => [
  firstGradFilter(at),
  row('matmul', [f32([256, 128]), f32([128, 256])], [[256, 256]], { transA: false, transB: false }),
  ...convolutions(at.image, [3, 3, 1, 72], { ...same, groups: 72 }),
  ...convolutions(at.image, [1, 1, 72, 64], { ...bare, groups: 1 }),
  ...convolutions(channelsOf(at, 128), [1, 1, 128, 128], { ...bare, groups: 1 }),
  ...convolutions(channelsOf(at, 64), [3, 3, 1, 64], { ...same, groups: 64 }),
  ...convolutions(channelsOf(at, 32), [3, 3, 32, 64], { ...same, groups: 1 }),
];

const channels = [f32(CHANNELS), f32(CHANNELS, positive), f32(CHANNELS), f32(CHANNELS)];
const norm = { eps: 1e-5, alpha: 0.2, activation: 'relu' };
const window = { kernelH: 2, kernelW: 2, strideH: 2, strideW: 2, padTop: 0, padBottom: 0, padLeft: 0, padRight: 0 };

const layers = (at: Sizes): Row[] => [
  row('batchNorm', [f32(at.image), ...channels], [at.image], { ...norm, training: true }),
  row('batchNormGradParams', [f32(at.image), f32(at.image), ...channels], [CHANNELS, CHANNELS], norm),
  row('batchNormGradInput', [f32(at.image), f32(at.image), ...channels, f32(CHANNELS), f32(CHANNELS)], [at.image], {
    ...norm,
    training: true,
  }),
  row('rowNormalize', [f32([BATCH, 1024])], [[BATCH, 1024]], { eps: 1e-8 }),
  row('rowNormalizeGrad', [f32([BATCH, 1024]), f32([BATCH, 1024])], [[BATCH, 1024]], { eps: 1e-8 }),
  {
    op: 'maxPool',
    exact: false,
    cases: [
      { inputs: [f32(at.image)], outputs: [{ shape: at.half }, { shape: at.half, dtype: 'i32' }], attrs: window },
    ],
  },
  row('maxPoolGrad', [f32(at.half), i32(at.half, below(4))], [at.image], window),
  row('avgPool', [f32(at.image)], [at.half], window),
  row('avgPoolGrad', [f32(at.half)], [at.image], window),
  row('resize', [f32(at.half)], [at.image], { mode: 'bilinear', coordinates: 'halfPixel' }),
  row('resizeGrad', [f32(at.image)], [at.half], { mode: 'bilinear', coordinates: 'halfPixel' }),
];

const losses: Row[] = [
  ...['softmax', 'logSoftmax'].map((op) => row(op, [f32(ROWS)], [ROWS])),
  ...['softmaxGrad', 'logSoftmaxGrad'].map((op) => row(op, [f32(ROWS), f32(ROWS, probability)], [ROWS])),
  row('crossEntropy', [f32(ROWS), i32([256], below(96))], [[1], ROWS], { labelSmoothing: 0.1 }),
  row('accuracy', [f32(ROWS), i32([256], below(96))], [[1]]),
];

const kernel = { kernel: 'gaussian', sigma: 0, features: 1024 };
const terms = { beta: 1, gamma: 1, power: 2, eps: 1e-2, unbiased: false };
const grams = [f32(SQUARE, gramFill(8)), f32(SQUARE, gramFill(5)), f32(SQUARE, labelKernelFill(3))];

const dependence: Row[] = [
  ...[false, true].map((center) => row('gram', [f32([BATCH, 1024])], [SQUARE], { center })),
  row('gramGrad', [f32(SQUARE), f32([BATCH, 1024])], [[BATCH, 1024]], { center: false }),
  row('kernelMatrix', [f32(SQUARE, gramFill(8))], [SQUARE, [1]], kernel),
  row('labelKernel', [i32([BATCH], below(7))], [SQUARE]),
  row('hsicNormalize', [f32(SQUARE, gramFill(8))], [SQUARE], { eps: 1e-2 }),
  row('hsicObjective', grams, [[1], [8], SQUARE], { ...terms, ...kernel, kind: 'phsic' }),
  row('hsicObjective', [...grams, f32(SQUARE, symmetricFill), f32(SQUARE, symmetricFill)], [[1], [8], SQUARE], {
    ...terms,
    ...kernel,
    power: 1,
    kind: 'nhsic',
  }),
];

const augmentation = { flip: true, rotate: 15, scaleMin: 0.9, scaleMax: 1.1, shift: 2, noise: 0.02 };
const data = { seed: 11, shuffle: true, mean: [0.5], std: [0.25], variants: '', count: 32, ...augmentation };
const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, decoupled: false };
const WEIGHTS: Shape = [3, 3, 64, 128];

const updates: Row[] = [
  row('adam', [state(WEIGHTS), f32(WEIGHTS), state(WEIGHTS), state(WEIGHTS, positive), LR, STEP], [], adam),
  row('sgd', [state(WEIGHTS), f32(WEIGHTS), state(WEIGHTS), LR], [], {
    momentum: 0.5,
    nesterov: false,
    weightDecay: 0,
  }),
  row('ema', [state(WEIGHTS), f32(WEIGHTS)], [], { momentum: 0.1, scale: 1 }),
  row('increment', [state([1], constant(0), 'i32')], []),
  row('schedule', [STEP], [[1]], {
    kind: 'cosine',
    base: 0.1,
    warmup: 5,
    total: 100,
    every: 10,
    factor: 0.5,
    floor: 0.001,
  }),
  {
    op: 'datasetBatch',
    exact: false,
    cases: [
      {
        inputs: [u8([32, 48, 48, 1], bytes), i32([32], below(7)), STEP],
        outputs: [{ shape: [16, 48, 48, 1] }, { shape: [16], dtype: 'i32' }],
        attrs: data,
      },
    ],
  },
];

/** A line or more for every op, for images of this side (an even number). */
export function gateRows(side: number): Row[] {
  const at: Sizes = { side, image: [4, side, side, 72], half: [4, side / 2, side / 2, 72] };
  return [...elementwise(at), ...shapes(at), ...linear(at), ...layers(at), ...losses, ...dependence, ...updates];
}
