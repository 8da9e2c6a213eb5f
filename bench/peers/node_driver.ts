// The side of the benchmarks that lives in a Node process of its own: TensorFlow.js on one backend, or ONNX Runtime.
// Started by node.ts with the backend's name, threads and the folders of its packages; one JSON request a line on stdin, one
// JSON answer a line on stdout. The rule easy to break: the packages are loaded here and nowhere else.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ArgumentError } from '../../src/errors';
import type { Manifest, Program, Stored } from '../translate/program';
import { type Library, runNodes, type Tensor } from '../translate/tfjs';

const load = createRequire(path.join(__dirname, 'node_driver.ts'));
const ARRAYS = { f32: Float32Array, i32: Int32Array, u8: Uint8Array } as const;

interface Task {
  /** Results of the next step. */
  step(): Promise<Float32Array[]> | Float32Array[];
  /** The next step without reading its results. */
  run(): Promise<unknown> | unknown;
  readonly steps: number;
  dispose(): void;
}

interface Backend {
  readonly version: string;
  load(folder: string): Promise<Task>;
}

interface Loaded {
  readonly program: Program;
  readonly manifest: Manifest;
  values(stored: Stored): Float32Array | Int32Array | Uint8Array;
}

function read(folder: string): Loaded {
  const json = (name: string): unknown => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
  const data = Uint8Array.from(readFileSync(path.join(folder, 'data.bin'))).buffer;
  return {
    program: json('program.json') as Program,
    manifest: json('manifest.json') as Manifest,
    values: ({ dtype, offset, bytes }) => new ARRAYS[dtype](data, offset, bytes / ARRAYS[dtype].BYTES_PER_ELEMENT),
  };
}

interface TensorFlow extends Record<string, unknown> {
  readonly version: Record<string, string>;
  readonly train: { adam(...settings: number[]): { minimize(f: () => Tensor, cost: boolean, of: unknown[]): Tensor } };
  tidy<T>(body: () => T): T;
  keep<T>(tensor: T): T;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
}

/** One TensorFlow.js program: its weights are variables, its batches tensors that are kept. */
function tensorFlowTask(tf: TensorFlow, folder: string): Task {
  const library = tf as unknown as Library;
  const { program, manifest, values } = read(folder);
  const tensorOf = (stored: Stored): Tensor =>
    library.tensor!(values(stored), stored.shape, stored.dtype === 'f32' ? 'float32' : 'int32');
  const variables = manifest.weights.map((stored) => library.variable!(tensorOf(stored), stored.trained));
  const trained = variables.filter((_, index) => manifest.weights[index]!.trained);
  const steps = manifest.steps.map((step) => step.map(tensorOf));
  const weights = new Map(program.weights.map((id, index) => [id, variables[index]!]));
  const fixed = program.nodes.filter((node) => node.fixed);
  const varying = program.nodes.filter((node) => !node.fixed);
  tf.tidy(() => {
    runNodes(library, program, fixed, weights);
    for (const tensor of weights.values()) tf.keep(tensor);
  });
  const optimizer = program.kind === 'train' ? tf.train.adam(program.lr, 0.9, 0.999, 1e-8) : undefined;
  let done = 0;
  const forward = (): Tensor[] => {
    const given = steps[done % steps.length]!;
    const all = new Map(weights);
    for (const [index, id] of program.given.entries()) all.set(id, given[index]!);
    runNodes(library, program, varying, all);
    return program.results.map((id) => all.get(id)!);
  };
  const once = <T>(use: (results: Tensor[]) => T): T =>
    tf.tidy(() => {
      const scalar = (): Tensor => library.sum!(forward()[0]!);
      const results = optimizer ? [optimizer.minimize(scalar, true, trained)] : forward();
      done += 1;
      return use(results);
    });
  return {
    steps: steps.length,
    step: () => once((results) => results.map((one) => Float32Array.from(one.dataSync()))),
    run: () => once(() => undefined),
    dispose() {
      for (const tensor of [...weights.values(), ...steps.flat()]) tensor.dispose();
    },
  };
}

