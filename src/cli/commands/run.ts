// gramian run: the papers' experiments as recipes, each into a folder with its report, tables and figures. The rule easy to
// break: several recipes run one after the other, so that each has the machine for itself when it measures.
import { join } from 'node:path';
import { AbortError } from '../../errors';
import { SCALES } from '../../recipes/recipe';
import type { Engine, RecipeProgress } from '../engine';
import { formatDuration, formatLoss, formatPercent } from '../format';
import { INTERRUPTED, type Io, json } from '../io';
import { type OptionTable, type Parsed, UsageError } from '../options';
import { type Command, DATA_FORMS, jsonOption, present, threadsOption } from './shared';

const options = {
  list: { type: 'flag', help: 'list the recipes with what they reproduce and cost' },
  scale: { type: 'choice', choices: SCALES, default: 'small', help: 'seconds, minutes, or the papers’ own sizes' },
  data: {
    type: 'text',
    value: 'DATA',
    help: `${DATA_FORMS}; without it synthetic faces, and MNIST where a recipe says so`,
  },
  input: { type: 'size', extents: ['H', 'W'], min: 8, max: 4096, help: 'size that image files are stretched to' },
  weights: {
    type: 'text',
    value: 'DIR',
    help: 'folder with resnet18.safetensors and so on, for transfer and all-systems; with face-api’s weights, for face-api',
  },
  out: { type: 'text', value: 'DIR', default: 'runs/recipes', help: 'folder in which each recipe has one of its name' },
  seed: { type: 'integer', min: 0, max: 2 ** 31, help: 'of the first repetition; by default the recipe’s own' },
  resume: { type: 'flag', help: 'take the finished trials that are in the folder, and go on' },
  threads: threadsOption,
  json: jsonOption,
} as const satisfies OptionTable;

const PLAIN_SECONDS = 10;

/** Trials as lines: one that redraws itself, and one that stays for each that ends. */
class RunProgress {
  readonly #io: Io;
  #lastPlain = performance.now();
  #last = '';
  #done = 0;
  #drawn = false;

  constructor(io: Io) {
    this.#io = io;
  }

  show(progress: RecipeProgress): void {
    const { recipe, done, trials, trial, stage } = progress;
    if (done > this.#done) this.line(`${recipe} ${done}/${trials} ${this.#last}`);
    this.#done = done;
    if (trial) {
      const { epoch, epochs, step, loss, accuracy, imagesPerSecond, etaSeconds } = trial;
      this.#last = `${trial.key}  loss ${formatLoss(loss)}  train ${formatPercent(accuracy)}`;
      const facts = [`epoch ${epoch}/${epochs}`, `step ${step}`, `${Math.round(imagesPerSecond)} images/s`];
      this.#status(
        `${recipe} ${done + 1}/${trials} ${this.#last}  ${facts.join('  ')}  ETA ${formatDuration(etaSeconds)}`,
      );
    } else if (stage !== undefined) this.#status(`${recipe} ${stage}`);
  }

  line(text: string): void {
    this.clear();
    this.#io.err(`${text}\n`);
    this.#lastPlain = performance.now();
  }

  #status(text: string): void {
    if (this.#io.terminal) {
      this.#io.err(`\r\u001b[2K${text.slice(0, Math.max(0, this.#io.columns - 1))}`);
      this.#drawn = true;
    } else if (performance.now() - this.#lastPlain >= PLAIN_SECONDS * 1000) this.line(text);
  }

  clear(): void {
    if (this.#drawn) this.#io.err('\r\u001b[2K');
    this.#drawn = false;
  }
}

async function list(io: Io, engine: Engine, asJson: boolean): Promise<number> {
  const recipes = await engine.recipes();
  if (asJson) {
    for (const recipe of recipes) json(io, recipe);
    return 0;
  }
  const rows = recipes.map(({ name, reproduces, cost }) => [name, cost.small, reproduces] as const);
  const all = [['recipe', 'scale small', 'reproduces'] as const, ...rows];
  const wide = (column: 0 | 1): number => Math.max(...all.map((row) => row[column].length)) + 2;
  io.out(all.map(([name, cost, what]) => `${name.padEnd(wide(0))}${cost.padEnd(wide(1))}${what}\n`).join(''));
  return 0;
}

/** The names asked for; `all` is every recipe. */
async function namesOf(engine: Engine, positionals: readonly string[]): Promise<readonly string[]> {
  if (positionals.length === 0) throw new UsageError('"run" expects NAME..., all or --list; none was given');
  const all = (await engine.recipes()).map(({ name }) => name);
  return positionals.length === 1 && positionals[0] === 'all' ? all : positionals;
}

/** The command line that repeats a recipe's run. */
function commandOf(name: string, { values, given }: Parsed<typeof options>): string {
  const { scale, data, input, weights, seed } = values;
  const parts = ['gramian run', name, '--scale', scale];
  if (data !== undefined) parts.push('--data', data);
  if (input !== undefined) parts.push('--input', input.join('x'));
  if (weights !== undefined) parts.push('--weights', weights);
  if (given.has('seed')) parts.push('--seed', String(seed));
  return parts.join(' ');
}

async function run(parsed: Parsed<typeof options>, io: Io, engine: Engine): Promise<number> {
  const { values } = parsed;
  if (values.list) return list(io, engine, values.json);
  const names = await namesOf(engine, parsed.positionals);
  const { scale, data, weights, seed, threads, resume, out } = values;
  const input = values.input as readonly [number, number] | undefined;
  const controller = new AbortController();
  const stopListening = io.onInterrupt(() => controller.abort());
  const progress = new RunProgress(io);
  try {
    for (const name of names) {
      const shared = {
        scale,
        resume,
        out: join(out, name),
        command: commandOf(name, parsed),
        signal: controller.signal,
      };
      const started = performance.now();
      const report = await engine.runRecipe(name, {
        ...shared,
        ...present({ data, input, weights, seed, threads }),
        onProgress: (event) => progress.show(event),
      });
      progress.clear();
      const seconds = (performance.now() - started) / 1000;
      if (values.json) json(io, { recipe: name, report, seconds });
      else io.out(`${name}: ${report} (${formatDuration(seconds)})\n`);
    }
    return 0;
  } catch (error) {
    progress.clear();
    if (!(error instanceof AbortError && controller.signal.aborted)) throw error;
    io.err('interrupted: finished trials are kept; go on with --resume\n');
    return INTERRUPTED;
  } finally {
    stopListening();
  }
}

export const command: Command<typeof options> = {
  spec: {
    name: 'run',
    positionals: { name: 'NAME...', min: 0, max: 100 },
    options,
    examples: [
      'gramian run --list',
      'gramian run nbp-vs-bp --data fer2013:fer2013.csv --scale full --out runs/paper',
      'gramian run mff-cnn --data ckplus:CK+ --input 60x60 --resume',
      'gramian run all --scale smoke',
    ],
  },
  run,
};
