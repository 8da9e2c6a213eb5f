// face-api's networks with their published weights: what the engine answers, beside face-api's own code on TensorFlow.js's
// wasm backend, on faces of the synthetic renderer and on noise.
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { faceApiPeer, MODELS, type Peer, type PeerNet } from '../../bench/peers/faceApi';
import { ArgumentError, InterchangeError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { fromFaceApi } from '../../src/interchange/faceApi';
import { loadTfjsWeights } from '../../src/interchange/tfjs';
import {
  ageGenderNet,
  ageGenderOutputs,
  FACE_API_EXPRESSIONS,
  FACE_API_PIXELS,
  faceExpressionNet,
  type ModelFunction,
  TINY_FACE_PIXELS,
  tinyFaceDetector,
} from '../../src/models';
import { compileModel } from '../../src/train/compileModel';
import { summarize } from '../../src/train/summarize';

const COUNT = 5;

/** Images of smooth shapes, noise, black and white: bytes [side,side,3]. */
function imagesOf(count: number, side: number): Uint8Array[] {
  return Array.from({ length: count }, (_, image) =>
    Uint8Array.from({ length: side * side * 3 }, (_, index) => {
      const [y, x, c] = [Math.floor(index / (3 * side)), Math.floor(index / 3) % side, index % 3];
      if (image === 0) return ((index * 2654435761) >>> 8) & 255;
      if (image === 1) return 255;
      const phase = Math.sin((x * (image + c)) / 17) * Math.cos((y * (c + 2)) / (9 + image));
      const oval = Math.hypot((x - side / 2) / 0.7, y - side / 2) < side / 3 ? 70 : 0;
      return Math.round(100 + 80 * phase + oval);
    }),
  );
}

let peer: Peer;
beforeAll(async () => {
  peer = await faceApiPeer();
});

const weightsOf = async (file: string) =>
  fromFaceApi(await loadTfjsWeights(path.join(MODELS, `${file}-weights_manifest.json`)));

interface Compared {
  readonly net: PeerNet;
  readonly file: string;
  readonly model: ModelFunction;
  readonly classes: number;
  readonly pixels: { readonly mean: readonly number[]; readonly std: readonly number[] };
  readonly side: number;
  /** By the names face-api's results have. */
  readonly outputs: (y: Tensor) => Record<string, Tensor>;
}

const NETS: readonly Compared[] = [
  {
    net: 'FaceExpressionNet',
    file: 'face_expression_model',
    model: faceExpressionNet,
    classes: FACE_API_EXPRESSIONS.length,
    pixels: FACE_API_PIXELS,
    side: 112,
    outputs: (logits) => ({ result: ops.softmax(logits) }),
  },
  {
    net: 'AgeGenderNet',
    file: 'age_gender_model',
    model: ageGenderNet,
    classes: 2,
    pixels: FACE_API_PIXELS,
    side: 112,
    outputs: (y) => ({ ...ageGenderOutputs(y) }),
  },
  {
    net: 'TinyFaceDetector',
    file: 'tiny_face_detector_model',
    model: tinyFaceDetector,
    classes: 1,
    pixels: TINY_FACE_PIXELS,
    side: 160,
    outputs: (result) => ({ result }),
  },
];

/** Both answers for the same images. */
async function answers({ net, file, model, classes, pixels, side, outputs }: Compared, images: readonly Uint8Array[]) {
  const weights = await weightsOf(file);
  using compiled = await compileModel(model, { input: [side, side, 3], classes, pixels, outputs, weights });
  const ours = await compiled.run(Uint8Array.from(Buffer.concat(images)));
  const floats = images.map((image) => Float32Array.from(image));
  const loaded = peer.open(net, file, floats, side);
  const theirs = loaded.run();
  loaded.dispose();
  return { ours: ours as Record<string, Float32Array>, theirs };
}

/** Largest distance between two answers. */
function furthest(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
}

const spread = (values: Float32Array): number => Math.max(...values) - Math.min(...values);

describe("face-api's networks answer as its own code on TensorFlow.js's wasm backend", () => {
  it.each(NETS)('$net', async (compared) => {
    const images = imagesOf(COUNT, compared.side);
    const { ours, theirs } = await answers(compared, images);
    expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
    for (const [name, values] of Object.entries(theirs)) {
      // Probabilities to 2e-6; ages in years and what boxes are made of to as many digits.
      const scale = Math.max(1, ...values.map(Math.abs));
      expect(furthest(ours[name]!, values) / scale, name).toBeLessThan(2e-6);
      // The images are told apart, so that equal answers mean something.
      expect(spread(values), name).toBeGreaterThan(0.01);
    }
  });

  it.each(NETS)('$net has exactly the weights of the file', async ({ file, model, side, classes }) => {
    const weights = await weightsOf(file);
    const [last, ...others] = Object.keys(weights).reverse() as [string, ...string[]];
    const fewer = Object.fromEntries(others.map((name) => [name, weights[name]!]));
    const options = { input: [side, side, 3], classes } as const;
    await expect(compileModel(model, { ...options, weights: fewer })).rejects.toThrow(`lacks "${last}"`);
    using compiled = await compileModel(model, { ...options, weights });
    const named = compiled.plan.tensors().map(({ name }) => name);
    expect(named.sort()).toEqual(Object.keys(weights).sort());
  });
});

describe('fromFaceApi', () => {
  it('turns depthwise filters and keeps the rest', () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const renamed = fromFaceApi({
      'conv1/depthwise_filter': { shape: [1, 2, 2, 1], data },
      'fc/age/weights': { shape: [4, 1], data },
    });
    expect({ ...renamed }).toEqual({
      'conv1/depthwise': { shape: [1, 2, 1, 2], data },
      'head/fc/age/weight': { shape: [4, 1], data },
    });
  });

  it.each(['weights', 'conv1/kernel', '/bias', 'conv1/__proto__'])('refuses %j', (name) => {
    const tensors = Object.fromEntries([[name, { shape: [1], data: Float32Array.of(1) }]]);
    expect(() => fromFaceApi(tensors)).toThrow(InterchangeError);
  });
});

