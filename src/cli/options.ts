// Declarative options: a table says name, type, range, default and help once; parsing, checking, help and the values' types
// follow from it. Used by every command. The rule easy to break: a key is camelCase in the table and kebab-case on the
// command line (labelSmoothing is --label-smoothing), and nothing else knows how an option is spelt.
import { parseArgs } from 'node:util';
import { GramianError } from '../errors';
import { nearest, nearestWord } from '../text';

/** The command line cannot be understood. The process exits with 2 and says how to get help. */
export class UsageError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_USAGE', message, options);
  }
}

interface Common<Value> {
  /** One line, lower case, no full stop. */
  readonly help: string;
  readonly default?: Value;
  readonly required?: true;
}

export interface FlagOption {
  readonly type: 'flag';
  readonly help: string;
}
export interface NumberOption extends Common<number> {
  readonly type: 'integer' | 'number';
  readonly min: number;
  readonly max: number;
  /** `min` itself is refused. */
  readonly above?: true;
}
export interface ChoiceOption extends Common<string> {
  readonly type: 'choice';
  readonly choices: readonly string[];
}
export interface TextOption extends Common<string> {
  readonly type: 'text';
  /** What the help shows for the value. */
  readonly value: string;
  /** Says what is wrong with a value, or undefined when nothing is. */
  readonly check?: (value: string) => string | undefined;
}
export interface SizeOption extends Common<readonly number[]> {
  /** Extents joined by x: 48x48, 48x48x1. */
  readonly type: 'size';
  /** Names of the extents, such as H, W. */
  readonly extents: readonly string[];
  readonly min: number;
  readonly max: number;
}

export type Option = FlagOption | NumberOption | ChoiceOption | TextOption | SizeOption;
export type OptionTable = Readonly<Record<string, Option>>;

type ValueOf<O> = O extends { type: 'flag' }
  ? boolean
  : O extends { type: 'integer' | 'number' }
    ? number
    : O extends { type: 'size' }
      ? readonly number[]
      : O extends { type: 'choice'; choices: readonly (infer Choice)[] }
        ? Choice
        : string;
type Present<O> = O extends { type: 'flag' } | { required: true } | { default: unknown } ? true : false;

/** What parsing a table gives: an option without default, not required and not given is undefined. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: Present<T[K]> extends true ? ValueOf<T[K]> : ValueOf<T[K]> | undefined;
};

export interface Parsed<T extends OptionTable> {
  readonly values: Values<T>;
  /** Keys that stood on the command line. */
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
}

/** What stands beside the options. */
export interface Positionals {
  /** As the help shows it: MODEL, IMAGE... */
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** What they may be, when that is a closed list. */
  readonly choices?: readonly string[];
}

export interface CommandSpec<T extends OptionTable = OptionTable> {
  readonly name: string;
  readonly positionals?: Positionals;
  readonly options: T;
  readonly examples: readonly string[];
}

/** labelSmoothing -> label-smoothing. */
export function flagOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Only what people write as a number: no hexadecimal, no spaces, no Infinity. */
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

const limits = (option: NumberOption): string =>
  `${option.type === 'integer' ? 'an integer' : 'a number'} ${option.above ? 'above' : 'from'} ${option.min} ${option.above ? 'and up ' : ''}to ${option.max}`;

function parseNumber(flag: string, text: string, option: NumberOption): number {
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  const inside = value >= option.min && value <= option.max && !(option.above && value === option.min);
  if (!inside || (option.type === 'integer' && !Number.isSafeInteger(value))) {
    throw new UsageError(`--${flag} expects ${limits(option)}, got "${text}"`);
  }
  return value;
}

function parseSize(flag: string, text: string, option: SizeOption): readonly number[] {
  const parts = text.split('x');
  const values = parts.map((part) => (/^\d{1,9}$/.test(part) ? Number(part) : Number.NaN));
  const fits = values.length === option.extents.length;
  if (!fits || values.some((value) => !(value >= option.min && value <= option.max))) {
    const form = option.extents.join('x');
    throw new UsageError(`--${flag} expects ${form}, each from ${option.min} to ${option.max}, got "${text}"`);
  }
  return values;
}

