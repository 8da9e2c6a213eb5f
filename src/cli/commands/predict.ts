// gramian predict: the class of each image file, by a run's weights; with --detect, the faces in photographs and what they show.
import { labelOf } from '../../faces/annotate';
import type { Engine } from '../engine';
import { formatPercent } from '../format';
import { type Io, json } from '../io';
import { flagOf, type OptionTable, UsageError } from '../options';
import { faceOptions, recognizerOptions } from './faceOptions';
import { type Command, jsonOption, present } from './shared';

/** Classes named beside the first when people read. */
const RUNNERS_UP = 2;

const options = {
  run: {
    type: 'text',
    value: 'DIR',
    help: "folder of a run; with --detect it tells expressions, in place of face-api's network, and may be `none`",
  },
  detect: { type: 'flag', help: 'find faces in photographs, then classify each' },
  out: { type: 'text', value: 'DIR', help: 'with --detect: folder for annotated PNGs, `faces` by default' },
  ...faceOptions,
  json: jsonOption,
} as const satisfies OptionTable;

type PredictOptions = typeof options;

const ANNOTATED = 'faces';

async function detect(
  photos: readonly string[],
  values: Parameters<typeof recognizerOptions>[0] & { json: boolean },
  io: Io,
  engine: Engine,
): Promise<number> {
  for await (const found of engine.detectFaces(photos, { out: ANNOTATED, ...recognizerOptions(values) })) {
    if (values.json) {
      json(io, found);
      continue;
    }
    const { image, faces, timings, annotated } = found;
    const count = `${faces.length} face${faces.length === 1 ? '' : 's'}`;
    io.out(`${image}: ${count} in ${Math.round(timings.total)} ms${annotated ? `, drawn in ${annotated}` : ''}\n`);
    for (const face of faces) {
      const { x, y, width, height } = face.box;
      const place = [x, y, width, height].map((value) => Math.round(value)).join(' ');
      io.out(`  ${labelOf(face)}  at ${place}, score ${formatPercent(face.score)}\n`);
    }
  }
  return 0;
}

export const command: Command<PredictOptions> = {
  spec: {
    name: 'predict',
    positionals: { name: 'IMAGE...', min: 1, max: Number.POSITIVE_INFINITY },
    options,
    examples: [
      'gramian predict --run runs/fer face.png other.jpg --json',
      'gramian predict --detect holiday.jpg --attributes',
      'gramian predict --detect --run runs/fer --detector mtcnn --weights mtcnn/ holiday.jpg --json',
    ],
  },
  async run({ values, given, positionals }, io, engine) {
    if (values.detect) return detect(positionals, values, io, engine);
    const misplaced = ['out', ...Object.keys(faceOptions)].find((key) => key !== 'threads' && given.has(key));
    if (misplaced) throw new UsageError(`--${flagOf(misplaced)} is for --detect`);
    const { run, threads } = values;
    if (run === undefined) throw new UsageError('"predict" needs --run, or --detect for photographs');
    for await (const { image, label, probabilities } of engine.predict(run, positionals, present({ threads }))) {
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
