// Trains MTCNN on images with boxes, network by network (Zhang et al. 2016, section III.A): P-Net on random crops, R-Net and O-Net
// on what the networks before them let through as well. Called by `gramian train-detector` and by users. The rule easy to break:
// random numbers follow from the seed and the image's place, so the same folder and seed give the same weights.
import { Random } from '../../data/random';
import { throwIfAborted } from '../../data/types';
import { ArgumentError, DataError } from '../../errors';
import { MTCNN_NETS, type MtcnnNet } from '../../interchange/mtcnn';
import type { Weights } from '../../train/compileModel';
import { saveSafetensors } from '../../train/safetensors';
import { Mtcnn } from '../mtcnn';
import { Pyramid } from '../pyramid';
import type { Box } from '../types';
import type { AnnotatedImage } from './annotations';
import { randomSquares, type Sample, samplesOf } from './samples';
import { initialWeights, STAGES, type StageProgress, trainStage } from './stage';

export interface MtcnnTrainingOptions {
  /** Steps of each network; 5000 by default. */
  readonly steps?: number;
  /** Samples a step; 128 by default. */
  readonly batch?: number;
  /** At the start; it falls along a cosine to a hundredth. 0.002 by default. */
  readonly learningRate?: number;
  readonly seed?: number;
  /** Smaller faces are not learnt, in pixels; 24 by default. */
  readonly minFace?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainingProgress) => void;
}

export type TrainingProgress =
  | ({ readonly stage: 'train' } & StageProgress)
  | { readonly stage: 'sample'; readonly net: MtcnnNet; readonly done: number; readonly total: number };

/** Candidates of the networks before that are sampled of one image, best first. */
const MOST_CANDIDATES = 60;
/** What the networks before have to score for their candidates to be learnt from: less than in detection, for hard negatives. */
const LENIENT = [0.4, 0.4, 0.7] as const;
/** Samples held in memory at most, in bytes. */
const MOST_BYTES = 2 ** 31;

function checked(options: MtcnnTrainingOptions) {
  const { steps = 5000, batch = 128, learningRate = 0.002, seed = 1, minFace = 24 } = options;
  for (const [name, value, least] of [
    ['steps', steps, 1],
    ['batch', batch, 5],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw new ArgumentError(`[trainMtcnn] ${name} is an integer of ${least} or more, got ${value}`);
    }
  }
  if (!(learningRate > 0 && learningRate < 1)) {
    throw new ArgumentError(`[trainMtcnn] learningRate is a number between 0 and 1, got ${learningRate}`);
  }
  if (!(minFace >= 12 && Number.isFinite(minFace))) {
    throw new ArgumentError(`[trainMtcnn] minFace is a number of 12 or more, got ${minFace}`);
  }
  return { steps, batch, learningRate, seed, minFace };
}

type Settings = ReturnType<typeof checked> & Pick<MtcnnTrainingOptions, 'threads' | 'signal' | 'onProgress'>;

/** The crops one network learns from; `before` are the networks that choose what it is shown. */
async function sampleImages(
  net: MtcnnNet,
  images: readonly AnnotatedImage[],
  before: Mtcnn | undefined,
  { seed, minFace, signal, onProgress }: Settings,
): Promise<Sample[]> {
  const { side } = STAGES[net];
  const samples: Sample[] = [];
  for (const [index, { name, faces, load }] of images.entries()) {
    throwIfAborted(signal, 'trainMtcnn');
    const image = await load();
    const random = new Random(seed, MTCNN_NETS.indexOf(net) * 2 ** 32 + index);
    const squares: Box[] = randomSquares(image.width, image.height, faces, minFace, random);
    if (before && net !== 'pnet') squares.push(...(await before.candidates(image, net)).slice(0, MOST_CANDIDATES));
    samples.push(...samplesOf(new Pyramid(image), squares, faces, side));
    if (samples.length * side * side * 3 > MOST_BYTES) {
      throw new DataError(`[trainMtcnn] ${name}: more samples than ${MOST_BYTES} bytes hold; give fewer images`);
    }
    onProgress?.({ stage: 'sample', net, done: index + 1, total: images.length });
  }
  return samples;
}

/**
 * Weights of all three networks by name, for Mtcnn.load() or saveSafetensors(). Deterministic.
 * Rejects with ArgumentError for options out of range, DataError for images that cannot be read or hold no face of `minFace`
 * pixels, DivergedError, AbortError.
 */
export async function trainMtcnn(
  images: readonly AnnotatedImage[],
  options: MtcnnTrainingOptions = {},
): Promise<Weights> {
  const settings: Settings = { ...options, ...checked(options) };
  const { steps, batch, learningRate, seed, minFace, threads, onProgress } = settings;
  const placement = threads === undefined ? {} : { threads };
  const known = new Map(MTCNN_NETS.map((net) => [net, initialWeights(net, seed)]));
  const all = (): Weights => Object.assign({}, ...known.values());
  for (const [place, net] of MTCNN_NETS.entries()) {
    const before =
      net === 'pnet' ? undefined : await Mtcnn.load({ weights: all(), minFace, thresholds: LENIENT, ...placement });
    let samples: Sample[];
    try {
      samples = await sampleImages(net, images, before, settings);
    } finally {
      before?.dispose();
    }
    if (!samples.some(({ kind }) => kind === 'positive')) {
      throw new DataError(`[trainMtcnn] ${images.length} images hold no face of ${minFace} or more pixels`);
    }
    const report = (progress: StageProgress): void => {
      throwIfAborted(settings.signal, 'trainMtcnn');
      onProgress?.({ stage: 'train', ...progress });
    };
    const stage = { steps, batch, learningRate, seed, ...placement };
    known.set(net, await trainStage(net, samples, stage, new Random(seed, 0x7e57_0000 + place), report));
  }
  return all();
}

/** Writes weights that Mtcnn.load({ weights: file }) reads. */
export async function saveMtcnn(file: string, weights: Weights): Promise<void> {
  await saveSafetensors(file, weights as Parameters<typeof saveSafetensors>[1], { format: 'gramian mtcnn' });
}
