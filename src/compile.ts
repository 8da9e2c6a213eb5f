// A graph becomes a Plan: checked, planned and given memory once, then stepped. The only caller of native.ts.
// The rule easy to break: every argument is checked here or in the addon before work is queued, data is copied at call
// time, and every error is a class of errors.ts whose stack holds the caller's line, also for work that failed later.
import { brotliDecompressSync } from 'node:zlib';
import {
  AbortError,
  ArgumentError,
  DeviceError,
  DisposedError,
  ExecutionError,
  GramianError,
  GraphError,
  ShapeError,
} from './errors';
import {
  type DType,
  formatShape,
  Graph,
  type Shape,
  sizeOf,
  type Tensor,
  type TensorData,
  type TensorInfo,
  type TensorKind,
} from './graph/graph';
import {
  type DeviceInfo,
  type LaunchDescription,
  type NativeOptions,
  type NativePlan,
  native,
  type PlanDescription,
  type WireGraph,
} from './native';

export type { DeviceInfo, LaunchDescription, PlanDescription } from './native';

export interface AnalyzeOptions {
  /** What every step returns, by the name it gets in the result. */
  outputs: Record<string, Tensor>;
  device?: 'auto' | 'cpu' | 'cuda';
  /** Threads of the CPU; as many as the process may use when absent. Results do not depend on it. */
  threads?: number;
  /** Instruction set tier; GRAMIAN_ISA, then the best of this machine, when absent. */
  isa?: 'auto' | 'scalar' | 'sse' | 'avx2' | 'avx512';
  /**
   * bf16: factors of products and convolutions are rounded to bfloat16 (8 significant bits) and multiplied at twice the
   * speed where the processor has AVX512-BF16, or by tensor cores of a CUDA device of sm_80 or newer; an older one throws
   * DeviceError. Sums, weights and everything else stay float32, on CUDA Gram matrices too. Default float32.
   */
  precision?: Precision;
  /** Which CUDA device, from 0; 0 when absent. Devices without CUDA ignore it. */
  deviceIndex?: number;
  /** The most bytes of a CUDA device's memory that the plan and those sharing with it may take; no limit when absent. */
  memoryLimit?: number;
  /**
   * Lets cuBLAS round the factors of products and Gram matrices to TF32 (11 significant bits), which tensor cores multiply at
   * several times the speed; sums stay float32. Default false. Devices without CUDA ignore it.
   */
  tf32?: boolean;
}

export type Precision = 'float32' | 'bf16';

export interface CompileOptions extends AnalyzeOptions {
  /**
   * A plan whose params and states of the same name are used instead of fresh ones, and whose thread and device run this
   * one, at its precision: options about these may be left out, and must be that plan's own where they are given.
   */
  share?: Plan;
}

export interface StepOptions {
  /** Stops before the next step; the promise rejects with AbortError. */
  signal?: AbortSignal;
}

export interface RunOptions extends StepOptions {
  /** For every input of the graph, the values of all steps, one after the other in one array; copied at call time. */
  feeds?: Record<string, TensorData>;
}

export interface ProfileOptions extends StepOptions {
  /** Steps to take the mean of; 1 when absent. */
  steps?: number;
}

/** One line of work of a plan and what it took. */
export interface LaunchProfile extends LaunchDescription {
  readonly milliseconds: number;
}

/** A persistent tensor of a plan. */
export interface PersistentInfo {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly kind: TensorKind;
}

export type StepResult = Record<string, TensorData>;

/** The typed array of each type of tensor. */
export const ARRAY_OF = { f32: Float32Array, i32: Int32Array, u8: Uint8Array } as const;

/** The caller's frames, kept until native work answers. */
interface Site {
  stack?: string;
}

type Callable = (...args: never[]) => unknown;

function siteOf(above: Callable): Site {
  const site: Site = {};
  Error.captureStackTrace(site, above);
  return site;
}

interface NativeError {
  readonly code: string;
  readonly message: string;
  readonly completedSteps?: number;
}

function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('ERR_');
}

