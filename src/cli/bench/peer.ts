// What the benchmarks need from a peer: who it is, how it is given a row, checked and timed. Implemented in bench/peers,
// which is not part of the package. The rule easy to break: `check` comes before any timing, and a contender that
// disagrees is never timed.
import type { Precision } from '../../compile';
import { ExecutionError } from '../../errors';
import type { TensorData } from '../../graph/graph';
import type { Trace } from './ours';
import type { Row, Workload } from './rows';
import { type Ceilings, type Contender, deviation } from './statistics';

export interface Peer {
  /** What --peers takes. */
  readonly id: string;
  /** Its name in results, which does not change once results are kept. */
  readonly name: string;
  readonly precision: Precision;
}

/** Every contender there is beside ours; those that replay CUDA graphs on a card only. */
export const PEERS: readonly Peer[] = [
  { id: 'torch-eager', name: 'torch eager', precision: 'float32' },
  { id: 'torch-compile', name: 'torch.compile', precision: 'float32' },
  { id: 'torch-graph', name: 'torch CUDA graph', precision: 'float32' },
  { id: 'torch-eager-bf16', name: 'torch eager bf16', precision: 'bf16' },
  { id: 'torch-compile-bf16', name: 'torch.compile bf16', precision: 'bf16' },
  { id: 'torch-graph-bf16', name: 'torch CUDA graph bf16', precision: 'bf16' },
  { id: 'onnxruntime', name: 'onnxruntime', precision: 'float32' },
  { id: 'tfjs-wasm', name: 'tfjs-wasm', precision: 'float32' },
  { id: 'tfjs-cpu', name: 'tfjs-cpu', precision: 'float32' },
  { id: 'tfjs-node', name: 'tfjs-node', precision: 'float32' },
];

/** Seconds that a peer is waited for; compiling the source of 50 units takes minutes. */
export const PATIENCE = 1800;

/** A peer took longer than it was given, and was ended. */
export class NoAnswer extends ExecutionError {
  /** @param seconds how long it was waited for. */
  constructor(
    label: string,
    readonly seconds: number,
  ) {
    super(`[bench] expected an answer of ${label} within ${seconds} seconds, got none`);
  }
}

export interface PeerTask {
  readonly row: Row;
  readonly workload: Workload;
  /** What we computed, and from what. */
  readonly trace: Trace;
}

export interface PeerContender extends Contender {
  readonly precision: Precision;
  /**
   * Loads the row and answers its results: [step][tensor], in our layout.
   * @throws NoAnswer when patience is spent.
   */
  check(): Promise<readonly (readonly TensorData[])[]>;
  /** Frees what `check` loaded. */
  drop(): Promise<void>;
}

export interface PeerHost {
  readonly name: string;
  /** Backend and version. */
  readonly version: string;
  /** Ceilings of the machine as this peer measures them, by label. */
  ceilings?(): Promise<Record<string, Ceilings>>;
  /** The ways this peer can do the row; none when it cannot. */
  open(task: PeerTask): Promise<readonly PeerContender[]>;
  close(): Promise<void>;
}

/**
 * Largest relative difference that counts as the same result. bfloat16 has 8 significant bits: of CFPN's 48 losses over five
 * steps by `cka` the worst is off by 4e-2 in ours and 5e-2 in PyTorch's, by `bp` by 1e-2.
 */
export const TOLERANCE: Readonly<Record<Precision, number>> = { float32: 1e-3, bf16: 1e-1 };

/**
 * Largest relative difference of a peer's results. Losses are compared one by one, other results by their largest value.
 * @param ours, theirs [step][tensor]
 */
export function disagreement(
  ours: readonly (readonly TensorData[])[],
  theirs: readonly (readonly TensorData[])[],
  losses: boolean,
): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY;
  const gaps = ours.flatMap((step, index) =>
    step.map((values, tensor) => {
      const got = theirs[index]![tensor] ?? new Float32Array(0);
      if (!losses || got.length !== values.length) return deviation(values, got);
      return Math.max(...Array.from(values, (value, unit) => deviation([value], [got[unit]!])));
    }),
  );
  return Math.max(0, ...gaps);
}
