// Loads the native addon and types its whole surface. Only compile.ts and pixels.ts call it. In a checkout build/Release is used; in
// an installed package the prebuilt binary of this platform; GRAMIAN_PREBUILD names another folder. The rule easy to break: a failed load must say what was
// tried and what to run next, because it is the first thing a user with a problem sees.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { DeviceError } from './errors';
import type { Attrs, DType, TensorData, TensorKind } from './graph/graph';

/** The graph as it crosses to native code; see native/graph/graph.h. */
export interface WireGraph {
  readonly tensors: readonly {
    readonly shape: readonly number[];
    readonly dtype: DType;
    readonly kind: TensorKind;
    readonly name: string;
    readonly data?: TensorData | number;
  }[];
  readonly nodes: readonly {
    readonly op: string;
    readonly inputs: readonly number[];
    readonly outputs: readonly number[];
    readonly attrs: Attrs;
    readonly unit: number;
    readonly name: string;
  }[];
  /** Ids of the tensors every step returns. */
  readonly outputs: readonly number[];
  /** false: the bits of an image's results do not depend on what it is batched with. true when absent. */
  readonly training?: boolean;
}

export interface NativeOptions {
  readonly device: string;
  readonly isa: string;
  /** 0: as many as the process may use. */
  readonly threads: number;
  readonly precision: string;
  readonly deviceIndex: number;
  /** 0: no limit. */
  readonly memoryLimit: number;
  readonly tf32: boolean;
}

/** One line of work of a plan. */
export interface LaunchDescription {
  readonly op: string;
  /** The op, or `op:variant` when its kernel has several algorithms. */
  readonly kernel: string;
  readonly name: string;
  readonly unit: number;
  /** Bytes read and written. */
  readonly bytes: number;
}

/** What a plan does and what it costs. */
export interface PlanDescription {
  readonly device: string;
  readonly isa: string;
  /** float32, or bf16: what products take their factors as. */
  readonly precision: string;
  /** 0 on cuda. */
  readonly threads: number;
  /** Bytes of the block that holds every intermediate result. */
  readonly arenaBytes: number;
  /** Bytes of parameters and state. */
  readonly persistentBytes: number;
  readonly launches: readonly LaunchDescription[];
  /** What needs no launch of its own, in words. */
  readonly fused: readonly string[];
  /** All of it as a readable text. */
  readonly text: string;
}

/** A device this machine has, or why it has not. */
export interface DeviceInfo {
  readonly id: 'cpu' | 'cuda';
  readonly available: boolean;
  /** Whether it has precision bf16: every CPU, and CUDA devices of sm_80 or newer. */
  readonly bf16?: boolean;
  /** The instruction set tier of the CPU, or the architecture of a CUDA device: sm_86. */
  readonly isa?: string;
  readonly threads?: number;
  /** Why it is not available and what to do. */
  readonly reason?: string;
  /** Of a CUDA device, as far as they are known: its name, */
  readonly name?: string;
  /** the newest CUDA its driver supports, */
  readonly driver?: string;
  /** the CUDA toolkit that made our kernels, */
  readonly toolkit?: string;
  /** which of them it runs, */
  readonly image?: string;
  /** and its memory. */
  readonly memoryBytes?: number;
}

/** A compiled plan. Errors carry `code` and `completedSteps`; compile.ts turns them into classes. */
export interface NativePlan {
  /** One typed array per input, in the order of the graph; `id` (1 or more, unique) is for abort(), 0 for none. */
  step(feeds: readonly TensorData[], id: number): Promise<TensorData[]>;
  /** `feeds` hold the values of all steps, one after the other. */
  run(feeds: readonly TensorData[], steps: number, id: number): Promise<TensorData[]>;
  /** run() on the calling thread. */
  runSync(feeds: readonly TensorData[], steps: number): TensorData[];
  /** Seconds of each launch, summed over the steps. */
  profile(feeds: readonly TensorData[], steps: number, id: number): Promise<Float64Array>;
  read(name: string): Promise<TensorData>;
  write(name: string, data: TensorData): Promise<void>;
  abort(id: number): void;
  describe(): PlanDescription;
  dispose(): void;
}

/** Loops over bytes; pixels.ts says what they do. Points along an axis come as low, high, share. */
export interface NativePixels {
  gray(from: Uint8Array, width: number, to: Uint8Array, ...region: [number, number, number, number]): void;
  halve(
    from: Uint8Array,
    width: number,
    channels: number,
    to: Uint8Array,
    ...region: [number, number, number, number]
  ): void;
  sample(
    from: Uint8Array,
    width: number,
    channels: number,
    ...rest: [...NativeAxis, ...NativeAxis, out: Uint8Array, offset: number]
  ): void;
  sampleSquare(
    from: Uint8Array,
    width: number,
    channels: number,
    ...rest: [...NativeAxis, ...NativeAxis, mean: Float32Array, out: Float32Array]
  ): void;
  hog(patch: Uint8Array, cells: number, out: Float32Array, offset: number, stride: number): void;
}
type NativeAxis = [low: Int32Array, high: Int32Array, share: Float32Array];

export interface Addon {
  readonly Plan: new (graph: WireGraph, options: NativeOptions, share?: NativePlan) => NativePlan;
  analyze(graph: WireGraph, options: NativeOptions): PlanDescription;
  devices(): DeviceInfo[];
  /** The CUDA kernels, compressed by brotli, where a plan on this device is the process's first that needs them. */
  packedKernels(device: string): Buffer | undefined;
  unpackKernels(kernels: Buffer): void;
  /** The loops for an instruction set tier, or for that which `auto` stands for. Throws as compile does. */
  pixels(isa: string): NativePixels;
}

const root = path.resolve(__dirname, '..');
const load = createRequire(path.join(root, 'package.json'));

function libc(): string {
  if (process.platform !== 'linux') return '';
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime ? ` glibc ${header.glibcVersionRuntime}` : ' musl';
}

function reason(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? error.name) : String(error);
}

function loadAddon(): Addon {
  const tried: string[] = [];
  const folder = process.env.GRAMIAN_PREBUILD || root;
  const built = path.join(folder, 'build', 'Release', 'gramian.node');
  if (existsSync(built)) {
    try {
      return load(built) as Addon;
    } catch (error) {
      tried.push(`${built}: ${reason(error)}`);
    }
  } else {
    tried.push(`${built}: no such file`);
  }
  try {
    const findPrebuilt = load('node-gyp-build') as (folder: string) => Addon;
    return findPrebuilt(folder);
  } catch (error) {
    tried.push(`${path.join(folder, 'prebuilds')}: ${reason(error)}`);
  }
  const found = `${process.platform} ${process.arch}${libc()}, Node ${process.version}`;
  throw new DeviceError(
    [
      `[native] the addon of gramian could not be loaded on ${found}. Tried:`,
      ...tried.map((line) => `  ${line}`),
      'In a checkout run: npm run build:native',
      'In a project run: npm install --force gramian (prebuilt binaries: linux x64 with glibc 2.28 or later)',
    ].join('\n'),
  );
}

let addon: Addon | undefined;

/** The addon, loaded at the first call. Throws DeviceError when there is none for this machine. */
export function native(): Addon {
  addon ??= loadAddon();
  return addon;
}
