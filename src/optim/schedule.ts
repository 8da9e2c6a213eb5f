// The learning rate of a step as a node of the graph: the op's schedules, and the one by milestones that is made of them.
// Called by train/trainer.ts. A rate is a function of the step counter alone, so a resumed run needs nothing else.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';

export const SCHEDULE_KINDS = ['constant', 'step', 'cosine', 'exponential', 'milestones'] as const;

export interface ScheduleSettings {
  readonly kind: (typeof SCHEDULE_KINDS)[number];
  /** Steps of linear rise; not for milestones. */
  readonly warmup?: number;
  /** cosine: the step at which 0 is reached. */
  readonly total?: number;
  /** step and exponential: the rate is multiplied by `factor` every `every` steps. */
  readonly every?: number;
  readonly factor?: number;
  /** milestones: at each of these steps the rate is multiplied by `factor`, above 0 and at most 1, once and for all. */
  readonly milestones?: readonly number[];
}

/**
 * base until the first milestone, then times factor at each. A staircase that goes on falling is cut off at its first
 * stair: max(factor^k, factor) = relu(factor^k - factor) + factor.
 */
function byMilestones(step: Tensor, base: number, settings: ScheduleSettings): Tensor {
  const { milestones = [], factor = 0.1, warmup = 0 } = settings;
  if (warmup !== 0) throw new ArgumentError(`[schedule] milestones go without warm-up, got ${warmup} steps of it`);
  if (!(factor > 0 && factor <= 1)) {
    throw new ArgumentError(`[schedule] the factor at a milestone is above 0 and at most 1, got ${factor}`);
  }
  const wrong = milestones.find((at) => !Number.isSafeInteger(at) || at < 1);
  if (wrong !== undefined) throw new ArgumentError(`[schedule] a milestone is a step from 1, got ${wrong}`);
  return milestones.reduce(
    (rate, every) => {
      const stairs = ops.schedule(step, { kind: 'step', base: 1, every, factor });
      const first = ops.affine(ops.relu(ops.affine(stairs, { offset: -factor })), { offset: factor });
      return ops.mul(rate, first);
    },
    ops.schedule(step, { kind: 'constant', base }),
  );
}

/** The learning rate [1] of the step that the counter i32 [1] tells; `base` is the highest. */
export function learningRate(step: Tensor, base: number, settings: ScheduleSettings = { kind: 'constant' }): Tensor {
  if (settings.kind === 'milestones') return byMilestones(step, base, settings);
  const { kind, warmup = 0, total = 1, every = 1, factor = 1 } = settings;
  return ops.schedule(step, { kind, base, warmup, total, every, factor });
}
