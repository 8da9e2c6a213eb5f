// What an objective looks at: a unit's output pooled, normalised, grouped and flattened to [m, d], and the kernel
// matrices of the batch, which all units share. Called by attach.ts.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { constantVector, poolTo } from '../layers/normalize';
import type { ObjectiveOptions } from './options';

/**
 * `poolTo` of a unit's output. A pointwise convolution and a mean over space commute, so the pool is taken of the
 * convolution's input: the same features, and a gradient that never has to be expanded to the map's full size before the
 * two products of the pointwise step's backward.
 */
export function pooledOutput(z: Tensor, cells: number): Tensor {
  const { graph } = z;
  const node = graph.producer(z);
  if (cells <= 0 || node?.op !== 'conv2d') return poolTo(z, cells);
  const [x, w] = node.inputs.map((id) => graph.tensor(id)) as [Tensor, Tensor];
  const { strideH, strideW, groups } = node.attrs;
  const pointwise = w.shape[0] === 1 && w.shape[1] === 1 && x.shape[1] === z.shape[1] && x.shape[2] === z.shape[2];
  const plain = strideH === 1 && strideW === 1 && groups === 1;
  return pointwise && plain ? ops.conv2d(poolTo(x, cells), w) : poolTo(z, cells);
}

/** Zero mean and unit variance per channel over the batch (and space), without learned parameters. */
export function standardize(z: Tensor): Tensor {
  const channels = z.shape.at(-1)!;
  return ops.batchNorm(z, {
    ...ops.moments(z),
    gamma: constantVector(z.graph, channels, 1),
    beta: constantVector(z.graph, channels, 0),
    training: true,
  });
}

/** Mean square of each group of channels: [..., C] -> [..., groups]; z itself where C is no larger multiple of groups. */
function groupChannels(z: Tensor, groups: number): Tensor {
  if (!Number.isSafeInteger(groups) || groups < 0) {
    throw new ArgumentError(`[objective] groups is an integer of 0 or more, got ${String(groups)}`);
  }
  const channels = z.shape.at(-1)!;
  if (groups === 0 || groups >= channels || channels % groups !== 0) return z;
  const split = ops.reshape(z, [...z.shape.slice(0, -1), groups, channels / groups]);
  return ops.reduceMean(ops.square(split), { axes: [split.shape.length - 1] });
}

/** [m*k,...] as [m,d]: one row a sample, also where k parts of each sample, one after the other, were the batch. */
export function perSample(z: Tensor, samples: number): Tensor {
  return ops.reshape(z, [samples, -1]);
}

/** The features of a unit's output z that its objective sees: [m*k,C] or [m*k,H,W,C] -> [m,d], where m samples have k parts. */
export function unitFeatures(z: Tensor, options: ObjectiveOptions, samples = z.shape[0]!): Tensor {
  let features = pooledOutput(z, options.pool);
  if (options.normalize) features = standardize(features);
  features = groupChannels(features, options.groups);
  const flat = perSample(features, samples);
  return options.kernel === 'cosine' ? ops.rowNormalize(flat) : flat;
}

/** Kernel matrices of the batch's inputs and labels, appended once a graph and shared by all units. */
export interface BatchKernels {
  readonly Ex: Tensor;
  readonly Ey: Tensor;
  readonly Rx?: Tensor;
  readonly Ry?: Tensor;
}

/** The kernel the native ops know: a cosine kernel is the linear one of normalised rows. */
export function nativeKernel(options: ObjectiveOptions): 'gaussian' | 'linear' {
  return options.kernel === 'gaussian' ? 'gaussian' : 'linear';
}

/** x [m,...], labels i32 [m]. The label kernel is the same-class indicator (a Gaussian of one-hot labels has no contrast). */
export function batchKernels(x: Tensor, labels: Tensor, options: ObjectiveOptions): BatchKernels {
  const flat = x.shape.length === 2 ? x : ops.flatten(x);
  const rows = options.kernel === 'cosine' ? ops.rowNormalize(flat) : flat;
  const { kernel: Ex } = ops.kernelMatrix(ops.gram(rows), {
    kernel: nativeKernel(options),
    sigma: options.sigma,
    features: flat.shape[1]!,
  });
  const Ey = ops.labelKernel(labels);
  if (options.name !== 'nhsic') return { Ex, Ey };
  const eps = { eps: options.epsilon };
  return { Ex, Ey, Rx: ops.hsicNormalize(Ex, eps), Ry: ops.hsicNormalize(Ey, eps) };
}