function classOf({ code, message, completedSteps }: NativeError, signal?: AbortSignal): GramianError | undefined {
  switch (code) {
    case 'ERR_SHAPE':
      return new ShapeError(message);
    case 'ERR_ARGUMENT':
      return new ArgumentError(message);
    case 'ERR_GRAPH':
      return new GraphError(message);
    case 'ERR_DEVICE':
      return new DeviceError(message);
    case 'ERR_EXECUTION':
      return new ExecutionError(message);
    case 'ERR_DISPOSED':
      return new DisposedError(message);
    case 'ERR_ABORTED':
      return new AbortError(message, completedSteps ?? 0, { cause: signal?.reason });
    default:
      return undefined;
  }
}

/** A native error as one of errors.ts, with the caller's frames. Anything else comes back as it is. */
function typed(error: unknown, site: Site, signal?: AbortSignal): unknown {
  if (error instanceof GramianError || !isNativeError(error)) return error;
  const made = classOf(error, signal);
  if (!made) return error;
  const frames = site.stack?.slice(site.stack.indexOf('\n') + 1);
  if (frames) made.stack = `${made.name}: ${made.message}\n${frames}`;
  return made;
}

function checkGraph(op: string, graph: unknown): asserts graph is Graph {
  if (!(graph instanceof Graph)) throw new ArgumentError(`[${op}] expected a graph, got ${describeValue(graph)}`);
}

/** A value in an error message, objects by their class. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'object') return value.constructor?.name ?? 'an object';
  return typeof value === 'string' ? `"${value}"` : `${typeof value} ${String(value)}`;
}

function integerOption(op: string, name: string, value: unknown, low: number, high: number): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < low || (value as number) > high)
    throw new ArgumentError(`[${op}] ${name} is an integer from ${low} to ${high}, got ${describeValue(value)}`);
  return value as number;
}

function optionsFor(op: string, options: AnalyzeOptions): NativeOptions {
  const { device = 'auto', isa = 'auto', threads = 0, precision = 'float32' } = options;
  if (typeof device !== 'string' || !['auto', 'cpu', 'cuda'].includes(device))
    throw new ArgumentError(`[${op}] device is one of auto, cpu, cuda, got ${describeValue(device)}`);
  if (typeof isa !== 'string' || !['auto', 'scalar', 'sse', 'avx2', 'avx512'].includes(isa))
    throw new ArgumentError(`[${op}] isa is one of auto, scalar, sse, avx2, avx512, got ${describeValue(isa)}`);
  if ('threads' in options && options.threads !== undefined)
    if (!Number.isSafeInteger(threads) || threads < 1 || threads > 256)
      throw new ArgumentError(`[${op}] threads is an integer from 1 to 256, got ${describeValue(threads)}`);
  if (precision !== 'float32' && precision !== 'bf16')
    throw new ArgumentError(`[${op}] precision is float32 or bf16, got ${describeValue(precision)}`);
  const deviceIndex = integerOption(op, 'deviceIndex', options.deviceIndex, 0, 1023) ?? 0;
  const memoryLimit = integerOption(op, 'memoryLimit', options.memoryLimit, 1, Number.MAX_SAFE_INTEGER) ?? 0;
  const { tf32 = false } = options;
  if (typeof tf32 !== 'boolean') throw new ArgumentError(`[${op}] tf32 is a boolean, got ${describeValue(tf32)}`);
  return { device, isa, threads, precision, deviceIndex, memoryLimit, tf32 };
}

function outputsOf(op: string, graph: Graph, outputs: unknown): [string, Tensor][] {
  if (outputs === null || typeof outputs !== 'object' || Array.isArray(outputs))
    throw new ArgumentError(`[${op}] outputs is an object of tensors by name, got ${describeValue(outputs)}`);
  const entries = Object.entries(outputs as Record<string, Tensor>);
  for (const [, tensor] of entries) graph.checkOwn(op, tensor);
  return entries;
}

/** @param started whether a param or state of that name needs no initial value, so that random ones are not drawn. */
function wireOf(
  graph: Graph,
  outputs: readonly [string, Tensor][],
  started: (name: string) => boolean = () => false,
): WireGraph {
  const tensors = graph.tensors.map((info) => {
    const { shape, dtype, kind, name } = info;
    const persistent = kind === 'param' || kind === 'state';
    return persistent && started(name) ? { shape, dtype, kind, name, data: 0 } : info;
  });
  const { nodes, training } = graph;
  return { tensors, nodes, training, outputs: outputs.map(([, tensor]) => tensor.id) };
}