async function tensorFlow(backend: string, threads: number, packages: readonly string[]): Promise<Backend> {
  const tf = load(packages[0]!) as TensorFlow;
  if (backend === 'tfjs-node') {
    await tf.ready();
    return { version: `${tf.version['tfjs-core']}, native`, load: async (folder) => tensorFlowTask(tf, folder) };
  }
  let how = 'plain JavaScript, 1 thread';
  if (backend === 'tfjs-wasm') {
    const wasm = load(packages[1]!) as Record<'setThreadsCount' | 'getThreadsCount', Call>;
    wasm.setThreadsCount(threads);
    await tf.setBackend('wasm');
    await tf.ready();
    const env = (tf.env as () => { getAsync(flag: string): Promise<boolean> })();
    const simd = (await env.getAsync('WASM_HAS_SIMD_SUPPORT')) ? 'SIMD' : 'no SIMD';
    // The package has its threads switched off in Node.
    const many = await env.getAsync('WASM_HAS_MULTITHREAD_SUPPORT');
    how = `wasm, ${simd}, ${many ? threads : 1} of ${threads} threads`;
  } else {
    await tf.setBackend('cpu');
    await tf.ready();
  }
  return { version: `${tf.version['tfjs-core']}, ${how}`, load: async (folder) => tensorFlowTask(tf, folder) };
}

type Call = (count?: number) => number;

interface OnnxRuntime {
  readonly env: { readonly versions: Record<string, string> };
  readonly InferenceSession: { create(file: string, options: Record<string, unknown>): Promise<Session> };
  readonly Tensor: new (type: string, data: Float32Array, shape: readonly number[]) => unknown;
}

interface Session {
  run(feeds: Record<string, unknown>): Promise<Record<string, { readonly data: Float32Array }>>;
  release(): Promise<void>;
}

function onnxRuntime(threads: number, packages: readonly string[]): Backend {
  const ort = load(packages[0]!) as OnnxRuntime;
  const settings = {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  };
  const version = `${ort.env.versions.node ?? ort.env.versions.common}, cpu, ${threads} threads`;
  return {
    version,
    async load(folder) {
      const { manifest, values } = read(folder);
      const session = await ort.InferenceSession.create(path.join(folder, 'model.onnx'), settings);
      const [given] = manifest.steps as [readonly Stored[]];
      const feeds = Object.fromEntries(
        given.map((stored, index) => [
          `given${index}`,
          new ort.Tensor('float32', values(stored) as Float32Array, stored.shape),
        ]),
      );
      return {
        steps: 1,
        step: async () => Object.values(await session.run(feeds)).map(({ data }) => data),
        run: () => session.run(feeds),
        dispose: () => void session.release(),
      };
    },
  };
}

async function answer(backend: Backend, tasks: Map<string, Task>, request: Record<string, unknown>): Promise<object> {
  const name = String(request.name);
  const task = (): Task => {
    const found = tasks.get(name);
    if (!found) throw new ArgumentError(`[driver] expected a task that is loaded, got ${name}`);
    return found;
  };
  switch (request.do) {
    case 'hello':
      return { version: backend.version };
    case 'load':
      tasks.set(name, await backend.load(String(request.folder)));
      return {};
    case 'check': {
      const results: Uint8Array[] = [];
      for (let step = 0; step < task().steps; step += 1) {
        for (const one of await task().step()) results.push(new Uint8Array(one.buffer, one.byteOffset, one.byteLength));
      }
      writeFileSync(String(request.out), Buffer.concat(results));
      return {};
    }
    case 'sample': {
      const { run } = task();
      const started = performance.now();
      for (let done = 0; done < Number(request.count); done += 1) await run();
      return { ms: performance.now() - started };
    }
    case 'drop':
      tasks.get(name)?.dispose();
      tasks.delete(name);
      return {};
    default:
      throw new ArgumentError(`[driver] expected a known request, got ${String(request.do)}`);
  }
}

async function main(name: string, threads: number, packages: readonly string[]): Promise<void> {
  const write = process.stdout.write.bind(process.stdout);
  // Whatever a library prints must not be taken for an answer.
  console.log = console.info = (...words: unknown[]) => console.error(...words);
  const tasks = new Map<string, Task>();
  let backend: Backend | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    let found: object;
    try {
      backend ??= name === 'onnxruntime' ? onnxRuntime(threads, packages) : await tensorFlow(name, threads, packages);
      found = await answer(backend, tasks, JSON.parse(line));
    } catch (error) {
      found = { error: error instanceof Error ? error.message : String(error) };
    }
    write(`${JSON.stringify(found)}\n`);
  }
  process.exit(0);
}

void main(process.argv[2] ?? '', Number(process.argv[3]), process.argv.slice(4));
