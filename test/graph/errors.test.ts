// What the builders refuse: each row is a call, the error class it must raise and a piece of its message. JavaScript
// callers can pass anything, hence the loosely typed builders at the top.
// The rule easy to break: a refused call appends nothing.
import { describe, expect, it } from 'vitest';
import { ArgumentError, GraphError, ShapeError } from '../../src/errors';
import { grad } from '../../src/graph/gradients';
import { Graph, type Shape, type Tensor } from '../../src/graph/graph';
import * as typed from '../../src/graph/ops';

/** The builders as JavaScript sees them: any arguments. */
const ops = typed as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;
const call =
  (op: string, ...args: unknown[]) =>
  (): unknown =>
    ops[op]?.(...args);

const graph = new Graph();
let count = 0;
const f = (...shape: Shape): Tensor => graph.input(`f${count++}`, shape);
const i = (...shape: Shape): Tensor => graph.input(`i${count++}`, shape, 'i32');
const u = (...shape: Shape): Tensor => graph.input(`u${count++}`, shape, 'u8');
const state = (...shape: Shape): Tensor => graph.state(`s${count++}`, shape);
const foreign = new Graph().input('foreign', [2, 3]);
const forged = { graph, id: 0, shape: [2, 3], dtype: 'f32', name: 'forged' };

const x = f(2, 3);
const square = f(6, 6);
const image = f(2, 8, 8, 4);
const cube = f(2, 5, 3);
const vector = f(4);
const labels = i(6);
const step = graph.state('step', [1], 'i32');
const stem = graph.input('stem', [8, 48, 48, 32]);
const filter = f(3, 3, 4, 8);
const norm = { mean: f(4), variance: f(4), gamma: f(4), beta: f(4) };
const p = graph.param('p', [2, 3], 0);
const adam = { m: state(2, 3), v: state(2, 3), lr: f(1), step };
const data = [u(10, 8, 8, 3), i(10), step];
const shapes = { top: 1, bottom: 1, left: 1, right: 1 };
const kernels = { G: square, Ex: f(6, 6), Ey: f(6, 6) };

type Row = readonly [
  call: () => unknown,
  type: typeof ShapeError | typeof ArgumentError | typeof GraphError,
  piece: string,
];

const operandRows: readonly Row[] = [
  ...['relu', 'tanh', 'sigmoid', 'exp', 'log', 'sqrt', 'square', 'abs', 'sign', 'softmax', 'logSoftmax'].flatMap(
    (op): Row[] => [
      [call(op), ArgumentError, `[${op}] x is a tensor, got undefined`],
      [call(op, i(3)), ShapeError, `[${op}] x has dtype f32`],
    ],
  ),
  ...['add', 'sub', 'mul', 'div', 'maximum', 'minimum'].flatMap((op): Row[] => [
    [call(op, x, 2), ArgumentError, `[${op}] b is a tensor, got 2`],
    [call(op, x, foreign), GraphError, `[${op}] b "foreign" belongs to another graph`],
    [call(op, x, f(2, 4)), ShapeError, `2x4 do not broadcast`],
  ]),
  [call('relu', null), ArgumentError, 'got null'],
  [call('relu', 'x'), ArgumentError, 'got "x"'],
  [call('relu', [x]), ArgumentError, 'got [a tensor]'],
  [call('relu', () => x), ArgumentError, 'got a function'],
  [call('relu', { id: 0 }), ArgumentError, 'got an object'],
  [call('relu', forged), GraphError, 'not a handle its graph gave out'],
  [call('relu', { ...forged, id: 1e9 }), GraphError, 'there is no tensor 1000000000'],
  [call('mul', x, labels), ShapeError, '[mul] b has dtype f32'],
];

