// What the benchmarks need from a peer: who it is, how it is given a row, checked and timed. Implemented in bench/peers,
// which is not part of the package. The rule easy to break: `check` comes before any timing, and a contender that
// disagrees is never timed.
import type { TensorData } from '../../graph/graph';
import type { Trace } from './ours';
import type { Row, Workload } from './rows';
import { type Ceilings, type Contender, deviation } from './statistics';

export interface PeerTask {
  readonly row: Row;
  readonly workload: Workload;
  /** What we computed, and from what. */
  readonly trace: Trace;
}

export interface PeerContender extends Contender {
  readonly precision: 'float32' | 'bf16';
  /** Loads the row and answers its results: [step][tensor], in our layout. */
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

export const TOLERANCE = { float32: 1e-3, bf16: 5e-2 } as const;

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
