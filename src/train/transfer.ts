// Weights of a network trained before as the start of another (paper 003, section 2.6). Called by train.ts and by recipes.
// The rule easy to break: everything but what is left out on purpose must be there and fit, or a network would be called
// pretrained that is not.
import { statSync } from 'node:fs';
import { ARRAY_OF, describeValue } from '../compile';
import { CheckpointError } from '../errors';
import { type NamePattern, nameMatcher } from '../optim';
import { loadCheckpoint, loadRun } from './checkpoint';
import type { Weights } from './compileModel';
import type { NetworkSpec } from './evaluator';
import { loadSafetensors } from './safetensors';
import type { Trainer } from './trainer';

/** The new classifier has classes of its own. */
const LEFT_OUT: readonly NamePattern[] = ['head'];

/** Optimisers' moments and counters begin anew. */
const OWN_STATE = /(^|\/)(adam_m|adam_v|sgd_velocity|step)$/;

/**
 * Copies parameters and running statistics of the same names. `except`: names that keep their initial values, ['head'].
 * Throws CheckpointError when one of the others is missing or has another shape or type; nothing is changed then.
 */
export async function transferWeights(
  trainer: Trainer,
  weights: Weights,
  options: { except?: readonly NamePattern[]; from?: string } = {},
): Promise<void> {
  const { except = LEFT_OUT, from = 'the record' } = options;
  const left = nameMatcher('transfer', except);
  const wanted = trainer.plan.tensors().filter(({ name }) => !left(name) && !OWN_STATE.test(name));
  const found = wanted.map(({ name, shape, dtype }) => {
    const saved = Object.hasOwn(weights, name) ? weights[name] : undefined;
    const fits = saved?.shape.join('x') === shape.join('x');
    if (fits && saved.data instanceof ARRAY_OF[dtype]) return [name, saved.data] as const;
    const came = fits ? `is a ${describeValue(saved.data)}` : saved ? `is ${saved.shape.join('x')}` : 'is missing';
    throw new CheckpointError(`[transfer] expected "${name}" of shape ${shape.join('x')}, but in ${from} it ${came}`);
  });
  await trainer.plan.writeAll(Object.fromEntries(found));
}

/** What a network starts from. */
export interface Start {
  readonly weights: Weights;
  /** Of a run: what its weights were trained to read. Other files do not say. */
  readonly spec?: NetworkSpec;
}

/** Reads the folder of a run, one of its checkpoints, or another safetensors file. */
export async function startAt(path: string): Promise<Start> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const { state, tensors } = await loadRun(path);
    return { weights: tensors, spec: state.spec };
  }
  const { tensors, metadata } = await loadSafetensors(path);
  return metadata.gramian === undefined
    ? { weights: tensors }
    : { weights: tensors, spec: (await loadCheckpoint(path)).state.spec };
}
