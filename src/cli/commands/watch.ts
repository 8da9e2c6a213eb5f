// gramian watch: the faces of a folder of frames or of a film, followed from frame to frame. The rule easy to break: with --json
// every frame is a line on stdout; people see one redrawn line and, at the end, what each stage took.
import { AbortError } from '../../errors';
import { labelOf } from '../../faces/annotate';
import type { DetectedFaces } from '../../faces/photos';
import { table } from '../format';
import { INTERRUPTED, type Io, json } from '../io';
import type { OptionTable } from '../options';
import { faceOptions, recognizerOptions } from './faceOptions';
import { type Command, jsonOption, present } from './shared';

const options = {
  ...faceOptions,
  run: {
    type: 'text',
    value: 'DIR',
    help: "folder of a run that tells expressions, in place of face-api's network; `none` for none",
  },
  every: {
    type: 'integer',
    min: 1,
    max: 1000,
    default: 6,
    help: 'detect in one frame of so many, track in the others',
  },
  limit: { type: 'integer', min: 1, max: 1e9, help: 'frames to take at most' },
  out: { type: 'text', value: 'DIR', help: 'folder for annotated frames as PNG; none are written otherwise' },
  ffmpeg: { type: 'text', value: 'PATH', default: 'ffmpeg', help: 'what decodes films' },
  json: jsonOption,
} as const satisfies OptionTable;

const STAGES = ['detect', 'track', 'crop', 'classify', 'total'] as const;
type Stage = (typeof STAGES)[number];

/** What the frames of a film came to. */
class Totals {
  frames = 0;
  detected = 0;
  readonly ids = new Set<number>();
  readonly #sums = new Map<Stage, number>();

  add({ faces, detected, timings }: DetectedFaces): void {
    this.frames += 1;
    if (detected) this.detected += 1;
    for (const { id } of faces) this.ids.add(id);
    for (const stage of STAGES) this.#sums.set(stage, this.#sum(stage) + timings[stage]);
  }

  /** Frames that would be worked off in a second. */
  get rate(): number {
    return (1000 * this.frames) / Math.max(this.#sum('total'), 1e-6);
  }

  table(): string {
    const rows = STAGES.map((stage) => [stage, (this.#sum(stage) / Math.max(1, this.frames)).toFixed(2)]);
    return table([['stage', 'ms a frame'], ...rows]);
  }

  #sum(stage: Stage): number {
    return this.#sums.get(stage) ?? 0;
  }
}

function show(io: Io, { index, faces }: DetectedFaces, totals: Totals): void {
  if (!io.terminal) return;
  const text = `frame ${index}  ${totals.rate.toFixed(0)} frames/s  ${faces.map(labelOf).join(' | ') || 'no face'}`;
  io.err(`\r\u001b[2K${text.slice(0, Math.max(0, io.columns - 1))}`);
}

export const command: Command<typeof options> = {
  spec: {
    name: 'watch',
    positionals: { name: 'DIR|FILE', min: 1, max: 1 },
    options,
    examples: [
      'gramian watch frames/ --json',
      'gramian watch film.mp4 --attributes --out annotated/',
      'gramian watch film.mp4 --run runs/fer --every 1 --limit 500',
    ],
  },
  async run({ values, positionals }, io, engine) {
    const { every, limit, ffmpeg } = values;
    const settings = { ...recognizerOptions(values), detectEvery: every, ffmpeg, ...present({ limit }) };
    const controller = new AbortController();
    const stopListening = io.onInterrupt(() => controller.abort());
    const totals = new Totals();
    const clear = (): void => (io.terminal ? io.err('\r\u001b[2K') : undefined);
    let interrupted = false;
    try {
      for await (const frame of engine.watchFaces(positionals[0]!, { ...settings, signal: controller.signal })) {
        totals.add(frame);
        if (values.json) json(io, frame);
        show(io, frame, totals);
      }
    } catch (error) {
      interrupted = error instanceof AbortError && controller.signal.aborted;
      if (!interrupted) throw error;
    } finally {
      clear();
      stopListening();
    }
    const { frames, detected, ids, rate } = totals;
    const summary = `${frames} frames, detector in ${detected}, ${ids.size} faces, ${rate.toFixed(1)} frames/s\n`;
    if (values.json) io.err(summary);
    else io.out(`${summary}${totals.table()}`);
    return interrupted ? INTERRUPTED : 0;
  },
};
