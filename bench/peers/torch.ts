// PyTorch as a peer, in a Python that the user names: eager, compiled and bfloat16, each in a process of its own with a
// tuned allocator, for one row. Called by bench/peers.ts. The rule easy to break: the environment is what makes the peer
// its best (huge pages, no returned memory) and quiet in between (passive waiting); it must be set before Python starts.
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

/** Compiling the source of 50 units takes minutes; what takes longer than this is given up. */
const PATIENCE_MS = 30 * 60_000;

export class TorchHost implements PeerHost {
  readonly name = 'torch';
  readonly #python: string;
  readonly #folder: string;
  readonly #threads: number;
  readonly #open = new Set<Pipe>();
  version = '';

  private constructor(python: string, folder: string, threads: number) {
    this.#python = python;
    this.#folder = folder;
    this.#threads = threads;
  }

  async #start(): Promise<Pipe> {
    const driver = path.join(__dirname, 'torch_driver.py');
    const threads = { OMP_NUM_THREADS: String(this.#threads), MKL_NUM_THREADS: String(this.#threads) };
    const pipe = new Pipe('PyTorch', this.#python, [driver], { ...ENVIRONMENT, ...threads });
    this.#open.add(pipe);
    const { version, isa } = await pipe.ask({ do: 'hello', threads: this.#threads });
    this.version = `${version} (${isa}, ${this.#threads} threads, channels_last, tuned allocator)`;
    return pipe;
  }

  async #end(pipe: Pipe | undefined): Promise<void> {
    if (!pipe) return;
    this.#open.delete(pipe);
    await pipe.close();
  }

  static async start(python: string, folder: string, threads: number): Promise<TorchHost> {
    const host = new TorchHost(python, folder, threads);
    await host.#end(await host.#start());
    return host;
  }

  async ceilings(): Promise<Record<string, Ceilings>> {
    const pipe = await this.#start();
    const found = (await pipe.ask({ do: 'ceilings' })) as Record<string, number>;
    await this.#end(pipe);
    return {
      'torch float32': { gflops: found.float32!, gbps: found.copy! },
      'torch bf16': { gflops: found.bf16!, gbps: found.copy! },
    };
  }

  async open(task: PeerTask): Promise<PeerContender[]> {
    const { program, folder } = this.#write(task);
    return VARIANTS.map((variant) => this.#contender(task, program, folder, variant));
  }

  #write(task: PeerTask): { program: Program; folder: string } {
    const program = programOf(task.workload);
    const folder = path.join(this.#folder, `torch-${task.row.id}`);
    mkdirSync(folder, { recursive: true });
    writeTorchTask(folder, task, program);
    return { program, folder };
  }

  #contender(task: PeerTask, program: Program, folder: string, variant: Variant): PeerContender {
    const { name } = variant;
    const out = path.join(folder, 'results.bin');
    let pipe: Pipe | undefined;
    return {
      name,
      precision: variant.bf16 ? 'bf16' : 'float32',
      check: async () => {
        pipe = await this.#start();
        await pipe.ask({ do: 'load', name, folder, variant });
        await pipe.ask({ do: 'check', name, out }, PATIENCE_MS);
        return resultsOf(readFileSync(out), program, task.trace.results.length);
      },
      sample: async (count) => (await pipe!.ask({ do: 'sample', name, count })).ms as number,
      drop: () => this.#end(pipe),
    };
  }

  /** Peak resident memory of a process that takes the checked steps of a row, eager, float32. */
  async peakBytes(task: PeerTask): Promise<number> {
    const { folder } = this.#write(task);
    const name = 'memory';
    const pipe = await this.#start();
    await pipe.ask({ do: 'load', name, folder, variant: VARIANTS[0]! });
    await pipe.ask({ do: 'check', name, out: path.join(folder, 'results.bin') });
    const { peakBytes } = await pipe.ask({ do: 'memory' });
    await this.#end(pipe);
    return peakBytes as number;
  }

  async close(): Promise<void> {
    for (const pipe of [...this.#open]) await this.#end(pipe);
  }
}
