// gramian train: options to a configuration, events to lines, Ctrl-C to an abort that saves. The rule easy to break: with
// --resume, what the command line leaves out comes from the run's args.json, not from the defaults.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AbortError, DataError } from '../../errors';
import { KERNELS, OBJECTIVES } from '../../objectives/options';
import { OPTIMIZERS } from '../../optim';
import type { EndEvent } from '../../report/events';
import { AUGMENTATIONS, METHODS, PRECISIONS, SCHEDULES, TRAIN_DEFAULTS } from '../../train/config';
import type { TrainSettings } from '../../train/train';
import type { Engine } from '../engine';
import { formatDuration, formatPercent } from '../format';
import { INTERRUPTED, type Io, json } from '../io';
import { type OptionTable, type Parsed, UsageError } from '../options';
import { Progress } from '../progress';
import { type Command, DATA_FORMS, deviceOption, jsonOption, MODEL_NAMES, present, threadsOption } from './shared';

const BIG = 1e9;
/** `bp` is a method on the command line; what is left are the local objectives. */
const LOCAL_OBJECTIVES = OBJECTIVES.filter((name): name is Exclude<(typeof OBJECTIVES)[number], 'bp'> => name !== 'bp');
const d = TRAIN_DEFAULTS;

const listOption = (value: string, help: string) => ({ type: 'text', value, help }) as const;

const options = {
  model: { type: 'choice', choices: MODEL_NAMES, default: d.model, help: 'the network' },
  data: { type: 'text', value: 'DATA', default: 'synthetic', help: DATA_FORMS },
  method: { type: 'choice', choices: METHODS, default: d.method, help: 'local objectives or back-propagation' },
  objective: { type: 'choice', choices: LOCAL_OBJECTIVES, default: 'cka', help: 'what each unit minimises under hsic' },
  beta: { type: 'number', min: 0, max: BIG, default: d.beta, help: 'weight of the labels in hsic, nhsic, cka' },
  gamma: { type: 'number', min: 0, max: BIG, default: d.gamma, help: 'weight of the labels in phsic' },
  power: { type: 'number', min: 0, max: 4, default: d.power, help: 'exponent p of 1/(m-1)^p in hsic' },
  kernel: { type: 'choice', choices: KERNELS, default: d.kernel, help: 'kernel of the objective' },
  sigma: { type: 'number', min: 0, max: BIG, default: d.sigma, help: 'width of the Gaussian kernel, 0: median' },
  pool: { type: 'integer', min: 0, max: 1024, default: d.pool, help: 'cells a side features are pooled to, 0: none' },
  groups: {
    type: 'integer',
    min: 0,
    max: 65536,
    default: d.groups,
    help: 'groups of channels in an objective, 0: none',
  },
  epochs: { type: 'integer', min: 1, max: 1e6, default: d.epochs, help: 'passes over the training images' },
  batch: { type: 'integer', min: 2, max: 65536, default: d.batch, help: 'images in a step' },
  lr: { type: 'number', min: 0, above: true, max: 1000, default: d.lr, help: 'learning rate' },
  optimizer: { type: 'choice', choices: OPTIMIZERS, default: d.optimizer, help: 'how parameters are updated' },
  momentum: { type: 'number', min: 0, max: 0.999999, default: d.momentum, help: 'momentum of sgd' },
  weightDecay: { type: 'number', min: 0, max: 1000, default: d.weightDecay, help: 'decay of the parameters' },
  schedule: { type: 'choice', choices: SCHEDULES, default: d.schedule, help: 'how the learning rate changes' },
  warmup: { type: 'integer', min: 0, max: BIG, default: d.warmup, help: 'steps of linear warm-up' },
  decayEvery: {
    type: 'integer',
    min: 0,
    max: 1e6,
    default: d.decayEvery,
    help: 'epochs from one decay to the next in step and exponential, 0: a third of the run',
  },
  decayFactor: {
    type: 'number',
    min: 1e-9,
    max: 1,
    default: d.decayFactor,
    help: 'what a decay multiplies the rate by',
  },
  milestones: listOption('EPOCHS', 'epochs at which schedule milestones decays, such as 100,120'),
  augment: { type: 'choice', choices: AUGMENTATIONS, default: d.augment, help: 'how training images are varied' },
  input: {
    type: 'size',
    extents: ['H', 'W'],
    min: 8,
    max: 4096,
    help: 'size images are brought to; by default their own',
  },
  channels: {
    type: 'choice',
    choices: ['1', '3'],
    help: 'grey or colour images; by default as the run in --init has them, else grey where they come as files',
  },
  classWeights: { type: 'flag', help: 'weight classes by the inverse of their frequency' },
  labelSmoothing: {
    type: 'number',
    min: 0,
    max: 0.999999,
    default: d.labelSmoothing,
    help: 'smoothing in cross-entropies',
  },
  init: {
    type: 'text',
    value: 'RUN',
    help: 'start from the weights of a run or safetensors file, but for the classifier',
  },
  freeze: listOption('NAMES', 'parameters that stay as they are: conv1,layer1 or all but the classifier: *,!head'),
  rates: listOption('NAME=X', 'factors of the learning rate for some parameters: head=10,stem=0.1'),
  removeFrom: {
    type: 'integer',
    min: 0,
    max: 1e6,
    default: d.removeFrom,
    help: 'epoch from which samples with outlying errors are removed (bimodal distribution removal), 0: never',
  },
  removeEvery: {
    type: 'integer',
    min: 1,
    max: 1e6,
    default: d.removeEvery,
    help: 'epochs from one removal to the next',
  },
  removeAlpha: {
    type: 'number',
    min: 0,
    max: 1,
    default: d.removeAlpha,
    help: 'strictness of removal, 0 removes more',
  },
  seed: { type: 'integer', min: 0, max: Number.MAX_SAFE_INTEGER, default: d.seed, help: 'same seed, same result' },
  limit: { type: 'integer', min: 1, max: 1e12, help: 'use at most the first N images of each split' },
  threads: threadsOption,
  device: deviceOption,
  precision: { type: 'choice', choices: PRECISIONS, default: d.precision, help: 'what products take their factors as' },
  out: { type: 'text', value: 'DIR', default: d.out, help: 'folder of the run' },
  resume: { type: 'flag', help: 'go on from the last checkpoint in --out, with its settings' },
  json: jsonOption,
} as const satisfies OptionTable;

