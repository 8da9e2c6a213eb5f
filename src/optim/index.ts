// Appends one parameter's update. The optimiser's moments are states named after the parameter, so they travel in
// checkpoints with it. Called by objectives/attach.ts.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';

export { checkPatterns, type NamePattern, nameMatcher } from './names';
export { learningRate, SCHEDULE_KINDS, type ScheduleSettings } from './schedule';

export const OPTIMIZERS = ['adam', 'adamw', 'sgd'] as const;
export type OptimizerName = (typeof OPTIMIZERS)[number];

export interface OptimizerOptions {
  readonly kind: OptimizerName;
  /** [1]: learning rate of this step, from ops.schedule or fed. */
  readonly lr: Tensor;
  /** i32 [1]: steps done so far. */
  readonly step: Tensor;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  /** [1]: learning rate of the parameter of that name where it is not `lr`. */
  readonly rateOf?: (name: string) => Tensor | undefined;
}

/** param <- param - lr * direction(gradient): Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019) or SGD. */
export function update(param: Tensor, gradient: Tensor, options: OptimizerOptions): void {
  const { graph, shape } = param;
  const { step } = options;
  const lr = options.rateOf?.(param.name) ?? options.lr;
  const weightDecay = options.weightDecay ?? 0;
  const state = (suffix: string): Tensor => graph.state(`/${param.name}/${suffix}`, shape);
  if (options.kind === 'sgd') {
    const { momentum = 0.9, nesterov = false } = options;
    ops.sgd(param, gradient, { velocity: state('sgd_velocity'), lr }, { momentum, nesterov, weightDecay });
    return;
  }
  ops.adam(
    param,
    gradient,
    { m: state('adam_m'), v: state('adam_v'), lr, step },
    {
      beta1: options.beta1 ?? 0.9,
      beta2: options.beta2 ?? 0.999,
      eps: options.epsilon ?? 1e-8,
      weightDecay,
      decoupled: options.kind === 'adamw',
    },
  );
}
