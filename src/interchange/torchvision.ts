// Names of torchvision's ResNets as those of resnet18, resnet50 and resnet101: the rule in the head of models/resnet.ts. Called by
// users with the tensors of a safetensors file, and by `gramian import`. The rule easy to break: `weight` and `bias` are gain and
// offset where the layer has running statistics beside them, else a filter (OIHW, turned to HWIO) or a matrix (transposed).
import { InterchangeError } from '../errors';
import { permute } from './onnx/nd';
import { isShape, type NamedTensor, type NamedTensors } from './tensors';

/** What a file holds: tensors by name, of whatever type. */
export type ForeignTensors = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: unknown }>>;

export interface TorchvisionOptions {
  /** Keeps the classifier, true; without it the rest fits a network of any number of classes. */
  readonly classifier?: boolean;
}

const NORMALISATION: Readonly<Record<string, string>> = {
  weight: 'gamma',
  bias: 'beta',
  running_mean: 'running_mean',
  running_var: 'running_variance',
};

function fail(reason: string): never {
  throw new InterchangeError(`[torchvision] ${reason}`);
}

/** A filter or matrix as it lies here; vectors stay. */
function turned(name: string, shape: readonly number[], data: Float32Array): NamedTensor {
  const perm = ({ 1: [0], 2: [1, 0], 4: [2, 3, 1, 0] } as Readonly<Record<number, readonly number[]>>)[shape.length];
  if (!perm) fail(`"${name}" has ${shape.length} dimensions, expected a vector, a matrix or a filter`);
  const made = permute({ shape, data }, perm);
  return { shape: made.shape, data: made.data as Float32Array };
}

/** `layer1.0.bn1` -> `layer1/0/bn1`, `conv1` -> `stem/conv1`, `fc` -> `head/fc`. */
function layerName(layer: string): string {
  const path = layer.replaceAll('.', '/');
  if (/^layer[1-4]\/\d+\/(conv[123]|bn[123]|downsample\/[01])$/.test(path)) return path;
  if (path === 'conv1' || path === 'bn1') return `stem/${path}`;
  return path === 'fc' ? 'head/fc' : fail(`"${layer}" is no layer of a ResNet of torchvision`);
}

/**
 * The weights of a torchvision ResNet, as loadSafetensors() gives them, for compileModel(). Throws InterchangeError for a name
 * or a shape that such a network has not; whether they fit a certain depth is compileModel()'s to say.
 */
export function fromTorchvision(tensors: ForeignTensors, options: TorchvisionOptions = {}): NamedTensors {
  const { classifier = true } = options;
  const renamed: NamedTensors = Object.create(null);
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const cut = name.lastIndexOf('.');
    const [layer, word] = [name.slice(0, Math.max(0, cut)), name.slice(cut + 1)];
    // A counter of training steps.
    if (word === 'num_batches_tracked') continue;
    if (layer === 'fc' && !classifier) continue;
    if (!(data instanceof Float32Array)) fail(`"${name}" is no float32 tensor`);
    const count = isShape(shape) ? shape.reduce((product, extent) => product * extent, 1) : -1;
    if (data.length !== count) fail(`"${name}" has ${data.length} values for [${shape.join(', ')}]`);
    const normalises = Object.hasOwn(tensors, `${layer}.running_mean`);
    const own = normalises ? NORMALISATION[word] : ['weight', 'bias'].includes(word) ? word : undefined;
    if (own === undefined) fail(`"${name}" is no weight of a ResNet of torchvision`);
    renamed[`${layerName(layer)}/${own}`] = turned(name, shape, data);
  }
  return renamed;
}
