// face-api's networks (npm @vladmandic/face-api, MIT) as parts of the pipeline: its weights are found in the installed package
// or in a folder, never bundled. Called by load.ts and by users.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Precision } from '../compile';
import { DataError } from '../errors';
import { fromFaceApi } from '../interchange/faceApi';
import { loadTfjsWeights } from '../interchange/tfjs';
import { ageGenderNet, ageGenderOutputs, FACE_API_EXPRESSIONS, FACE_API_PIXELS, faceExpressionNet } from '../models';
import { compileModel, type Weights } from '../train/compileModel';
import type { AttributeEstimator, CropOptions, FaceAttributes, FaceClassifier } from './types';

export interface FaceApiOptions {
  /** Folder with face-api's weights; that of the installed package when absent. */
  readonly folder?: string;
  readonly threads?: number;
  /** How products take their factors; see compile(). */
  readonly precision?: Precision;
}

/** What of the options compileModel() takes. */
function placement({ threads, precision }: FaceApiOptions): Pick<FaceApiOptions, 'threads' | 'precision'> {
  return { ...(threads === undefined ? {} : { threads }), ...(precision === undefined ? {} : { precision }) };
}

/** Faces as face-api cuts them: the whole box in the middle of a black square. */
const CROP: CropOptions = { size: [112, 112], channels: 3, fit: 'padded' };
const INPUT = [112, 112, 3] as const;

/** The weights' folder of the package as the working directory, or this package, sees it. */
function packageFolder(): string {
  for (const from of [path.join(process.cwd(), 'package.json'), __filename]) {
    try {
      const manifest = createRequire(from).resolve('@vladmandic/face-api/package.json');
      return path.join(path.dirname(manifest), 'model');
    } catch {
      // Not seen from there.
    }
  }
  throw new DataError(
    "[faceApi] face-api's weights were not found: run `npm install @vladmandic/face-api`, or name their folder",
  );
}

/** Weights of one of face-api's models, by the names of ours. Rejects with DataError or InterchangeError. */
export async function faceApiWeights(
  model: 'tiny_face_detector' | 'face_expression' | 'age_gender',
  folder: string = packageFolder(),
): Promise<Weights> {
  const manifest = path.join(folder, `${model}_model-weights_manifest.json`);
  if (!existsSync(manifest)) throw new DataError(`[faceApi] ${folder} has no ${path.basename(manifest)}`);
  return fromFaceApi(await loadTfjsWeights(manifest));
}

/** face-api's expression network: neutral, happy, sad, angry, fearful, disgusted, surprised. */
export async function faceApiClassifier(options: FaceApiOptions = {}): Promise<FaceClassifier> {
  const model = await compileModel(faceExpressionNet, {
    ...{ input: INPUT, classes: FACE_API_EXPRESSIONS.length, pixels: FACE_API_PIXELS },
    weights: await faceApiWeights('face_expression', options.folder),
    ...placement(options),
  });
  return {
    crop: CROP,
    classNames: FACE_API_EXPRESSIONS,
    classify: async (faces) => (await model.run(faces)).probabilities as Float32Array,
    dispose: () => model.dispose(),
  };
}

/** face-api's age and gender network. */
export async function faceApiAttributes(options: FaceApiOptions = {}): Promise<AttributeEstimator> {
  const model = await compileModel(ageGenderNet, {
    ...{ input: INPUT, classes: 2, pixels: FACE_API_PIXELS, outputs: ageGenderOutputs },
    weights: await faceApiWeights('age_gender', options.folder),
    ...placement(options),
  });
  return {
    crop: CROP,
    async estimate(faces, count) {
      const { age, gender } = await model.run(faces);
      return Array.from({ length: count }, (_, index): FaceAttributes => {
        const male = gender![2 * index]!;
        const label = male > 0.5 ? 'male' : 'female';
        return { age: age![index]!, gender: { label, probability: male > 0.5 ? male : 1 - male } };
      });
    },
    dispose: () => model.dispose(),
  };
}