it('faceExpressionNet has the parameters of a hand count', () => {
  const convolution = (from: number, to: number): number => 9 * from * to + to;
  const separable = (from: number, to: number): number => 9 * from + from * to + to;
  const block = (from: number, to: number): number => separable(from, to) + 3 * separable(to, to);
  const blocks = convolution(3, 32) + 3 * separable(32, 32) + block(32, 64) + block(64, 128) + block(128, 256);
  const { parameters } = summarize('faceExpressionNet', { input: [112, 112, 3], batch: 2, classes: 7 });
  expect(parameters).toBe(blocks + 256 * 7 + 7);
  expect(parameters).toBe(323_687);
});

describe('sizes', () => {
  it.each([
    [ageGenderNet, 'ageGenderNet', 15],
    [tinyFaceDetector, 'tinyFaceDetector', 31],
  ] as const)('%o refuses less', (model, name, side) => {
    const image = (shape: readonly number[]) => new Graph({ training: false }).input('image', shape);
    expect(() => model(image([1, side, 64, 3]))).toThrow(`[${name}] expected an image batch`);
    expect(() => model(image([1, 64, side, 3]))).toThrow(ArgumentError);
    expect(() => model(image([64, 64, 3]))).toThrow(ArgumentError);
    expect(model(image([1, side + 1, side + 1, 3])).shape[0]).toBe(1);
  });

  it('a detector has a cell for every 32 pixels', () => {
    const x = new Graph({ training: false }).input('image', [2, 416, 160, 3]);
    expect(tinyFaceDetector(x).shape).toEqual([2, 13, 5, 25]);
  });
});
