// A program as calls of TensorFlow.js, whose layout is ours: the nodes are walked and each is one or a few calls. Called
// by bench/peers/node_driver.ts, and by tests with a recorder in the place of the library. The rule easy to break: `tf` is
// typed by the calls made here, because the package may not be there when this is compiled.
import { ArgumentError } from '../../src/errors';
import type { Program, ProgramNode } from './program';

/** A tensor of TensorFlow.js; opaque here. */
export interface Tensor {
  readonly shape: readonly number[];
  dataSync(): Float32Array;
  dispose(): void;
}

type Call = (...args: unknown[]) => Tensor;
/** The functions of the library by name. */
export type Library = Readonly<Record<string, Call>>;

function unsupported(op: string, what: string): ArgumentError {
  return new ArgumentError(`[bench] TensorFlow.js expects ops it has a translation for, got "${op}" with ${what}`);
}

function padded(tf: Library, node: ProgramNode, x: Tensor): Tensor {
  const { padTop, padBottom, padLeft, padRight } = node.attrs;
  if (!padTop && !padBottom && !padLeft && !padRight) return x;
  const sides = [
    [0, 0],
    [padTop, padBottom],
    [padLeft, padRight],
    [0, 0],
  ];
  return tf.pad!(x, sides);
}

/** The library's `same` is ours; anything else is padded first. */
function isSame(
  { attrs }: ProgramNode,
  from: readonly number[],
  to: readonly number[],
  kernel: readonly number[],
): boolean {
  const sides = [
    ['padTop', 'padBottom', attrs.strideH, 1, kernel[0]],
    ['padLeft', 'padRight', attrs.strideW, 2, kernel[1]],
  ] as [string, string, number, number, number][];
  return sides.every(([before, after, stride, axis, extent]) => {
    const output = Math.ceil(from[axis]! / stride);
    const total = Math.max(0, (output - 1) * stride + extent - from[axis]!);
    const low = Math.floor(total / 2);
    return output === to[axis] && attrs[before] === low && attrs[after] === total - low;
  });
}

function conv2d(tf: Library, program: Program, node: ProgramNode, [x, w]: readonly Tensor[]): Tensor {
  const { strideH, strideW, dilationH, dilationW, groups } = node.attrs;
  const [from, filter, to] = [...node.inputs, node.outputs[0]!].map((id) => program.tensors[id]!.shape);
  if (dilationH !== 1 || dilationW !== 1) throw unsupported('conv2d', 'dilation');
  const same = isSame(node, from!, to!, filter!);
  const input = same ? x! : padded(tf, node, x!);
  const padding = same ? 'same' : 'valid';
  const [height, width, perGroup, outputs] = filter!;
  if (groups === 1) return tf.conv2d!(input, w, [strideH, strideW], padding);
  if (groups !== from![3] || outputs !== groups) throw unsupported('conv2d', `${groups} groups`);
  return tf.depthwiseConv2d!(input, tf.reshape!(w, [height, width, outputs, perGroup]), [strideH, strideW], padding);
}

function batchNorm(tf: Library, node: ProgramNode, args: readonly Tensor[]): Tensor {
  const { training, eps, activation } = node.attrs;
  if (activation !== 'none' && activation !== 'relu') throw unsupported('batchNorm', `activation ${activation}`);
  const x = args[0]!;
  let [mean, variance, gamma, beta] = args.slice(1);
  if (training) {
    [gamma, beta] = args.slice(1);
    const axes = x.shape.slice(0, -1).map((_, axis) => axis);
    ({ mean, variance } = tf.moments!(x, axes) as unknown as { mean: Tensor; variance: Tensor });
  }
  const normal = tf.batchNorm!(x, mean, variance, beta, gamma, eps);
  return activation === 'relu' ? tf.relu!(normal) : normal;
}

function pool(tf: Library, program: Program, node: ProgramNode, x: Tensor): Tensor {
  const { kernelH, kernelW, strideH, strideW } = node.attrs as Record<string, number>;
  const [from, to] = [node.inputs[0]!, node.outputs[0]!].map((id) => program.tensors[id]!.shape);
  const none = ['padTop', 'padBottom', 'padLeft', 'padRight'].every((side) => node.attrs[side] === 0);
  if (!none && !isSame(node, from!, to!, [kernelH!, kernelW!])) throw unsupported(node.op, 'explicit padding');
  const call = node.op === 'maxPool' ? tf.maxPool! : tf.avgPool!;
  return call(x, [kernelH, kernelW], [strideH, strideW], none ? 'valid' : 'same');
}

function centred(tf: Library, k: Tensor): Tensor {
  const rows = tf.sub!(tf.sub!(k, tf.mean!(k, 0, true)), tf.mean!(k, 1, true));
  return tf.add!(rows, tf.mean!(k));
}

