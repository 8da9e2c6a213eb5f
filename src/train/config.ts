// What a run is asked to do: its settings, defaults and their checks. Read by the CLI, train.ts and checkpoints (which
// store it). Everything that changes the result is here; threads and device change only the speed.
import type { Precision } from '../compile';
import { ArgumentError } from '../errors';
import type { DatasetBatchOptions } from '../graph/ops/dataset';
import { KERNELS, OBJECTIVE_DEFAULTS, OBJECTIVES, type ObjectiveOptions } from '../objectives/options';
import {
  type NamePattern,
  nameMatcher,
  OPTIMIZERS,
  type OptimizerName,
  SCHEDULE_KINDS,
  type ScheduleSettings,
} from '../optim';
import { nearest } from '../text';

export const PRECISIONS: readonly Precision[] = ['float32', 'bf16'];
export const METHODS = ['hsic', 'bp'] as const;
export const SCHEDULES = SCHEDULE_KINDS;
export const AUGMENTATIONS = ['none', 'light', 'faces', 'paper', 'jaffe'] as const;
export type Augmentation = (typeof AUGMENTATIONS)[number];

export interface TrainConfig {
  /** Name in src/models/index.ts. */
  readonly model: string;
  /** Data specification as src/data/load.ts reads it. */
  readonly data: string;
  /** hsic: every unit by its own objective; bp: one unit, cross-entropy. */
  readonly method: (typeof METHODS)[number];
  readonly objective: ObjectiveOptions['name'];
  readonly beta: number;
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
  readonly seed: number;
  readonly threads?: number;
  readonly device: 'auto' | 'cpu' | 'cuda';
  /**
   * What products take their factors as, in steps and in the run's own evaluations. A model loaded from the run takes
   * float32 unless it is told otherwise.
   */
  readonly precision: Precision;
  /** Use at most the first `limit` images of each split. */
  readonly limit?: number;
  /** The run's folder. */
  readonly out: string;
  readonly resume: boolean;
  readonly kernel: ObjectiveOptions['kernel'];
  readonly sigma: number;
  readonly pool: number;
  readonly groups: number;
  readonly gamma: number;
  readonly power: number;
  readonly normalize: boolean;
  readonly optimizer: OptimizerName;
  /** Of sgd. */
  readonly momentum: number;
  readonly weightDecay: number;
  readonly schedule: (typeof SCHEDULES)[number];
  /** Epochs after which step and exponential have multiplied the rate by decayFactor; 0: a third of the run. */
  readonly decayEvery: number;
  /** Of step, exponential and milestones. */
  readonly decayFactor: number;
  /** Epochs (finished) from which the rate is decayFactor times smaller. */
  readonly milestones: readonly number[];
  /** Steps of linear warm-up. */
  readonly warmup: number;
  readonly augment: Augmentation;
  /** Side lengths the images are resized to; by default the data set's own. */
  readonly input?: readonly [number, number];
  /** Channels the network reads: 1 grey, 3 colour; by default those of the run in `init`, or as the data is loaded. */
  readonly channels?: 1 | 3;
  /** Weight classes by the inverse of their frequency. */
  readonly classWeights: boolean;
  readonly labelSmoothing: number;
  /**
   * Weights to start from, but for the classifier: a run's folder or a safetensors file. Of a run the scaling of pixels is
   * taken too, which its weights were trained with.
   */
  readonly init?: string;
  /** Parameters that stay as they are. */
  readonly freeze: readonly NamePattern[];
  /** What the learning rate is multiplied by, for patterns of names; the first that fits decides. */
  readonly rates: Readonly<Record<NamePattern, number>>;
  /** Bimodal distribution removal: epoch of the first check, 0: none; epochs between checks; strictness. */
  readonly removeFrom: number;
  readonly removeEvery: number;
  readonly removeAlpha: number;
}

export const TRAIN_DEFAULTS: Omit<TrainConfig, 'data'> = {
  model: 'cfpn',
  method: 'hsic',
  objective: 'cka',
  beta: OBJECTIVE_DEFAULTS.beta,
  epochs: 3,
  batch: 128,
  lr: 0.001,
  seed: 1,
  device: 'auto',
  precision: 'float32',
  out: 'runs/latest',
  resume: false,
  kernel: OBJECTIVE_DEFAULTS.kernel,
  sigma: OBJECTIVE_DEFAULTS.sigma,
  pool: OBJECTIVE_DEFAULTS.pool,
  groups: OBJECTIVE_DEFAULTS.groups,
  gamma: OBJECTIVE_DEFAULTS.gamma,
  power: OBJECTIVE_DEFAULTS.power,
  normalize: OBJECTIVE_DEFAULTS.normalize,
  optimizer: 'adam',
  momentum: 0.9,
  weightDecay: 0,
  schedule: 'cosine',
  decayEvery: 0,
  decayFactor: 0.1,
  milestones: [],
  warmup: 0,
  augment: 'none',
  classWeights: false,
  labelSmoothing: 0,
  freeze: [],
  rates: {},
  removeFrom: 0,
  removeEvery: 10,
  removeAlpha: 1,
};

function oneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'string' || !allowed.includes(value)) {
    throw new ArgumentError(`[train] ${name} "${String(value)}" is not known${nearest(String(value), allowed)}`);
  }
}

function inRange(name: string, value: unknown, low: number, high: number, integer = false): void {
  const kind = integer ? 'an integer' : 'a number';
  if (typeof value !== 'number' || !(value >= low && value <= high) || (integer && !Number.isSafeInteger(value))) {
    throw new ArgumentError(`[train] ${name} is ${kind} from ${low} to ${high}, got ${String(value)}`);
  }
}

