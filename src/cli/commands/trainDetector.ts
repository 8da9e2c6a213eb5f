// gramian train-detector: trains MTCNN's three networks on a folder of images with boxes, or on drawn scenes to try it.
import { AbortError } from '../../errors';
import type { TrainingProgress } from '../../faces/training/train';
import { bar, formatDuration, formatLoss } from '../format';
import { INTERRUPTED, type Io, json } from '../io';
import { type OptionTable, UsageError } from '../options';
import { type Command, jsonOption, present, threadsOption } from './shared';

const options = {
  data: {
    type: 'text',
    value: 'DATA',
    required: true,
    help: 'folder with images and boxes.csv (file,x,y,width,height), or scenes[:COUNT], which are drawn',
  },
  out: { type: 'text', value: 'FILE', default: 'mtcnn.safetensors', help: 'where the weights go' },
  steps: { type: 'integer', min: 1, max: 1e8, default: 5000, help: 'of each network' },
  batch: { type: 'integer', min: 5, max: 4096, default: 128, help: 'samples a step' },
  lr: { type: 'number', min: 0, above: true, max: 0.5, default: 0.002, help: 'learning rate at the start' },
  minFace: { type: 'integer', min: 12, max: 4096, default: 24, help: 'smaller faces are not learnt, in pixels' },
  seed: { type: 'integer', min: 0, max: 2 ** 31, default: 1, help: 'of weights, crops and batches' },
  threads: threadsOption,
  json: jsonOption,
} as const satisfies OptionTable;

const SCENES = 400;
const SCENES_FORM = /^scenes(?::(\d{1,6}))?$/;
const PLAIN_SECONDS = 10;

/** One line that redraws itself, or a plain one every ten seconds. */
function shower(io: Io): (progress: TrainingProgress) => void {
  const started = performance.now();
  let plain = started;
  return (progress) => {
    const now = performance.now();
    const [done, total] =
      progress.stage === 'train' ? [progress.step, progress.steps] : [progress.done, progress.total];
    const what =
      progress.stage === 'train'
        ? `${progress.net} step ${done}/${total}  loss ${formatLoss(progress.loss)}`
        : `${progress.net} crops of image ${done}/${total}`;
    const line = `${what}  ${formatDuration((now - started) / 1000)}`;
    if (io.terminal) {
      io.err(`\r\u001b[2K${`${bar(done / total, 20)} ${line}`.slice(0, Math.max(0, io.columns - 1))}`);
      return;
    }
    if (now - plain < PLAIN_SECONDS * 1000 && done < total) return;
    plain = now;
    io.err(`${line}\n`);
  };
}

export const command: Command<typeof options> = {
  spec: {
    name: 'train-detector',
    options,
    examples: [
      'gramian train-detector --data photos/ --steps 20000 --out mtcnn.safetensors',
      'gramian train-detector --data scenes:200 --steps 300 --batch 64',
      'gramian predict --detect --detector mtcnn --weights mtcnn.safetensors photo.jpg',
    ],
  },
  async run({ values }, io, engine) {
    const { data, out, steps, batch, lr, minFace, seed, threads } = values;
    const scenes = SCENES_FORM.exec(data);
    if (data.startsWith('scenes:') && !scenes) throw new UsageError(`--data expects scenes:COUNT, got "${data}"`);
    if (!out.endsWith('.safetensors'))
      throw new UsageError(`--out expects a name that ends in .safetensors, got "${out}"`);
    const controller = new AbortController();
    const stopListening = io.onInterrupt(() => controller.abort());
    const clear = (): void => (io.terminal ? io.err('\r\u001b[2K') : undefined);
    const show = shower(io);
    try {
      const source = scenes ? { scenes: Number(scenes[1] ?? SCENES) } : { folder: data };
      const { images, faces } = await engine.trainDetector(source, {
        ...{ out, steps, batch, learningRate: lr, minFace, seed, signal: controller.signal },
        ...present({ threads }),
        onProgress(progress) {
          if (values.json) json(io, progress);
          else show(progress);
        },
      });
      clear();
      if (values.json) json(io, { stage: 'end', images, faces, out });
      else io.out(`trained on ${faces} faces of ${images} images: ${out}\n`);
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