/** expm1(-D/scale) of a Gram matrix, and the scale. */
function kernelOf(tf: Library, g: Tensor, sigma: number, features: number): { e: Tensor; scale: Tensor } {
  const m = g.shape[0]!;
  const identity = tf.eye!(m);
  const diagonal = tf.sum!(tf.mul!(g, identity), 1, true);
  const sums = tf.add!(diagonal, tf.transpose!(diagonal));
  const distances = tf.mul!(tf.relu!(tf.sub!(sums, tf.mul!(g, tf.scalar!(2)))), tf.sub!(tf.scalar!(1), identity));
  let scale = tf.scalar!(2 * sigma * sigma * features);
  if (sigma <= 0) {
    const places: number[] = [];
    for (let row = 0; row < m; row += 1)
      for (let column = row + 1; column < m; column += 1) places.push(row * m + column);
    const above = tf.gather!(tf.reshape!(distances, [m * m]), tf.tensor1d!(places, 'int32'));
    // The lower median, counted from the largest.
    const count = places.length - Math.floor((places.length - 1) / 2);
    const { values } = tf.topk!(above, count) as unknown as { values: Tensor };
    scale = tf.mul!(tf.scalar!(2), tf.min!(values));
  }
  return { e: tf.expm1!(tf.neg!(tf.div!(distances, scale))), scale };
}

/** Loss and its gradient by the Gram matrix, kind hsic. */
function hsic(tf: Library, node: ProgramNode, [g, ex, ey]: readonly Tensor[]): Tensor[] {
  const { kind, kernel, sigma, features, beta, power } = node.attrs;
  if (kind !== 'hsic' || kernel !== 'gaussian') throw unsupported(node.op, `kind ${kind}, kernel ${kernel}`);
  const m = g!.shape[0]!;
  const { e, scale } = kernelOf(tf, g!, Number(sigma), Number(features));
  const target = tf.sub!(centred(tf, ex!), tf.mul!(centred(tf, ey!), tf.scalar!(beta)));
  const a = tf.div!(target, tf.scalar!((m - 1) ** Number(power)));
  const loss = tf.reshape!(tf.sum!(tf.mul!(centred(tf, e), a)), [1]);
  const s = tf.mul!(a, tf.add!(e, tf.scalar!(1)));
  const diagonal = tf.mul!(tf.eye!(m), tf.sum!(s, 1, true));
  return [loss, loss, tf.mul!(tf.sub!(s, diagonal), tf.div!(tf.scalar!(2), scale))];
}

function gram(tf: Library, program: Program, node: ProgramNode, z: Tensor): Tensor {
  const product = tf.matMul!(z, z, false, true);
  // Distances do not see the mean, so only a Gram matrix that is asked for itself is centred.
  return node.attrs.center && program.results.includes(node.outputs[0]!) ? centred(tf, product) : product;
}

function call(tf: Library, program: Program, node: ProgramNode, args: readonly Tensor[]): Tensor[] {
  const [x, y] = args as [Tensor, Tensor];
  const { attrs } = node;
  const rank = program.tensors[node.inputs[0]!]!.shape.length;
  const shape = program.tensors[node.outputs[0]!]!.shape;
  switch (node.op) {
    case 'batchNorm':
      return [batchNorm(tf, node, args)];
    case 'conv2d':
      return [conv2d(tf, program, node, args)];
    case 'maxPool':
    case 'avgPool':
      return [pool(tf, program, node, x)];
    case 'concat':
      return [tf.concat!(args, attrs.axis)];
    case 'reshape':
      return [tf.reshape!(x, shape)];
    case 'reduceMean':
      return [tf.mean!(x, attrs.axes, attrs.keepDims)];
    case 'matmul':
      return [tf.matMul!(x, y, attrs.transA, attrs.transB)];
    case 'add':
      return [tf.add!(x, y)];
    case 'mul':
      return [tf.mul!(x, y)];
    case 'softmax':
      return [tf.softmax!(x, rank - 1)];
    case 'crossEntropy': {
      if (args.length > 2 || attrs.labelSmoothing !== 0) throw unsupported(node.op, 'class weights or smoothing');
      const likelihood = tf.mul!(tf.logSoftmax!(x), tf.oneHot!(y, program.tensors[node.inputs[0]!]!.shape[1]));
      return [tf.reshape!(tf.neg!(tf.mean!(tf.sum!(likelihood, 1))), [1])];
    }
    case 'gram':
      return [gram(tf, program, node, x)];
    case 'gramGrad':
      return [tf.matMul!(tf.add!(x, tf.transpose!(x)), y)];
    case 'kernelMatrix':
      if (attrs.kernel !== 'gaussian') throw unsupported(node.op, `kernel ${attrs.kernel}`);
      return [kernelOf(tf, x, Number(attrs.sigma), Number(attrs.features)).e];
    case 'labelKernel': {
      const column = tf.reshape!(x, [-1, 1]);
      return [tf.cast!(tf.equal!(column, tf.transpose!(column)), 'float32')];
    }
    case 'hsicObjective':
      return hsic(tf, node, args);
    default:
      throw unsupported(node.op, 'the op');
  }
}

/** Runs nodes over `values`, which holds weights and what is given, and adds what they make. */
export function runNodes(
  tf: Library,
  program: Program,
  nodes: readonly ProgramNode[],
  values: Map<number, Tensor>,
): void {
  for (const node of nodes) {
    const args = node.inputs.map((id) => values.get(id)!);
    const made = call(tf, program, node, args);
    made.forEach((tensor, index) => {
      values.set(node.outputs[index]!, tensor);
    });
  }
}