const SETTINGS: readonly string[] = [
  ...Object.keys(TRAIN_DEFAULTS),
  ...(['data', 'threads', 'limit', 'input', 'channels', 'init'] satisfies (keyof TrainConfig)[]),
];

/** Throws ArgumentError for a setting that there is not. */
export function checkNames(settings: object): void {
  const unknown = Object.keys(settings).find((name) => !SETTINGS.includes(name));
  if (unknown !== undefined) {
    throw new ArgumentError(`[train] there is no setting "${unknown}"${nearest(unknown, SETTINGS)}`);
  }
}

/** Fills the defaults and checks every setting. */
export function resolveConfig(partial: Partial<TrainConfig> & Pick<TrainConfig, 'data'>): TrainConfig {
  const config: TrainConfig = { ...TRAIN_DEFAULTS, ...partial };
  oneOf('method', config.method, METHODS);
  oneOf('objective', config.objective, OBJECTIVES);
  oneOf('kernel', config.kernel, KERNELS);
  oneOf('optimizer', config.optimizer, OPTIMIZERS);
  oneOf('schedule', config.schedule, SCHEDULES);
  oneOf('augment', config.augment, AUGMENTATIONS);
  oneOf('device', config.device, ['auto', 'cpu', 'cuda']);
  oneOf('precision', config.precision, PRECISIONS);
  inRange('epochs', config.epochs, 1, 1e6, true);
  inRange('batch', config.batch, 2, 65536, true);
  inRange('seed', config.seed, 0, Number.MAX_SAFE_INTEGER, true);
  inRange('lr', config.lr, 0, 1e3);
  inRange('beta', config.beta, -1e9, 1e9);
  inRange('gamma', config.gamma, -1e9, 1e9);
  inRange('power', config.power, 0, 4);
  inRange('sigma', config.sigma, -1, 1e9);
  inRange('pool', config.pool, 0, 1024, true);
  inRange('groups', config.groups, 0, 65536, true);
  inRange('warmup', config.warmup, 0, 1e9, true);
  inRange('weightDecay', config.weightDecay, 0, 1e3);
  inRange('labelSmoothing', config.labelSmoothing, 0, 0.999999);
  inRange('momentum', config.momentum, 0, 0.999999);
  inRange('decayEvery', config.decayEvery, 0, 1e6, true);
  inRange('decayFactor', config.decayFactor, 1e-9, 1);
  for (const epoch of config.milestones) inRange('milestones', epoch, 1, 1e6, true);
  for (const factor of Object.values(config.rates)) inRange('rates', factor, 0, 1e6);
  nameMatcher('freeze', config.freeze);
  inRange('removeFrom', config.removeFrom, 0, 1e6, true);
  inRange('removeEvery', config.removeEvery, 1, 1e6, true);
  inRange('removeAlpha', config.removeAlpha, 0, 1);
  if (config.limit !== undefined) inRange('limit', config.limit, 1, 1e12, true);
  if (config.threads !== undefined) inRange('threads', config.threads, 1, 256, true);
  if (config.channels !== undefined && config.channels !== 1 && config.channels !== 3) {
    throw new ArgumentError(`[train] channels is 1 or 3, got ${String(config.channels)}`);
  }
  for (const side of config.input ?? []) inRange('input', side, 8, 4096, true);
  return config;
}

/** The objective a configuration asks for; method `bp` overrules the objective's name. */
export function objectiveOf(config: TrainConfig): ObjectiveOptions {
  return {
    ...OBJECTIVE_DEFAULTS,
    name: config.method === 'bp' ? 'bp' : config.objective,
    beta: config.beta,
    gamma: config.gamma,
    power: config.power,
    kernel: config.kernel,
    sigma: config.sigma,
    pool: config.pool,
    groups: config.groups,
    normalize: config.normalize,
    labelSmoothing: config.labelSmoothing,
  };
}

/** The schedule of a run whose epochs have so many steps. */
export function scheduleOf(config: TrainConfig, stepsPerEpoch: number): ScheduleSettings {
  const total = stepsPerEpoch * config.epochs;
  const { schedule: kind, warmup, decayEvery, decayFactor: factor } = config;
  if (kind === 'milestones')
    return { kind, warmup, factor, milestones: config.milestones.map((at) => at * stepsPerEpoch) };
  return { kind, warmup, total, factor, every: decayEvery === 0 ? Math.ceil(total / 3) : decayEvery * stepsPerEpoch };
}

export type AugmentationOptions = Pick<
  DatasetBatchOptions,
  'variants' | 'flip' | 'rotate' | 'scaleMin' | 'scaleMax' | 'shift' | 'noise'
>;

/** The random part and the fixed variants of `datasetBatch` for each named set. */
export function augmentationOf(name: Augmentation): AugmentationOptions {
  switch (name) {
    case 'none':
      return {};
    // For digits and objects whose mirror image means something else.
    case 'light':
      return { rotate: 10, scaleMin: 0.9, scaleMax: 1.1, shift: 2 };
    case 'faces':
      return { flip: true, rotate: 10, scaleMin: 0.9, scaleMax: 1.1, shift: 3, noise: 0.02 };
    // Paper 001: the data set grows sevenfold.
    case 'paper':
      return { variants: ['identity', 'flip', 'rotate+45', 'rotate-45', 'half', 'double', 'noise'] };
    // Paper 004, section 4.1: eightfold, for JAFFE.
    case 'jaffe':
      return {
        variants: [
          ...(['identity', 'flip', 'rotate+5', 'rotate-5'] as const),
          ...(['rotate+10', 'rotate-10', 'rotate+15', 'rotate-15'] as const),
        ],
      };
  }
}
