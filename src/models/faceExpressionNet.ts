// face-api's expression network (npm @vladmandic/face-api, MIT): four dense blocks of separable convolutions that halve the
// resolution, an average over space and one fully connected layer; 323,687 weights. Its published weights read 112x112x3
// through fromFaceApi(); any size of at least 8x8 works for training. Each layer of a block reads the rectified sum of all
// outputs before it, so a unit hands on that sum. The rule easy to break: the first layer's output enters the sum rectified,
// the others as they are.
import type { Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { convolution, separable } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkImages, type ModelOptions } from './options';

/** How face-api's classifiers want their pixels, as `pixels` of compileModel(): a byte less the mean of its channel, over 255. */
export const FACE_API_PIXELS = { mean: [122.782 / 255, 117.001 / 255, 104.298 / 255], std: [1] } as const;

/** The classes of face-api's weights, in their order. */
export const FACE_API_EXPRESSIONS = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'] as const;

const LEAST = 8;
const WIDTHS = [32, 64, 128, 256];
const LAYERS = 4;

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: every convolution, the classifier. */
export function faceExpressionNet(x: Tensor, options: ModelOptions): Tensor {
  checkImages('faceExpressionNet', x, options, LEAST);
  const { graph } = x;
  let map = x;
  WIDTHS.forEach((width, block) => {
    const input = map;
    const first = `dense${block}/conv0`;
    map = graph.unit(first, () =>
      ops.relu(
        block === 0
          ? convolution(`/${first}`, input, width, { stride: 2, bias: 0 })
          : separable(`/${first}`, input, width, 2),
      ),
    );
    for (let layer = 1; layer < LAYERS; layer += 1) {
      const sum = map;
      const name = `dense${block}/conv${layer}`;
      map = graph.unit(name, () => {
        const made = separable(`/${name}`, layer === 1 ? sum : ops.relu(sum), width);
        const all = ops.add(sum, made);
        return layer === LAYERS - 1 ? ops.relu(all) : all;
      });
    }
  });
  const features = map;
  return graph.unit('head', () => dense('fc', ops.globalAvgPool(features), options.classes));
}
