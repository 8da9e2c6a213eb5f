// What a training loop calls after each epoch, and the one there is: bimodal distribution removal. Called by train.ts and
// by recipes. The rule easy to break: a callback's state goes into the checkpoint, and resume() must bring a new trainer to
// where afterEpoch() left the old one, before its tensors are restored.
import { type Dataset, select } from '../data/types';
import { CheckpointError } from '../errors';
import {
  DistributionRemoval,
  type DistributionRemovalOptions,
  type RemovalRecord,
  type RemovalState,
} from './distributionRemoval';
import type { Trainer } from './trainer';

export interface EpochContext {
  /** Epochs finished, from 1. */
  readonly epoch: number;
  readonly trainer: Trainer;
  /** The whole training set. */
  readonly data: Dataset;
  readonly signal?: AbortSignal | undefined;
}

/** What the loop does about it. */
export interface EpochVerdict {
  /** Training ends here. */
  readonly stop: boolean;
  /** A sentence for the log. */
  readonly note?: string;
}

export interface EpochCallback {
  /** Under which a checkpoint keeps its state; one of a kind in a run. */
  readonly name: string;
  /** Rejected by an abort, it must have changed nothing. */
  afterEpoch(context: EpochContext): Promise<EpochVerdict>;
  /** Plain JSON. */
  readonly state: unknown;
  /** Goes on from a state. */
  resume(state: unknown, trainer: Trainer): Promise<void>;
}

export interface OutlierRemoval extends EpochCallback {
  /** Every check so far, for a figure. */
  readonly records: readonly RemovalRecord[];
}

const GO_ON: EpochVerdict = { stop: false };

function noteOf({ action, variance, removed, left }: RemovalRecord): string {
  const found = `distribution removal: variance of errors ${variance.toPrecision(3)}`;
  if (action === 'halt') return `${found}, training ends`;
  return action === 'wait' ? `${found}, nothing is removed yet` : `${found}, ${removed} removed, ${left} left`;
}

function isRemovalState(value: unknown): value is RemovalState {
  const { remaining, records } = (value ?? {}) as Partial<RemovalState>;
  return Array.isArray(remaining) && remaining.every(Number.isSafeInteger) && Array.isArray(records);
}

/**
 * Bimodal distribution removal (Slade and Gedeon 1993, paper 003) as a callback: after the epochs that are due, the samples
 * still trained on are classified, those whose error is far above the others' are trained on no longer, and training ends
 * when the errors vary little.
 * @param samples of the training set.
 */
export function outlierRemoval(samples: number, options: DistributionRemovalOptions = {}): OutlierRemoval {
  let removal = new DistributionRemoval(samples, options);
  return {
    name: 'distributionRemoval',
    get records() {
      return removal.records;
    },
    get state() {
      return removal.state;
    },
    async afterEpoch({ epoch, trainer, data, signal }) {
      if (!removal.due(epoch)) return GO_ON;
      const errors = await trainer.errors(select(data, removal.remaining), signal ? { signal } : {});
      const { halt, removed, record } = removal.check(epoch, errors);
      if (removed.length > 0) await trainer.keepOnly(removal.remaining);
      return { stop: halt, note: noteOf(record) };
    },
    async resume(state, trainer) {
      if (!isRemovalState(state)) throw new CheckpointError('[distributionRemoval] the saved state is not one of it');
      removal = new DistributionRemoval(state, options);
      if (state.remaining.length < samples) await trainer.keepOnly(removal.remaining);
    },
  };
}