const elementwiseRows: readonly Row[] = [
  [call('leakyRelu', x, { alpha: Number.NaN }), ArgumentError, '[leakyRelu] alpha is a finite number >= 0, got NaN'],
  [call('leakyRelu', x, { alpha: -0.1 }), ArgumentError, 'got -0.1'],
  [call('leakyRelu', x, { slope: 1 }), ArgumentError, 'unknown option "slope"; the options are alpha'],
  [call('leakyRelu', x, 0.1), ArgumentError, '[leakyRelu] options are an object, got 0.1'],
  [call('elu', x, { alpha: '1' }), ArgumentError, '[elu] alpha is a finite number >= 0, got "1"'],
  [call('elu', x, null), ArgumentError, 'options are an object, got null'],
  [call('elu', x, [1]), ArgumentError, 'options are an object, got [1]'],
  [call('activation', x, 'gelu'), ArgumentError, '[activation] kind is one of none, relu'],
  [call('activation', x), ArgumentError, 'got undefined'],
  [call('activation', labels, 'none'), ShapeError, '[activation] x has dtype f32'],
  [call('activation', x, 'elu', -1), ArgumentError, '[elu] alpha'],
  [
    call('affine', x, { scale: Number.POSITIVE_INFINITY }),
    ArgumentError,
    '[affine] scale is a finite number, got Infinity',
  ],
  [call('affine', x, { offset: null }), ArgumentError, '[affine] offset is a finite number, got null'],
  [call('bias', image, f(3)), ShapeError, '[bias] b has shape 4'],
  [call('bias', image, f(1, 4)), ShapeError, '1x4 was given'],
  [call('channelScale', image, f(8)), ShapeError, '[channelScale] s has shape 4, 2x4 or 2x1x1x4'],
  [call('channelScale', image, f(2, 8, 8, 4)), ShapeError, '2x8x8x4 was given'],
  [call('fill', x, [2], 1), ArgumentError, '[fill] the first argument is a graph, got a tensor'],
  [call('fill', graph, 2, 1), ArgumentError, '[fill] shape is a non-empty list of integers, got 2'],
  [call('fill', graph, [], 1), ArgumentError, 'got []'],
  [call('fill', graph, [0], 1), ArgumentError, '[fill] shape[0] is an integer >= 1, got 0'],
  [call('fill', graph, [1, 1, 1, 1, 1, 1, 1], 1), ArgumentError, '1 to 6 dimensions'],
  [call('fill', graph, [2], Number.NaN), ArgumentError, '[fill] value is a finite number, got NaN'],
  [call('stopGradient', undefined), ArgumentError, '[stopGradient] x is a tensor'],
  [
    call('dropout', x, step, { rate: 1, seed: 0 }),
    ArgumentError,
    '[dropout] rate is a finite number >= 0 and < 1, got 1',
  ],
  [call('dropout', x, step, { rate: -0.5, seed: 0 }), ArgumentError, 'got -0.5'],
  [call('dropout', x, step, { rate: 0.5 }), ArgumentError, '[dropout] seed is an integer from 0'],
  [call('dropout', x, step, { rate: 0.5, seed: 1.5 }), ArgumentError, 'got 1.5'],
  [call('dropout', x, step), ArgumentError, '[dropout] rate is a finite number'],
  [call('dropout', x, f(1), { rate: 0.5, seed: 1 }), ShapeError, '[dropout] step has dtype i32'],
  [call('dropout', x, i(2), { rate: 0.5, seed: 1 }), ShapeError, '[dropout] step has shape 1 (a counter)'],
];

