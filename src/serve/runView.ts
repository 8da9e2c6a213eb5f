// The run view's data: what a run's folder says, drawn with the report's figures, made anew when the folder has changed.
// server.ts answers /api/run with it. The rule easy to break: all pages that look share one drawing, so that many of them
// cost no more than one.
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Evaluation, TrainEvent } from '../report/events';
import { confusionFigure, type Figure, trainingFigures } from '../report/figures';
import { describeData } from '../report/report';
import { classScores, formatShare, unitScores } from '../report/rows';
import { formatNumber } from '../report/svg';
import type { RunData } from './page/runData';
import { RunFollower } from './runFollower';

/** Milliseconds within which the folder is not looked at again. */
const FRESH_MS = 200;
const MAX_TEXT = 500;

interface Drawing {
  readonly version: number;
  /** Quoted, as an ETag is. */
  readonly tag: string;
  readonly text: string;
}

export class RunView {
  readonly #follower: RunFollower;
  /** Another server's drawings have other tags. */
  readonly #series = randomBytes(6).toString('hex');
  #looked = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #drawing: Drawing | undefined;

  constructor(folder: string) {
    this.#follower = new RunFollower(folder);
  }

  get folder(): string {
    return this.#follower.folder;
  }

  /** RunData as JSON, and its tag. */
  async read(): Promise<{ tag: string; text: string }> {
    await this.#refresh();
    const { version } = this.#follower;
    if (this.#drawing?.version !== version) {
      const text = JSON.stringify(runData(this.#follower));
      this.#drawing = { version, tag: `"${this.#series}-${version}"`, text };
    }
    return this.#drawing;
  }

  #refresh(): Promise<void> {
    if (this.#looking) return this.#looking;
    if (performance.now() - this.#looked < FRESH_MS) return Promise.resolve();
    this.#looking = this.#follower.refresh().finally(() => {
      this.#looked = performance.now();
      this.#looking = undefined;
    });
    return this.#looking;
  }
}

function statusOf({ end, steps, epochs }: RunFollower): RunData['status'] {
  if (end) return end.interrupted ? 'interrupted' : 'finished';
  return steps.length + epochs.length > 0 ? 'training' : 'waiting';
}

/** The newest evaluation of the test split: the end's, else that of the last epoch that has one. */
function newest({ end, epochs }: RunFollower): { evaluation: Evaluation; when: string } | undefined {
  if (end?.evaluation) return { evaluation: end.evaluation, when: 'best weights' };
  const last = epochs.findLast((event) => event.evaluation !== undefined);
  return last?.evaluation ? { evaluation: last.evaluation, when: `epoch ${last.epoch + 1}` } : undefined;
}

function facts(run: RunFollower): [string, string][] {
  const { steps, epochs, end, config } = run;
  const step = steps.at(-1);
  const epoch = epochs.at(-1);
  const evaluation = newest(run)?.evaluation;
  // Of long runs some epochs are forgotten, so the last one's number counts, not how many there are.
  const done = [end?.epoch, (epoch?.epoch ?? -1) + 1].find((count) => Number.isFinite(count)) ?? 0;
  const all: [string, string | undefined][] = [
    ['test accuracy', formatIf(evaluation?.accuracy ?? epoch?.testAccuracy, formatShare)],
    ['balanced accuracy', formatIf(evaluation?.balancedAccuracy, formatShare)],
    ['training accuracy', formatIf(epoch?.trainAccuracy, formatShare)],
    ['validation accuracy', formatIf(epoch?.validationAccuracy, formatShare)],
    ['loss', formatIf(end?.loss ?? step?.loss ?? epoch?.loss, formatNumber)],
    ['epochs', typeof config.epochs === 'number' ? `${done} of ${config.epochs}` : String(done)],
    ['steps', formatIf(end?.step ?? step?.step ?? epoch?.step, String)],
    ['images a second', formatIf(end?.imagesPerSecond ?? step?.imagesPerSecond, formatNumber)],
    [
      'learning rate',
      end ? undefined : formatIf(step?.learningRate, (value) => formatNumber(Number(value.toPrecision(3)))),
    ],
    ['seconds left', end ? undefined : formatIf(step?.etaSeconds, (value) => formatNumber(Math.round(value)))],
    ['seconds', formatIf(end?.seconds, formatNumber)],
  ];
  return all.flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]));
}

function formatIf(value: number | undefined, format: (value: number) => string): string | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : format(value);
}

function figures(run: RunFollower): Figure[] {
  const events: TrainEvent[] = [...run.steps, ...run.epochs];
  const found = newest(run);
  if (!found) return trainingFigures(events);
  const { evaluation, when } = found;
  const names = evaluation.classes.map((one) => one.name);
  const confusion = confusionFigure(evaluation, names);
  return [...trainingFigures(events), { ...confusion, caption: `${confusion.caption} Test split, ${when}.` }];
}

/** How far the run is, by steps done and seconds left, which the trainer tells from the steps left. */
function progressOf({ end, steps, config }: RunFollower): { progress?: number } {
  if (end && !end.interrupted) return { progress: 1 };
  const { step, etaSeconds, imagesPerSecond } = steps.at(-1) ?? {};
  const batch = typeof config.batch === 'number' ? config.batch : Number.NaN;
  if (step === undefined || etaSeconds === undefined || imagesPerSecond === undefined) return {};
  const left = (etaSeconds * imagesPerSecond) / batch;
  const progress = step / (step + left);
  return Number.isFinite(progress) ? { progress: Math.min(1, Math.max(0, progress)) } : {};
}

/** What there is to show of a run. */
export function runData(run: RunFollower): RunData {
  const { config, epochs, folder, unreadable, written } = run;
  const { name, synthetic } = describeData({ config });
  const word = (key: string, other: string): string =>
    typeof config[key] === 'string' ? config[key].slice(0, MAX_TEXT) : other;
  const status = statusOf(run);
  const objective = config.method === 'bp' ? '' : ` by ${word('objective', 'an unnamed objective')}`;
  const units = unitScores(epochs);
  const evaluation = newest(run)?.evaluation;
  const skipped = unreadable > 0 ? [`${unreadable} lines of metrics.jsonl could not be read`] : [];
  return {
    ...{ folder, status, synthetic, written },
    title: config.model === undefined ? folder : `${word('model', 'model')} on ${name.slice(0, MAX_TEXT)}`,
    method: config.method === undefined ? '' : `${word('method', 'method')}${objective}, seed ${String(config.seed)}`,
    ...progressOf(run),
    facts: status === 'waiting' ? [] : facts(run),
    figures: figures(run),
    ...(units ? { units } : {}),
    ...(evaluation ? { classes: classScores(evaluation) } : {}),
    args: Object.entries(config).map(([key, value]) => {
      return [key, (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(0, MAX_TEXT)];
    }),
    notes: [...run.notes, ...skipped],
  };
}
