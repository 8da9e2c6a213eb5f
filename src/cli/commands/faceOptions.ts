// Options of the commands that look for faces: predict --detect, watch, serve. The rule easy to break: what is not given is left to
// faces/load.ts, which has the defaults.
import type { Precision } from '../../compile';
import { DETECTORS, type DetectorName } from '../../faces/names';
import type { DetectOptions } from '../../faces/photos';
import { PRECISIONS } from '../../train/config';
import { flagOf, type OptionTable, UsageError, type Values } from '../options';
import { present, threadsOption } from './shared';

export const faceOptions = {
  detector: {
    type: 'choice',
    choices: DETECTORS,
    default: 'tiny',
    help: "what finds faces: face-api's tiny detector, or MTCNN with --weights",
  },
  weights: {
    type: 'text',
    value: 'PATH',
    help: "MTCNN's weights: a folder with pnet.tflite, rnet.tflite, onet.tflite, or a .safetensors file",
  },
  faceApi: { type: 'text', value: 'DIR', help: "face-api's weights; by default those of the installed package" },
  size: {
    type: 'integer',
    min: 32,
    max: 2048,
    help: "the tiny detector's resolution, a multiple of 32, 416 by default",
  },
  threshold: {
    type: 'number',
    min: 0,
    max: 1,
    help: 'what a detection of the tiny detector has to score, 0.5 by default',
  },
  minFace: { type: 'integer', min: 12, max: 4096, help: 'MTCNN looks for no smaller faces, in pixels; 40 by default' },
  attributes: { type: 'flag', help: 'estimate gender and age too' },
  precision: {
    type: 'choice',
    choices: PRECISIONS,
    help: 'what products of the classifying networks take their factors as; float32 by default',
  },
  threads: threadsOption,
} as const satisfies OptionTable;

/** Options that one detector has and the other does not. */
const OF_ONE: readonly (readonly [keyof typeof faceOptions, DetectorName])[] = [
  ['weights', 'mtcnn'],
  ['minFace', 'mtcnn'],
  ['size', 'tiny'],
  ['threshold', 'tiny'],
];

/** As loadRecognizer() wants them. @throws UsageError for options that do not go together. */
export function recognizerOptions(
  values: Values<typeof faceOptions> & { readonly run?: string | undefined; readonly out?: string | undefined },
): DetectOptions {
  const { detector, weights, faceApi, size, threshold, minFace, attributes, precision, threads, run, out } = values;
  if (detector === 'mtcnn' && weights === undefined) throw new UsageError('--detector mtcnn needs --weights PATH');
  for (const [key, owner] of OF_ONE) {
    if (detector !== owner && values[key] !== undefined) {
      throw new UsageError(`--${flagOf(key)} is for --detector ${owner}`);
    }
  }
  return {
    ...{ detector: detector as DetectorName, attributes },
    ...present({ weights, faceApi, size, threshold, minFace, threads, run, out }),
    ...present({ precision: precision as Precision | undefined }),
  };
}
