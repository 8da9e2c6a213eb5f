// The models by name, as the CLI and checkpoints know them. Add a model here and nowhere else.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import { nearest } from '../text';
import { alexnet } from './alexnet';
import { cfpn } from './cfpn';
import { denseFpn } from './denseFpn';
import { densenet121 } from './densenet';
import { faceExpressionNet } from './faceExpressionNet';
import { ferCnn, ferResnet18, ferVgg } from './fer';
import { inceptionV2 } from './inceptionV2';
import { mffCnn } from './mffCnn';
import type { ModelOptions } from './options';
import { resnet18, resnet50, resnet101 } from './resnet';
import { mlp, sfewCnn } from './sfew';

export { ageGenderNet, ageGenderOutputs } from './ageGenderNet';
export { type AlexnetOptions, alexnet } from './alexnet';
export { CFPN_CLASSIFIERS, type CfpnClassifier, type CfpnOptions, cfpn } from './cfpn';
export { type DenseFpnOptions, denseFpn } from './denseFpn';
export { type DensenetOptions, densenet121 } from './densenet';
export { FACE_API_EXPRESSIONS, FACE_API_PIXELS, faceExpressionNet } from './faceExpressionNet';
export { type FerOptions, ferCnn, ferResnet18, ferVgg } from './fer';
export { type InceptionV2Options, inceptionV2 } from './inceptionV2';
export { type MffCnnOptions, mffCnn } from './mffCnn';
export {
  MTCNN_HEADS,
  MTCNN_PIXELS,
  ONET_SIDE,
  oNet,
  PNET_STRIDE,
  PNET_WINDOW,
  pNet,
  RNET_SIDE,
  rNet,
} from './mtcnn';
export type { ModelOptions } from './options';
export { type PublishedFigures, published } from './published';
export { type ResnetOptions, resnet18, resnet50, resnet101 } from './resnet';
export { type MlpOptions, mlp, type SfewCnnOptions, sfewCnn } from './sfew';
export { TINY_FACE_ANCHORS, TINY_FACE_PIXELS, tinyFaceDetector } from './tinyFaceDetector';

/** A model: image batch [N,H,W,C] -> logits [N,classes], with its units marked. The last unit is the classifier. */
export type ModelFunction = (x: Tensor, options: ModelOptions) => Tensor;

const blocks =
  (count: number): ModelFunction =>
  (x, options) =>
    denseFpn(x, { ...options, blocks: count });

export const models: Readonly<Record<string, ModelFunction>> = {
  cfpn,
  // As paper 001 prints it: the classifier sees the global pool alone.
  cfpnPooled: (x, options) => cfpn(x, { ...options, classifier: 'pooled' }),
  denseFpn,
  denseFpn1: blocks(1),
  denseFpn2: blocks(2),
  denseFpn3: blocks(3),
  denseFpn4: blocks(4),
  denseFpnAttention: (x, options) => denseFpn(x, { ...options, attention: true }),
  alexnet,
  inceptionV2,
  resnet18,
  resnet50,
  resnet101,
  densenet121,
  ferCnn,
  ferVgg,
  ferResnet18,
  mlp,
  sfewCnn,
  mffCnn,
  faceExpressionNet,
  // The ablations of paper 004, Table 6.
  mffCnnUnselected: (x, options) => mffCnn(x, { ...options, selected: 512 }),
  mffCnnHighLevel: (x, options) => mffCnn(x, { ...options, midLevel: false }),
  mffCnnConcatenated: (x, options) => mffCnn(x, { ...options, jointTuning: false }),
};

/** The model of that name; an unknown one is answered with the nearest. */
export function modelNamed(name: string): ModelFunction {
  const model = Object.hasOwn(models, name) ? models[name] : undefined;
  if (!model) throw new ArgumentError(`[model] there is no model "${name}"${nearest(name, Object.keys(models))}`);
  return model;
}
