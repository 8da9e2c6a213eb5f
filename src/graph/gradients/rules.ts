// The gradient rules, one per differentiable op of docs/ops.md. Called by grad() alone. A rule is given a node and the
// gradients of its outputs and returns, per input, a function that appends that input's gradient; grad() calls only the
// ones it wants, so an input nobody asks about costs nothing. The rule easy to break: a gradient has its input's shape.
import { GraphError } from '../../errors';
import { type Graph, type Node, type Shape, sizeOf, type Tensor } from '../graph';
import { sameShape } from '../ops/check';
import { add, affine, div, mul, sub } from '../ops/elementwise';
import { matmul } from '../ops/linear';
import { reduceSum } from '../ops/reduce';
import { broadcastTo, pad, reshape, slice, transpose } from '../ops/shape';

/** A tensor, or a number that stands for a constant tensor not yet in the graph. */
export type Gradient = Tensor | number;

export interface RuleContext {
  readonly graph: Graph;
  readonly node: Node;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Per output; reading it puts constant gradients in the graph as `fill`. */
  readonly outputGradients: readonly (Tensor | undefined)[];
  /** The first output's gradient when it is one number everywhere and the only one: lets a rule leave out the `fill`. */
  readonly constant: number | undefined;
}

/** Per input, how to append its gradient; undefined where the input gets none. */
export type Rule = (context: RuleContext) => readonly ((() => Gradient) | undefined)[];

/** Ops whose result counts as a constant, and why. */
export const stops: Readonly<Record<string, string>> = {
  stopGradient: 'asked for',
  fill: 'has no input',
  topK: 'indices',
  accuracy: 'piecewise constant',
  kernelMatrix: 'kernels of inputs and labels are constants of the batch',
  labelKernel: 'made from integers',
  hsicNormalize: 'made from constants of the batch',
  increment: 'a counter',
  schedule: 'made from a counter',
  datasetBatch: 'data',
};

const input = ({ inputs }: RuleContext, index = 0): Tensor => inputs[index] as Tensor;
const output = ({ outputs }: RuleContext, index = 0): Tensor => outputs[index] as Tensor;

/** The gradient of the first output, for ops of which only that one is differentiable. */
function incoming(context: RuleContext): Tensor {
  const [dy, ...others] = context.outputGradients;
  if (dy === undefined || others.some((gradient) => gradient !== undefined)) {
    throw new GraphError(
      `[grad] "${context.node.name}" (${context.node.op}) is differentiable in its first output only`,
    );
  }
  return dy;
}

function emit(context: RuleContext, op: string, inputs: readonly Tensor[], shape: Shape, attrs = {}): Tensor {
  return context.graph.append(op, inputs, [{ shape }], attrs)[0] as Tensor;
}

/** Sums a gradient over what broadcasting repeated, back to the operand's shape. */
export function reduceTo(dy: Tensor, shape: Shape): Tensor {
  const lead = dy.shape.length - shape.length;
  const axes = dy.shape.flatMap((extent, axis) =>
    axis < lead || (shape[axis - lead] === 1 && extent > 1) ? [axis] : [],
  );
  return reshape(axes.length === 0 ? dy : reduceSum(dy, { axes }), shape);
}

/** dy times a factor of the output's own shape. */
function times(context: RuleContext, factor: Tensor): Tensor {
  if (context.constant !== undefined && sameShape(factor.shape, output(context).shape)) {
    return context.constant === 1 ? factor : affine(factor, { scale: context.constant });
  }
  return mul(incoming(context), factor);
}

/** dy, the gradient of a scalar loss, times the gradient the op has saved as an output. */
function timesSaved(context: RuleContext, saved: number): Gradient {
  const gradient = output(context, saved);
  if (context.constant !== undefined) {
    return context.constant === 1 ? gradient : affine(gradient, { scale: context.constant });
  }
  return mul(gradient, incoming(context));
}

/** dy for an operand that enters the output with factor `sign`. */
function passOn(context: RuleContext, operand: Tensor, sign: number): Gradient {
  if (context.constant !== undefined && sameShape(operand.shape, output(context).shape)) return sign * context.constant;
  const reduced = reduceTo(incoming(context), operand.shape);
  return sign === 1 ? reduced : affine(reduced, { scale: sign });
}

/** For an operand that counts as a constant: refuses to be silent where it depends on what is asked about. */
const constantOperand =
  ({ node }: RuleContext, operand: string): (() => never) =>
  () => {
    throw new GraphError(
      `[grad] "${node.name}" (${node.op}) has no gradient by ${operand}, which must not depend on wrt; use stopGradient`,
    );
  };

/** Rule of an op whose gradient is one op of dy and the op's output. */
const fromOutput =
  (op: string): Rule =>
  (context) => [
    () => emit(context, op, [incoming(context), output(context)], input(context).shape, context.node.attrs),
  ];

