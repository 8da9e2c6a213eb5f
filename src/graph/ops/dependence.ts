// Builders of the dependence objectives: Gram and kernel matrices, HSIC and its relatives (docs/ops.md has the
// formulas). The rule easy to break: only z, through gram and hsicObjective's G, is differentiated; the kernels of
// inputs and labels are constants of the batch.
import { ArgumentError, ShapeError } from '../../errors';
import type { Tensor } from '../graph';
import { boolean, choice, hasShape, integer, operands, rank, real, show, type Unchecked, withDefaults } from './check';

export type Kernel = 'gaussian' | 'linear';
export type ObjectiveKind = 'hsic' | 'nhsic' | 'cka' | 'phsic';
const KERNELS = ['gaussian', 'linear'] as const;
const KINDS = ['hsic', 'nhsic', 'cka', 'phsic'] as const;

function squareMatrix(op: string, what: string, matrix: Tensor): number {
  rank(op, what, matrix, 2, '[m,m]');
  if (matrix.shape[0] !== matrix.shape[1])
    throw new ShapeError(`[${op}] ${what} is square, but ${show(matrix)} is not`);
  return matrix.shape[0] as number;
}

/** Z Z' of z[m,d] as [m,m]; with center, of z minus its column means. */
export function gram(z: Tensor, options?: { center?: boolean }): Tensor {
  const graph = operands('gram', { z }, 'f32');
  rank('gram', 'z', z, 2, '[m,d]');
  const given = withDefaults('gram', options, { center: true });
  const center = boolean('gram', 'center', given.center);
  const m = z.shape[0] as number;
  return graph.append('gram', [z], [{ shape: [m, m] }], { center })[0] as Tensor;
}

export interface KernelOptions {
  /** Default 'gaussian'. */
  kernel?: Kernel;
  /** Width per feature; <= 0 takes the median distance. Default 0. */
  sigma?: number;
  /** Columns d of the matrix whose Gram this is. */
  features: number;
}

function kernelAttrs(op: string, given: Unchecked<KernelOptions>) {
  return {
    kernel: choice(op, 'kernel', given.kernel, KERNELS),
    sigma: real(op, 'sigma', given.sigma),
    features: integer(op, 'features', given.features, 1),
  };
}

/** The kernel matrix, up to an additive constant, of a Gram matrix, and the sigma [1] used. Not differentiable. */
export function kernelMatrix(G: Tensor, options: KernelOptions): { kernel: Tensor; sigma: Tensor } {
  const op = 'kernelMatrix';
  const graph = operands(op, { G }, 'f32');
  const m = squareMatrix(op, 'G', G);
  const defaults = { kernel: 'gaussian', sigma: 0, features: undefined };
  const attrs = kernelAttrs(op, withDefaults<Unchecked<KernelOptions>>(op, options, defaults));
  const [kernel, sigma] = graph.append(op, [G], [{ shape: [m, m] }, { shape: [1] }], attrs) as [Tensor, Tensor];
  return { kernel, sigma };
}

/** [m,m]: 1 where two labels of labels i32[m] are equal, else 0. */
export function labelKernel(labels: Tensor): Tensor {
  const graph = operands('labelKernel', { labels }, 'i32');
  rank('labelKernel', 'labels', labels, 1, '[m]');
  const m = labels.shape[0] as number;
  return graph.append('labelKernel', [labels], [{ shape: [m, m] }])[0] as Tensor;
}

/** Kc (Kc + eps m I)^-1 of the centred kernel matrix. Not differentiable. */
export function hsicNormalize(E: Tensor, options?: { eps?: number }): Tensor {
  const graph = operands('hsicNormalize', { E }, 'f32');
  const m = squareMatrix('hsicNormalize', 'E', E);
  const given = withDefaults('hsicNormalize', options, { eps: 1e-5 });
  const eps = real('hsicNormalize', 'eps', given.eps, { above: 0 });
  return graph.append('hsicNormalize', [E], [{ shape: [m, m] }], { eps })[0] as Tensor;
}

