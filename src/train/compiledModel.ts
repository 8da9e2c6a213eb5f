// A model compiled for inference: plans for a single image, for a chunk of images that fits the caches, and for what is left
// of a call besides whole chunks, over one store of weights. Made by compileModel.ts (weights of a file or a record) and trainer.ts (those in training).
// The rule easy to break: an image's results must not depend on its neighbours, so whatever is cut here (chunks, a rest)
// may only choose between plans of one graph for inference, whose images have bits of their own.
import { analyze, type CompileOptions, compile, type Plan, type PlanDescription, type StepOptions } from '../compile';
import { ArgumentError, ShapeError } from '../errors';
import { Graph, sizeOf, type Tensor, type TensorData } from '../graph/graph';
import * as ops from '../graph/ops';
import { describe, show } from '../graph/ops/check';
import type { ModelFunction } from '../models';

/** How bytes become what the model reads: resized (bilinear) to its input, then (byte/255 - mean) / std. */
export interface PixelOptions {
  /** Height and width of the images that are handed over; the model's input when absent. */
  readonly size?: readonly [number, number];
  /** One value, or one for each channel. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface InferenceOptions extends Omit<CompileOptions, 'outputs'> {
  /** Height, width and channels the model reads. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
  /** Images are Uint8Arrays, prepared on the device as in training; Float32Arrays of the model's input when absent. */
  readonly pixels?: PixelOptions;
  /**
   * What is returned, by name, from the logits [n,classes] and the model's input [n,h,w,c]: tensors [n,...] whose rows
   * belong to the images. Default: `probabilities`, the softmax of the logits.
   */
  readonly outputs?: (logits: Tensor, x: Tensor) => Record<string, Tensor>;
}

/** Results by name: every output [n,...] of all images, in their order. */
export type InferenceResult = Record<string, TensorData>;

/** Images of a chunk at most. */
const LONGEST_CHUNK = 16;
/** What a chunk's intermediate results may take: half of the 32 MiB that eight cores share on current servers. */
const CACHE_BYTES = 16 * 2 ** 20;
/** Plans for rests that are kept; the one that was not used for longest goes first. */
const MOST_RESTS = 4;

const IMAGES = 'images';

interface InferenceGraph {
  readonly graph: Graph;
  readonly outputs: Record<string, Tensor>;
}

/** The model's input [count,h,w,c] for images that the caller hands over. */
function inputOf(graph: Graph, { input, pixels }: InferenceOptions, count: number): Tensor {
  if (!pixels) return graph.input(IMAGES, [count, ...input]);
  const [height, width, channels] = input;
  const images = graph.input(IMAGES, [count, ...(pixels.size ?? [height, width]), channels], 'u8');
  const labels = graph.constant('no_labels', [count], new Int32Array(count));
  const first = graph.constant('first_batch', [1], new Int32Array(1));
  const { mean, std } = pixels;
  return ops.datasetBatch(images, labels, first, { batch: count, size: [height, width], shuffle: false, mean, std }).x;
}

function graphFor(model: ModelFunction, options: InferenceOptions, count: number): InferenceGraph {
  const graph = new Graph({ training: false });
  const x = inputOf(graph, options, count);
  const logits = model(x, { classes: options.classes });
  const outputs = options.outputs?.(logits, x) ?? { probabilities: ops.softmax(logits) };
  for (const [name, tensor] of Object.entries(outputs)) {
    if (tensor.shape[0] === count) continue;
    throw new ShapeError(`[compileModel] output "${name}" of ${count} images has ${count} rows, got ${show(tensor)}`);
  }
  return { graph, outputs };
}

/**
 * The longest chunk of 2, 3, 4, 6, 8, 12 or 16 images; on a CPU one whose intermediate results stay in the caches. Undefined
 * when that is one image.
 */
function chunkFor(
  model: ModelFunction,
  options: InferenceOptions,
  { device, isa, threads, precision }: PlanDescription,
): (InferenceGraph & { readonly count: number }) | undefined {
  const onCpu = device === 'cpu';
  const { deviceIndex, memoryLimit, tf32 } = options;
  const onDevice = onCpu ? { isa, threads } : { deviceIndex, memoryLimit, tf32 };
  const placement = { device, precision, ...onDevice } as Omit<CompileOptions, 'outputs'>;
  const fitting = (count: number): ReturnType<typeof chunkFor> => {
    const made = graphFor(model, options, count);
    const { arenaBytes } = analyze(made.graph, { ...placement, outputs: made.outputs });
    return onCpu && arenaBytes > CACHE_BYTES ? undefined : { ...made, count };
  };
  let longest: ReturnType<typeof chunkFor>;
  for (let count = 2; count <= LONGEST_CHUNK; count *= 2) {
    const made = fitting(count);
    if (!made) return longest && (fitting((3 * count) / 4) ?? longest);
    longest = made;
  }
  return longest;
}

