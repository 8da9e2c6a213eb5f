// Peers that are npm packages, each in a Node process of its own: TensorFlow.js (plain, wasm, native) and ONNX Runtime.
// Called by bench/peers.ts. The rule easy to break: a package that is not installed is one line of advice, no failure;
// nothing of the project may need these packages.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { PeerContender, PeerHost, PeerTask } from '../../src/cli/bench/peer';
import { ArgumentError } from '../../src/errors';
import { onnxOf } from '../translate/onnx';
import { type Program, programOf, weightValue, writeTask } from '../translate/program';
import { Pipe } from './pipe';
import { resultsOf } from './results';

interface Kind {
  readonly name: string;
  readonly packages: readonly string[];
  readonly advice: string;
  readonly takes: readonly Program['kind'][];
  /** GFLOP of a step beyond which it would take minutes. */
  readonly most: number;
}

const INSTALL = 'npm --prefix bench/peers ci --ignore-scripts';
const ALL: readonly Program['kind'][] = ['train', 'infer', 'kernel'];

const KINDS: readonly Kind[] = [
  {
    name: 'onnxruntime',
    packages: ['onnxruntime-node'],
    advice: INSTALL,
    takes: ['infer'],
    most: Number.POSITIVE_INFINITY,
  },
  {
    name: 'tfjs-wasm',
    packages: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
    advice: INSTALL,
    takes: ['infer', 'kernel'],
    most: 100,
  },
  { name: 'tfjs-cpu', packages: ['@tensorflow/tfjs'], advice: INSTALL, takes: ALL, most: 1 },
  {
    name: 'tfjs-node',
    packages: ['@tensorflow/tfjs-node'],
    advice: 'npm --prefix bench/peers install --no-save @tensorflow/tfjs-node',
    takes: ALL,
    most: Number.POSITIVE_INFINITY,
  },
];

class NodeHost implements PeerHost {
  readonly name: string;
  version = '';
  readonly #kind: Kind;
  readonly #folder: string;
  readonly #pipe: Pipe;

  constructor(kind: Kind, folder: string, threads: number) {
    this.name = kind.name;
    this.#kind = kind;
    this.#folder = folder;
    const driver = path.join(__dirname, 'node_driver.ts');
    this.#pipe = new Pipe(kind.name, process.execPath, ['--import', 'tsx', driver, kind.name, String(threads)]);
  }

  async hello(): Promise<this> {
    this.version = String((await this.#pipe.ask({ do: 'hello' })).version);
    return this;
  }

  async open(task: PeerTask): Promise<PeerContender[]> {
    const program = programOf(task.workload);
    const { takes, most } = this.#kind;
    if (!takes.includes(program.kind)) return [];
    const gflop = task.workload.work.flops / 1e9;
    if (gflop > most) {
      throw new ArgumentError(
        `[bench] ${this.name} is given rows of at most ${most} GFLOP, this one has ${gflop.toFixed(1)}`,
      );
    }
    const folder = path.join(this.#folder, `${this.name}-${task.row.id}`);
    mkdirSync(folder, { recursive: true });
    writeTask(folder, task.workload, program, task.trace);
    if (this.name === 'onnxruntime') {
      const model = onnxOf(program, (id) => weightValue(task.workload.graph, id) as Float32Array);
      writeFileSync(path.join(folder, 'model.onnx'), model);
    }
    return [this.#contender(task, program, folder)];
  }

  #contender(task: PeerTask, program: Program, folder: string): PeerContender {
    const { name } = this;
    const out = path.join(folder, 'results.bin');
    return {
      name,
      precision: 'float32',
      check: async () => {
        await this.#pipe.ask({ do: 'load', name, folder });
        await this.#pipe.ask({ do: 'check', name, out });
        return resultsOf(readFileSync(out), program, task.trace.results.length);
      },
      sample: async (count) => (await this.#pipe.ask({ do: 'sample', name, count })).ms as number,
      drop: async () => void (await this.#pipe.ask({ do: 'drop', name }).catch(() => undefined)),
    };
  }

  close(): Promise<void> {
    return this.#pipe.close();
  }
}

/** The peers that are installed, and a line for each that is not. */
export async function nodeHosts(folder: string, threads: number): Promise<{ found: PeerHost[]; missing: string[] }> {
  const found: PeerHost[] = [];
  const missing: string[] = [];
  for (const kind of KINDS) {
    if (!kind.packages.every((name) => existsSync(path.join(__dirname, 'node_modules', name)))) {
      missing.push(`${kind.name} skipped: it is not installed; ${kind.advice}`);
      continue;
    }
    const host = new NodeHost(kind, folder, threads);
    try {
      found.push(await host.hello());
    } catch (error) {
      await host.close();
      missing.push(`${kind.name} skipped: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { found, missing };
}
