// A finished run as a file for other tools: its network as ONNX, or its weights as safetensors. Behind `gramian export`.
// The rule easy to break: the ONNX file takes pixels in 0..1 and scales them itself, so that nobody has to know the run's mean
// and deviation.
import nodeFs from 'node:fs/promises';
import { compile } from '../compile';
import { writeAtomic } from '../data/atomicFile';
import { ArgumentError, CheckpointError, InterchangeError } from '../errors';
import { Graph, sizeOf, type Tensor, type TensorData } from '../graph/graph';
import * as ops from '../graph/ops';
import { describe } from '../graph/ops/check';
import { exportOnnx } from '../interchange/onnx/export';
import { type Comparison, compareWithRuntime } from '../interchange/onnx/runtime';
import { modelNamed } from '../models';
import { loadRun, type SavedRun } from './checkpoint';
import { saveSafetensors } from './safetensors';

export const EXPORT_FORMATS = ['onnx', 'safetensors'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportRunOptions {
  readonly format: ExportFormat;
  /** The file to write; one that is there is replaced. */
  readonly out: string;
}

export interface ExportedRun {
  readonly file: string;
  readonly bytes: number;
  readonly tensors: number;
  /** Of ONNX: the comparison with ONNX Runtime; null where onnxruntime-node is not installed. */
  readonly comparison?: Comparison | null;
}

/** What probabilities may differ by. */
const TOLERANCE = 1e-4;
const IMAGES = 4;

interface Network {
  readonly graph: Graph;
  readonly image: Tensor;
  readonly outputs: { readonly logits: Tensor; readonly probabilities: Tensor };
}

/** (x - mean) / std for each channel, as the data set's pixels were scaled in training. */
function scaled(x: Tensor, { mean, std }: SavedRun['state']['spec']): Tensor {
  const channels = x.shape[3]!;
  const each = (list: readonly number[]): Float32Array =>
    Float32Array.from({ length: channels }, (_, channel) => list[list.length === 1 ? 0 : channel]!);
  const { graph } = x;
  const factor = each(std).map((deviation) => 1 / deviation);
  return ops.mul(
    ops.sub(x, graph.constant('pixel_mean', [channels], each(mean))),
    graph.constant('pixel_scale', [channels], factor),
  );
}

function networkOf({ state }: SavedRun, images: number): Network {
  const { spec, config } = state;
  const graph = new Graph({ training: false });
  const image = graph.input('image', [images, ...spec.input]);
  const logits = modelNamed(config.model)(scaled(image, spec), { classes: spec.classes });
  return { graph, image, outputs: { logits, probabilities: ops.softmax(logits) } };
}

/** Names of the tensors that inference reads, checked to be in the run. */
function weightsOf(run: SavedRun, graph: Graph): Map<string, { shape: readonly number[]; data: TensorData }> {
  const weights = new Map<string, { shape: readonly number[]; data: TensorData }>();
  for (const { kind, name, shape } of graph.tensors) {
    if (kind !== 'param' && kind !== 'state') continue;
    const found = Object.hasOwn(run.tensors, name) ? run.tensors[name] : undefined;
    if (found?.shape.join('x') !== shape.join('x')) {
      throw new CheckpointError(`[export] ${run.path} lacks "${name}" of shape ${shape.join('x')}`);
    }
    weights.set(name, found);
  }
  return weights;
}

/** Images and the probabilities that the engine gives them. */
async function answers(run: SavedRun): Promise<{ pixels: Float32Array; probabilities: Float32Array }> {
  const { graph, image, outputs } = networkOf(run, IMAGES);
  using plan = compile(graph, { outputs: { probabilities: outputs.probabilities } });
  for (const [name, { data }] of weightsOf(run, graph)) await plan.write(name, data);
  // Stripes of every image's own frequency, so that images and channels differ.
  const pixels = Float32Array.from(
    { length: sizeOf(image.shape) },
    (_, at) => 0.5 + 0.5 * Math.sin(at * 0.37 + (at % 7)),
  );
  const { probabilities } = await plan.step({ image: pixels });
  return { pixels, probabilities: probabilities as Float32Array };
}

/** [N,H,W,C] -> [N,C,H,W] */
function channelsFirst(
  values: Float32Array,
  [height, width, channels]: readonly [number, number, number],
): Float32Array {
  const space = height * width;
  return Float32Array.from({ length: values.length }, (_, at) => {
    const [place, channel] = [at % space, Math.floor(at / space) % channels];
    return values[(Math.floor(at / (space * channels)) * space + place) * channels + channel]!;
  });
}

async function compared(run: SavedRun, bytes: Uint8Array): Promise<Comparison | undefined> {
  const { pixels, probabilities } = await answers(run);
  const [height, width, channels] = run.state.spec.input;
  const input = {
    name: 'image',
    data: channelsFirst(pixels, [height, width, channels]),
    shape: [IMAGES, channels, height, width],
  };
  const comparison = await compareWithRuntime(bytes, input, { name: 'probabilities', data: probabilities });
  if (comparison && !(comparison.difference <= TOLERANCE)) {
    const found = `differ by ${comparison.difference}, more than ${TOLERANCE}`;
    throw new InterchangeError(
      `[export] the probabilities of ONNX Runtime ${comparison.version} ${found}; nothing was written`,
    );
  }
  return comparison;
}

async function asOnnx(run: SavedRun, out: string): Promise<ExportedRun> {
  const { graph, image, outputs } = networkOf(run, 1);
  const weights = weightsOf(run, graph);
  const { spec, config, classNames } = run.state;
  const bytes = exportOnnx(graph, {
    inputs: { image },
    outputs,
    weights: (name) => weights.get(name)?.data,
    metadata: { model: config.model, classes: JSON.stringify(classNames), input: spec.input.join('x') },
  });
  const comparison = await compared(run, bytes);
  try {
    await writeAtomic(out, (write) => write(bytes), nodeFs);
  } catch (cause) {
    throw new InterchangeError(`[export] ${out}: cannot be written: ${(cause as Error).message}`, { cause });
  }
  return { file: out, bytes: bytes.length, tensors: weights.size, comparison: comparison ?? null };
}

/** Parameters and running statistics alone, without the optimiser's moments, under the model's own names. */
async function asSafetensors(run: SavedRun, out: string): Promise<ExportedRun> {
  const weights = weightsOf(run, networkOf(run, 1).graph);
  const { spec, config, classNames } = run.state;
  const { mean, std } = spec;
  await saveSafetensors(out, Object.fromEntries(weights), {
    model: config.model,
    classes: JSON.stringify(classNames),
    input: spec.input.join('x'),
    pixels: JSON.stringify({ mean, std }),
  });
  return { file: out, bytes: (await nodeFs.stat(out)).size, tensors: weights.size };
}

/**
 * Writes the best weights of a run's folder. The ONNX file has one input, `image` float32 [N,C,H,W] in 0..1, and the outputs
 * `logits` and `probabilities` [N,classes]; it is compared with ONNX Runtime where that is installed, and refused when
 * probabilities differ by more than 1e-4. Rejects with ArgumentError, CheckpointError or InterchangeError.
 */
export async function exportRun(folder: string, { format, out }: ExportRunOptions): Promise<ExportedRun> {
  if (!EXPORT_FORMATS.includes(format)) {
    throw new ArgumentError(`[export] format is one of ${EXPORT_FORMATS.join(', ')}, got ${describe(format)}`);
  }
  const run = await loadRun(folder);
  return format === 'onnx' ? asOnnx(run, out) : asSafetensors(run, out);
}