export interface ObjectiveInputs {
  /** Gram matrix of the unit's output. */
  G: Tensor;
  /** Kernel matrices of the batch's inputs and labels. */
  Ex: Tensor;
  Ey: Tensor;
  /** Their hsicNormalize; for nhsic, and for it alone. */
  Rx?: Tensor;
  Ry?: Tensor;
}

export interface ObjectiveOptions {
  kind: ObjectiveKind;
  /** Kernel of the unit's output. Default 'gaussian'. */
  kernel?: Kernel;
  /** Its width per feature; <= 0 takes the median distance. Default 0. */
  sigma?: number;
  /** Columns of the unit's output. */
  features: number;
  /** Weight of the label term in hsic, nhsic and cka. Default 100. */
  beta?: number;
  /** Weight of the label term in phsic. Default 2. */
  gamma?: number;
  /** hsic is divided by (m-1)^power. Default 2. */
  power?: number;
  /** Ridge of nhsic, > 0. Default 1e-5. */
  eps?: number;
  /** Song's unbiased estimator, for kind hsic and m >= 4. Default false. */
  unbiased?: boolean;
}

const OBJECTIVE_DEFAULTS = {
  ...{ kind: undefined, kernel: 'gaussian', sigma: 0, features: undefined },
  ...{ beta: 100, gamma: 2, power: 2, eps: 1e-5, unbiased: false },
};

/** A unit's loss [1] and the report [8] described in docs/ops.md. */
export function hsicObjective(inputs: ObjectiveInputs, options: ObjectiveOptions): { loss: Tensor; report: Tensor } {
  const op = 'hsicObjective';
  const given = withDefaults<Unchecked<ObjectiveOptions>>(op, options, OBJECTIVE_DEFAULTS);
  const kind = choice(op, 'kind', given.kind, KINDS);
  const names = withDefaults<Record<string, unknown>>(op, inputs, {
    ...{ G: undefined, Ex: undefined, Ey: undefined, Rx: undefined, Ry: undefined },
  });
  const extra = ['Rx', 'Ry'].find((what) => names[what] !== undefined);
  if (kind !== 'nhsic' && extra) throw new ArgumentError(`[${op}] ${extra} is for nhsic only, the kind is ${kind}`);
  const used = kind === 'nhsic' ? ['G', 'Ex', 'Ey', 'Rx', 'Ry'] : ['G', 'Ex', 'Ey'];
  const matrices = Object.fromEntries(used.map((what) => [what, names[what]]));
  const graph = operands(op, matrices, 'f32');
  const tensors = used.map((what) => matrices[what] as Tensor);
  const G = tensors[0] as Tensor;
  const m = squareMatrix(op, 'G', G);
  tensors.forEach((matrix, index) => {
    hasShape(op, used[index] as string, matrix, [m, m], `as G ${show(G)}`);
  });
  const unbiased = boolean(op, 'unbiased', given.unbiased);
  if (m < 2) throw new ShapeError(`[${op}] a batch has at least 2 samples, but G ${show(G)} has ${m}`);
  if (unbiased && kind !== 'hsic') throw new ArgumentError(`[${op}] unbiased is for kind hsic, the kind is ${kind}`);
  if (unbiased && m < 4) throw new ShapeError(`[${op}] unbiased needs at least 4 samples, but G ${show(G)} has ${m}`);
  const attrs = {
    kind,
    ...kernelAttrs(op, given),
    beta: real(op, 'beta', given.beta),
    gamma: real(op, 'gamma', given.gamma),
    power: real(op, 'power', given.power),
    eps: real(op, 'eps', given.eps, { above: 0 }),
    unbiased,
  };
  const outputs = [{ shape: [1] }, { shape: [8] }, { shape: [m, m] }];
  const [loss, report] = graph.append(op, tensors, outputs, attrs) as [Tensor, Tensor];
  return { loss, report };
}
