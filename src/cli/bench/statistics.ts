// The arithmetic of the benchmarks: medians, spreads, the roofline, agreement of results, and the loop that lets
// contenders take turns. Pure but for the clock that is handed in. Called by bench.ts and, in a checkout, by bench/.
// The rule easy to break: contenders alternate and never work at the same time, so a ratio compares equal loads.

export interface Sampled {
  readonly medianMs: number;
  readonly bestMs: number;
  /** Upper minus lower quartile. */
  readonly spreadMs: number;
  readonly samples: number;
}

/** What some work costs at least, whoever does it. */
export interface Work {
  /** Floating-point operations of the products and convolutions. */
  readonly flops: number;
  /** Bytes that must move: what persists or is fed, read once, and what is kept, written once. */
  readonly bytes: number;
}

/** What this machine can do at most. */
export interface Ceilings {
  /** Large product, in the precision that the ceiling is of. */
  readonly gflops: number;
  /** Copy of a large array, read plus written. */
  readonly gbps: number;
}

export interface Rates {
  readonly gflops: number;
  readonly gbps: number;
  /** Share of the roofline; above 1 when the data stays in caches that the copy overflows. */
  readonly roofline?: number;
}

/** One who does the work: ours or a peer. */
export interface Contender {
  readonly name: string;
  /** Does the work `count` times; answers the milliseconds it took. */
  sample(count: number): Promise<number>;
}

export interface AlternateOptions {
  /** Seconds spent on each contender, about. */
  readonly seconds: number;
  /** Milliseconds of rest before each turn, in which the threads of the one before fall asleep. */
  readonly settleMs?: number;
  readonly sleep?: (ms: number) => Promise<unknown>;
  /** Hears of a contender that fails, which then has no more turns and no times. May throw, as it does when absent. */
  readonly onFailure?: (name: string, error: unknown) => void;
}

const SAMPLE_MS = 20;
/** Samples of short work that are done before one is timed: a processor that has rested takes tens of milliseconds to wake. */
const UNTIMED = 3;
const LEAST_SAMPLES = 5;
/** Work this long needs fewer samples: what disturbs it averages out inside one. */
const LONG_MS = 1000;
const VERY_LONG_MS = 20_000;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Value below which `share` of the values lie, by linear interpolation. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (place - low) * (sorted[high]! - sorted[low]!);
}

export function summarize(times: readonly number[]): Sampled {
  return {
    medianMs: median(times),
    bestMs: Math.min(...times),
    spreadMs: quantile(times, 0.75) - quantile(times, 0.25),
    samples: times.length,
  };
}

/** How often work that takes `ms` is done in a sample. */
export function repetitions(ms: number): number {
  return Math.max(1, Math.ceil(SAMPLE_MS / Math.max(ms, 1e-4)));
}

/** Samples that work of `ms` needs at least. */
export function leastSamples(ms: number): number {
  if (ms >= VERY_LONG_MS) return 1;
  return ms >= LONG_MS ? 3 : LEAST_SAMPLES;
}

interface Turns {
  readonly contender: Contender;
  readonly count: number;
  readonly least: number;
  readonly times: number[];
  spentMs: number;
}

const rest = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));

function fail(_name: string, error: unknown): never {
  throw error;
}

/**
 * Lets the contenders take turns until each has its samples and its time. Two first turns warm up and set the counts; work
 * done several times in a sample is also done untimed at the start of each turn.
 */
export async function alternate(
  contenders: readonly Contender[],
  options: AlternateOptions,
): Promise<Map<string, Sampled>> {
  const { seconds, settleMs = 0, sleep = rest, onFailure = fail } = options;
  const all = new Set<Turns>();
  /** The milliseconds of a turn; undefined when it failed. */
  const turn = async (contender: Contender, count: number): Promise<number | undefined> => {
    if (contenders.length > 1 && settleMs > 0) await sleep(settleMs);
    try {
      if (count > 1) await contender.sample(count * UNTIMED);
      return await contender.sample(count);
    } catch (error) {
      onFailure(contender.name, error);
      return undefined;
    }
  };
  for (const contender of contenders) {
    const cold = await turn(contender, 1);
    const warm = cold === undefined || cold >= VERY_LONG_MS ? cold : await turn(contender, 1);
    if (warm === undefined) continue;
    all.add({ contender, count: repetitions(warm), least: leastSamples(warm), times: [], spentMs: 0 });
  }
  const waiting = (turns: Turns): boolean => turns.times.length < turns.least || turns.spentMs < seconds * 1000;
  while ([...all].some(waiting)) {
    for (const turns of [...all].filter(waiting)) {
      const took = await turn(turns.contender, turns.count);
      if (took === undefined) {
        all.delete(turns);
        continue;
      }
      turns.spentMs += Math.max(took, 1e-3);
      turns.times.push(took / turns.count);
    }
  }
  return new Map([...all].map(({ contender, times }) => [contender.name, summarize(times)]));
}

/** Rates of work done in `medianMs`. The roofline is the longer of the two least times over the time taken. */
export function ratesOf(work: Work, medianMs: number, ceilings?: Ceilings): Rates {
  const seconds = medianMs / 1000;
  const rates = { gflops: work.flops / seconds / 1e9, gbps: work.bytes / seconds / 1e9 };
  if (!ceilings) return rates;
  return { ...rates, roofline: Math.max(rates.gflops / ceilings.gflops, rates.gbps / ceilings.gbps) };
}

/** Largest difference of two lists of numbers over the largest size of the first: 0 agrees, Infinity cannot be compared. */
export function deviation(expected: ArrayLike<number>, got: ArrayLike<number>): number {
  if (expected.length !== got.length) return Number.POSITIVE_INFINITY;
  let size = 0;
  let difference = 0;
  for (let index = 0; index < expected.length; index += 1) {
    const gap = Math.abs(expected[index]! - got[index]!);
    if (!Number.isFinite(gap)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, gap);
    size = Math.max(size, Math.abs(expected[index]!));
  }
  return size === 0 ? (difference === 0 ? 0 : Number.POSITIVE_INFINITY) : difference / size;
}