const shapeRows: readonly Row[] = [
  [call('reshape', x, [4]), ShapeError, 'has 6 elements, which do not make 4'],
  [call('reshape', x, [4, -1]), ShapeError, 'which do not make 4x-1'],
  [call('reshape', x, [-1, -1]), ArgumentError, 'at most one dimension is -1'],
  [call('reshape', x, [6, 0]), ArgumentError, 'every dimension is >= 1 or -1'],
  [call('reshape', x, [6, -2]), ArgumentError, '[reshape] shape[1] is an integer >= -1, got -2'],
  [call('reshape', x, [1.5, 4]), ArgumentError, 'got 1.5'],
  [call('reshape', x, '6'), ArgumentError, '[reshape] shape is a non-empty list of integers, got "6"'],
  [call('reshape', x, [6, 1, 1, 1, 1, 1, 1]), ArgumentError, '1 to 6 dimensions'],
  [call('flatten', labels), ShapeError, '[flatten] x has dtype f32'],
  [call('transpose', x, [0]), ArgumentError, '[transpose] perm is a list of 2 integers, got [0]'],
  [call('transpose', x, [0, 0]), ArgumentError, 'names every axis'],
  [call('transpose', x, [0, 2]), ArgumentError, 'names every axis'],
  [call('transpose', x, [-1, 0]), ArgumentError, '[transpose] perm[0] is an integer >= 0'],
  [call('concat', x), ArgumentError, '[concat] the first argument is a non-empty list of tensors, got a tensor'],
  [call('concat', []), ArgumentError, 'got []'],
  [call('concat', [x, undefined]), ArgumentError, '[concat] xs[1] is a tensor, got undefined'],
  [call('concat', [x, foreign]), GraphError, 'another graph'],
  [call('concat', [x, labels]), ShapeError, '[concat] xs[1] has dtype f32'],
  [call('concat', [x, f(3, 3)]), ShapeError, 'does not join'],
  [call('concat', [x, f(2, 3, 1)]), ShapeError, 'on axis 1'],
  [call('concat', [x, x], { axis: 2 }), ArgumentError, '[concat] axis is an integer from -2 to 1, got 2'],
  [call('concat', [x], { axis: -3 }), ArgumentError, 'got -3'],
  [call('concat', [x, x], { dim: 0 }), ArgumentError, 'unknown option "dim"'],
  [call('slice', x, [0], [1, 1]), ArgumentError, '[slice] begin is a list of 2 integers'],
  [call('slice', x, [0, 0], [1]), ArgumentError, '[slice] size is a list of 2 integers'],
  [call('slice', x, [0, -1], [1, 1]), ArgumentError, '[slice] begin[1] is an integer >= 0, got -1'],
  [call('slice', x, [0, 0], [2, 4]), ShapeError, 'on axis 1, which has 3'],
  [call('slice', x, [1, 0], [2, 1]), ShapeError, 'on axis 0, which has 2'],
  [call('slice', x, [0, 3], [1, -1]), ShapeError, 'on axis 1, which has 3'],
  [call('slice', x, [0, 0], [0, 1]), ShapeError, 'on axis 0'],
  [call('pad', x, [1], [0, 0]), ArgumentError, '[pad] before is a list of 2 integers'],
  [call('pad', x, [0, 0], [0, -1]), ArgumentError, '[pad] after[1] is an integer >= 0, got -1'],
  [call('pad', x, [0, 0], [0, 0], { value: Number.NaN }), ArgumentError, '[pad] value is a finite number'],
  [call('broadcastTo', x, [3]), ShapeError, 'does not broadcast to 3'],
  [call('broadcastTo', x, [2, 6]), ShapeError, 'does not broadcast to 2x6'],
  [call('broadcastTo', x, [0, 3]), ArgumentError, '[broadcastTo] shape[0]'],
  [call('gather', x, i(2, 2)), ShapeError, '[gather] x is [N,P,D], rank 3'],
  [call('gather', cube, i(2)), ShapeError, '[gather] index is [N,K], rank 2'],
  [call('gather', cube, i(3, 2)), ShapeError, 'index has 3 samples but x has 2'],
  [call('gather', cube, f(2, 2)), ShapeError, '[gather] index has dtype i32'],
  [call('topK', cube, { k: 6 }), ArgumentError, '[topK] k is an integer from 1 to 5, got 6'],
  [call('topK', cube, { k: 0 }), ArgumentError, 'got 0'],
  [call('topK', cube), ArgumentError, 'got undefined'],
  [call('topK', x, { k: 1 }), ShapeError, 'rank 3'],
];

const reduceRows: readonly Row[] = [
  ...['reduceSum', 'reduceMean', 'reduceMax'].flatMap((op): Row[] => [
    [call(op, x, { axes: 2 }), ArgumentError, `[${op}] axes[0] is an integer from -2 to 1, got 2`],
    [call(op, x, { axes: [] }), ArgumentError, `[${op}] axes is an axis or a non-empty list`],
    [call(op, x, { axes: [0, -2] }), ArgumentError, `[${op}] axes repeat`],
  ]),
  [call('reduceSum', x, { axes: '0' }), ArgumentError, 'got "0"'],
  [call('reduceSum', x, { axes: [0.5] }), ArgumentError, 'got 0.5'],
  [call('reduceSum', x, { keepDims: 1 }), ArgumentError, '[reduceSum] keepDims is true or false, got 1'],
  [call('reduceSum', x, { keepdims: true }), ArgumentError, 'unknown option "keepdims"'],
  [call('globalAvgPool', x), ShapeError, '[globalAvgPool] x is [N,H,W,C], rank 4'],
  [call('moments', vector), ShapeError, '[moments] x has rank >= 2'],
  [call('moments', labels), ShapeError, '[moments] x has dtype f32'],
];

