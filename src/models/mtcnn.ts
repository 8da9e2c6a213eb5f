// The three networks of MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
// Networks", figure 2): P-Net proposes faces on a 12x12 window, fully convolutional over a larger image; R-Net refines 24x24
// candidates; O-Net decides on 48x48 ones and finds five points. Called by faces/mtcnn.ts and its training recipe. They have no
// units, since they are trained by back-propagation or loaded. Pixels are (byte - 127.5) / 128, as MTCNN_PIXELS says.
// The rule easy to break: poolings round up where a window is cut by the border (padding only behind and below), except R-Net's
// and O-Net's second one.
import { ArgumentError } from '../errors';
import { formatShape, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { convolution } from '../layers/plain';
import { dense } from '../layers/separable';

/** How they want their pixels, as `pixels` of compileModel(). */
export const MTCNN_PIXELS = { mean: [0.5], std: [128 / 255] } as const;

/** Side of the window that P-Net looks at, and how far it moves. */
export const PNET_WINDOW = 12;
export const PNET_STRIDE = 2;
export const RNET_SIDE = 24;
export const ONET_SIDE = 48;

/** Where the numbers of a network's last axis are: two logits (no face, face), four offsets, ten landmark coordinates. */
export const MTCNN_HEADS = { logits: [0, 2], offsets: [2, 4], landmarks: [6, 10] } as const;

const ALPHA = 0.25;

/** max(0, x) + alpha min(0, x) with an alpha for each channel (He et al. 2015), which starts at 0.25. */
function prelu(name: string, x: Tensor): Tensor {
  const alpha = x.graph.param(`${name}/alpha`, [x.shape.at(-1)!], ALPHA);
  return ops.sub(ops.relu(x), ops.mul(ops.relu(ops.affine(x, { scale: -1 })), alpha));
}

function layer(index: number, x: Tensor, filters: number, kernel: number): Tensor {
  return prelu(`prelu${index}`, convolution(`conv${index}`, x, filters, { kernel, padding: 'valid', bias: 0 }));
}

function check(op: string, x: Tensor, side: number, exact: boolean): void {
  const [, height = 0, width = 0, channels] = x.shape;
  const fits = exact ? height === side && width === side : height >= side && width >= side;
  if (x.shape.length === 4 && fits && channels === 3) return;
  const size = exact ? `${side}x${side}x3` : `at least ${side}x${side}x3`;
  throw new ArgumentError(`[${op}] expected an image batch [N,H,W,3] of ${size}, got ${formatShape(x.shape)}`);
}

/**
 * x [N,H,W,3] of at least 12x12 -> [N,h,w,6], h = ceil(H/2) - 5: for the window whose left upper corner is at twice the cell,
 * two logits and four offsets (see MTCNN_HEADS).
 */
export function pNet(x: Tensor): Tensor {
  check('pNet', x, PNET_WINDOW, false);
  return x.graph.scope('pnet', () => {
    let map = layer(1, x, 10, 3);
    map = ops.maxPool(map, { kernel: 2, stride: 2, padding: 'same' });
    map = layer(2, map, 16, 3);
    map = layer(3, map, 32, 3);
    const head = { kernel: 1, padding: 'valid', bias: 0 } as const;
    return ops.concat([convolution('logits', map, 2, head), convolution('offsets', map, 4, head)]);
  });
}

/** The fully connected end: `neurons` rectified features of the map, and a dense layer for each head. */
function heads(map: Tensor, index: number, neurons: number, sizes: Readonly<Record<string, number>>): Tensor {
  const features = prelu(`prelu${index}`, dense('fc', ops.flatten(map), neurons));
  return ops.concat(Object.entries(sizes).map(([name, size]) => dense(name, features, size)));
}

/** x [N,24,24,3] -> [N,6]: two logits and four offsets (see MTCNN_HEADS). */
export function rNet(x: Tensor): Tensor {
  check('rNet', x, RNET_SIDE, true);
  return x.graph.scope('rnet', () => {
    let map = layer(1, x, 28, 3);
    map = ops.maxPool(map, { kernel: 3, stride: 2, padding: 'same' });
    map = layer(2, map, 48, 3);
    map = ops.maxPool(map, { kernel: 3, stride: 2, padding: 'valid' });
    map = layer(3, map, 64, 2);
    return heads(map, 4, 128, { logits: 2, offsets: 4 });
  });
}

/** x [N,48,48,3] -> [N,16]: two logits, four offsets, five x and five y of landmarks (see MTCNN_HEADS). */
export function oNet(x: Tensor): Tensor {
  check('oNet', x, ONET_SIDE, true);
  return x.graph.scope('onet', () => {
    let map = layer(1, x, 32, 3);
    map = ops.maxPool(map, { kernel: 3, stride: 2, padding: 'same' });
    map = layer(2, map, 64, 3);
    map = ops.maxPool(map, { kernel: 3, stride: 2, padding: 'valid' });
    map = layer(3, map, 64, 3);
    map = ops.maxPool(map, { kernel: 2, stride: 2, padding: 'same' });
    map = layer(4, map, 128, 2);
    return heads(map, 5, 256, { logits: 2, offsets: 4, landmarks: 10 });
  });
}
