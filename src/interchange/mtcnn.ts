// The float weights of MTCNN's TFLite files (pnet, rnet and onet, as they went round from the authors' Caffe models) by the
// names of pNet, rNet and oNet. Called by faces/mtcnn.ts and by users. The rule easy to break: those networks see images with x
// and y swapped, so filters and the rows of the first dense layer change their order here.
import { InterchangeError } from '../errors';
import type { NamedTensor, NamedTensors } from './tensors';

export const MTCNN_NETS = ['pnet', 'rnet', 'onet'] as const;
export type MtcnnNet = (typeof MTCNN_NETS)[number];

interface Plan {
  /** Convolutions: how many input channels and extents follow from the file. */
  readonly convolutions: readonly (readonly [theirs: string, ours: string])[];
  readonly dense: readonly (readonly [theirs: string, ours: string])[];
  readonly alphas: number;
  /** The dense layer that reads a map, and that map's side. */
  readonly flattened?: readonly [ours: string, side: number];
}

const PLANS: Record<MtcnnNet, Plan> = {
  pnet: {
    convolutions: [
      ['conv1', 'conv1'],
      ['conv2', 'conv2'],
      ['conv3', 'conv3'],
      ['conv4-1', 'logits'],
      ['conv4-2', 'offsets'],
    ],
    dense: [],
    alphas: 3,
  },
  rnet: {
    convolutions: [
      ['conv1', 'conv1'],
      ['conv2', 'conv2'],
      ['conv3', 'conv3'],
    ],
    dense: [
      ['conv4', 'fc'],
      ['conv5-1', 'logits'],
      ['conv5-2', 'offsets'],
    ],
    alphas: 4,
    flattened: ['fc', 3],
  },
  onet: {
    convolutions: [
      ['conv1', 'conv1'],
      ['conv2', 'conv2'],
      ['conv3', 'conv3'],
      ['conv4', 'conv4'],
    ],
    dense: [
      ['conv5', 'fc'],
      ['conv6-1', 'logits'],
      ['conv6-2', 'offsets'],
      ['conv6-3', 'landmarks'],
    ],
    alphas: 5,
    flattened: ['fc', 3],
  },
};

/** A float tensor of that many axes by its name, whatever its letters' case. */
function find(tensors: NamedTensors, name: string, axes: number): NamedTensor & { data: Float32Array } {
  const key = Object.keys(tensors).find((known) => known.toLowerCase() === name.toLowerCase());
  const tensor = key === undefined ? undefined : tensors[key];
  if (!tensor || !(tensor.data instanceof Float32Array) || tensor.shape.length !== axes) {
    const got = tensor ? `one of shape ${tensor.shape.join('x')}` : 'none';
    throw new InterchangeError(`[mtcnn] expected a float tensor "${name}" of ${axes} axes, got ${got}`);
  }
  return tensor as NamedTensor & { data: Float32Array };
}

/** [O,KX,KY,I], over images with x and y swapped, as [KY,KX,I,O]. */
function filterOf({ shape, data }: NamedTensor & { data: Float32Array }): NamedTensor {
  const [filters, kx, ky, channels] = shape as [number, number, number, number];
  const turned = new Float32Array(data.length);
  for (let y = 0, to = 0; y < ky; y += 1) {
    for (let x = 0; x < kx; x += 1) {
      for (let i = 0; i < channels; i += 1) {
        for (let o = 0; o < filters; o += 1, to += 1) turned[to] = data[((o * kx + x) * ky + y) * channels + i]!;
      }
    }
  }
  return { shape: [ky, kx, channels, filters], data: turned };
}

/** [O,D] as [D,O]; with `side`, D runs over a map [x,y,c] in the file and over [y,x,c] here. */
function denseOf({ shape, data }: NamedTensor & { data: Float32Array }, name: string, side?: number): NamedTensor {
  const [outputs, inputs] = shape as [number, number];
  const channels = side === undefined ? inputs : inputs / (side * side);
  if (!Number.isInteger(channels)) {
    throw new InterchangeError(`[mtcnn] expected "${name}" to read a map of ${side}x${side}, got ${inputs} inputs`);
  }
  const theirs = (row: number): number => {
    if (side === undefined) return row;
    const [c, cell] = [row % channels, Math.floor(row / channels)];
    const [y, x] = [Math.floor(cell / side), cell % side];
    return (x * side + y) * channels + c;
  };
  const turned = new Float32Array(data.length);
  for (let row = 0; row < inputs; row += 1) {
    const from = theirs(row);
    for (let o = 0; o < outputs; o += 1) turned[row * outputs + o] = data[o * inputs + from]!;
  }
  return { shape: [inputs, outputs], data: turned };
}

/**
 * Weights of one network from the tensors of its TFLite file (loadTflite('pnet.tflite')), by our names.
 * Throws InterchangeError where one is missing or has another shape.
 */
export function fromMtcnnTflite(net: MtcnnNet, tensors: NamedTensors): NamedTensors {
  const { convolutions, dense, alphas, flattened } = PLANS[net];
  const named: NamedTensors = Object.create(null);
  for (const [theirs, ours] of convolutions) {
    named[`${net}/${ours}/weight`] = filterOf(find(tensors, `${net}/${theirs}/weights/read`, 4));
    named[`${net}/${ours}/bias`] = find(tensors, `${net}/${theirs}/Conv2D_bias`, 1);
  }
  for (const [theirs, ours] of dense) {
    const name = `${net}/${theirs}/weights/read/transpose`;
    const side = flattened && flattened[0] === ours ? flattened[1] : undefined;
    named[`${net}/${ours}/weight`] = denseOf(find(tensors, name, 2), name, side);
    named[`${net}/${ours}/bias`] = find(tensors, `${net}/${theirs}/${theirs}/MatMul_bias`, 1);
  }
  for (let index = 1; index <= alphas; index += 1) {
    named[`${net}/prelu${index}/alpha`] = find(tensors, `${net}/prelu${index}/alpha/read`, 1);
  }
  return named;
}