const linearRows: readonly Row[] = [
  [call('matmul', x, f(2, 4)), ShapeError, '[matmul] inner dimensions differ: 3 and 2'],
  [call('matmul', x, f(3, 4), { transB: true }), ShapeError, 'transA false, transB true'],
  [call('matmul', vector, x), ShapeError, '[matmul] a is a matrix, rank 2'],
  [call('matmul', x, cube), ShapeError, '[matmul] b is a matrix, rank 2'],
  [call('matmul', x, f(3, 4), { transA: 0 }), ArgumentError, '[matmul] transA is true or false, got 0'],
  [call('dense', x, f(4, 5)), ShapeError, '[dense] weights expect 4 features but "f0" has 3'],
  [call('dense', x, f(3, 5), f(4)), ShapeError, '[dense] b has shape 5'],
  [call('dense', cube, f(3, 5)), ShapeError, '[dense] x is [N,D], rank 2'],
  [call('dense', x, f(3)), ShapeError, '[dense] w is [D,O], rank 2'],
  [call('dense', x, f(3, 5), null), ArgumentError, '[dense] b is a tensor, got null'],
  [
    call('conv2d', stem, f(3, 3, 64, 128)),
    ShapeError,
    '[conv2d] filter expects 64 input channels but "stem" has 32 (input 8x48x48x32, filter 3x3x64x128)',
  ],
  [call('conv2d', x, filter), ShapeError, '[conv2d] x is [N,H,W,C], rank 4'],
  [call('conv2d', image, x), ShapeError, '[conv2d] w is [KH,KW,C/groups,O], rank 4'],
  [call('conv2d', image, filter, { groups: 2 }), ShapeError, 'filter expects 8 input channels'],
  [call('conv2d', image, f(3, 3, 2, 7), { groups: 2 }), ShapeError, '7 output channels do not divide into 2 groups'],
  [call('conv2d', image, filter, { groups: 0 }), ArgumentError, '[conv2d] groups is an integer >= 1, got 0'],
  [call('conv2d', image, filter, { stride: 0 }), ArgumentError, '[conv2d] stride is an integer >= 1, got 0'],
  [call('conv2d', image, filter, { stride: 1.5 }), ArgumentError, 'got 1.5'],
  [call('conv2d', image, filter, { stride: [1] }), ArgumentError, '[conv2d] stride is a list of 2 integers, got [1]'],
  [call('conv2d', image, filter, { stride: [1, Number.NaN] }), ArgumentError, '[conv2d] stride[1]'],
  [call('conv2d', image, filter, { stride: 2 ** 31 }), ArgumentError, 'got 2147483648'],
  [call('conv2d', image, filter, { dilation: -1 }), ArgumentError, '[conv2d] dilation is an integer >= 1, got -1'],
  [call('conv2d', image, filter, { padding: 'full' }), ArgumentError, '[conv2d] padding is one of same, valid'],
  [call('conv2d', image, filter, { padding: 1 }), ArgumentError, "padding is 'same', 'valid' or {top"],
  [call('conv2d', image, filter, { padding: [1, 1] }), ArgumentError, 'got [1, 1]'],
  [call('conv2d', image, filter, { padding: null }), ArgumentError, 'got null'],
  [call('conv2d', image, filter, { padding: { top: 1 } }), ArgumentError, '[conv2d] padding.bottom is an integer >= 0'],
  [call('conv2d', image, filter, { padding: { ...shapes, left: -1 } }), ArgumentError, 'padding.left'],
  [call('conv2d', image, filter, { padding: { ...shapes, front: 1 } }), ArgumentError, 'padding has no side "front"'],
  [call('conv2d', image, filter, { strides: 2 }), ArgumentError, 'unknown option "strides"'],
  [
    call('conv2d', image, f(9, 9, 4, 8), { padding: 'valid' }),
    ShapeError,
    'a window of 9x9 does not fit an image of 8x8',
  ],
  [call('conv2d', image, filter, { padding: 'valid', dilation: 4 }), ShapeError, 'a window of 9x9'],
  [call('conv2d', image, foreign), GraphError, 'another graph'],
  [call('convTranspose2d', x, filter), ShapeError, '[convTranspose2d] x is [N,H,W,I], rank 4'],
  [call('convTranspose2d', image, x), ShapeError, '[convTranspose2d] w is [KH,KW,O/groups,I], rank 4'],
  [call('convTranspose2d', image, f(3, 3, 4, 8)), ShapeError, 'filter expects 8 input channels in 1 groups'],
  [call('convTranspose2d', image, f(3, 3, 2, 4), { groups: 3 }), ShapeError, 'expects 4 input channels in 3 groups'],
  [call('convTranspose2d', image, f(3, 3, 2, 4), { outputPadding: 1 }), ArgumentError, 'outputPadding is less than'],
  [call('convTranspose2d', image, f(3, 3, 2, 4), { padding: 'same' }), ArgumentError, 'padding is {top, bottom'],
  [call('convTranspose2d', image, f(1, 1, 2, 4), { padding: { ...shapes, top: 9 } }), ShapeError, 'the padding leaves'],
  [call('depthwiseConv2d', image, filter), ShapeError, '[depthwiseConv2d] w is [KH,KW,1,C*multiplier]'],
  [call('depthwiseConv2d', image, f(3, 3, 1, 6)), ShapeError, '6 output channels do not divide into 4 groups'],
  [call('depthwiseConv2d', image, f(3, 3, 1, 4), { groups: 4 }), ArgumentError, 'unknown option "groups"'],
];

