// gramian eval: metrics of a run's weights on one split of some data.
import type { Evaluation } from '../../report/events';
import { formatPercent, table } from '../format';
import { type Io, json } from '../io';
import type { OptionTable } from '../options';
import { type Command, DATA_FORMS, jsonOption, present, threadsOption } from './shared';

const options = {
  run: { type: 'text', value: 'DIR', required: true, help: 'folder of a run' },
  data: { type: 'text', value: 'DATA', required: true, help: DATA_FORMS },
  split: { type: 'choice', choices: ['train', 'validation', 'test'], default: 'test', help: 'part of the data' },
  limit: { type: 'integer', min: 1, max: 1e12, help: 'use at most the first N images' },
  threads: threadsOption,
  json: jsonOption,
} as const satisfies OptionTable;

function say(io: Io, evaluation: Evaluation): void {
  const { accuracy, balancedAccuracy, macroF1, confusion, classes } = evaluation;
  io.out(`accuracy ${formatPercent(accuracy)}  balanced ${formatPercent(balancedAccuracy)}  macro F1 `);
  io.out(`${formatPercent(macroF1)}\n\n`);
  const head = ['class', 'precision', 'recall', 'specificity', 'samples'];
  const rows = classes.map((one) => {
    const scores = [one.precision, one.recall, one.specificity].map(formatPercent);
    return [one.name, ...scores, String(one.support)];
  });
  io.out(`${table([head, ...rows])}\n`);
  const numbers = confusion.map((row, index) => [classes[index]?.name ?? '', ...row.map(String)]);
  io.out(table([['true \\ called', ...classes.map((one) => one.name)], ...numbers]));
}

export const command: Command<typeof options> = {
  spec: {
    name: 'eval',
    options,
    examples: ['gramian eval --run runs/mnist --data mnist', 'gramian eval --run runs/fer --data fer2013:f.csv --json'],
  },
  async run({ values }, io, engine) {
    const { run, data, split, threads, limit } = values;
    const evaluation = await engine.evaluate(run, { data, split, ...present({ threads, limit }) });
    if (values.json) json(io, evaluation);
    else say(io, evaluation);
    return 0;
  },
};
