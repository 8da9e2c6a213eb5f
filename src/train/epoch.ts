// Steps in chunks of about a second, and what they come to over an epoch. Called by train.ts and by recipes.
import type { UnitMetrics } from '../report/events';
import { meanReports, type StepsResult, type Trainer } from './trainer';

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

/** Collects an epoch's chunks. */
export class EpochTotals {
  readonly #results: StepsResult[] = [];
  readonly #started = performance.now();

  add(result: StepsResult): void {
    this.#results.push(result);
  }

  means(trainer: Trainer): EpochMeans {
    const seconds = (performance.now() - this.#started) / 1000;
    const steps = this.#results.reduce((sum, result) => sum + result.steps, 0);
    const join = (key: 'losses' | 'reports' | 'accuracy'): Float32Array =>
      Float32Array.from(this.#results.flatMap((result) => Array.from(result[key])));
    const names = trainer.reportNames;
    const units = meanReports(join('reports'), names.length).map((report, index) => ({
      name: names[index]!,
      ...report,
    }));
    return {
      loss: mean(join('losses')),
      trainAccuracy: mean(join('accuracy')),
      units,
      imagesPerSecond: (steps * trainer.batch) / seconds,
      seconds,
    };
  }
}
