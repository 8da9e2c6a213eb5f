// What a run of the benchmarks says, one object after the other: the setting, a measurement a row, a table of growth. Made
// by bench.ts and bench/memory.ts, printed by text.ts, kept by results.ts, read again by bench/table.ts. The rule easy to
// break: kept results are compared over years, so fields are added and never renamed.
import type { Environment } from './environment';
import type { Along } from './rows';
import type { Ceilings, Rates, Sampled } from './statistics';

/** The first thing that is reported. */
export interface Setting {
  readonly environment: Environment;
  readonly ceilings: Readonly<Record<string, Ceilings>>;
  /** Backend and version by host. */
  readonly peers: Readonly<Record<string, string>>;
  /** Why a peer was not started. */
  readonly absent?: Readonly<Record<string, string>>;
}

export interface Measured extends Sampled, Rates {
  readonly imagesPerSecond?: number;
}

/** Exactly one of: timed (medianMs and more), disagrees, failed, unanswered. */
export interface PeerMeasured extends Partial<Measured> {
  /** Largest relative difference to our float32 results. */
  readonly deviation?: number;
  /** Set when the difference is too large; such a contender is not timed. */
  readonly disagrees?: { readonly ours: readonly number[]; readonly theirs: readonly number[] };
  /** Why it could not do the row. */
  readonly failed?: string;
  /** Seconds after which it was given up. */
  readonly unanswered?: number;
}

/** Our own bf16; its share of the roofline is against the ceiling of bf16 products. */
export interface OwnBf16 extends PeerMeasured {
  /** The deviation from our float32 results that is accepted. */
  readonly tolerance: number;
  /** Our float32's time over its time. */
  readonly overFloat32?: number;
  /** Time of the best bf16 peer over its time; absent without one. */
  readonly ratio?: number;
  /** Time of the best peer of any precision over its time. */
  readonly ratioAnyPrecision?: number;
}

export interface Measurement {
  readonly row: string;
  readonly title: string;
  readonly work: { readonly gflop: number; readonly megabytes: number };
  /** bf16 is absent where nothing is multiplied, and from rows that only show growth. */
  readonly ours: Measured & { readonly arenaBytes: number; readonly bf16?: OwnBf16 };
  readonly peers: Readonly<Record<string, PeerMeasured>>;
  /** Time of the best float32 peer over ours; absent without one. */
  readonly ratio?: number;
  /** Time of the best peer of any precision over ours. */
  readonly ratioAnyPrecision?: number;
}

export interface PeerMemory {
  readonly peakBytes?: number;
  readonly failed?: string;
  readonly unanswered?: number;
}

/** Peak resident memory of a process that does nothing but the row. */
export interface MemoryMeasurement {
  readonly row: string;
  readonly title: string;
  readonly ours: { readonly peakBytes: number };
  readonly peers: Readonly<Record<string, PeerMemory>>;
  /** The smallest peer's peak over ours; absent without one. */
  readonly ratio?: number;
}

export interface GrowthPoint {
  readonly row: string;
  readonly value: number;
  readonly medianMs: number;
  readonly perImageMs: number;
  readonly gflops: number;
  readonly arenaBytes: number;
}

/** Rows that differ in one quantity. */
export interface GrowthSeries {
  readonly along: Along;
  readonly points: readonly GrowthPoint[];
  /** Largest over smallest time per image, less 1; where it should be flat, with two points at least. */
  readonly spread?: number;
  /** What the spread should not exceed. */
  readonly target?: number;
}

export interface Growth {
  readonly growth: readonly GrowthSeries[];
}

export type Report = Setting | Measurement | MemoryMeasurement | Growth;
