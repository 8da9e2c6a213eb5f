// A finished run of ours as the pipeline's classifier. Called by load.ts and by users. The rule easy to break: faces are cut as
// those of the data set were that the run was trained on; FER2013's show the face from the brows to the chin.
import type { Precision } from '../compile';
import { DataError } from '../errors';
import { loadModel } from '../train/compileModel';
import { checkFit } from './crop';
import type { CropOptions, FaceClassifier } from './types';

export interface RunClassifierOptions {
  /** How the run's training faces were cut; `square` without a margin by default. */
  readonly fit?: CropOptions['fit'];
  readonly margin?: number;
  readonly threads?: number;
  /** How products take their factors; see compile(). */
  readonly precision?: Precision;
}

/** The best weights of a run's folder. Rejects with ArgumentError for a wrong option, CheckpointError when it holds none. */
export async function runClassifier(run: string, options: RunClassifierOptions = {}): Promise<FaceClassifier> {
  const { fit = 'square', margin = 0, threads, precision } = options;
  checkFit('runClassifier', { fit, margin });
  const { model, spec, classNames } = await loadModel(run, {
    ...(threads === undefined ? {} : { threads }),
    ...(precision === undefined ? {} : { precision }),
  });
  const [height, width, channels] = spec.input;
  if (channels !== 1 && channels !== 3) {
    model.dispose();
    throw new DataError(`[runClassifier] ${run}: faces have 1 or 3 channels, the run's images ${channels}`);
  }
  return {
    crop: { size: [height, width], channels, fit, margin },
    classNames,
    classify: async (faces) => (await model.run(faces)).probabilities as Float32Array,
    dispose: () => model.dispose(),
  };
}