/** Rule of an op whose gradient is one op of dy and the op's input. */
const fromInput =
  (op: string): Rule =>
  (context) => [() => emit(context, op, [incoming(context), input(context)], input(context).shape, context.node.attrs)];

/** Rule of an op whose gradient is one op of dy alone. */
const fromGradient =
  (op: string): Rule =>
  (context) => [() => emit(context, op, [incoming(context)], input(context).shape, context.node.attrs)];

const division: Rule = (context) => {
  const [a, b] = [input(context), input(context, 1)];
  const quotient = (): Tensor => div(incoming(context), b);
  return [
    () => reduceTo(quotient(), a.shape),
    () => affine(reduceTo(mul(quotient(), output(context)), b.shape), { scale: -1 }),
  ];
};

/** A reduction's gradient, in the reduced tensor's shape with extent 1 on the reduced axes, spread over the input. */
function spread(context: RuleContext, scale: number): Gradient {
  const x = input(context);
  if (context.constant !== undefined) return context.constant * scale;
  const axes = context.node.attrs.axes as readonly number[];
  const kept = x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const dy = reshape(incoming(context), kept);
  return broadcastTo(scale === 1 ? dy : affine(dy, { scale }), x.shape);
}

/** dx = dmean / R + 2 (x - mean) dvariance / R over R rows; the mean's part in the variance sums to nothing. */
const momentsRule: Rule = (context) => [
  () => {
    const x = input(context);
    const mean = output(context);
    const rows = sizeOf(x.shape) / sizeOf(mean.shape);
    const [dmean, dvariance] = context.outputGradients;
    const viaMean = dmean && affine(dmean, { scale: 1 / rows });
    if (!dvariance) return broadcastTo(viaMean as Tensor, x.shape);
    const viaVariance = mul(sub(x, mean), affine(dvariance, { scale: 2 / rows }));
    return viaMean ? add(viaVariance, viaMean) : viaVariance;
  },
];

const matmulRule: Rule = (context) => {
  const [a, b] = [input(context), input(context, 1)];
  const transA = context.node.attrs.transA as boolean;
  const transB = context.node.attrs.transB as boolean;
  return [
    () => {
      const dy = incoming(context);
      return transA ? matmul(b, dy, { transA: transB, transB: true }) : matmul(dy, b, { transB: !transB });
    },
    () => {
      const dy = incoming(context);
      return transB ? matmul(dy, a, { transA: true, transB: transA }) : matmul(a, dy, { transA: !transA });
    },
  ];
};

const conv2dRule: Rule = (context) => {
  const [x, w] = [input(context), input(context, 1)];
  const { attrs } = context.node;
  return [
    () => emit(context, 'conv2dGradInput', [incoming(context), w], x.shape, attrs),
    () => emit(context, 'conv2dGradFilter', [x, incoming(context)], w.shape, attrs),
  ];
};

/** A transposed convolution is linear in both: its gradients are the convolution and the filter's gradient, roles exchanged. */
const convTransposeRule: Rule = (context) => {
  const [x, w] = [input(context), input(context, 1)];
  const { attrs } = context.node;
  return [
    () => emit(context, 'conv2d', [incoming(context), w], x.shape, attrs),
    () => emit(context, 'conv2dGradFilter', [incoming(context), x], w.shape, attrs),
  ];
};

/** What the larger (side 1) or the smaller (side -1) of a and b pass on: dy where a wins, half of it where they are equal. */
const extremum =
  (side: 1 | -1): Rule =>
  (context) => {
    const [a, b] = [input(context), input(context, 1)];
    // 0.5 dy (1 + sign(a - b)) and 0.5 dy (1 - sign(a - b)), or the other way round.
    const half = (sign: 1 | -1): Tensor => {
      const dy = incoming(context);
      const signed = emit(context, 'absGrad', [dy, sub(a, b)], dy.shape);
      return affine(sign === side ? add(dy, signed) : sub(dy, signed), { scale: 0.5 });
    };
    return [() => reduceTo(half(1), a.shape), () => reduceTo(half(-1), b.shape)];
  };

/**
 * gamma's and beta's sums come first; x's gradient is made from them. In training it includes the path through mean and
 * variance, which get nothing themselves (docs/ops.md); in inference they are constants.
 */
const batchNormRule: Rule = (context) => {
  const { eps, activation, alpha, training } = context.node.attrs as Readonly<
    Record<string, number | string | boolean>
  >;
  const [x, , , gamma, beta] = context.inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const attrs = { eps, activation, alpha } as Readonly<Record<string, number | string>>;
  let sums: Tensor[] | undefined;
  const params = (): Tensor[] => {
    const shapes = [{ shape: gamma.shape }, { shape: beta.shape }];
    sums ??= context.graph.append('batchNormGradParams', [incoming(context), ...context.inputs], shapes, attrs);
    return sums;
  };
  return [
    () =>
      emit(context, 'batchNormGradInput', [incoming(context), ...context.inputs, ...params()], x.shape, {
        ...attrs,
        training,
      }),
    training ? undefined : constantOperand(context, 'mean'),
    training ? undefined : constantOperand(context, 'variance'),
    () => params()[0] as Tensor,
    () => params()[1] as Tensor,
  ];
};

