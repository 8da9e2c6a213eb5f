// PyTorch as a peer, in a Python that the user names: eager, compiled and bfloat16, in one process with a tuned
// allocator. Called by bench/peers.ts. The rule easy to break: the environment is what makes the peer its best (huge
// pages, no returned memory) and quiet in between (passive waiting); it must be set before Python starts.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { PeerContender, PeerHost, PeerTask } from '../../src/cli/bench/peer';
import type { Ceilings } from '../../src/cli/bench/statistics';
import { type Program, programOf, writeTask } from '../translate/program';
import { pythonOf } from '../translate/python';
import { Pipe } from './pipe';
import { resultsOf } from './results';

const ENVIRONMENT = {
  GLIBC_TUNABLES:
    'glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.top_pad=268435456',
  OMP_WAIT_POLICY: 'passive',
  KMP_BLOCKTIME: '0',
  PYTHONDONTWRITEBYTECODE: '1',
};

interface Variant {
  readonly name: string;
  readonly compile: boolean;
  readonly bf16: boolean;
}

/** Compiling the source of 50 units takes minutes; it is left out where the caller asks for quick rows. */
const VARIANTS: readonly Variant[] = [
  { name: 'torch eager', compile: false, bf16: false },
  { name: 'torch.compile', compile: true, bf16: false },
  { name: 'torch eager bf16', compile: false, bf16: true },
  { name: 'torch.compile bf16', compile: true, bf16: true },
];

/** Writes what the driver reads. */
export function writeTorchTask(folder: string, task: PeerTask, program: Program): void {
  const { source, layouts, running } = pythonOf(program);
  writeTask(folder, task.workload, program, task.trace);
  writeFileSync(path.join(folder, 'program.py'), source);
  const about = { kind: program.kind, lr: program.lr, layouts, running };
  writeFileSync(path.join(folder, 'torch.json'), JSON.stringify(about));
}

export class TorchHost implements PeerHost {
  readonly name = 'torch';
  readonly #python: string;
  readonly #folder: string;
  readonly #threads: number;
  #pipe: Pipe;
  version = '';

  private constructor(python: string, folder: string, threads: number) {
    this.#python = python;
    this.#folder = folder;
    this.#threads = threads;
    this.#pipe = this.#start();
  }

  #start(): Pipe {
    const driver = path.join(__dirname, 'torch_driver.py');
    const threads = { OMP_NUM_THREADS: String(this.#threads), MKL_NUM_THREADS: String(this.#threads) };
    return new Pipe('PyTorch', this.#python, [driver], { ...ENVIRONMENT, ...threads });
  }

  static async start(python: string, folder: string, threads: number): Promise<TorchHost> {
    const host = new TorchHost(python, folder, threads);
    await host.#hello();
    return host;
  }

  async #hello(): Promise<void> {
    const { version, isa } = await this.#pipe.ask({ do: 'hello', threads: this.#threads });
    this.version = `${version} (${isa}, ${this.#threads} threads, channels_last, tuned allocator)`;
  }

  async ceilings(): Promise<Record<string, Ceilings>> {
    const found = (await this.#pipe.ask({ do: 'ceilings' })) as Record<string, number>;
    return {
      'torch float32': { gflops: found.float32!, gbps: found.copy! },
      'torch bf16': { gflops: found.bf16!, gbps: found.copy! },
    };
  }

  async open(task: PeerTask): Promise<PeerContender[]> {
    const program = programOf(task.workload);
    const folder = path.join(this.#folder, `torch-${task.row.id}`);
    mkdirSync(folder, { recursive: true });
    writeTorchTask(folder, task, program);
    return VARIANTS.map((variant) => this.#contender(task, program, folder, variant));
  }

  #contender(task: PeerTask, program: Program, folder: string, variant: Variant): PeerContender {
    const { name } = variant;
    const out = path.join(folder, 'results.bin');
    return {
      name,
      precision: variant.bf16 ? 'bf16' : 'float32',
      check: async () => {
        await this.#pipe.ask({ do: 'load', name, folder, variant });
        await this.#pipe.ask({ do: 'check', name, out });
        return resultsOf(readFileSync(out), program, task.trace.results.length);
      },
      sample: async (count) => (await this.#pipe.ask({ do: 'sample', name, count })).ms as number,
      drop: async () => void (await this.#pipe.ask({ do: 'drop', name }).catch(() => undefined)),
    };
  }

  /** Peak resident memory of a fresh process that takes a few steps of the row, eager, float32. */
  async peakBytes(task: PeerTask): Promise<number> {
    await this.#pipe.close();
    this.#pipe = this.#start();
    await this.#hello();
    const [eager] = await this.open(task);
    await eager!.check();
    return (await this.#pipe.ask({ do: 'memory' })).peakBytes as number;
  }

  close(): Promise<void> {
    return this.#pipe.close();
  }
}