const layerRows: readonly Row[] = [
  [call('batchNorm', image), ArgumentError, '[batchNorm] mean is a tensor, got undefined'],
  [call('batchNorm', image, { ...norm, gamma: f(3) }), ShapeError, '[batchNorm] gamma has shape 4'],
  [call('batchNorm', image, { ...norm, beta: f(1, 4) }), ShapeError, '[batchNorm] beta has shape 4'],
  [call('batchNorm', image, { ...norm, mean: foreign }), GraphError, '[batchNorm] mean "foreign"'],
  [call('batchNorm', vector, norm), ShapeError, '[batchNorm] x has rank >= 2'],
  [call('batchNorm', image, { ...norm, eps: 0 }), ArgumentError, '[batchNorm] eps is a finite number > 0, got 0'],
  [call('batchNorm', image, { ...norm, activation: 'gelu' }), ArgumentError, '[batchNorm] activation is one of'],
  [call('batchNorm', image, { ...norm, alpha: -1 }), ArgumentError, '[batchNorm] alpha'],
  [call('batchNorm', image, { ...norm, training: 'yes' }), ArgumentError, '[batchNorm] training is true or false'],
  [call('rowNormalize', vector), ShapeError, '[rowNormalize] z is [m,d], rank 2'],
  [call('rowNormalize', x, { eps: -1 }), ArgumentError, '[rowNormalize] eps is a finite number > 0, got -1'],
  ...['maxPool', 'avgPool'].flatMap((op): Row[] => [
    [call(op, x, { kernel: 2 }), ShapeError, `[${op}] x is [N,H,W,C], rank 4`],
    [call(op, image), ArgumentError, `[${op}] kernel is an integer >= 1, got undefined`],
    [call(op, image, { kernel: 9 }), ShapeError, `[${op}] a window of 9x9 does not fit`],
    [
      call(op, image, { kernel: 2, padding: { ...shapes, top: 2 } }),
      ArgumentError,
      'padding is smaller than the kernel',
    ],
    [call(op, image, { kernel: 2, stride: [1, 0] }), ArgumentError, `[${op}] stride[1]`],
    [call(op, image, { size: 2 }), ArgumentError, 'unknown option "size"'],
  ]),
  [call('resize', image, 16), ArgumentError, '[resize] size is a list of 2 integers, got 16'],
  [call('resize', image, [16, 0]), ArgumentError, '[resize] size[1] is an integer >= 1, got 0'],
  [call('resize', image, [16, 16], { mode: 'cubic' }), ArgumentError, '[resize] mode is one of nearest, bilinear'],
  [call('resize', image, [16, 16], { coordinates: 'half' }), ArgumentError, '[resize] coordinates is one of'],
  [call('resize', x, [4, 4]), ShapeError, '[resize] x is [N,H,W,C]'],
];