function appended<T extends TensorData>(head: T, tail: T): T {
  const whole = new (head.constructor as new (length: number) => T)(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

/** The results of earlier and later images as one. */
function joined([head, tail]: readonly InferenceResult[]): InferenceResult {
  if (!tail) return head!;
  return Object.fromEntries(Object.entries(head!).map(([name, values]) => [name, appended(values, tail[name]!)]));
}

/** Consecutive images that one plan works off in one crossing. */
interface Part {
  readonly plan: Plan;
  readonly steps: number;
  readonly feeds: { readonly [IMAGES]: Float32Array | Uint8Array };
}

/**
 * A model with weights, ready to answer. Any number of calls may be in flight; they are worked off in call order, and
 * each answers for its own images. An image's results have the same bits whatever else is in the call and on any number
 * of threads. A worker thread compiles a model of its own.
 */
export class CompiledModel {
  /** Images that are computed together; 1 when more would not stay in the caches. */
  readonly chunk: number;
  readonly #single: Plan;
  readonly #whole: Plan;
  /** By count of images, the one used last at the end. */
  readonly #rests = new Map<number, Plan>();
  readonly #planFor: (count: number) => Plan;
  readonly #pixels: boolean;
  readonly #imageShape: readonly number[];

  /** Use compileModel(), which brings weights too. */
  constructor(model: ModelFunction, options: InferenceOptions) {
    const { input, classes: _classes, pixels, outputs: _outputs, ...placement } = options;
    this.#pixels = pixels !== undefined;
    this.#imageShape = [...(pixels?.size ?? input.slice(0, 2)), input[2]];
    const one = graphFor(model, options, 1);
    this.#single = compile(one.graph, { ...placement, outputs: one.outputs });
    this.#planFor = (count) => {
      const { graph, outputs } = graphFor(model, options, count);
      return compile(graph, { outputs, share: this.#single });
    };
    try {
      const many = chunkFor(model, options, this.#single.describe());
      this.chunk = many?.count ?? 1;
      this.#whole = many ? compile(many.graph, { outputs: many.outputs, share: this.#single }) : this.#single;
    } catch (error) {
      this.#single.dispose();
      throw error;
    }
  }

  /**
   * Results for n >= 1 images, one after the other in one array, which is copied before this returns. Rejects with
   * ArgumentError for another array or length, AbortError, DisposedError.
   */
  async run(images: Float32Array | Uint8Array, options: StepOptions = {}): Promise<InferenceResult> {
    const parts = this.#partsOf('run', images);
    return joined(await Promise.all(parts.map(({ plan, steps, feeds }) => plan.run(steps, { ...options, feeds }))));
  }

  /**
   * run() on the calling thread, after everything queued so far: the lowest latency, because no thread is woken to take
   * the work or to bring its result. The event loop stands still meanwhile. Throws what run() rejects with.
   */
  runSync(images: Float32Array | Uint8Array): InferenceResult {
    return joined(this.#partsOf('runSync', images).map(({ plan, steps, feeds }) => plan.runSync(steps, { feeds })));
  }

  /** What the plans do and cost: that for a single image, that for a chunk, where there is one, then those for rests. */
  describe(): PlanDescription[] {
    return this.#plans().map((plan) => plan.describe());
  }

  /** The plan that holds the weights, to read, to write or to share them. Images are fed through run(). */
  get plan(): Plan {
    return this.#single;
  }

  /** Frees the memory once the queued work is done; what was queued still settles. A second call does nothing. */
  dispose(): void {
    for (const plan of this.#plans()) plan.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #plans(): Plan[] {
    return [...new Set([this.#single, this.#whole, ...this.#rests.values()])];
  }

  /** The plan for fewer images than a chunk, made when so many are first asked about. */
  #restPlan(count: number): Plan {
    if (count <= 1) return this.#single;
    const plan = this.#rests.get(count) ?? this.#planFor(count);
    this.#rests.delete(count);
    this.#rests.set(count, plan);
    const [oldest] = this.#rests;
    if (oldest && this.#rests.size > MOST_RESTS) {
      this.#rests.delete(oldest[0]);
      oldest[1].dispose();
    }
    return plan;
  }

  /** Whole chunks, then what is left as one. */
  #partsOf(op: string, images: unknown): Part[] {
    const expected = this.#pixels ? Uint8Array : Float32Array;
    if (!(images instanceof expected))
      throw new ArgumentError(`[${op}] images are a ${expected.name}, got ${describe(images)}`);
    const size = sizeOf(this.#imageShape);
    const count = images.length / size;
    if (count < 1 || !Number.isInteger(count)) {
      const each = `${this.#imageShape.join('x')}, ${size} values each`;
      throw new ArgumentError(`[${op}] expected images of ${each}, got ${images.length} values`);
    }
    const chunks = Math.floor(count / this.chunk);
    const inChunks = chunks * this.chunk;
    const parts: Part[] = [];
    if (chunks > 0) {
      parts.push({ plan: this.#whole, steps: chunks, feeds: { [IMAGES]: images.subarray(0, inChunks * size) } });
    }
    if (count > inChunks) {
      const plan = this.#restPlan(count - inChunks);
      parts.push({ plan, steps: 1, feeds: { [IMAGES]: images.subarray(inChunks * size) } });
    }
    return parts;
  }
}
