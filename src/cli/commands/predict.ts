// gramian predict: the class of each image file, by a run's weights.
import { formatPercent } from '../format';
import { json } from '../io';
import type { OptionTable } from '../options';
import { type Command, jsonOption, present, threadsOption } from './shared';

/** Classes named beside the first when people read. */
const RUNNERS_UP = 2;

const options = {
  run: { type: 'text', value: 'DIR', required: true, help: 'folder of a run' },
  threads: threadsOption,
  json: jsonOption,
} as const satisfies OptionTable;

export const command: Command<typeof options> = {
  spec: {
    name: 'predict',
    positionals: { name: 'IMAGE...', min: 1, max: Number.POSITIVE_INFINITY },
    options,
    examples: ['gramian predict --run runs/fer face.png other.jpg --json'],
  },
  async run({ values, positionals }, io, engine) {
    const { threads } = values;
    for await (const { image, label, probabilities } of engine.predict(values.run, positionals, present({ threads }))) {
      if (values.json) {
        json(io, { image, label, probabilities });
        continue;
      }
      const ranked = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
      const others = ranked.filter(([name]) => name !== label).slice(0, RUNNERS_UP);
      const shares = others.map(([name, share]) => `${name} ${formatPercent(share)}`).join(', ');
      io.out(
        `${image}: ${label} ${formatPercent(probabilities[label] ?? Number.NaN)}${shares ? ` (${shares})` : ''}\n`,
      );
    }
    return 0;
  },
};
