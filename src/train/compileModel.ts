// Models compiled for inference with weights from a file or a record: what users call to answer for images. Also behind
// `gramian eval` and `gramian predict`, through evaluate.ts.
// The rule easy to break: every parameter and running statistic of the model must be among the weights; what is left at
// its initial value answers without a complaint.
import { statSync } from 'node:fs';
import type { Plan } from '../compile';
import { ArgumentError, CheckpointError } from '../errors';
import type { Shape, TensorData } from '../graph/graph';
import { describe } from '../graph/ops/check';
import { type ModelFunction, modelNamed } from '../models';
import { loadRun, type RunState, type SavedRun } from './checkpoint';
import { CompiledModel, type InferenceOptions } from './compiledModel';
import { loadSafetensors } from './safetensors';

/** Tensors by name, as trainer.readState() and loadSafetensors() give them; more than the model has do no harm. */
export type Weights = Readonly<Record<string, { readonly shape: Shape; readonly data: unknown }>>;

export interface CompileModelOptions extends InferenceOptions {
  /** What the model is compiled for. Training is compiled by Trainer. */
  readonly mode?: 'inference';
  /**
   * A run's folder, a safetensors file, or tensors by name. Without them, and without `share`, a model answers with its
   * initial values.
   */
  readonly weights?: string | Weights;
}

/** Writes a plan's parameters and states from `weights`, which came `from` there. */
export async function writeWeights(plan: Plan, weights: Weights, from = 'the record'): Promise<void> {
  const values = plan.tensors().map(({ name, shape }) => {
    const found = Object.hasOwn(weights, name) ? weights[name] : undefined;
    if (found?.shape.join('x') !== shape.join('x'))
      throw new CheckpointError(`[weights] ${from} lacks "${name}" of shape ${shape.join('x')}`);
    return [name, found.data as TensorData] as const;
  });
  await plan.writeAll(Object.fromEntries(values));
}

/** The model with these weights, which came `from` there. */
async function withWeights(
  model: ModelFunction,
  options: InferenceOptions,
  weights: Weights,
  from: string,
): Promise<CompiledModel> {
  const compiled = new CompiledModel(model, options);
  try {
    await writeWeights(compiled.plan, weights, from);
    return compiled;
  } catch (error) {
    compiled.dispose();
    throw error;
  }
}

/** The tensors of a run's folder or a safetensors file. */
export async function weightsAt(path: string): Promise<Weights> {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? (await loadRun(path)).tensors
    : (await loadSafetensors(path)).tensors;
}

/**
 * A model for inference: batch normalisation runs on its running statistics and is folded into neighbouring
 * convolutions, dropout passes through. With `share`, a plan in training (trainer.plan), it uses that plan's weights as
 * they are at each call, and its thread.
 * Rejects with ArgumentError for wrong options, CheckpointError for weights that lack a tensor of the model.
 */
export async function compileModel(model: ModelFunction, options: CompileModelOptions): Promise<CompiledModel> {
  const { mode = 'inference', weights, ...rest } = options;
  if (mode !== 'inference') throw new ArgumentError(`[compileModel] mode is inference, got ${describe(mode)}`);
  if (weights !== undefined && rest.share)
    throw new ArgumentError('[compileModel] expected weights or share, got both; the shared weights are in training');
  if (weights === undefined) return new CompiledModel(model, rest);
  if (typeof weights === 'string') return withWeights(model, rest, await weightsAt(weights), weights);
  return withWeights(model, rest, weights, 'the record');
}

/** A finished run as a model that answers. */
export interface LoadedModel extends Pick<RunState, 'spec' | 'classNames' | 'config'> {
  /** Takes bytes of the network's input size (or of `pixels.size`), scaled as in training. */
  readonly model: CompiledModel;
}

/** How a run's model may be compiled otherwise: its kind, input and scaling are the run's own. */
export type LoadModelOptions = Omit<InferenceOptions, 'input' | 'classes' | 'pixels' | 'share'> & {
  /** Height and width of the images that are handed over; the network's own when absent. */
  readonly size?: readonly [number, number];
};

/** The model of a run that was read. */
export async function compileRun(run: SavedRun, options: LoadModelOptions): Promise<CompiledModel> {
  const { input, classes, mean, std } = run.state.spec;
  const { size, ...rest } = options;
  const pixels = { ...(size ? { size } : {}), mean, std };
  return withWeights(modelNamed(run.state.config.model), { ...rest, input, classes, pixels }, run.tensors, run.path);
}

/**
 * The model of a run's folder with its best weights, or the last ones when training was stopped before its first epoch.
 * Rejects with CheckpointError when the folder holds none.
 */
export async function loadModel(run: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const saved = await loadRun(run);
  const { spec, config, classNames } = saved.state;
  return { model: await compileRun(saved, options), spec, config, classNames };
}
