// Drives test/softcuda/client.cpp: a Script collects driver calls, run() executes them in a process of its own whose
// loader path holds the software device, and a Result gives codes, bytes and the report. Used by every test here.
// The rule easy to break: methods only write the script; nothing has happened before run().
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const root = path.resolve(__dirname, '../..');
/** SOFTCUDA_SANITIZE=address,undefined runs the tests on the build of `build-softcuda.mjs --sanitize address,undefined`. */
const sanitize = process.env.SOFTCUDA_SANITIZE ?? '';
export const built = path.join(root, `build/softcuda${sanitize === '' ? '' : `-${sanitize.replaceAll(',', '-')}`}`);

/** Builds the device if a source is newer than it. */
export function build(): void {
  const script = path.join(root, 'scripts/build-softcuda.mjs');
  const made = spawnSync(process.execPath, [script, '--sanitize', sanitize], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`[softcuda] expected a build, came:\n${made.stdout}${made.stderr}`);
}

export interface Finding {
  check: string;
  error: number;
  where: string;
  message: string;
  instruction: string;
  ptxLine: number;
  file: string;
  line: number;
  block: [number, number, number];
  thread: number;
  count: number;
}

export interface Instruction {
  text: string;
  ptxLine: number;
  line: number;
  warps: number;
  threads: number;
  sectors?: number;
  passes?: number;
  ideal?: number;
}

interface Traffic {
  requests: number;
  sectors?: number;
  passes?: number;
  ideal: number;
}

export interface Kernel {
  name: string;
  launches: number;
  warpInstructions: number;
  threadInstructions: number;
  barriers: number;
  globalLoads: Traffic;
  globalStores: Traffic;
  shared: Traffic;
  uniqueSectors: number;
  uniqueSectorsRead: number;
  uniqueSectorsWritten: number;
  instructions: Instruction[];
}

export interface Report {
  counters: Record<string, number>;
  calls: Record<string, number>;
  library: Record<string, { calls: number; flops: number; bytes: number }>;
  findings: Finding[];
  findingCount: number;
  kernels: Kernel[];
  /** What the failed driver calls said, the first hundred. */
  errors: string[];
}

type Data = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array | BigUint64Array;
type Three = readonly [number, number, number];

export interface Shape {
  grid?: number | Three;
  block?: number | Three;
  shared?: number;
  stream?: string;
}

const three = (size: number | Three | undefined): Three =>
  size === undefined ? [1, 1, 1] : typeof size === 'number' ? [size, 1, 1] : size;
