// Steps in chunks of about a second, and what they come to over an epoch. Called by train.ts and by recipes.

import { REPORT_COLUMNS } from '../objectives/attach';
import type { UnitMetrics } from '../report/events';
import type { StepsResult, Trainer } from './trainer';

/** Seconds between two chunks, about. */
const CHUNK_SECONDS = 1;

export interface Chunk {
  readonly result: StepsResult;
  readonly seconds: number;
}

/**
 * Takes `steps` steps; yields after each chunk. Rejects as trainer.run() does; after an abort the finished steps are
 * those of the chunks plus the error's completedSteps.
 */
export async function* runSteps(
  trainer: Trainer,
  steps: number,
  options: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Chunk> {
  const { signal } = options;
  let chunk = 1;
  for (let done = 0; done < steps; ) {
    const count = Math.min(chunk, steps - done);
    const started = performance.now();
    const result = await trainer.run(count, signal ? { signal } : {});
    const seconds = (performance.now() - started) / 1000;
    done += count;
    yield { result, seconds };
    chunk = Math.max(1, Math.round((CHUNK_SECONDS * count) / Math.max(seconds, 1e-6)));
  }
}

/** Mean of all values; 0 of none. */
export function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** What an epoch's chunks come to. */
export interface EpochMeans {
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly units: UnitMetrics[];
  readonly imagesPerSecond: number;
  readonly seconds: number;
}

/** Sums over an epoch's steps; plain JSON, which a checkpoint keeps. */
export interface EpochSums {
  readonly steps: number;
  readonly seconds: number;
  /** Of every unit's loss, and how many losses that is. */
  readonly loss: number;
  readonly losses: number;
  readonly accuracy: number;
  /** [reported units][8] */
  readonly reports: readonly number[];
}

const NO_SUMS: EpochSums = { steps: 0, seconds: 0, loss: 0, losses: 0, accuracy: 0, reports: [] };

/** Adds value after value, so that the sum has the same bits however the values came in chunks. */
function plus(sum: number, values: Float32Array): number {
  return values.reduce((total, value) => total + value, sum);
}

/** Collects an epoch's chunks, from what those before an interruption came to. */
export class EpochTotals {
  #sums: EpochSums;
  readonly #started = performance.now();

  constructor(before: EpochSums = NO_SUMS) {
    this.#sums = before;
  }

  add({ steps, losses, accuracy, reports }: StepsResult): void {
    const before = this.#sums;
    const width = reports.length / steps;
    const sums = Array.from({ length: width }, (_, column) => before.reports[column] ?? 0);
    reports.forEach((value, at) => {
      sums[at % width]! += value;
    });
    this.#sums = {
      ...before,
      steps: before.steps + steps,
      loss: plus(before.loss, losses),
      losses: before.losses + losses.length,
      accuracy: plus(before.accuracy, accuracy),
      reports: sums,
    };
  }

  get sums(): EpochSums {
    const seconds = (performance.now() - this.#started) / 1000;
    return { ...this.#sums, seconds: this.#sums.seconds + seconds };
  }

  /** Means over the steps so far. */
  means(trainer: Trainer): EpochMeans {
    const { steps, seconds, loss, losses, accuracy, reports } = this.sums;
    const columns = REPORT_COLUMNS.length;
    const units = trainer.reportNames.map((name, unit) => {
      const means = REPORT_COLUMNS.map((column, at) => [
        column,
        (reports[unit * columns + at] ?? 0) / Math.max(1, steps),
      ]);
      return { name, ...Object.fromEntries(means) } as UnitMetrics;
    });
    return {
      loss: loss / Math.max(1, losses),
      trainAccuracy: accuracy / Math.max(1, steps),
      units,
      imagesPerSecond: (steps * trainer.batch) / seconds,
      seconds,
    };
  }
}