/**
 * Plans a graph and gives it memory. Params and states start from their initial values, or are those of `share`.
 * In a graph for inference (training: false) an image's results have the same bits whatever it is batched with.
 * Throws ArgumentError, GraphError or ShapeError for a wrong graph or option, ExecutionError for a label or an index out
 * of range in a const, DeviceError without device or memory.
 */
export function compile(graph: Graph, options: CompileOptions): Plan {
  return new Plan(graph, options);
}

/** What compile would make of the graph, without allocating anything. */
export function analyze(graph: Graph, options: AnalyzeOptions): PlanDescription {
  checkGraph('analyze', graph);
  if (options === null || typeof options !== 'object')
    throw new ArgumentError(`[analyze] expected options with outputs, got ${describeValue(options)}`);
  const outputs = outputsOf('analyze', graph, options.outputs);
  try {
    const wire = wireOf(graph, outputs, () => true);
    return native().analyze(wire, optionsFor('analyze', options));
  } catch (error) {
    throw typed(error, siteOf(analyze));
  }
}

/** Every device gramian knows, and for those that are off, why. */
export function devices(): DeviceInfo[] {
  return native().devices();
}

/** Unpacks the CUDA kernels of the addon before the first plan that may run them. */
function unpackKernels(device: string): void {
  const packed = native().packedKernels(device);
  if (packed) native().unpackKernels(brotliDecompressSync(packed));
}

let lastRequest = 0;

/** A graph with memory on a device. Steps, reads and writes are queued and run in call order on a native thread. */
export class Plan {
  readonly #native: NativePlan;
  readonly #outputs: readonly string[];
  readonly #inputs: readonly TensorInfo[];
  readonly #persistent: ReadonlyMap<string, PersistentInfo>;
  /** As asked for; those of the plan that this one shares with. */
  readonly #placement: NativeOptions;
  #disposed = false;

  /** Use compile(). */
  constructor(graph: Graph, options: CompileOptions) {
    checkGraph('compile', graph);
    if (options === null || typeof options !== 'object')
      throw new ArgumentError(`[compile] expected options with outputs, got ${describeValue(options)}`);
    const outputs = outputsOf('compile', graph, options.outputs);
    const { share } = options;
    if (share !== undefined && !(share instanceof Plan))
      throw new ArgumentError(`[compile] share is a plan, got ${describeValue(share)}`);
    this.#outputs = outputs.map(([name]) => name);
    this.#inputs = graph.tensors.filter(({ kind }) => kind === 'input');
    this.#persistent = new Map(
      graph.tensors
        .filter(({ kind }) => kind === 'param' || kind === 'state')
        .map(({ name, shape, dtype, kind }) => [name, { name, shape, dtype, kind }]),
    );
    try {
      const wanted = optionsFor('compile', options);
      if (share) share.#checkPlacement(options);
      this.#placement = share ? share.#placement : wanted;
      unpackKernels(wanted.device);
      this.#native = new (native().Plan)(
        wireOf(graph, outputs, (name) => (share ? share.#persistent.has(name) : false)),
        wanted,
        share ? share.#native : undefined,
      );
    } catch (error) {
      throw typed(error, siteOf(compile));
    }
  }

  /**
   * One step. `feeds` has one array for every input of the graph, copied before this returns. Resolves to one array
   * per output. Rejects with ArgumentError for wrong feeds, ExecutionError for a label or an index out of range (the
   * params are then unchanged), AbortError, DisposedError.
   */
  async step(feeds: Record<string, TensorData> = {}, options: StepOptions = {}): Promise<StepResult> {
    const site = siteOf(this.step);
    this.#checkAlive('step');
    const data = this.#feedsInOrder('step', feeds, 1);
    return this.#await(site, 'step', options, (id) => this.#native.step(data, id));
  }

  /**
   * step() on the calling thread, after everything queued so far: no thread is woken and no promise made, which is faster
   * where a step takes a few milliseconds at most. The event loop stands still meanwhile. Throws what step() rejects with.
   */
  stepSync(feeds: Record<string, TensorData> = {}): StepResult {
    this.#checkAlive('stepSync');
    const data = this.#feedsInOrder('stepSync', feeds, 1);
    return this.#here(this.stepSync, data, 1);
  }