type TrainOptions = typeof options;

/** args.json of the run to resume, or nothing when there is none. */
function savedArgs(out: string): Record<string, unknown> {
  const path = join(out, 'args.json');
  if (!existsSync(path)) return {};
  const wrong = (cause?: unknown): DataError => new DataError(`[train] ${path} is not a JSON object`, { cause });
  let saved: unknown;
  try {
    saved = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw wrong(error);
  }
  if (typeof saved !== 'object' || saved === null || Array.isArray(saved)) throw wrong();
  return { ...saved };
}

const partsOf = (list: string): string[] => list.split(',').map((part) => part.trim());

/** NAME=X,... as a record. */
function ratesOf(list: string): Record<string, number> {
  const entries = partsOf(list).map((part) => {
    const [name = '', factor = ''] = part.split('=');
    if (name === '' || !/^\d*\.?\d+(e[+-]?\d+)?$/i.test(factor)) {
      throw new UsageError(`--rates expects NAME=X,... with factors of at least 0, got "${list}"`);
    }
    return [name, Number(factor)] as const;
  });
  return Object.fromEntries(entries);
}

/** EPOCH,... as numbers. */
function milestonesOf(list: string): number[] {
  const epochs = partsOf(list).map((part) => (/^\d+$/.test(part) ? Number(part) : 0));
  if (epochs.includes(0)) throw new UsageError(`--milestones expects epochs from 1, got "${list}"`);
  return epochs;
}

/** The configuration a command line stands for. Defaults < args.json of a resumed run < what was given. */
export function settingsOf({ values, given }: Parsed<TrainOptions>): TrainSettings {
  const { json: _, input, channels, freeze, rates, milestones, ...rest } = values;
  const asked = {
    ...rest,
    ...(input ? { input: input as readonly [number, number] } : {}),
    ...(channels === undefined ? {} : { channels: Number(channels) }),
    ...(freeze === undefined ? {} : { freeze: partsOf(freeze) }),
    ...(rates === undefined ? {} : { rates: ratesOf(rates) }),
    ...(milestones === undefined ? {} : { milestones: milestonesOf(milestones) }),
  };
  const saved = values.resume ? savedArgs(values.out) : {};
  const known = Object.entries(saved).filter(([key]) => !given.has(key));
  const merged = { ...asked, ...Object.fromEntries(known), out: values.out, resume: values.resume };
  if (merged.schedule !== 'milestones' && given.has('milestones')) {
    throw new UsageError('--milestones is for --schedule milestones');
  }
  if (merged.method === 'bp' && given.has('objective')) {
    throw new UsageError('--objective is for --method hsic; back-propagation has the cross-entropy');
  }
  return present(merged) as TrainSettings;
}

function say(io: Io, end: EndEvent): void {
  const { evaluation } = end;
  if (evaluation) {
    io.out(
      `test accuracy ${formatPercent(evaluation.accuracy)}  balanced ${formatPercent(evaluation.balancedAccuracy)}`,
    );
    io.out(`  macro F1 ${formatPercent(evaluation.macroF1)}`);
  }
  io.out(`  after ${end.step} steps in ${formatDuration(end.seconds)}\n`);
  io.out(`run: ${end.run}${end.interrupted ? ' (interrupted; go on with --resume)' : ''}\n`);
}

async function run(parsed: Parsed<TrainOptions>, io: Io, engine: Engine): Promise<number> {
  const settings = settingsOf(parsed);
  const asJson = parsed.values.json;
  const progress = new Progress(io, settings.epochs ?? d.epochs);
  if (!settings.resume && existsSync(join(settings.out ?? d.out, 'last.safetensors'))) {
    progress.line(`note: replacing the run in ${settings.out}`);
  }
  const controller = new AbortController();
  const stopListening = io.onInterrupt(() => {
    progress.line('interrupted: finishing the step, then saving; interrupt again to leave at once');
    controller.abort();
  });
  try {
    progress.status('reading data');
    let ended = false;
    const end = await engine.train(settings, {
      signal: controller.signal,
      onEvent(event) {
        ended ||= event.event === 'end';
        if (event.event === 'note' || !asJson) progress.event(event);
        else json(io, event);
      },
    });
    progress.clear();
    if (asJson && !ended) json(io, end);
    if (!asJson) say(io, end);
    return end.interrupted ? INTERRUPTED : 0;
  } catch (error) {
    progress.clear();
    if (error instanceof AbortError && controller.signal.aborted) {
      io.err(`${error.message}\n`);
      return INTERRUPTED;
    }
    throw error;
  } finally {
    stopListening();
  }
}

export const command: Command<TrainOptions> = {
  spec: {
    name: 'train',
    options,
    examples: [
      'gramian train --data mnist --epochs 5 --out runs/mnist',
      'gramian train --data fer2013:fer2013.csv --augment paper --lr 0.005 --out runs/fer',
      'gramian train --data mnist --method bp --limit 2000 --json',
      'gramian train --model resnet18 --method bp --init runs/other --freeze "*,!head" --data ckplus:CK+ --input 48x48',
      'gramian train --out runs/mnist --resume',
    ],
  },
  run,
};
