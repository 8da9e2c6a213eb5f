// face-api's tiny face detector (npm @vladmandic/face-api, MIT): a YOLO of the second kind (Redmon & Farhadi 2016,
// arXiv:1612.08242) with separable convolutions, for one class and five anchors. Its published weights come through
// fromFaceApi(). It has no units, since it is loaded and not trained here. The rule easy to break: the first convolution is
// not padded, all the others are.
import { ArgumentError } from '../errors';
import { formatShape, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { convolution, separable } from '../layers/plain';

/** How it wants its pixels, as `pixels` of compileModel(): a byte less the mean of its channel, over 255. */
export const TINY_FACE_PIXELS = { mean: [117.001 / 255, 114.697 / 255, 97.404 / 255], std: [1] } as const;

/** Width and height of each anchor, in cells. */
export const TINY_FACE_ANCHORS: readonly (readonly [number, number])[] = [
  [1.603231, 2.094468],
  [6.041143, 7.080126],
  [2.882459, 3.518061],
  [4.266906, 5.178857],
  [9.041765, 10.66308],
];

const LEAST = 32;
const WIDTHS = [32, 64, 128, 256, 512];
/** Slope of the rectifier below zero. */
const ALPHA = 0.1;
/** Numbers for each anchor. */
const ENCODING = 5;

const leaky = (x: Tensor): Tensor => ops.leakyRelu(x, { alpha: ALPHA });

/**
 * x [N,H,W,3] of at least 32x32 (its authors use multiples of 32, 416x416 by default) -> [N,h,w,25] with a cell for every 32
 * pixels (rounded up, of the two fewer that the first convolution leaves): for each anchor x, y, width, height and score. With
 * s the logistic function, a face's centre is at column + s(x), row + s(y) in cells, its sides are anchor * exp(width),
 * anchor * exp(height), and its score is s(score).
 */
export function tinyFaceDetector(x: Tensor): Tensor {
  const [, height = 0, width = 0] = x.shape;
  if (x.shape.length !== 4 || height < LEAST || width < LEAST) {
    const wanted = `an image batch [N,H,W,C] of at least ${LEAST}x${LEAST}`;
    throw new ArgumentError(`[tinyFaceDetector] expected ${wanted}, got ${formatShape(x.shape)}`);
  }
  let map = leaky(convolution('conv0', x, 16, { padding: 'valid', bias: 0 }));
  map = ops.maxPool(map, { kernel: 2, stride: 2, padding: 'same' });
  WIDTHS.forEach((filters, index) => {
    map = leaky(separable(`conv${index + 1}`, map, filters));
    // The last pooling keeps the resolution.
    map = ops.maxPool(map, { kernel: 2, stride: index === WIDTHS.length - 1 ? 1 : 2, padding: 'same' });
  });
  return convolution('conv8', map, TINY_FACE_ANCHORS.length * ENCODING, { kernel: 1, padding: 'valid', bias: 0 });
}
