// Batch normalisation with its activation, and row normalisation. The rule easy to break: with training = true, mean
// and variance must be moments(x); the gradient of x then includes the path through them, and they receive none.
import { ShapeError } from '../../errors';
import type { Tensor } from '../graph';
import { boolean, choice, hasShape, operands, rank, real, show, type Unchecked, withDefaults } from './check';
import { ACTIVATIONS, type Activation, DEFAULT_ALPHA } from './elementwise';

export interface BatchNormOptions {
  mean: Tensor;
  variance: Tensor;
  gamma: Tensor;
  beta: Tensor;
  /** Added to the variance, > 0. Default 1e-5. */
  eps?: number;
  /** Default 'none'. */
  activation?: Activation;
  /** Slope of leakyRelu, scale of elu, >= 0. Default: the activation's own. */
  alpha?: number;
  /** mean and variance are moments(x) rather than running statistics. Default: the graph's `training`. */
  training?: boolean;
}

/** act(gamma * (x - mean) / sqrt(variance + eps) + beta); x[..., C], the four vectors [C]. */
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  const op = 'batchNorm';
  const graph = operands(op, { x }, 'f32');
  if (x.shape.length < 2) throw new ShapeError(`[${op}] x has rank >= 2, but ${show(x)} has rank 1`);
  const given = withDefaults<Unchecked<BatchNormOptions>>(op, options, {
    ...{ mean: undefined, variance: undefined, gamma: undefined, beta: undefined },
    ...{ eps: 1e-5, activation: 'none', alpha: undefined, training: graph.training },
  });
  const { mean, variance, gamma, beta } = given as BatchNormOptions;
  const vectors = { mean, variance, gamma, beta };
  operands(op, vectors, 'f32', graph);
  for (const [what, vector] of Object.entries(vectors)) {
    hasShape(op, what, vector, x.shape.slice(-1), `one value per channel of ${show(x)}`);
  }
  const act = choice(op, 'activation', given.activation, ACTIVATIONS);
  const attrs = {
    eps: real(op, 'eps', given.eps, { above: 0 }),
    activation: act,
    alpha: real(op, 'alpha', given.alpha ?? DEFAULT_ALPHA[act], { least: 0 }),
    training: boolean(op, 'training', given.training),
  };
  return graph.append(op, [x, mean, variance, gamma, beta], [{ shape: x.shape }], attrs)[0] as Tensor;
}

/** z[m,d] with each row divided by max(its L2 norm, eps). */
export function rowNormalize(z: Tensor, options?: { eps?: number }): Tensor {
  const graph = operands('rowNormalize', { z }, 'f32');
  rank('rowNormalize', 'z', z, 2, '[m,d]');
  const given = withDefaults('rowNormalize', options, { eps: 1e-8 });
  const eps = real('rowNormalize', 'eps', given.eps, { above: 0 });
  return graph.append('rowNormalize', [z], [{ shape: z.shape }], { eps })[0] as Tensor;
}
