// Weights of other tools as the folder of a run, which predict, eval and export then take like one that was trained here.
// Behind `gramian import`. The rule easy to break: every tensor of the network must be in the file; a rest of initial values
// would answer without a complaint.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { ArgumentError, InterchangeError } from '../errors';
import { fromFaceApi } from '../interchange/faceApi';
import type { NamedTensors } from '../interchange/tensors';
import { loadTfjsWeights } from '../interchange/tfjs';
import { type ForeignTensors, fromTorchvision } from '../interchange/torchvision';
import { FACE_API_EXPRESSIONS, FACE_API_PIXELS, modelNamed } from '../models';
import { CHECKPOINT_FORMAT, checkState, holdsRun, type RunState } from './checkpoint';
import { compileModel } from './compileModel';
import { resolveConfig } from './config';
import { loadSafetensors, saveSafetensors } from './safetensors';

export interface ImportRunOptions {
  /** Name of the model the weights are of. */
  readonly model: string;
  /** The run's folder; one that holds a run is refused. */
  readonly out: string;
  /** Height, width and channels the network reads; by default those its authors trained it with. */
  readonly input?: readonly [number, number, number];
  /** Class names in the order of the classifier; by default the authors' or class 0, class 1 ... */
  readonly classNames?: readonly string[];
  /** Mean and deviation of pixels in 0..1, one for all or for each channel. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

export interface ImportedRun {
  readonly run: string;
  readonly model: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly classes: number;
}

interface Source {
  readonly input: readonly [number, number, number];
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly classNames?: readonly string[];
}

/** ImageNet's pixels, as torchvision's weights expect them. */
const TORCHVISION: Source = { input: [224, 224, 3], mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/** How the networks were trained whose weights are imported. */
const SOURCES: Readonly<Record<string, Source>> = {
  faceExpressionNet: { input: [112, 112, 3], ...FACE_API_PIXELS, classNames: FACE_API_EXPRESSIONS },
  resnet18: TORCHVISION,
  resnet50: TORCHVISION,
  resnet101: TORCHVISION,
};

/** The file's tensors under our names. A safetensors file may have ours already. */
async function tensorsOf(file: string, model: string): Promise<ForeignTensors> {
  if (file.endsWith('.json')) {
    const tensors: NamedTensors = await loadTfjsWeights(file);
    return model === 'faceExpressionNet' ? fromFaceApi(tensors) : tensors;
  }
  if (file.endsWith('.safetensors')) {
    const { tensors } = await loadSafetensors(file);
    return Object.hasOwn(tensors, 'conv1.weight') ? fromTorchvision(tensors) : tensors;
  }
  throw new ArgumentError(`[import] expected a .safetensors file or a weights manifest (.json), got ${file}`);
}

/** Classes of the classifier: the length of the last bias of the head. */
function classesOf(tensors: ForeignTensors, file: string): number {
  const biases = Object.entries(tensors).filter(([name]) => /^head\/.*\bbias$/.test(name));
  const classes = biases.at(-1)?.[1].shape[0];
  return classes ?? fail(file, 'no classifier: it has no bias under head/');
}

function fail(file: string, reason: string): never {
  throw new InterchangeError(`[import] ${file}: ${reason}`);
}

/**
 * Makes a run's folder of a file of weights: a safetensors file with torchvision's names (ResNets) or ours, or face-api's
 * weights manifest. Rejects with ArgumentError, InterchangeError or CheckpointError; then there is no new folder.
 */
export async function importRun(file: string, options: ImportRunOptions): Promise<ImportedRun> {
  const { model, out } = options;
  const target = path.join(out, 'best.safetensors');
  if (holdsRun(out)) throw new ArgumentError(`[import] ${out} holds a run already; give another folder`);
  const source = SOURCES[model];
  const build = modelNamed(model);
  const tensors = await tensorsOf(file, model);
  const classes = classesOf(tensors, file);
  const { input = source?.input, mean = source?.mean ?? [0], std = source?.std ?? [1] } = options;
  if (!input) throw new ArgumentError(`[import] ${model} has no input size of its own; give one`);
  const own = source?.classNames?.length === classes ? source.classNames : undefined;
  const classNames = options.classNames ?? own ?? Array.from({ length: classes }, (_, index) => `class ${index}`);
  if (classNames.length !== classes) {
    throw new ArgumentError(`[import] the classifier has ${classes} classes, got ${classNames.length} names`);
  }
  using compiled = await compileModel(build, { input, classes, weights: tensors });
  const kept: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  for (const { name, shape } of compiled.plan.tensors()) {
    kept[name] = { shape, data: (await compiled.plan.read(name)) as Float32Array };
  }
  const state: RunState = {
    config: resolveConfig({ model, data: `import:${path.basename(file)}`, out }),
    spec: { classes, input, mean, std },
    classNames,
    step: 0,
    best: { accuracy: 0, epoch: -1 },
  };
  try {
    checkState(target, state);
    await mkdir(out, { recursive: true });
  } catch (cause) {
    throw new ArgumentError(`[import] ${out} cannot become a run: ${(cause as Error).message}`, { cause });
  }
  await saveSafetensors(target, kept, { format: CHECKPOINT_FORMAT, gramian: JSON.stringify(state) });
  const parameters = compiled.plan
    .tensors()
    .filter(({ kind }) => kind === 'param')
    .reduce((sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1), 0);
  return { run: out, model, tensors: Object.keys(kept).length, parameters, classes };
}
