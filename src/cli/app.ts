// From an argument list to an exit code: finds the command, loads it, parses, runs, and turns errors into sentences.
// main.ts calls it for the process, tests call it with streams and an engine of their own.
import { ArgumentError, GramianError } from '../errors';
import { nearest } from '../text';
import type { Command } from './commands/shared';
import { type Engine, engine as realEngine } from './engine';
import { commandHelp, generalHelp } from './help';
import type { Io } from './io';
import { type OptionTable, parseOptions, UsageError } from './options';
import { version } from './version';

interface Entry {
  readonly summary: string;
  /** Parses and runs; prints help when asked. */
  start(args: readonly string[], io: Io, engine: Engine): Promise<number>;
}

/** Wraps a module's command, whose options have a type of their own, in one that takes plain arguments. */
function entry<T extends OptionTable>(summary: string, load: () => Promise<{ command: Command<T> }>): Entry {
  return {
    summary,
    async start(args, io, engine) {
      const { command } = await load();
      if (wantsHelp(args)) {
        io.out(commandHelp(command.spec, summary));
        return 0;
      }
      return command.run(parseOptions(command.spec, args), io, engine);
    },
  };
}

/** Commands are loaded when they are called for, so that help comes at once. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  train: entry('train a network and write its run folder', () => import('./commands/train.js')),
  eval: entry('measure a run on a split of some data', () => import('./commands/eval.js')),
  import: entry('make a run of weights of other tools', () => import('./commands/import.js')),
  export: entry('write a run as ONNX or safetensors', () => import('./commands/export.js')),
  predict: entry('classify image files, or the faces in photographs', () => import('./commands/predict.js')),
  watch: entry('follow faces through frames or a film and classify them', () => import('./commands/watch.js')),
  run: entry('repeat the papers’ experiments, with their tables and figures', () => import('./commands/run.js')),
  'train-detector': entry('train MTCNN on images with boxes', () => import('./commands/trainDetector.js')),
  summary: entry('layers, parameters, multiply-adds and memory of a network', () => import('./commands/summary.js')),
  info: entry('version, devices, and why one is missing', () => import('./commands/info.js')),
  synth: entry('write synthetic faces as a FER2013 CSV', () => import('./commands/synth.js')),
  duplicates: entry(
    'find images that occur more than once, such as in train and test',
    () => import('./commands/duplicates.js'),
  ),
  serve: entry('faces of a camera, live, and a training run, in a browser', () => import('./commands/serve.js')),
  bench: entry('time kernels, training steps and inference on this machine', () => import('./commands/bench.js')),
};

export const COMMAND_NAMES: readonly string[] = Object.keys(COMMANDS);

/** --help or -h before a `--` that ends the options. */
function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
}

async function dispatch(args: readonly string[], io: Io, engine: Engine): Promise<number> {
  const [word, ...rest] = args;
  if (word === undefined) throw new UsageError(`a command is missing; one of ${COMMAND_NAMES.join(', ')}`);
  if (word === '--help' || word === '-h' || (word === 'help' && rest.length === 0)) {
    io.out(generalHelp(version(), COMMANDS));
    return 0;
  }
  if (word === '--version' || word === '-v') {
    io.out(`${version()}\n`);
    return 0;
  }
  const [name, tail] = word === 'help' ? [rest[0] as string, [...rest.slice(1), '--help']] : [word, rest];
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    const options = ['--help', '--version'];
    const what = name.startsWith('-') ? 'an option stands behind a command; there is no' : 'there is no command';
    throw new UsageError(`${what} "${name}"${nearest(name, name.startsWith('-') ? options : COMMAND_NAMES)}`);
  }
  return command.start(tail, io, engine);
}

/**
 * Runs one command line and answers its exit code: 0 done, 1 failed, 2 not understood, 130 interrupted.
 * @param args the words behind `gramian`.
 */
export async function runCli(args: readonly string[], io: Io, engine: Engine = realEngine): Promise<number> {
  try {
    return await dispatch(args, io, engine);
  } catch (error) {
    if (error instanceof UsageError) {
      const name = args[0] !== undefined && Object.hasOwn(COMMANDS, args[0]) ? `${args[0]} ` : '';
      io.err(`gramian: ${error.message}\nSee gramian ${name}--help.\n`);
      return 2;
    }
    // A value the engine refuses was not understood either; what it met on disk or in memory is a failure.
    if (error instanceof ArgumentError) {
      io.err(`gramian: ${error.message}\n`);
      return 2;
    }
    if (error instanceof GramianError || (error instanceof Error && 'code' in error)) {
      io.err(`gramian: ${error.message}\n`);
    } else {
      io.err(`gramian: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    }
    return 1;
  }
}
