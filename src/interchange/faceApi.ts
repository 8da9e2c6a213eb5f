// Names of face-api's weights (the npm package @vladmandic/face-api, MIT) as those of faceExpressionNet, ageGenderNet and
// tinyFaceDetector. Called by users and `gramian import`. The rule easy to break: its depthwise filters are [KH,KW,C,1] and
// ours [KH,KW,1,C], which is the same order in memory; everything else keeps shape and order.
import { InterchangeError } from '../errors';
import type { NamedTensors } from './tensors';

const LAST = {
  filters: 'weight',
  weights: 'weight',
  depthwise_filter: 'depthwise',
  pointwise_filter: 'pointwise',
  bias: 'bias',
} as const;

function isLast(word: string): word is keyof typeof LAST {
  return Object.hasOwn(LAST, word);
}

/**
 * The weights of loadTfjsWeights('face_expression_model-weights_manifest.json') or another of face-api's models as
 * compileModel() wants them. Throws InterchangeError for a name that face-api does not have.
 */
export function fromFaceApi(tensors: NamedTensors): NamedTensors {
  const renamed: NamedTensors = Object.create(null);
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const cut = name.lastIndexOf('/');
    const word = name.slice(cut + 1);
    if (cut < 1 || !isLast(word)) {
      throw new InterchangeError(`[faceApi] expected a weight of face-api, got ${JSON.stringify(name)}`);
    }
    const depthwise = word === 'depthwise_filter' && shape.length === 4 && shape[3] === 1;
    const ours = depthwise ? [shape[0]!, shape[1]!, 1, shape[2]!] : shape;
    const layer = name.slice(0, cut);
    renamed[`${layer.startsWith('fc') ? 'head/' : ''}${layer}/${LAST[word]}`] = { shape: ours, data };
  }
  return renamed;
}
