// gramian synth: synthetic faces in FER2013's own format. They are drawings, and are always called synthetic.
import { AbortError } from '../../errors';
import { bar, formatCount } from '../format';
import { INTERRUPTED, json } from '../io';
import type { OptionTable } from '../options';
import { type Command, jsonOption } from './shared';

const options = {
  out: {
    type: 'text',
    value: 'FILE.csv',
    required: true,
    help: 'file to write',
    check: (path: string) => (path.endsWith('.csv') ? undefined : `expects a name that ends in .csv, got "${path}"`),
  },
  count: { type: 'integer', min: 3, max: 1_000_000, default: 35_887, help: 'faces in all, split 8 : 1 : 1' },
  seed: { type: 'integer', min: 0, max: Number.MAX_SAFE_INTEGER, default: 1, help: 'same seed, same faces' },
  json: jsonOption,
} as const satisfies OptionTable;

export const command: Command<typeof options> = {
  spec: {
    name: 'synth',
    options,
    examples: ['gramian synth --out synthetic.csv --count 5000 --seed 7'],
  },
  async run({ values }, io, engine) {
    const { out, count, seed } = values;
    const controller = new AbortController();
    const stopListening = io.onInterrupt(() => controller.abort());
    let drawn = '';
    const clear = (): void => {
      if (drawn !== '') io.err('\r\u001b[2K');
      drawn = '';
    };
    const onProgress = (stage: string, share: number): void => {
      const text = `${bar(share, 20)} ${stage}`.slice(0, Math.max(0, io.columns - 1));
      if (!io.terminal || text === drawn) return;
      io.err(`\r\u001b[2K${text}`);
      drawn = text;
    };
    try {
      const splits = await engine.synthesize(out, { count, seed, signal: controller.signal, onProgress });
      clear();
      if (values.json) json(io, { out, count, seed, splits, synthetic: true });
      else {
        const parts = Object.entries(splits).map(([name, images]) => `${formatCount(images)} ${name}`);
        io.out(`${out}: ${count} synthetic faces (${parts.join(', ')}), seed ${seed}\n`);
      }
      return 0;
    } catch (error) {
      clear();
      if (error instanceof AbortError && controller.signal.aborted) return INTERRUPTED;
      throw error;
    } finally {
      stopListening();
    }
  },
};
