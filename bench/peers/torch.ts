// PyTorch as a peer, in a Python that the user names: eager, compiled and bfloat16, each in a process of its own with a
// tuned allocator, for one row. Called by bench/peers.ts. The rule easy to break: the environment is what makes the peer
// its best (huge pages, no returned memory) and quiet in between (passive waiting); it must be set before Python starts.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { NoAnswer, type Peer, type PeerContender, type PeerHost, type PeerTask } from '../../src/cli/bench/peer';
import type { PeerMemory } from '../../src/cli/bench/reports';
import type { Ceilings } from '../../src/cli/bench/statistics';
import { type Program, programOf, writeTask } from '../translate/program';
import { pythonOf } from '../translate/python';
import { type HostSettings, Pipe } from './pipe';
import { resultsOf } from './results';

/** Keeps freed memory, in huge pages: it halves the time of a training step. */
const TUNED_ALLOCATOR = {
  GLIBC_TUNABLES:
    'glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.top_pad=268435456',
};
const ENVIRONMENT = { OMP_WAIT_POLICY: 'passive', KMP_BLOCKTIME: '0', PYTHONDONTWRITEBYTECODE: '1' };

interface Variant {
  readonly compile: boolean;
  /** A step is captured once and replayed, on a card. */
  readonly graph: boolean;
  readonly bf16: boolean;
}

const EAGER: Variant = { compile: false, graph: false, bf16: false };

const replays = (id: string) => id.startsWith('torch-graph');

function variantOf({ id, precision }: Peer): Variant {
  return { compile: id.startsWith('torch-compile'), graph: replays(id), bf16: precision === 'bf16' };
}

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
  readonly #settings: HostSettings;
  readonly #open = new Set<Pipe>();
  version = '';

  private constructor(python: string, settings: HostSettings) {
    this.#python = python;
    const possible = ({ id }: Peer) => id.startsWith('torch') && (settings.device === 'cuda' || !replays(id));
    this.#settings = { ...settings, peers: settings.peers.filter(possible) };
  }

  async #start(allocator: NodeJS.ProcessEnv = TUNED_ALLOCATOR): Promise<Pipe> {
    const driver = path.join(__dirname, 'torch_driver.py');
    const { threads, device } = this.#settings;
    const counts = { OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) };
    const pipe = new Pipe('PyTorch', this.#python, [driver], { ...allocator, ...ENVIRONMENT, ...counts });
    this.#open.add(pipe);
    const { version, isa } = await pipe.ask({ do: 'hello', threads, device });
    this.version = `${version} (${isa}, ${threads} threads, channels_last, tuned allocator)`;
    return pipe;
  }

  async #end(pipe: Pipe | undefined): Promise<void> {
    if (!pipe) return;
    this.#open.delete(pipe);
    await pipe.close();
  }

  /** @throws ExecutionError when the Python does not start or has no PyTorch. */
  static async start(python: string, settings: HostSettings): Promise<TorchHost> {
    const host = new TorchHost(python, settings);
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
    return this.#settings.peers.map((peer) => this.#contender(task, program, folder, peer));
  }

  #write(task: PeerTask): { program: Program; folder: string } {
    const program = programOf(task.workload);
    const folder = path.join(this.#settings.folder, `torch-${task.row.id}`);
    mkdirSync(folder, { recursive: true });
    writeTorchTask(folder, task, program);
    return { program, folder };
  }

  #contender(task: PeerTask, program: Program, folder: string, peer: Peer): PeerContender {
    const { name, precision } = peer;
    const { patience } = this.#settings;
    const out = path.join(folder, 'results.bin');
    let pipe: Pipe | undefined;
    return {
      name,
      precision,
      check: async () => {
        pipe = await this.#start();
        await pipe.ask({ do: 'load', name, folder, variant: variantOf(peer) }, patience);
        await pipe.ask({ do: 'check', name, out }, patience);
        return resultsOf(readFileSync(out), program, task.trace.results.length);
      },
      sample: async (count) => (await pipe!.ask({ do: 'sample', name, count })).ms as number,
      drop: () => this.#end(pipe),
    };
  }

  /**
   * Peak resident memory of a process that takes the checked steps of a row, eager, float32.
   * @param tuned with the allocator that is fast, or with the ordinary one, which gives memory back.
   */
  async peak(task: PeerTask, tuned: boolean): Promise<PeerMemory> {
    const { folder } = this.#write(task);
    const { patience } = this.#settings;
    const name = 'memory';
    let pipe: Pipe | undefined;
    try {
      pipe = await this.#start(tuned ? TUNED_ALLOCATOR : {});
      await pipe.ask({ do: 'load', name, folder, variant: EAGER }, patience);
      await pipe.ask({ do: 'check', name, out: path.join(folder, 'results.bin') }, patience);
      const { peakBytes } = await pipe.ask({ do: 'memory' });
      return { peakBytes: peakBytes as number };
    } catch (error) {
      if (error instanceof NoAnswer) return { unanswered: error.seconds };
      return { failed: error instanceof Error ? error.message : String(error) };
    } finally {
      await this.#end(pipe);
    }
  }

  async close(): Promise<void> {
    for (const pipe of [...this.#open]) await this.#end(pipe);
  }
}
