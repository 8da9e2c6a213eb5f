// A training run on disk: one safetensors file with every persistent tensor, and in its metadata what is needed to
// rebuild the network and go on. Called by train.ts, evaluate.ts and predict.ts.
import { CheckpointError } from '../errors';
import type { TensorData } from '../graph/graph';
import type { TrainConfig } from './config';
import type { NetworkSpec } from './evaluator';
import { loadSafetensors, saveSafetensors } from './safetensors';
import type { Trainer } from './trainer';

/** Version of the metadata below; a reader refuses a newer one. */
const FORMAT = 1;

export interface RunState {
  readonly config: TrainConfig;
  readonly spec: NetworkSpec;
  readonly classNames: readonly string[];
  /** Steps finished. */
  readonly step: number;
  /** Best validation accuracy so far, and where. */
  readonly best: { readonly accuracy: number; readonly epoch: number };
}

export type SavedTensors = Record<string, { shape: readonly number[]; data: TensorData }>;

export async function saveCheckpoint(path: string, trainer: Trainer, state: RunState): Promise<void> {
  const tensors = await trainer.readState();
  await saveSafetensors(path, tensors, { format: String(FORMAT), gramian: JSON.stringify(state) });
}

/** Reads and checks a checkpoint; tensors other than F32, I32 and U8 are refused. */
export async function loadCheckpoint(path: string): Promise<{ state: RunState; tensors: SavedTensors }> {
  const { tensors, metadata } = await loadSafetensors(path, { requireChecksum: true });
  const text = metadata.gramian;
  if (text === undefined) throw new CheckpointError(`[checkpoint] ${path} is not a checkpoint of a training run`);
  if (Number(metadata.format) !== FORMAT) {
    throw new CheckpointError(`[checkpoint] ${path} has format ${metadata.format}, this version reads ${FORMAT}`);
  }
  let state: RunState;
  try {
    state = JSON.parse(text) as RunState;
  } catch (cause) {
    throw new CheckpointError(`[checkpoint] ${path} has unreadable metadata`, { cause });
  }
  if (!isRunState(state)) throw new CheckpointError(`[checkpoint] ${path} lacks parts of its metadata`);
  const saved: SavedTensors = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    if (!(data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint8Array)) {
      throw new CheckpointError(`[checkpoint] ${path}: tensor "${name}" has a type this engine does not train with`);
    }
    saved[name] = { shape, data };
  }
  return { state, tensors: saved };
}

function isRunState(state: RunState): boolean {
  const { config, spec, classNames, step, best } = state ?? {};
  return (
    typeof config?.model === 'string' &&
    Array.isArray(spec?.input) &&
    spec.input.length === 3 &&
    Array.isArray(spec.mean) &&
    Array.isArray(spec.std) &&
    Array.isArray(classNames) &&
    classNames.length === spec.classes &&
    Number.isSafeInteger(step) &&
    typeof best?.accuracy === 'number'
  );
}

/** Puts saved tensors into a trainer, after checking that they are the same set with the same shapes. */
export async function restore(path: string, trainer: Trainer, tensors: SavedTensors): Promise<void> {
  const expected = await trainer.readState();
  const wrong: string[] = [];
  for (const [name, { shape, data }] of Object.entries(expected)) {
    const saved = tensors[name];
    if (!saved) wrong.push(`"${name}" is missing`);
    else if (saved.shape.join('x') !== shape.join('x') || saved.data.constructor !== data.constructor) {
      wrong.push(`"${name}" is ${saved.shape.join('x')}, expected ${shape.join('x')}`);
    }
  }
  for (const name of Object.keys(tensors)) if (!expected[name]) wrong.push(`"${name}" is not of this network`);
  if (wrong.length > 0) {
    const more = wrong.length > 3 ? ` and ${wrong.length - 3} more` : '';
    throw new CheckpointError(`[checkpoint] ${path} does not fit the network: ${wrong.slice(0, 3).join(', ')}${more}`);
  }
  await trainer.writeState(tensors);
}
