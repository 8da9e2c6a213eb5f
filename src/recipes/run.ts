// A recipe in progress: its data, its trials, and what it reports. Made by index.ts for each recipe that is run. Everything
// lands in one folder: report.md, results.json, tables/*.md and *.csv, figures/*.svg and *.png, trials/*.
// The rule easy to break: the report names its data, and synthetic faces are called synthetic in every line that does.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSplits } from '../data/types';
import { ArgumentError } from '../errors';
import { csvTable, markdownTable, type Table } from '../evaluation/tables';
import { writeWhole } from '../report/log';
import { standalone } from '../report/svg';
import type { Weights } from '../train/compileModel';
import type { Recipe, Scale } from './recipe';
import { runTrial, type Trial, type TrialProgress, type TrialResult, weightsOf } from './trial';

/** What a run is measured on, as the report says it. */
export type Machine = Readonly<Record<string, unknown>>;

export interface RunOptions {
  readonly scale: Scale;
  /** Data specification; without it a recipe has data of its own. */
  readonly data?: string | undefined;
  /** Side lengths of images that come as files. */
  readonly input?: readonly [number, number] | undefined;
  /** For recipes that transfer: a folder with resnet18.safetensors and so on. */
  readonly weights?: string | undefined;
  /** The recipe's folder. */
  readonly out: string;
  readonly seed?: number | undefined;
  readonly resume: boolean;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly machine: Machine;
  /** The command that repeats the run. */
  readonly command: string;
  onProgress(progress: RecipeProgress): void;
}

export interface RecipeProgress {
  readonly recipe: string;
  /** Trials finished and expected in all. */
  readonly done: number;
  readonly trials: number;
  readonly trial?: TrialProgress;
  /** What goes on beside training. */
  readonly stage?: string;
}

/** What results.json holds of each part of a report. */
interface Part {
  readonly kind: 'text' | 'table' | 'figure';
  readonly id: string;
  /** Markdown. */
  readonly text: string;
}

const SAFE = /^[A-Za-z0-9][\w.-]*$/;

export class RecipeRun {
  readonly recipe: Recipe;
  readonly options: RunOptions;
  readonly #parts: Part[] = [];
  readonly #data: string[] = [];
  readonly #ids = new Set<string>();
  #done = 0;
  #trials = 0;
  /** Of all trials, also of those that an earlier run left. */
  #seconds = 0;

  constructor(recipe: Recipe, options: RunOptions) {
    this.recipe = recipe;
    this.options = options;
    for (const folder of ['tables', 'figures']) mkdirSync(join(options.out, folder), { recursive: true });
  }

  get seed(): number {
    return this.options.seed ?? this.recipe.seed;
  }

  /** The value for this run's scale. */
  at<T>(values: Readonly<Record<Scale, T>>): T {
    return values[this.options.scale];
  }

  /** Seeds of so many repetitions. */
  seeds(count: number): number[] {
    return Array.from({ length: count }, (_, index) => this.seed + index);
  }

  /** Names the data in the report. */
  uses(splits: Pick<DataSplits, 'train' | 'test' | 'source' | 'notes'>, what = 'data'): void {
    const { train, test, source, notes } = splits;
    const kind = train.synthetic ? 'synthetic faces (drawings, not photographs)' : 'images';
    const counts = `${train.count} to train on, ${test.count} to test on`;
    const line = `${what}: ${source}, ${train.height}x${train.width}x${train.channels} ${kind}, ${counts}`;
    this.#data.push([line, ...notes].join('; '));
  }

  /** Adds to the trials that progress counts up to. */
  expect(trials: number): void {
    this.#trials += trials;
  }