const objectiveRows: readonly Row[] = [
  ...['crossEntropy', 'accuracy'].flatMap((op): Row[] => [
    [call(op, square, f(6)), ShapeError, `[${op}] labels has dtype i32`],
    [call(op, square, i(5)), ShapeError, `[${op}] there are 6 rows of logits but 5 labels`],
    [call(op, cube, i(2)), ShapeError, `[${op}] logits is [N,K], rank 2`],
    [call(op, square, i(6, 1)), ShapeError, `[${op}] labels is [N], rank 1`],
  ]),
  [call('crossEntropy', square, labels, { labelSmoothing: 1 }), ArgumentError, '[crossEntropy] labelSmoothing'],
  [call('crossEntropy', square, labels, { classWeights: f(5) }), ShapeError, '[crossEntropy] classWeights has shape 6'],
  [call('crossEntropy', square, labels, { classWeights: [1] }), ArgumentError, 'classWeights is a tensor, got [1]'],
  [call('gram', cube), ShapeError, '[gram] z is [m,d], rank 2'],
  [call('gram', x, { center: 'yes' }), ArgumentError, '[gram] center is true or false, got "yes"'],
  [call('kernelMatrix', x, { features: 3 }), ShapeError, '[kernelMatrix] G is square'],
  [call('kernelMatrix', square), ArgumentError, '[kernelMatrix] features is an integer >= 1, got undefined'],
  [call('kernelMatrix', square, { features: 3, sigma: Number.NaN }), ArgumentError, '[kernelMatrix] sigma'],
  [call('kernelMatrix', square, { features: 3, kernel: 'rbf' }), ArgumentError, '[kernelMatrix] kernel is one of'],
  [call('labelKernel', f(6)), ShapeError, '[labelKernel] labels has dtype i32'],
  [call('labelKernel', i(6, 1)), ShapeError, '[labelKernel] labels is [m], rank 1'],
  [call('hsicNormalize', x), ShapeError, '[hsicNormalize] E is square'],
  [call('hsicNormalize', square, { eps: 0 }), ArgumentError, '[hsicNormalize] eps'],
  [call('hsicObjective', kernels, { features: 3 }), ArgumentError, '[hsicObjective] kind is one of'],
  [call('hsicObjective', kernels, { kind: 'cka' }), ArgumentError, '[hsicObjective] features'],
  [call('hsicObjective', { G: square }, { kind: 'cka', features: 3 }), ArgumentError, '[hsicObjective] Ex is a tensor'],
  [call('hsicObjective', kernels, { kind: 'nhsic', features: 3 }), ArgumentError, '[hsicObjective] Rx is a tensor'],
  [
    call('hsicObjective', { ...kernels, Rx: square }, { kind: 'cka', features: 3 }),
    ArgumentError,
    'Rx is for nhsic only, the kind is cka',
  ],
  [call('hsicObjective', { ...kernels, Ey: f(5, 5) }, { kind: 'cka', features: 3 }), ShapeError, 'Ey has shape 6x6'],
  [call('hsicObjective', { ...kernels, Ez: x }, { kind: 'cka', features: 3 }), ArgumentError, 'unknown option "Ez"'],
  [
    call('hsicObjective', { G: f(1, 1), Ex: f(1, 1), Ey: f(1, 1) }, { kind: 'cka', features: 3 }),
    ShapeError,
    'at least 2 samples',
  ],
  [
    call('hsicObjective', { G: f(3, 3), Ex: f(3, 3), Ey: f(3, 3) }, { kind: 'hsic', features: 3, unbiased: true }),
    ShapeError,
    'unbiased needs at least 4 samples',
  ],
  [
    call('hsicObjective', kernels, { kind: 'cka', features: 3, unbiased: true }),
    ArgumentError,
    'unbiased is for kind hsic',
  ],
  [call('hsicObjective', kernels, { kind: 'hsic', features: 3, beta: Number.NaN }), ArgumentError, 'beta'],
];

const updateRows: readonly Row[] = [
  [call('adam', p, x), ArgumentError, '[adam] m is a tensor, got undefined'],
  [call('adam', p, f(3, 2), adam), ShapeError, '[adam] g has shape 2x3'],
  [call('adam', p, x, { ...adam, v: state(6) }), ShapeError, '[adam] v has shape 2x3'],
  [call('adam', p, x, { ...adam, v: adam.m }), ArgumentError, 'is given twice'],
  [call('adam', p, x, { ...adam, lr: f(2) }), ShapeError, '[adam] lr has shape 1'],
  [call('adam', p, x, { ...adam, step: f(1) }), ShapeError, '[adam] step has dtype i32'],
  [call('adam', f(2, 3), x, adam), GraphError, 'only a param or a state can be updated'],
  [call('adam', p, x, adam, { beta1: 1 }), ArgumentError, '[adam] beta1 is a finite number >= 0 and < 1, got 1'],
  [call('adam', p, x, adam, { beta2: -0.1 }), ArgumentError, '[adam] beta2'],
  [call('adam', p, x, adam, { eps: 0 }), ArgumentError, '[adam] eps'],
  [call('adam', p, x, adam, { weightDecay: -1 }), ArgumentError, '[adam] weightDecay'],
  [call('adam', p, x, adam, { decoupled: 1 }), ArgumentError, '[adam] decoupled'],
  [call('sgd', p, x, { velocity: state(2, 3) }), ArgumentError, '[sgd] lr is a tensor'],
  [call('sgd', p, x, { velocity: state(3), lr: f(1) }), ShapeError, '[sgd] velocity has shape 2x3'],
  [call('sgd', p, x, { velocity: state(2, 3), lr: f(1) }, { momentum: 1 }), ArgumentError, '[sgd] momentum'],
  [call('ema', state(3), f(4), { momentum: 0.1 }), ShapeError, '[ema] x has shape 3'],
  [call('ema', state(3), f(3), { momentum: 1.5 }), ArgumentError, '[ema] momentum is a finite number >= 0 and <= 1'],
  [call('ema', state(3), f(3)), ArgumentError, '[ema] momentum'],
  [call('ema', f(3), f(3), { momentum: 0.5 }), GraphError, '[ema] only a param or a state'],
  [call('increment', i(1)), GraphError, '[increment] only a param or a state'],
  [call('increment', f(1)), ShapeError, '[increment] step has dtype i32'],
  [call('schedule', step), ArgumentError, '[schedule] base is a finite number >= 0, got undefined'],
  [call('schedule', step, { base: 0.1, kind: 'linear' }), ArgumentError, '[schedule] kind is one of constant'],
  [call('schedule', step, { base: 0.1, warmup: -1 }), ArgumentError, '[schedule] warmup'],
  [call('schedule', step, { base: 0.1, every: 0 }), ArgumentError, '[schedule] every'],
  [call('schedule', step, { base: 0.1, factor: 0 }), ArgumentError, '[schedule] factor'],
];

