// Bimodal distribution removal: now and then drops the training samples whose error lies far above the others', and says
// when to stop. Called by a training loop after an epoch in which `due` says so, with the errors of the samples it keeps.
// Source: Slade, Gedeon, Bimodal distribution removal, IWANN 1993, as used in paper 003 (section 2.4, equation 6).
// The rule easy to break: errors belong to `remaining`, in its order; a removed sample never comes back.
import { ArgumentError } from '../errors';

export interface RemovalRule {
  /** Samples given. */
  readonly samples: number;
  readonly mean: number;
  /** Population variance of all errors, v_ts. */
  readonly variance: number;
  /** Samples above the mean, the candidates. */
  readonly candidates: number;
  /** Mean and population standard deviation of the candidates' errors; 0 without candidates. */
  readonly candidateMean: number;
  readonly candidateDeviation: number;
  /** candidateMean + alpha candidateDeviation: candidates with an error of at least this go. null without candidates. */
  readonly threshold: number | null;
  /** Positions in `errors` of the samples to remove, ascending. */
  readonly outliers: Uint32Array;
}

function moments(values: Float64Array): { mean: number; variance: number } {
  if (values.length === 0) return { mean: 0, variance: 0 };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
}

/**
 * Which samples have an error of at least mean + alpha deviation of those above the overall mean.
 * @param errors one finite number for each sample, such as its cross-entropy.
 * @param alpha 0 (removes more) to 1.
 */
export function removalRule(errors: ArrayLike<number>, alpha: number): RemovalRule {
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new ArgumentError(`[distributionRemoval] expected alpha from 0 to 1, got ${alpha}`);
  }
  const all = Float64Array.from(errors);
  const wrong = all.findIndex((value) => !Number.isFinite(value));
  if (all.length === 0 || wrong >= 0) {
    const came = all.length === 0 ? 'none' : `${all[wrong]} at ${wrong}`;
    throw new ArgumentError(`[distributionRemoval] expected finite errors, got ${came}`);
  }
  const { mean, variance } = moments(all);
  // The smallest error is never above the mean, but may be above the rounded one.
  const smallest = all.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const isCandidate = (value: number) => value > mean && value > smallest;
  const candidates = all.filter(isCandidate);
  const upper = moments(candidates);
  const candidateDeviation = Math.sqrt(upper.variance);
  const threshold = candidates.length === 0 ? null : upper.mean + alpha * candidateDeviation;
  return {
    samples: all.length,
    mean,
    variance,
    candidates: candidates.length,
    candidateMean: upper.mean,
    candidateDeviation,
    threshold,
    outliers: Uint32Array.from(all.keys()).filter((i) => isCandidate(all[i]!) && all[i]! >= threshold!),
  };
}

export interface DistributionRemovalOptions {
  /** Strictness, 0 (removes more) to 1; 1. */
  readonly alpha?: number | undefined;
  /** First epoch (counted from 1) at which anything happens; 50. Before it errors are equal because nothing is learned. */
  readonly startEpoch?: number | undefined;
  /** Epochs from one check to the next; 50. */
  readonly every?: number | undefined;
  /** Nothing is removed while the variance of the errors is above this; Infinity. Slade and Gedeon wait for 0.1. */
  readonly startVariance?: number | undefined;
  /** Training ends at a check that finds the variance below this; 0.01. */
  readonly haltVariance?: number | undefined;
}

/** One check, as a report draws it. */
export interface RemovalRecord extends Omit<RemovalRule, 'outliers'> {
  readonly epoch: number;
  readonly alpha: number;
  readonly action: 'wait' | 'remove' | 'halt';
  /** Samples removed by this check. */
  readonly removed: number;
  /** Samples left after it. */
  readonly left: number;
}

export interface RemovalResult {
  /** Whether training should end now. */
  readonly halt: boolean;
  /** Indices into the whole training set of what this check removed, ascending. */
  readonly removed: Uint32Array;
  readonly record: RemovalRecord;
}

