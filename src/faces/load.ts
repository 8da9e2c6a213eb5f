// A whole recogniser from a few words: which detector, which classifier. Called by the command line, the page and users. The rule
// easy to break: when one part cannot be loaded, those that were are freed.
import type { Precision } from '../compile';
import { ArgumentError } from '../errors';
import { faceApiAttributes, faceApiClassifier, faceApiWeights } from './faceApi';
import type { KcfOptions } from './kcf';
import { Mtcnn } from './mtcnn';
import { DETECTORS, type DetectorName } from './names';
import { Recognizer } from './recognizer';
import { runClassifier } from './runClassifier';
import { TinyDetector } from './tinyDetector';
import type { CropOptions, Detector } from './types';

export interface LoadDetectorOptions {
  /** `tiny` (face-api's tiny detector) by default; `mtcnn` needs `weights`. */
  readonly detector?: DetectorName;
  /** MTCNN's weights: a folder with its three TFLite files, or a safetensors file. */
  readonly weights?: string;
  /** MTCNN looks for no smaller faces, in pixels. */
  readonly minFace?: number;
  /** Folder of face-api's weights; that of the installed package @vladmandic/face-api when absent. */
  readonly faceApi?: string;
  /** The tiny detector's resolution, a multiple of 32. */
  readonly size?: number;
  /** The tiny detector's detections score more than this, 0 to 1. */
  readonly threshold?: number;
  readonly threads?: number;
}

export interface LoadRecognizerOptions extends LoadDetectorOptions {
  /** Folder of a run that tells expressions; `face-api` its expression network (the default), `none` none. */
  readonly run?: string;
  /** How the run's training faces were cut. */
  readonly fit?: CropOptions['fit'];
  readonly margin?: number;
  /** Whether to estimate gender and age by face-api's network. */
  readonly attributes?: boolean;
  /** How the classifying networks' products take their factors: bf16 takes two thirds of the time; see compile(). */
  readonly precision?: Precision;
  readonly detectEvery?: number;
  readonly smoothing?: number;
  readonly tracker?: KcfOptions;
}

/** Leaves out what is undefined. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Rejects with ArgumentError for a wrong option, DataError, InterchangeError or CheckpointError for missing or wrong weights. */
export async function loadDetector(options: LoadDetectorOptions = {}): Promise<Detector> {
  const { detector = 'tiny', faceApi, weights, minFace, size, threshold, threads } = options;
  if (!DETECTORS.includes(detector)) {
    throw new ArgumentError(`[detector] expected one of ${DETECTORS.join(', ')}, got ${JSON.stringify(detector)}`);
  }
  if (detector === 'mtcnn') {
    if (weights === undefined) {
      throw new ArgumentError(
        '[detector] mtcnn needs weights: a folder with pnet.tflite, rnet.tflite and onet.tflite, or a .safetensors file',
      );
    }
    return Mtcnn.load({ weights, ...given({ minFace, threads }) });
  }
  const tiny = await faceApiWeights('tiny_face_detector', faceApi);
  return TinyDetector.load({ weights: tiny, ...given({ size, threshold, threads }) });
}

/** Rejects as loadDetector(). */
export async function loadRecognizer(options: LoadRecognizerOptions = {}): Promise<Recognizer> {
  const { run = 'face-api', fit, margin, attributes = false, faceApi, threads, precision } = options;
  const { detectEvery, smoothing, tracker } = options;
  const parts: { dispose(): void }[] = [];
  const owned = async <T extends { dispose(): void }>(loading: Promise<T>): Promise<T> => {
    const part = await loading;
    parts.push(part);
    return part;
  };
  const networks = given({ folder: faceApi, threads, precision });
  const classifierOf = () =>
    run === 'face-api' ? faceApiClassifier(networks) : runClassifier(run, given({ fit, margin, threads, precision }));
  try {
    const detector = await owned(loadDetector(options));
    const classifier = run === 'none' ? undefined : await owned(classifierOf());
    const estimator = attributes ? await owned(faceApiAttributes(networks)) : undefined;
    return new Recognizer({
      detector,
      ...given({ classifier, attributes: estimator, detectEvery, smoothing, tracker }),
    });
  } catch (error) {
    for (const part of parts) part.dispose();
    throw error;
  }
}