const concatRule: Rule = (context) => {
  const axis = context.node.attrs.axis as number;
  let offset = 0;
  return context.inputs.map((part) => {
    const begin = part.shape.map((_, index) => (index === axis ? offset : 0));
    offset += part.shape[axis] as number;
    return () => slice(incoming(context), begin, part.shape);
  });
};

const sliceRule: Rule = (context) => [
  () => {
    const x = input(context);
    const begin = context.node.attrs.begin as readonly number[];
    const size = context.node.attrs.size as readonly number[];
    const after = x.shape.map((extent, axis) => extent - (begin[axis] as number) - (size[axis] as number));
    return pad(incoming(context), begin, after);
  },
];

const transposeRule: Rule = (context) => [
  () => {
    const perm = context.node.attrs.perm as readonly number[];
    return transpose(
      incoming(context),
      perm.map((_, axis) => perm.indexOf(axis)),
    );
  },
];

export const rules: Readonly<Record<string, Rule>> = {
  relu: fromOutput('reluGrad'),
  tanh: fromOutput('tanhGrad'),
  sigmoid: fromOutput('sigmoidGrad'),
  leakyRelu: fromOutput('leakyReluGrad'),
  elu: fromOutput('eluGrad'),
  abs: fromInput('absGrad'),
  exp: (context) => [() => times(context, output(context))],
  log: (context) => [() => div(incoming(context), input(context))],
  sqrt: (context) => [() => div(incoming(context), affine(output(context), { scale: 2 }))],
  square: (context) => [() => squareGradient(context)],
  affine: (context) => [() => scaleBy(context, context.node.attrs.scale as number)],
  add: (context) => [() => passOn(context, input(context), 1), () => passOn(context, input(context, 1), 1)],
  sub: (context) => [() => passOn(context, input(context), 1), () => passOn(context, input(context, 1), -1)],
  mul: (context) => [
    () => reduceTo(times(context, input(context, 1)), input(context).shape),
    () => reduceTo(times(context, input(context)), input(context, 1).shape),
  ],
  div: division,
  maximum: extremum(1),
  minimum: extremum(-1),
  dropout: (context) => [
    () => emit(context, 'dropout', [incoming(context), input(context, 1)], input(context).shape, context.node.attrs),
  ],

  reshape: (context) => [() => context.constant ?? reshape(incoming(context), input(context).shape)],
  transpose: transposeRule,
  concat: concatRule,
  slice: sliceRule,
  pad: (context) => [
    () => slice(incoming(context), context.node.attrs.before as readonly number[], input(context).shape),
  ],
  broadcastTo: (context) => [() => reduceTo(incoming(context), input(context).shape)],
  gather: (context) => [
    () => emit(context, 'gatherGrad', [incoming(context), input(context, 1)], input(context).shape),
  ],

  reduceSum: (context) => [() => spread(context, 1)],
  reduceMean: (context) => [() => spread(context, sizeOf(output(context).shape) / sizeOf(input(context).shape))],
  reduceMax: (context) => [
    () =>
      emit(context, 'reduceMaxGrad', [incoming(context), input(context), output(context)], input(context).shape, {
        axes: context.node.attrs.axes,
      }),
  ],
  moments: momentsRule,

  matmul: matmulRule,
  conv2d: conv2dRule,
  conv2dGradInput: convTransposeRule,
  batchNorm: batchNormRule,
  rowNormalize: fromInput('rowNormalizeGrad'),

  maxPool: (context) => [
    () =>
      emit(context, 'maxPoolGrad', [incoming(context), output(context, 1)], input(context).shape, context.node.attrs),
  ],
  avgPool: fromGradient('avgPoolGrad'),
  resize: fromGradient('resizeGrad'),

  softmax: fromOutput('softmaxGrad'),
  logSoftmax: fromOutput('logSoftmaxGrad'),
  crossEntropy: (context) => [() => timesSaved(context, 1), undefined, constantOperand(context, 'classWeights')],
  gram: fromInput('gramGrad'),
  hsicObjective: (context) => [
    () => timesSaved(context, 2),
    ...['Ex', 'Ey', 'Rx', 'Ry'].map((operand) => constantOperand(context, operand)),
  ],
};

function squareGradient(context: RuleContext): Gradient {
  const factor = affine(input(context), { scale: 2 * (context.constant ?? 1) });
  return context.constant === undefined ? mul(incoming(context), factor) : factor;
}

function scaleBy(context: RuleContext, scale: number): Gradient {
  if (context.constant !== undefined) return context.constant * scale;
  return scale === 1 ? incoming(context) : affine(incoming(context), { scale });
}
