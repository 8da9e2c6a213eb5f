// gramian duplicates: images that occur more than once, above all in training and test part, where they make accuracies
// too good to be true. The rule easy to break: what it finds is an answer, not a failure: the exit code stays 0.
import type { DuplicatePair, DuplicateReport, PairCounts, Place } from '../../data/duplicates';
import { AbortError } from '../../errors';
import { bar, table } from '../format';
import { INTERRUPTED, type Io, json } from '../io';
import { type OptionTable, UsageError } from '../options';
import { type Command, DATA_FORMS, jsonOption, present } from './shared';

const options = {
  data: { type: 'text', value: 'DATA', required: true, help: DATA_FORMS },
  input: { type: 'size', extents: ['H', 'W'], min: 8, max: 4096, help: 'size that image files are stretched to' },
  folds: { type: 'integer', min: 2, max: 1000, help: 'look across this many folds by class instead of the splits' },
  bySubject: { type: 'flag', help: 'with --folds: keep every subject in one fold' },
  bits: { type: 'integer', min: 0, max: 15, default: 6, help: 'bits of 64 in which hashes of near copies may differ' },
  difference: {
    type: 'number',
    min: 0,
    max: 255,
    default: 4,
    help: 'mean difference of pixels that near copies may have; 0 looks for exact copies only',
  },
  pairs: { type: 'integer', min: 0, max: 40_000, default: 20, help: 'pairs to list, those across parts first' },
  limit: { type: 'integer', min: 1, max: 1e12, help: 'use at most the first N images of each split' },
  seed: { type: 'integer', min: 0, max: Number.MAX_SAFE_INTEGER, default: 1, help: 'of splits and folds' },
  json: jsonOption,
} as const satisfies OptionTable;

function counts(name: string, { pairs, across, otherLabel }: PairCounts): string {
  return `${name} copies: ${pairs} pairs, ${across} of them across parts, ${otherLabel} with two labels\n`;
}

function pairLine({ kind, first, second, bits, difference }: DuplicatePair): string {
  const place = ({ part, index, label, group }: Place) =>
    `${part} #${index} (${group === undefined ? label : `${label}, ${group}`})`;
  const distance = kind === 'near' ? `  differs by ${Number(difference.toPrecision(3))}, ${bits} bits` : '';
  return `${kind}  ${place(first)} = ${place(second)}${distance}\n`;
}

function say(io: Io, { parts, exact, near, leaks, pairs }: DuplicateReport): void {
  const rows = parts.map((part) => [part.name, part.count, part.exactElsewhere, part.nearElsewhere].map(String));
  io.out(`${table([['part', 'images', 'exact copy elsewhere', 'near copy elsewhere'], ...rows])}\n`);
  io.out(counts('exact', exact) + counts('near', near));
  // Of many folds the table says enough.
  for (const leak of parts.length > 3 ? [] : leaks) {
    if (leak.exact + leak.near === 0) continue;
    io.out(`${leak.to}: ${leak.exact} images have an exact copy in ${leak.from}, ${leak.near} others a near one\n`);
  }
  if (pairs.length > 0) io.out(`\n${pairs.map(pairLine).join('')}`);
}

export const command: Command<typeof options> = {
  spec: {
    name: 'duplicates',
    options,
    examples: [
      'gramian duplicates --data fer2013:fer2013.csv',
      'gramian duplicates --data ckplus:CK+ --input 48x48 --folds 10 --json',
    ],
  },
  async run({ values }, io, engine) {
    const { data, input, folds, bySubject, bits, difference, limit, seed } = values;
    if (bySubject && folds === undefined) throw new UsageError('--by-subject is for --folds');
    const controller = new AbortController();
    const stopListening = io.onInterrupt(() => controller.abort());
    const clear = (): void => (io.terminal ? io.err('\r\u001b[2K') : undefined);
    try {
      const report = await engine.duplicates(data, {
        ...{ bySubject, bits, difference, seed, signal: controller.signal },
        ...present({ folds, limit, size: input as readonly [number, number] | undefined }),
        onProgress(stage, share) {
          if (io.terminal) io.err(`\r\u001b[2K${`${bar(share, 20)} ${stage}`.slice(0, Math.max(0, io.columns - 1))}`);
        },
      });
      clear();
      const shown = { ...report, pairs: report.pairs.slice(0, values.pairs) };
      if (values.json) json(io, shown);
      else say(io, shown);
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
