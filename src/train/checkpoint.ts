// A training run on disk: one safetensors file with every persistent tensor, and in its metadata what is needed to
// rebuild the network and go on. Called by train.ts, compileModel.ts and evaluate.ts.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors';
import type { TensorData } from '../graph/graph';
import { resolveConfig, type TrainConfig } from './config';
import type { NetworkSpec } from './evaluator';
import { loadSafetensors, saveSafetensors } from './safetensors';
import type { Trainer } from './trainer';

/** Version of the metadata below; a reader refuses a newer one. */
const FORMAT = 1;
export const CHECKPOINT_FORMAT = String(FORMAT);

export interface RunState {
  readonly config: TrainConfig;
  readonly spec: NetworkSpec;
  readonly classNames: readonly string[];
  /** Steps finished. */
  readonly step: number;
  /** Best validation accuracy so far, and where. */
  readonly best: { readonly accuracy: number; readonly epoch: number };
}

/** A run as it was read. */
export interface SavedRun {
  /** The file. */
  readonly path: string;
  readonly state: RunState;
  readonly tensors: SavedTensors;
}

export type SavedTensors = Record<string, { shape: readonly number[]; data: TensorData }>;

export async function saveCheckpoint(
  path: string,
  trainer: Pick<Trainer, 'readState'>,
  state: RunState,
): Promise<void> {
  const tensors = await trainer.readState();
  await saveSafetensors(path, tensors, { format: String(FORMAT), gramian: JSON.stringify(state) });
}

/** Reads and checks a checkpoint; tensors other than F32, I32 and U8 are refused. */
export async function loadCheckpoint(path: string): Promise<{ state: RunState; tensors: SavedTensors }> {
  const { tensors, metadata } = await loadSafetensors(path, { requireChecksum: true });
  const text = metadata.gramian;
  if (text === undefined) throw new CheckpointError(`[checkpoint] ${path} is not a checkpoint of a training run`);
  if (metadata.format !== String(FORMAT)) {
    throw new CheckpointError(`[checkpoint] ${path} has format ${metadata.format}, this version reads ${FORMAT}`);
  }
  let state: RunState;
  try {
    state = JSON.parse(text) as RunState;
  } catch (cause) {
    throw new CheckpointError(`[checkpoint] ${path} has unreadable metadata`, { cause });
  }
  checkState(path, state);
  const saved: SavedTensors = Object.create(null);
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    if (!(data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint8Array)) {
      throw new CheckpointError(`[checkpoint] ${path}: tensor "${name}" has a type this engine does not train with`);
    }
    saved[name] = { shape, data };
  }
  return { state, tensors: saved };
}

/** A run's files of weights; the first that is there answers for it. */
const CHECKPOINTS = ['best.safetensors', 'last.safetensors'];

export function holdsRun(folder: string): boolean {
  return CHECKPOINTS.some((name) => existsSync(join(folder, name)));
}

/** The best weights of a run's folder, or the last ones when training was stopped before its first epoch. */
export async function loadRun(run: string): Promise<SavedRun> {
  for (const name of CHECKPOINTS) {
    const path = join(run, name);
    if (existsSync(path)) return { path, ...(await loadCheckpoint(path)) };
  }
  throw new CheckpointError(`[run] ${run} holds neither best.safetensors nor last.safetensors; train writes them`);
}

/** Whether `value` is a whole number, `least` or more. */
function isWhole(value: unknown, least: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

function isListOf(value: unknown, accepts: (item: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.every(accepts);
}

/** Throws a CheckpointError that names the first part of the metadata that is missing or not what a run writes. */
export function checkState(path: string, state: Partial<RunState> | null): void {
  const { config, spec, classNames, step, best } = state ?? {};
  const perChannel = (list: readonly unknown[]): boolean => list.length === 1 || list.length === spec?.input[2];
  const need = (fits: boolean, name: string, expected: string): void => {
    if (!fits) throw new CheckpointError(`[checkpoint] ${path}: ${name} of the metadata is not ${expected}`);
  };
  need(typeof config?.model === 'string', 'config.model', 'a name');
  need(typeof config?.data === 'string', 'config.data', 'a data specification');
  need(isWhole(spec?.classes, 1), 'spec.classes', 'a positive integer');
  const input: unknown = spec?.input;
  need(isListOf(input, (side) => isWhole(side, 1)) && input.length === 3, 'spec.input', 'height, width, channels');
  const { mean, std }: { mean?: unknown; std?: unknown } = spec ?? {};
  need(isListOf(mean, Number.isFinite) && perChannel(mean), 'spec.mean', 'a number for each channel');
  const isDeviation = (item: unknown): boolean => Number.isFinite(item) && (item as number) > 0;
  need(isListOf(std, isDeviation) && perChannel(std), 'spec.std', 'a positive number for each channel');
  const names: unknown = classNames;
  const isName = (item: unknown): boolean => typeof item === 'string';
  need(isListOf(names, isName) && names.length === spec?.classes, 'classNames', 'a name for each class');
  need(isWhole(step, 0), 'step', 'a count of steps');
  need(Number.isFinite(best?.accuracy), 'best.accuracy', 'a number');
  need(isWhole(best?.epoch, -1), 'best.epoch', 'an epoch');
  try {
    resolveConfig(config as TrainConfig);
  } catch (cause) {
    throw new CheckpointError(`[checkpoint] ${path} has wrong settings: ${(cause as Error).message}`, { cause });
  }
}

/** `Float32Array [3, 3, 1, 8]`. */
function described({ shape, data }: SavedTensors[string]): string {
  return `${data.constructor.name} [${shape.join(', ')}]`;
}

/** Puts saved tensors into a trainer, after checking that they are the same set with the same shapes. */
export async function restore(
  path: string,
  trainer: Pick<Trainer, 'readState' | 'writeState'>,
  tensors: SavedTensors,
): Promise<void> {
  const expected = await trainer.readState();
  const wrong: string[] = [];
  for (const [name, tensor] of Object.entries(expected)) {
    const saved = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (!saved) wrong.push(`"${name}" is missing`);
    else if (described(saved) !== described(tensor)) {
      wrong.push(`"${name}" is ${described(saved)}, expected ${described(tensor)}`);
    }
  }
  for (const name of Object.keys(tensors)) {
    if (!Object.hasOwn(expected, name)) wrong.push(`"${name}" is not of this network`);
  }
  if (wrong.length > 0) {
    const more = wrong.length > 3 ? ` and ${wrong.length - 3} more` : '';
    throw new CheckpointError(`[checkpoint] ${path} does not fit the network: ${wrong.slice(0, 3).join(', ')}${more}`);
  }
  await trainer.writeState(tensors);
}
