// What an objective is called and how it is set: the one home of these names, read by the CLI, the trainer and attach.ts.

/** The objectives of docs/method.md. `bp` makes one unit of the whole network, trained by cross-entropy. */
export const OBJECTIVES = ['hsic', 'nhsic', 'cka', 'phsic', 'local-ce', 'predsim', 'bp'] as const;
export type ObjectiveName = (typeof OBJECTIVES)[number];

export const KERNELS = ['gaussian', 'cosine', 'linear'] as const;
export type KernelName = (typeof KERNELS)[number];

export interface ObjectiveOptions {
  readonly name: ObjectiveName;
  /** Weight of the label term in hsic, nhsic, cka (paper 001: 100). */
  readonly beta: number;
  /** Weight of the label term in phsic (Pogodin and Latham 2020: 2). */
  readonly gamma: number;
  /** Exponent p of 1/(m-1)^p in hsic: 1 in papers 000 and 001, 2 in Ma et al. */
  readonly power: number;
  /** Unbiased estimator (Song et al.) instead of the biased one; hsic only. */
  readonly unbiased: boolean;
  readonly kernel: KernelName;
  /** Gaussian width before the scaling by the feature count; 0 or less: the median heuristic. */
  readonly sigma: number;
  /** Cells a side the features are average-pooled to before the Gram; 0: no pooling. */
  readonly pool: number;
  /**
   * Groups of channels whose mean square stands for them (Pogodin and Latham 2020), in a unit whose channels are a larger
   * multiple of it; the others are not grouped. 0: no grouping.
   */
  readonly groups: number;
  /** Normalise each feature channel over the batch before the Gram. Off only to reproduce the papers' plain form. */
  readonly normalize: boolean;
  /** Regulariser of nhsic's inverse. */
  readonly epsilon: number;
  /** Smoothing of the labels in every cross-entropy, 0 to below 1. */
  readonly labelSmoothing: number;
}

export const OBJECTIVE_DEFAULTS: ObjectiveOptions = {
  name: 'cka',
  beta: 100,
  gamma: 2,
  power: 1,
  unbiased: false,
  kernel: 'gaussian',
  sigma: 0,
  pool: 4,
  groups: 0,
  normalize: true,
  epsilon: 1e-5,
  labelSmoothing: 0,
};