const datasetRows: readonly Row[] = [
  [call('datasetBatch', ...data), ArgumentError, '[datasetBatch] batch is an integer >= 1, got undefined'],
  [call('datasetBatch', f(10, 8, 8, 3), i(10), step, { batch: 2 }), ShapeError, '[datasetBatch] images has dtype u8'],
  [call('datasetBatch', u(10, 8, 8), i(10), step, { batch: 2 }), ShapeError, '[datasetBatch] images is [T,H,W,C]'],
  [call('datasetBatch', data[0], i(9), step, { batch: 2 }), ShapeError, '[datasetBatch] labels has shape 10'],
  [call('datasetBatch', ...data, { batch: 2, count: 11 }), ShapeError, 'count is at most 10'],
  [call('datasetBatch', ...data, { batch: 2, mean: [1, 2] }), ArgumentError, 'mean is a list of 1 or 3 numbers'],
  [call('datasetBatch', ...data, { batch: 2, std: [0] }), ArgumentError, 'std[0] is a finite number > 0, got 0'],
  [call('datasetBatch', ...data, { batch: 2, std: 1 }), ArgumentError, 'std is a list'],
  [call('datasetBatch', ...data, { batch: 2, size: 8 }), ArgumentError, 'size is a list of 2 integers'],
  [call('datasetBatch', ...data, { batch: 2, variants: 'flip' }), ArgumentError, 'variants is a list of names'],
  [call('datasetBatch', ...data, { batch: 2, variants: ['blur'] }), ArgumentError, 'variants[0] is one of identity'],
  [call('datasetBatch', ...data, { batch: 2, variants: ['flip', 'flip'] }), ArgumentError, 'variants repeat'],
  [call('datasetBatch', ...data, { batch: 2, scaleMin: 2 }), ArgumentError, 'scaleMax is a finite number >= 2, got 1'],
  [call('datasetBatch', ...data, { batch: 2, rotate: 181 }), ArgumentError, 'rotate'],
  [call('datasetBatch', ...data, { batch: 2, noise: -1 }), ArgumentError, 'noise'],
  [call('datasetBatch', ...data, { batch: 2, shift: Number.NaN }), ArgumentError, 'shift'],
  [call('datasetBatch', ...data, { batch: 2, flip: 1 }), ArgumentError, 'flip is true or false'],
  [call('datasetBatch', ...data, { batch: 2, seed: -1 }), ArgumentError, 'seed'],
];

const otherUnit = (() => {
  const other = new Graph();
  other.unit('other', () => other.input('x', [1]));
  return other.units[0];
})();
const inner = graph.unit('inner', () => typed.relu(x));
const loose = typed.tanh(inner);
const differentiate = grad as unknown as (...args: unknown[]) => unknown;

const gradRows: readonly Row[] = [
  [() => differentiate(undefined, []), ArgumentError, '[grad] loss is a tensor'],
  [() => differentiate(labels, []), ShapeError, '[grad] loss has dtype f32'],
  [() => differentiate(loose, x), ArgumentError, '[grad] wrt is a list of tensors, got a tensor'],
  [() => differentiate(loose, [x, 3]), ArgumentError, '[grad] wrt[1] is a tensor, got 3'],
  [() => differentiate(loose, [foreign]), GraphError, '[grad] wrt[0] "foreign" belongs to another graph'],
  [() => differentiate(loose, [labels]), ShapeError, '[grad] wrt[0] has dtype f32'],
  [() => differentiate(loose, [x], { seed: vector }), ShapeError, '[grad] seed has shape 2x3'],
  [() => differentiate(loose, [x], { inside: 1 }), ArgumentError, 'unknown option "inside"'],
  [() => differentiate(loose, [x], { within: 0 }), ArgumentError, '[grad] within is a unit of the graph, got 0'],
  [() => differentiate(loose, [x], { within: otherUnit }), ArgumentError, '[grad] within is a unit'],
  [
    () => differentiate(loose, [x], { within: graph.units[0] }),
    GraphError,
    'is made outside every unit, not in unit "inner"',
  ],
];

