// Help texts, made from the tables: the list of commands and each command's options. Called by app.ts.
import { type CommandSpec, flagOf, type Option } from './options';

const WIDTH = 30;

function valueName(option: Option): string {
  switch (option.type) {
    case 'flag':
      return '';
    case 'integer':
      return ' N';
    case 'number':
      return ' X';
    case 'choice':
      return ' NAME';
    case 'size':
      return ` ${option.extents.join('x')}`;
    case 'text':
      return ` ${option.value}`;
  }
}

/** What may be given and what holds otherwise, in brackets behind the sentence. */
function details(option: Option): string {
  if (option.type === 'flag') return '';
  const parts: string[] = [];
  if (option.type === 'choice') parts.push(option.choices.join(', '));
  if (option.type === 'integer' || option.type === 'number') {
    parts.push(`${option.above ? 'above ' : ''}${option.min} to ${option.max}`);
  }
  if (option.required) parts.push('required');
  else if (option.type === 'size' && option.default) parts.push(`default ${option.default.join('x')}`);
  else if (option.default !== undefined) parts.push(`default ${option.default}`);
  return parts.length > 0 ? ` [${parts.join('; ')}]` : '';
}

function line(left: string, right: string): string {
  return left.length < WIDTH ? `  ${left.padEnd(WIDTH)}${right}` : `  ${left}\n  ${' '.repeat(WIDTH)}${right}`;
}

export function commandHelp(spec: CommandSpec, summary: string): string {
  const { positionals } = spec;
  const words = positionals ? ` ${positionals.min === 0 ? `[${positionals.name}]` : positionals.name}` : '';
  const options = Object.entries(spec.options).map(([key, option]) =>
    line(`--${flagOf(key)}${valueName(option)}`, option.help + details(option)),
  );
  const choices = positionals?.choices ? ['', `${positionals.name}: ${positionals.choices.join(', ')}`] : [];
  return [
    `gramian ${spec.name}: ${summary}`,
    '',
    `Usage: gramian ${spec.name}${words} [options]`,
    ...choices,
    '',
    'Options:',
    ...options,
    line('--help', 'print this text'),
    '',
    'Examples:',
    ...spec.examples.map((example) => `  ${example}`),
    '',
  ].join('\n');
}

export function generalHelp(version: string, commands: Readonly<Record<string, { readonly summary: string }>>): string {
  const width = 2 + Math.max(...Object.keys(commands).map((name) => name.length));
  return [
    `gramian ${version}: trains convolutional networks without back-propagation`,
    '',
    'Usage: gramian COMMAND [options]',
    '',
    'Commands:',
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`),
    '',
    'gramian COMMAND --help lists a command’s options. --version prints the version.',
    'Exit codes: 0 done, 1 failed, 2 the command line was not understood, 130 interrupted.',
    '',
  ].join('\n');
}