function parseValue(
  flag: string,
  text: string,
  option: Exclude<Option, FlagOption>,
): string | number | readonly number[] {
  switch (option.type) {
    case 'integer':
    case 'number':
      return parseNumber(flag, text, option);
    case 'size':
      return parseSize(flag, text, option);
    case 'choice':
      if (!option.choices.includes(text)) {
        const list = nearestWord(text, option.choices) ? ` (one of ${option.choices.join(', ')})` : '';
        throw new UsageError(`--${flag} cannot be "${text}"${nearest(text, option.choices)}${list}`);
      }
      return text;
    case 'text': {
      const wrong = text === '' ? `expects ${option.value}, got nothing` : option.check?.(text);
      if (wrong) throw new UsageError(`--${flag} ${wrong}`);
      return text;
    }
  }
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inline: boolean;
}

/** Splits a command line by the table; what the table does not know is a UsageError with the nearest match. */
function tokensOf(spec: CommandSpec, args: readonly string[]): { options: OptionToken[]; positionals: string[] } {
  const flags = Object.entries(spec.options).map(([key, option]) => {
    const type = option.type === 'flag' ? ('boolean' as const) : ('string' as const);
    return [flagOf(key), { type }] as const;
  });
  const options = Object.fromEntries(flags);
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const found: OptionToken[] = [];
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(options, token.name)) {
      const names = [...Object.keys(options).map((flag) => `--${flag}`), '--help'];
      throw new UsageError(`"${spec.name}" has no option ${token.rawName}${nearest(token.rawName, names)}`);
    }
    found.push({
      name: token.name,
      rawName: token.rawName,
      value: token.value,
      inline: token.inlineValue === true,
    });
  }
  return { options: found, positionals };
}

function checkPositionals(spec: CommandSpec, positionals: readonly string[]): void {
  const { name, min, max, choices } = spec.positionals ?? { name: '', min: 0, max: 0 };
  if (positionals.length > max) {
    const expects = max === 0 ? 'takes options only' : `expects ${name}`;
    throw new UsageError(`"${spec.name}" ${expects}, got "${positionals[max]}" beside`);
  }
  if (positionals.length < min) throw new UsageError(`"${spec.name}" expects ${name}; none was given`);
  for (const word of positionals) {
    if (word === '') throw new UsageError(`"${spec.name}" expects ${name}, got an empty word`);
    if (choices && !choices.includes(word)) {
      throw new UsageError(`"${spec.name}" does not know ${name} "${word}"${nearest(word, choices)}`);
    }
  }
}

/** Parses and checks what follows a command's name. @throws UsageError */
export function parseOptions<T extends OptionTable>(spec: CommandSpec<T>, args: readonly string[]): Parsed<T> {
  const { options, positionals } = tokensOf(spec, args);
  const values: Record<string, unknown> = {};
  const given = new Set<string>();
  for (const [key, option] of Object.entries(spec.options)) {
    values[key] = option.type === 'flag' ? false : option.default;
    const flag = flagOf(key);
    for (const token of options.filter((one) => one.name === flag)) {
      if (given.has(key)) throw new UsageError(`--${flag} is given twice`);
      given.add(key);
      if (option.type === 'flag') {
        if (token.value !== undefined) throw new UsageError(`--${flag} takes no value, got "${token.value}"`);
        values[key] = true;
        continue;
      }
      const missing = token.value === undefined || (!token.inline && token.value.startsWith('--'));
      if (missing) throw new UsageError(`--${flag} expects a value`);
      values[key] = parseValue(flag, token.value as string, option);
    }
    if (option.type !== 'flag' && option.required && !given.has(key)) {
      throw new UsageError(`"${spec.name}" needs --${flag}`);
    }
  }
  checkPositionals(spec, positionals);
  return { values: values as Values<T>, given, positionals };
}