const declare = (method: 'input' | 'param' | 'state' | 'constant', ...args: unknown[]) => {
  return (): unknown => (graph[method] as (...args: unknown[]) => unknown).apply(graph, args);
};

const graphRows: readonly Row[] = [
  [declare('input', 'bad', 3), ArgumentError, '[input] a shape has 1 to 6 dimensions, got 3'],
  [declare('input', 'bad', []), ArgumentError, '[input] a shape has 1 to 6 dimensions'],
  [declare('input', 'bad', [1, 1, 1, 1, 1, 1, 1]), ArgumentError, '1 to 6 dimensions'],
  [declare('input', 'bad', [2, 0]), ArgumentError, 'every dimension is a positive integer, got 0'],
  [declare('input', 'bad', [2, Number.NaN]), ArgumentError, 'got NaN'],
  [declare('input', 'bad', [2 ** 30, 2 ** 30]), ArgumentError, 'more than 2^40 elements'],
  [declare('input', 'bad', [2], 'f64'), ArgumentError, 'the dtype of "bad" is f32, i32 or u8, got f64'],
  [declare('input', '', [2]), ArgumentError, 'a name is a non-empty string'],
  [declare('input', 'stem', [2]), GraphError, '[input] the name "stem" is taken'],
  [declare('param', 'p', [2], 0), GraphError, '[param] the name "p" is taken'],
  [declare('param', 'bad', [2], Number.NaN), ArgumentError, '"bad" starts from a finite number, got NaN'],
  [declare('param', 'bad', [2], new Float32Array(3)), ArgumentError, 'of shape 2 needs 2 values, got 3'],
  [declare('param', 'bad', [2], new Int32Array(2)), ArgumentError, 'starts from a number or f32 data, got i32 data'],
  [declare('param', 'bad', [2], '0'), ArgumentError, 'got string'],
  [declare('state', 'bad', [2], 'i32', new Float32Array(2)), ArgumentError, 'or i32 data, got f32 data'],
  [
    declare('constant', 'bad', [2], [1, 2]),
    ArgumentError,
    'is a Float32Array, an Int32Array or a Uint8Array, got object',
  ],
  [declare('constant', 'bad', [2], null), ArgumentError, 'got null'],
  [() => new Graph({ seed: -1 }), ArgumentError, '[graph] the seed is a non-negative integer'],
  [() => graph.tensor(-1), GraphError, 'there is no tensor -1'],
  [() => graph.info(foreign), GraphError, 'belongs to another graph'],
  [() => graph.scope('', () => 1), ArgumentError, '[scope] a name is a non-empty string'],
  [() => graph.inUnit(otherUnit!, () => 1), GraphError, 'the unit is not one of this graph'],
  [() => graph.unit('inner', () => x), GraphError, '[unit] the name "inner" is taken'],
  [() => graph.unit('', () => x), ArgumentError, '[unit] a name is a non-empty string'],
];

describe.each([
  ['operands', operandRows],
  ['elementwise', elementwiseRows],
  ['shape', shapeRows],
  ['reductions', reduceRows],
  ['linear algebra and convolution', linearRows],
  ['normalisation and pooling', layerRows],
  ['objectives', objectiveRows],
  ['updates', updateRows],
  ['datasetBatch', datasetRows],
  ['grad', gradRows],
  ['graph', graphRows],
])('%s', (_name, rows) => {
  it.each(rows.map(([run, type, piece]) => [type.name, piece, run, type] as const))(
    '%s: %s',
    (_n, piece, run, type) => {
      const before = [graph.nodes.length, graph.tensors.length];
      let error: unknown;
      try {
        run();
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(type);
      expect((error as Error).message).toContain(piece);
      expect((error as Error).name).toBe(type.name);
      expect([graph.nodes.length, graph.tensors.length]).toEqual(before);
    },
  );
});

describe('an error', () => {
  it('has the line that made the call on its stack', () => {
    const mistake = (): unknown => typed.conv2d(stem, filter);
    expect(mistake).toThrow(ShapeError);
    try {
      mistake();
    } catch (error) {
      expect((error as Error).stack).toContain('errors.test.ts');
    }
  });
});