const hex = (data: Data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');

export class Script {
  private readonly lines: string[] = [];
  private names = 0;
  private readonly texts: string[] = [];

  /** Settings as softcudaConfigure takes them; the context is made current unless `bare`. */
  constructor(settings = '', bare = false) {
    if (settings !== '') this.line(`configure ${settings}`);
    if (bare) return;
    this.call('cuInit', 0);
    this.call('cuDevicePrimaryCtxRetain', '&context', 0);
    this.call('cuCtxSetCurrent', '$context');
  }

  /** Adds a command; its index finds the answer in the Result. */
  line(text: string): number {
    return this.lines.push(text) - 1;
  }
  call(name: string, ...words: (string | number)[]): number {
    return this.line([name, ...words].join(' '));
  }
  name(): string {
    this.names += 1;
    return `v${this.names}`;
  }

  /** Device memory; the name of the variable with its address, with the $. */
  alloc(bytes: number): string {
    const name = this.name();
    this.call('cuMemAlloc_v2', `&${name}`, bytes);
    return `$${name}`;
  }
  /** Host memory with these bytes. */
  host(data: Data): string {
    const name = this.name();
    this.line(`host ${name} ${data.byteLength}`);
    if (data.byteLength > 0) this.line(`put $${name} ${hex(data)}`);
    return `$${name}`;
  }
  upload(data: Data): string {
    const from = this.host(data);
    const to = this.alloc(data.byteLength);
    this.call('cuMemcpyHtoD_v2', to, from, data.byteLength);
    return to;
  }
  /** Index of the answer that holds the bytes of a device range. */
  download(from: string, bytes: number): number {
    const to = this.host(new Uint8Array(bytes));
    this.call('cuMemcpyDtoH_v2', to, from, bytes);
    return this.line(`get ${to} ${bytes}`);
  }
  /** A module from PTX text; the module's variable. Its load is the command `loadOf` names. */
  module(ptx: string): string {
    return this.load(this.texts.push(ptx) - 1, '');
  }
  moduleFile(file: string): string {
    return this.load(-1, file);
  }
  private load(text: number, file: string): string {
    const image = this.name();
    const name = this.name();
    this.line(`text ${image} ${text < 0 ? file : `@${text}`}`);
    this.call('cuModuleLoadData', `&${name}`, `$${image}`);
    return `$${name}`;
  }
  function(module: string, kernel: string): string {
    const name = this.name();
    this.call('cuModuleGetFunction', `&${name}`, module, `s:${kernel}`);
    return `$${name}`;
  }
  params(args: readonly string[]): string {
    const name = this.name();
    this.line(`params ${name} ${args.join(' ')}`);
    return `$${name}`;
  }
  /** Arguments are typed: u64:$v1, u32:5, f32:0.5. Index of the launch's answer. */
  launch(kernel: string, shape: Shape, args: readonly string[]): number {
    const list = this.params(args);
    const sizes = [...three(shape.grid), ...three(shape.block), shape.shared ?? 0];
    return this.call('cuLaunchKernel', kernel, ...sizes, shape.stream ?? 0, list, 0);
  }
  stream(flags = 1): string {
    const name = this.name();
    this.call('cuStreamCreate', `&${name}`, flags);
    return `$${name}`;
  }
  event(): string {
    const name = this.name();
    this.call('cuEventCreate', `&${name}`, 2);
    return `$${name}`;
  }

  run(library = built): Result {
    const folder = mkdtempSync(path.join(tmpdir(), 'softcuda-'));
    try {
      this.texts.forEach((text, i) => {
        writeFileSync(path.join(folder, `${i}.ptx`), text);
      });
      const input = `${this.lines.join('\n')}\nsnapshot\n`.replaceAll(/^(text \S+ )@(\d+)$/gm, `$1${folder}/$2.ptx`);
      const env = { ...process.env, LD_LIBRARY_PATH: library };
      const ran = spawnSync(path.join(library, 'softcuda_client'), {
        input,
        env,
        encoding: 'utf8',
        maxBuffer: 1 << 30,
      });
      if (ran.status !== 0)
        throw new Error(
          `[softcuda] expected a clean exit, came ${ran.status ?? ran.signal ?? ran.error}: ${ran.stderr}`,
        );
      const answers = ran.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      return new Result(this.lines, answers);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
}

export class Result {
  readonly report: Report;
  constructor(
    private readonly lines: readonly string[],
    private readonly answers: readonly Record<string, unknown>[],
  ) {
    this.report = answers.at(-1) as unknown as Report;
  }
  /** The code of a call. */
  code(index: number): number {
    return this.answers[index]?.rc as number;
  }
  value(index: number): bigint {
    return BigInt(this.answers[index]?.value as string);
  }
  /** Calls that did not succeed, as "name -> code". */
  failures(): string[] {
    return this.answers.flatMap(({ rc }, i) =>
      rc === undefined || rc === 0 ? [] : [`${(this.lines[i] as string).split(' ')[0]} -> ${rc}`],
    );
  }
  bytes(index: number): ArrayBuffer {
    const data = Buffer.from(this.answers[index]?.hex as string, 'hex');
    return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer;
  }
  floats(index: number): Float32Array {
    return new Float32Array(this.bytes(index));
  }
  words(index: number): Uint32Array {
    return new Uint32Array(this.bytes(index));
  }
  checks(): string[] {
    return [...new Set(this.report.findings.map(({ check }) => check))].sort();
  }
  kernel(name: string): Kernel {
    const found = this.report.kernels.find((kernel) => kernel.name === name);
    if (found === undefined)
      throw new Error(`[softcuda] expected a launched kernel ${name}, came none; ${this.report.errors[0]}`);
    return found;
  }
}