/** What a checkpoint keeps so that a resumed run goes on as if it had never stopped; plain JSON. */
export interface RemovalState {
  readonly remaining: readonly number[];
  readonly records: readonly RemovalRecord[];
}

type Settings = { readonly [K in keyof DistributionRemovalOptions]-?: NonNullable<DistributionRemovalOptions[K]> };

function settingsOf(options: DistributionRemovalOptions): Settings {
  const {
    alpha = 1,
    startEpoch = 50,
    every = 50,
    startVariance = Number.POSITIVE_INFINITY,
    haltVariance = 0.01,
  } = options;
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new ArgumentError(`[distributionRemoval] expected alpha from 0 to 1, got ${alpha}`);
  }
  for (const [name, value] of Object.entries({ startEpoch, every })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ArgumentError(`[distributionRemoval] expected ${name} as a whole number of at least 1, got ${value}`);
    }
  }
  if (!(haltVariance >= 0 && startVariance > haltVariance)) {
    throw new ArgumentError(
      `[distributionRemoval] expected 0 <= haltVariance < startVariance, got ${haltVariance} and ${startVariance}`,
    );
  }
  return { alpha, startEpoch, every, startVariance, haltVariance };
}

export class DistributionRemoval {
  readonly #settings: Settings;
  #remaining: Uint32Array;
  readonly #records: RemovalRecord[];

  /** @param samples training samples at the start, or the `state` of an earlier one. */
  constructor(samples: number | RemovalState, options: DistributionRemovalOptions = {}) {
    this.#settings = settingsOf(options);
    if (typeof samples !== 'number') {
      this.#remaining = Uint32Array.from(samples.remaining);
      this.#records = [...samples.records];
      return;
    }
    if (!Number.isSafeInteger(samples) || samples < 2) {
      throw new ArgumentError(`[distributionRemoval] expected at least 2 samples, got ${samples}`);
    }
    this.#remaining = Uint32Array.from({ length: samples }, (_, i) => i);
    this.#records = [];
  }

  /** Indices into the whole training set of the samples still trained on, ascending. */
  get remaining(): Uint32Array {
    return this.#remaining.slice();
  }

  /** Every check so far, oldest first. */
  get records(): readonly RemovalRecord[] {
    return this.#records;
  }

  get state(): RemovalState {
    return { remaining: [...this.#remaining], records: [...this.#records] };
  }

  /** Whether `check` wants the errors after this epoch (counted from 1): at startEpoch and every `every` after it. */
  due(epoch: number): boolean {
    const { startEpoch, every } = this.#settings;
    return epoch >= startEpoch && (epoch - startEpoch) % every === 0;
  }

  /**
   * Looks at the errors after an epoch that is due: halts when their variance is below haltVariance, waits while it is
   * above startVariance, else removes the outliers. At least one sample always stays, since a group's smallest error is
   * never above its mean. Throws ArgumentError when not due or when errors and `remaining` differ in length.
   */
  check(epoch: number, errors: ArrayLike<number>): RemovalResult {
    const { alpha, startVariance, haltVariance } = this.#settings;
    if (!this.due(epoch)) throw new ArgumentError(`[distributionRemoval] epoch ${epoch} is not one to check after`);
    if (errors.length !== this.#remaining.length) {
      throw new ArgumentError(
        `[distributionRemoval] expected an error for each of ${this.#remaining.length} remaining samples, got ${errors.length}`,
      );
    }
    const { outliers, ...rule } = removalRule(errors, alpha);
    const action = rule.variance < haltVariance ? 'halt' : rule.variance > startVariance ? 'wait' : 'remove';
    const removed = action === 'remove' ? outliers.map((i) => this.#remaining[i]!) : new Uint32Array();
    const gone = new Set(removed);
    this.#remaining = this.#remaining.filter((index) => !gone.has(index));
    const record = { epoch, alpha, ...rule, action, removed: removed.length, left: this.#remaining.length } as const;
    this.#records.push(record);
    return { halt: action === 'halt', removed, record };
  }
}
