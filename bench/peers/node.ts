// Peers that are npm packages, each in a Node process of its own: TensorFlow.js (plain, wasm, native) and ONNX Runtime.
// Called by bench/peers.ts. The rule easy to break: a package that is not installed is one line of advice, no failure;
// nothing of the project may need these packages.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { PeerContender, PeerHost, PeerTask } from '../../src/cli/bench/peer';
import type { Workload } from '../../src/cli/bench/rows';
import { ArgumentError } from '../../src/errors';
import type { Tensor } from '../../src/graph/graph';
import { exportOnnx } from '../../src/interchange/onnx/export';
import { scriptArguments } from '../scripts';
import { type Program, programOf, writeTask } from '../translate/program';
import { type HostSettings, Pipe } from './pipe';
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
    advice: 'install it where you call this, or give --tfjs-node DIR',
    takes: ALL,
    most: Number.POSITIVE_INFINITY,
  },
];

/** Where the packages of this folder lie. */
const HERE = path.join(__dirname, 'package.json');
const TFJS_NODE = '@tensorflow/tfjs-node';
/** The same for a card and for the CPU; who installed the first means it. */
const TFJS_NODES = [`${TFJS_NODE}-gpu`, TFJS_NODE];

/** Folder of a package as a file at `from` would find it. */
function packageFolder(name: string, from: string): string | undefined {
  const places = createRequire(from).resolve.paths(name) ?? [];
  return places.map((place) => path.join(place, name)).find((folder) => existsSync(path.join(folder, 'package.json')));
}

/**
 * Folder of tfjs-node or tfjs-node-gpu, which users bring: `given` itself or as found from it; without `given` as found from `places`.
 * @throws ArgumentError when it is not where the user says.
 */
export function tfjsNodeFolder(given?: string, places = [__dirname, process.cwd()]): string | undefined {
  const from = (folder: string): string | undefined =>
    TFJS_NODES.map((name) => packageFolder(name, path.join(folder, 'package.json'))).find(
      (found) => found !== undefined,
    );
  if (given === undefined) return places.map(from).find((found) => found !== undefined);
  const asked = path.resolve(given);
  const itself = path.join(asked, 'package.json');
  if (existsSync(itself) && TFJS_NODES.includes(JSON.parse(readFileSync(itself, 'utf8')).name)) return asked;
  const found = from(asked);
  if (found) return found;
  throw new ArgumentError(`[bench] --tfjs-node expects ${TFJS_NODE} in ${asked} or its node_modules, found none`);
}

/** The row's graph as ONNX, with inputs `given0`.. and outputs `result0`.. as they lie here. */
export function onnxOf({ graph, given, results }: Workload): Uint8Array {
  const named = (word: string, tensors: readonly Tensor[]): Record<string, Tensor> =>
    Object.fromEntries(tensors.map((tensor, index) => [`${word}${index}`, tensor]));
  const ends = { inputs: named('given', given), outputs: named('result', results) };
  return exportOnnx(graph, { ...ends, layout: 'plain', batch: null });
}

class NodeHost implements PeerHost {
  readonly name: string;
  version = '';
  readonly #kind: Kind;
  readonly #settings: HostSettings;
  readonly #packages: readonly string[];
  #pipe: Pipe;

  /** @param packages their folders, in the order of the kind's names. */
  constructor(kind: Kind, settings: HostSettings, packages: readonly string[]) {
    this.name = kind.name;
    this.#kind = kind;
    this.#settings = settings;
    this.#packages = packages;
    this.#pipe = this.#start();
  }

  #start(): Pipe {
    const driver = path.join(__dirname, 'node_driver.ts');
    const { threads } = this.#settings;
    return new Pipe(this.name, process.execPath, scriptArguments(driver, [this.name, threads, ...this.#packages]));
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
    const folder = path.join(this.#settings.folder, `${this.name}-${task.row.id}`);
    mkdirSync(folder, { recursive: true });
    writeTask(folder, task.workload, program, task.trace);
    if (this.name === 'onnxruntime') {
      writeFileSync(path.join(folder, 'model.onnx'), onnxOf(task.workload));
    }
    // One that was given up at the row before.
    if (this.#pipe.ended) this.#pipe = this.#start();
    return [this.#contender(task, program, folder)];
  }

  #contender(task: PeerTask, program: Program, folder: string): PeerContender {
    const { name } = this;
    const { patience } = this.#settings;
    const out = path.join(folder, 'results.bin');
    return {
      name,
      precision: 'float32',
      check: async () => {
        await this.#pipe.ask({ do: 'load', name, folder }, patience);
        await this.#pipe.ask({ do: 'check', name, out }, patience);
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

/**
 * The peers that are asked for and installed, and why the others are absent.
 * @param tfjsNode folder of that package, if there is one.
 */
export async function nodeHosts(
  settings: HostSettings,
  tfjsNode?: string,
): Promise<{ found: PeerHost[]; absent: Record<string, string> }> {
  const found: PeerHost[] = [];
  const absent: Record<string, string> = {};
  for (const kind of KINDS.filter(({ name }) => settings.peers.some(({ id }) => id === name))) {
    const packages = kind.packages.map((name) => (name === TFJS_NODE ? tfjsNode : packageFolder(name, HERE)));
    if (!packages.every((folder) => folder !== undefined)) {
      absent[kind.name] = `it is not installed; ${kind.advice}`;
      continue;
    }
    const host = new NodeHost(kind, settings, packages);
    try {
      found.push(await host.hello());
    } catch (error) {
      await host.close();
      absent[kind.name] = error instanceof Error ? error.message : String(error);
    }
  }
  return { found, absent };
}