  /**
   * `steps` steps in one crossing. Each output is the outputs of all steps, one after the other, in one array. Rejects
   * like step(); after an abort the params are those of the last completed step.
   */
  async run(steps: number, options: RunOptions = {}): Promise<StepResult> {
    const site = siteOf(this.run);
    this.#checkAlive('run');
    checkSteps('run', steps);
    const data = this.#feedsInOrder('run', options.feeds ?? {}, steps);
    return this.#await(site, 'run', options, (id) => this.#native.run(data, steps, id));
  }

  /** run() on the calling thread, after everything queued so far. Throws what run() rejects with. */
  runSync(steps: number, options: Pick<RunOptions, 'feeds'> = {}): StepResult {
    this.#checkAlive('runSync');
    checkSteps('runSync', steps);
    const data = this.#feedsInOrder('runSync', options.feeds ?? {}, steps);
    return this.#here(this.runSync, data, steps);
  }

  /**
   * Runs `steps` steps like step(), and resolves to each launch with its mean time; the outputs are dropped, params and
   * states change as in step(). Timing costs two clock readings a launch. Rejects like step() and run().
   */
  async profile(feeds: Record<string, TensorData> = {}, options: ProfileOptions = {}): Promise<LaunchProfile[]> {
    const site = siteOf(this.profile);
    this.#checkAlive('profile');
    const { steps = 1 } = options;
    checkSteps('profile', steps);
    const data = this.#feedsInOrder('profile', feeds, 1);
    const { launches } = this.#native.describe();
    const seconds = await this.#settle(site, 'profile', options, (id) => this.#native.profile(data, steps, id));
    return launches.map((launch, index) => ({ ...launch, milliseconds: ((seconds[index] as number) / steps) * 1000 }));
  }

  /** A copy of a param or state, after everything queued so far. */
  async read(name: string): Promise<TensorData> {
    const site = siteOf(this.read);
    this.#checkAlive('read');
    this.#named('read', name);
    try {
      return await this.#native.read(name);
    } catch (error) {
      throw typed(error, site);
    }
  }

  /** Replaces a param or state, after everything queued so far. `data` is copied before this returns. */
  async write(name: string, data: TensorData): Promise<void> {
    const site = siteOf(this.write);
    this.#checkAlive('write');
    const info = this.#named('write', name);
    checkData('write', name, info, data);
    try {
      await this.#native.write(name, data);
    } catch (error) {
      throw typed(error, site);
    }
  }