  /** Says what goes on beside training. */
  stage(stage: string): void {
    this.options.onProgress({ recipe: this.recipe.name, done: this.#done, trials: this.#trials, stage });
  }

  get #trialOptions() {
    const { out, resume, threads, signal } = this.options;
    return { folder: join(out, 'trials'), resume, threads, signal };
  }

  async train(trial: Trial): Promise<TrialResult> {
    if (!SAFE.test(trial.key)) throw new ArgumentError(`[recipe] a trial's key is a file's name, got "${trial.key}"`);
    const onProgress = (progress: TrialProgress): void => {
      const { done, trials } = { done: this.#done, trials: Math.max(this.#trials, this.#done + 1) };
      this.options.onProgress({ recipe: this.recipe.name, done, trials, trial: progress });
    };
    const result = await runTrial(trial, { ...this.#trialOptions, onProgress });
    this.#done += 1;
    this.#seconds += result.timing.seconds;
    return result;
  }

  /** The weights of a trial that keeps them. */
  weightsOf(key: string): Promise<Weights> {
    return weightsOf(key, this.#trialOptions);
  }

  /** A paragraph of Markdown. */
  text(text: string): void {
    this.#parts.push({ kind: 'text', id: '', text: `${text}\n` });
  }

  heading(text: string): void {
    this.text(`## ${text}`);
  }

  table(id: string, caption: string, table: Table): void {
    this.#claim('table', id);
    const markdown = markdownTable(table);
    const folder = join(this.options.out, 'tables');
    writeWhole(join(folder, `${id}.md`), `${caption}\n\n${markdown}`);
    writeWhole(join(folder, `${id}.csv`), csvTable(table));
    this.#parts.push({ kind: 'table', id, text: `${caption}\n\n${markdown}` });
  }

  /** A chart of report/. */
  figure(id: string, caption: string, svg: string): void {
    this.#claim('figure', id);
    writeWhole(join(this.options.out, 'figures', `${id}.svg`), standalone(svg));
    this.#parts.push({ kind: 'figure', id, text: `![${caption}](figures/${id}.svg)\n\n*${caption}*\n` });
  }

  /** A picture as PNG. */
  picture(id: string, caption: string, png: Uint8Array): void {
    this.#claim('figure', id);
    writeWhole(join(this.options.out, 'figures', `${id}.png`), png);
    this.#parts.push({ kind: 'figure', id, text: `![${caption}](figures/${id}.png)\n\n*${caption}*\n` });
  }

  #claim(kind: 'table' | 'figure', id: string): void {
    if (!SAFE.test(id)) throw new ArgumentError(`[recipe] a ${kind}'s id is a file's name, got "${id}"`);
    if (this.#ids.has(`${kind} ${id}`)) throw new ArgumentError(`[recipe] the ${kind} "${id}" is there already`);
    this.#ids.add(`${kind} ${id}`);
  }

  /** Writes report.md and results.json; returns the path of the report. */
  finish(): string {
    const { recipe, options } = this;
    const { scale, out, machine, command } = options;
    const path = join(out, 'report.md');
    writeWhole(path, this.#report());
    const ids = (kind: Part['kind']): string[] => this.#parts.filter((part) => part.kind === kind).map(({ id }) => id);
    const results = {
      ...{ recipe: recipe.name, scale, seed: this.seed, data: this.#data, command, machine },
      ...{ trainingSeconds: Number(this.#seconds.toFixed(1)), tables: ids('table'), figures: ids('figure') },
    };
    writeWhole(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
    return path;
  }

  #report(): string {
    const { recipe, options } = this;
    const facts = Object.entries(options.machine).map(([name, value]) => `${name} ${String(value)}`);
    const head = [
      `# ${recipe.title}`,
      `Reproduces ${recipe.reproduces}.`,
      ...this.#data.map((line) => `- ${line}`),
      `- scale ${options.scale}, seed ${this.seed}; ${facts.join(', ')}; ${this.#seconds.toFixed(0)} s of training`,
      `- again: \`${options.command}\``,
      `\nExpected: ${recipe.expected}`,
    ];
    return `${head.join('\n')}\n\n${this.#parts.map(({ text }) => text).join('\n')}`;
  }
}
