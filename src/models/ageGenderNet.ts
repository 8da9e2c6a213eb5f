// face-api's age and gender network (npm @vladmandic/face-api, MIT): a small Xception (Chollet 2017, arXiv:1610.02357) with
// two heads on its averaged features. Its published weights read 112x112x3, scaled as FACE_API_PIXELS, through fromFaceApi().
// It has no units, since it is loaded and not trained here. The rule easy to break: a reduction block's shortcut reads the
// block's input as it came, not rectified.
import { ArgumentError } from '../errors';
import { formatShape, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { convolution, separable } from '../layers/plain';
import { dense } from '../layers/separable';

const LEAST = 16;

/** Two separable convolutions and a halving, beside a 1x1 convolution. x [N,H,W,C] -> [N,H/2,W/2,filters]. */
function reduction(name: string, x: Tensor, filters: number, active: boolean): Tensor {
  return x.graph.scope(name, () => {
    const first = separable('separable_conv0', active ? ops.relu(x) : x, filters);
    const second = separable('separable_conv1', ops.relu(first), filters);
    const pooled = ops.maxPool(second, { kernel: 3, stride: 2, padding: 'same' });
    return ops.add(pooled, convolution('expansion_conv', x, filters, { kernel: 1, stride: 2, bias: 0 }));
  });
}

/** Three separable convolutions beside the identity. */
function main(name: string, x: Tensor): Tensor {
  return x.graph.scope(name, () => {
    let y = x;
    for (let index = 0; index < 3; index += 1) y = separable(`separable_conv${index}`, ops.relu(y), x.shape[3]!);
    return ops.add(y, x);
  });
}

/** x [N,H,W,3] of at least 16x16 -> [N,3]: the age in years, then the logits of male and female. */
export function ageGenderNet(x: Tensor): Tensor {
  const [, height = 0, width = 0] = x.shape;
  if (x.shape.length !== 4 || height < LEAST || width < LEAST) {
    const wanted = `an image batch [N,H,W,C] of at least ${LEAST}x${LEAST}`;
    throw new ArgumentError(`[ageGenderNet] expected ${wanted}, got ${formatShape(x.shape)}`);
  }
  let map = ops.relu(convolution('entry_flow/conv_in', x, 32, { stride: 2, bias: 0 }));
  map = reduction('entry_flow/reduction_block_0', map, 64, false);
  map = reduction('entry_flow/reduction_block_1', map, 128, true);
  for (let index = 0; index < 2; index += 1) map = main(`middle_flow/main_block_${index}`, map);
  map = reduction('exit_flow/reduction_block', map, 256, true);
  map = ops.relu(separable('exit_flow/separable_conv', map, 512));
  const features = ops.globalAvgPool(map);
  return ops.concat([dense('head/fc/age', features, 1), dense('head/fc/gender', features, 2)]);
}

/** ageGenderNet's result [N,3] as `outputs` of compileModel(): age [N,1] in years, gender [N,2] the shares of male and female. */
export function ageGenderOutputs(y: Tensor): { age: Tensor; gender: Tensor } {
  const batch = y.shape[0]!;
  return { age: ops.slice(y, [0, 0], [batch, 1]), gender: ops.softmax(ops.slice(y, [0, 1], [batch, 2])) };
}