  /** Copies of all params and states, as they are at one point in time: after everything queued so far. */
  async readAll(): Promise<Record<string, TensorData>> {
    const site = siteOf(this.readAll);
    this.#checkAlive('readAll');
    const names = [...this.#persistent.keys()];
    try {
      // All reads are queued before anything else can be.
      const values = await Promise.all(names.map((name) => this.#native.read(name)));
      return Object.fromEntries(names.map((name, index) => [name, values[index] as TensorData]));
    } catch (error) {
      throw typed(error, site);
    }
  }

  /**
   * Replaces several params and states at one point in time, after everything queued so far. All are checked first, so a
   * wrong name or array leaves all of them as they are. `values` are copied before this returns.
   */
  async writeAll(values: Readonly<Record<string, TensorData>>): Promise<void> {
    const site = siteOf(this.writeAll);
    this.#checkAlive('writeAll');
    const entries = Object.entries(values);
    for (const [name, data] of entries) checkData('writeAll', name, this.#named('writeAll', name), data);
    try {
      await Promise.all(entries.map(([name, data]) => this.#native.write(name, data)));
    } catch (error) {
      throw typed(error, site);
    }
  }

  /** The params and states. */
  tensors(): PersistentInfo[] {
    return [...this.#persistent.values()];
  }

  describe(): PlanDescription {
    this.#checkAlive('describe');
    return this.#native.describe();
  }

  /** Frees the memory once the queued work is done; what was queued still settles. A second call does nothing. */
  dispose(): void {
    this.#disposed = true;
    this.#native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Refuses options of a plan that shares with this one and would run elsewhere or otherwise. */
  #checkPlacement(options: CompileOptions): void {
    this.#checkAlive('compile');
    const { device, isa, threads, precision } = this.#native.describe();
    const { deviceIndex, memoryLimit, tf32 } = this.#placement;
    // What a device ignores makes no difference.
    const own =
      device === 'cpu' ? { device, isa, threads, precision } : { device, precision, deviceIndex, memoryLimit, tf32 };
    for (const [name, value] of Object.entries(own)) {
      const asked = options[name as keyof AnalyzeOptions];
      if (asked === undefined || asked === 'auto' || asked === value) continue;
      throw new ArgumentError(
        `[compile] ${name} is ${describeValue(value)} in the shared plan, got ${describeValue(asked)}`,
      );
    }
  }

  #checkAlive(op: string): void {
    if (this.#disposed) throw new DisposedError(`[${op}] the plan was disposed`);
  }

  #named(op: string, name: string): PersistentInfo {
    const info = this.#persistent.get(name);
    if (!info) throw new ArgumentError(`[${op}] the plan has no param or state ${describeValue(name)}`);
    return info;
  }

  /** The fed arrays, each with the values of `steps` steps, in the order of the inputs. */
  #feedsInOrder(op: string, feeds: Record<string, TensorData>, steps: number): TensorData[] {
    if (feeds === null || typeof feeds !== 'object')
      throw new ArgumentError(`[${op}] feeds is an object of arrays by input name, got ${describeValue(feeds)}`);
    const known = new Set(this.#inputs.map(({ name }) => name));
    for (const name of Object.keys(feeds))
      if (!known.has(name))
        throw new ArgumentError(
          `[${op}] there is no input "${name}"; the inputs are ${[...known].join(', ') || 'none'}`,
        );
    return this.#inputs.map((info) => {
      const data = feeds[info.name];
      if (data === undefined) throw new ArgumentError(`[${op}] input "${info.name}" was not fed`);
      checkData(op, info.name, info, data, steps);
      return data;
    });
  }

  #here(method: Callable, data: readonly TensorData[], steps: number): StepResult {
    try {
      return this.#namedOutputs(this.#native.runSync(data, steps));
    } catch (error) {
      throw typed(error, siteOf(method));
    }
  }

  async #await(
    site: Site,
    op: string,
    options: StepOptions,
    start: (id: number) => Promise<TensorData[]>,
  ): Promise<StepResult> {
    return this.#namedOutputs(await this.#settle(site, op, options, start));
  }

  #namedOutputs(results: readonly TensorData[]): StepResult {
    return Object.fromEntries(this.#outputs.map((name, index) => [name, results[index] as TensorData]));
  }

  /** Starts native work that an AbortSignal may stop, and gives its errors their class and the caller's frames. */
  async #settle<T>(site: Site, op: string, { signal }: StepOptions, start: (id: number) => Promise<T>): Promise<T> {
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new ArgumentError(`[${op}] signal is an AbortSignal, got ${describeValue(signal)}`);
    if (signal?.aborted) throw new AbortError(`[${op}] aborted before it began`, 0, { cause: signal.reason });
    lastRequest += 1;
    const id = lastRequest;
    const abort = () => this.#native.abort(id);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await start(id);
    } catch (error) {
      throw typed(error, site, signal);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }
}

function checkSteps(op: string, steps: unknown): void {
  if (!Number.isSafeInteger(steps) || (steps as number) < 1)
    throw new ArgumentError(`[${op}] steps is an integer of 1 or more, got ${describeValue(steps)}`);
}

/** A typed array of the tensor's dtype and `times` its size over memory that nobody else can change while it is copied. */
function checkData(
  op: string,
  name: string,
  info: { shape: Shape; dtype: DType },
  data: unknown,
  times = 1,
): asserts data is TensorData {
  const expected = ARRAY_OF[info.dtype];
  if (!(data instanceof expected))
    throw new ArgumentError(`[${op}] "${name}" is a ${expected.name}, got ${describeValue(data)}`);
  if (!(data.buffer instanceof ArrayBuffer))
    throw new ArgumentError(`[${op}] "${name}" is a ${expected.name} over an ArrayBuffer, got shared memory`);
  const count = times * sizeOf(info.shape);
  if (data.length !== count) {
    const detached = data.length === 0 && data.buffer.byteLength === 0 ? ' (a detached buffer?)' : '';
    const needed = `needs ${count} values${times > 1 ? ` for ${times} steps` : ''}, got ${data.length}${detached}`;
    throw new ArgumentError(`[${op}] "${name}" of shape ${formatShape(info.shape)} ${needed}`);
  }
}
