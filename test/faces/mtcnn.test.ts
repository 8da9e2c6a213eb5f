// MTCNN: its three networks against a float64 evaluation of the TFLite layout (x and y swapped, as the files have it), its
// stages by hand, and the whole detector with weights that answer to brightness. With GRAMIAN_MTCNN set to a folder of the three
// TFLite files, the real networks too, on face-api's photographs.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { ArgumentError, CheckpointError, DataError, DisposedError, InterchangeError } from '../../src/errors';
import { corrected, cutCandidates, judged, proposals, square, usable } from '../../src/faces/candidates';
import { intersection, iou } from '../../src/faces/image';
import { Mtcnn, mtcnnWeights, pyramidSizes } from '../../src/faces/mtcnn';
import { Pyramid } from '../../src/faces/pyramid';
import type { Box, Image } from '../../src/faces/types';
import { Graph } from '../../src/graph/graph';
import { fromMtcnnTflite, MTCNN_NETS, type MtcnnNet } from '../../src/interchange/mtcnn';
import type { NamedTensors } from '../../src/interchange/tensors';
import { loadTflite } from '../../src/interchange/tflite';
import { MTCNN_PIXELS, oNet, pNet, rNet } from '../../src/models';
import { compileModel } from '../../src/train/compileModel';
import { saveSafetensors } from '../../src/train/safetensors';
import { tempFolder } from '../data/tempFolder';
import { frozenFaces, PHOTOGRAPHS, photograph, photographPath } from './photographs';

const folder = process.env.GRAMIAN_MTCNN;
const real = folder !== undefined && existsSync(folder);
const NETS = { pnet: pNet, rnet: rNet, onet: oNet } as const;

/** Values of -1..1 that repeat only after 2^32. */
function noise(length: number, seed: number, scale = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}

/** Layers of a network as its TFLite file has them: [name, outputs, extent, inputs]. */
const CONVOLUTIONS = {
  pnet: [
    ['conv1', 10, 3, 3],
    ['conv2', 16, 3, 10],
    ['conv3', 32, 3, 16],
    ['conv4-1', 2, 1, 32],
    ['conv4-2', 4, 1, 32],
  ],
  rnet: [
    ['conv1', 28, 3, 3],
    ['conv2', 48, 3, 28],
    ['conv3', 64, 2, 48],
  ],
  onet: [
    ['conv1', 32, 3, 3],
    ['conv2', 64, 3, 32],
    ['conv3', 64, 3, 64],
    ['conv4', 128, 2, 64],
  ],
} as const;
const DENSE = {
  pnet: [],
  rnet: [
    ['conv4', 128, 576],
    ['conv5-1', 2, 128],
    ['conv5-2', 4, 128],
  ],
  onet: [
    ['conv5', 256, 1152],
    ['conv6-1', 2, 256],
    ['conv6-2', 4, 256],
    ['conv6-3', 10, 256],
  ],
} as const;

/** Random weights of about unit gain under the names of the files. */
function madeUp(net: MtcnnNet): NamedTensors {
  const tensors: NamedTensors = {};
  let seed = net.length + net.charCodeAt(0);
  const add = (name: string, shape: number[], scale: number): void => {
    seed += 1;
    const length = shape.reduce((product, extent) => product * extent, 1);
    tensors[name] = { shape, data: noise(length, seed, scale) };
  };
  CONVOLUTIONS[net].forEach(([name, outputs, extent, inputs], index) => {
    add(`${net}/${name}/weights/read`, [outputs, extent, extent, inputs], Math.sqrt(5 / (extent * extent * inputs)));
    add(`${net}/${name}/Conv2D_bias`, [outputs], 0.1);
    if (index < 4 && !name.includes('-')) {
      add(net === 'pnet' ? `pnet/PReLU${index + 1}/alpha/read` : `${net}/prelu${index + 1}/alpha/read`, [outputs], 0.5);
    }
  });
  DENSE[net].forEach(([name, outputs, inputs]) => {
    add(`${net}/${name}/weights/read/transpose`, [outputs, inputs], Math.sqrt(5 / inputs));
    add(`${net}/${name}/${name}/MatMul_bias`, [outputs], 0.1);
    if (!name.includes('-')) add(`${net}/prelu${CONVOLUTIONS[net].length + 1}/alpha/read`, [outputs], 0.5);
  });
  return tensors;
}

/** [a][b][c], where a runs over x and b over y. */
interface Map3 {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly data: Float64Array;
}

const weight = (tensors: NamedTensors, name: string): ArrayLike<number> => {
  const key = Object.keys(tensors).find((known) => known.toLowerCase() === name.toLowerCase());
  return tensors[key!]!.data;
};

function convolved(
  x: Map3,
  filters: ArrayLike<number>,
  bias: ArrayLike<number>,
  outputs: number,
  extent: number,
): Map3 {
  const [a, b] = [x.a - extent + 1, x.b - extent + 1];
  const data = new Float64Array(a * b * outputs);
  for (let i = 0; i < a; i += 1) {
    for (let j = 0; j < b; j += 1) {
      for (let o = 0; o < outputs; o += 1) {
        let sum = bias[o]!;
        for (let u = 0; u < extent; u += 1) {
          for (let v = 0; v < extent; v += 1) {
            for (let c = 0; c < x.c; c += 1) {
              sum += filters[((o * extent + u) * extent + v) * x.c + c]! * x.data[((i + u) * x.b + j + v) * x.c + c]!;
            }
          }
        }
        data[(i * b + j) * outputs + o] = sum;
      }
    }
  }
  return { a, b, c: outputs, data };
}

const rectified = (x: Map3, alpha: ArrayLike<number>): Map3 => ({
  ...x,
  data: x.data.map((value, i) => (value > 0 ? value : value * alpha[i % x.c]!)),
});

function pooled(x: Map3, kernel: number, up: boolean): Map3 {
  const cells = (extent: number): number => (up ? Math.ceil(extent / 2) : Math.floor((extent - kernel) / 2) + 1);
  const [a, b] = [cells(x.a), cells(x.b)];
  const data = new Float64Array(a * b * x.c).fill(-Infinity);
  // Rounding up, TensorFlow shares the padding, the odd cell behind.
  const before = (extent: number, count: number): number =>
    up ? Math.floor(Math.max(0, (count - 1) * 2 + kernel - extent) / 2) : 0;
  const [padA, padB] = [before(x.a, a), before(x.b, b)];
  for (let i = 0; i < a; i += 1) {
    for (let j = 0; j < b; j += 1) {
      for (let u = 2 * i - padA; u < 2 * i - padA + kernel; u += 1) {
        for (let v = 2 * j - padB; v < 2 * j - padB + kernel; v += 1) {
          if (u < 0 || v < 0 || u >= x.a || v >= x.b) continue;
          for (let c = 0; c < x.c; c += 1) {
            const at = (i * b + j) * x.c + c;
            data[at] = Math.max(data[at]!, x.data[(u * x.b + v) * x.c + c]!);
          }
        }
      }
    }
  }
  return { a, b, c: x.c, data };
}

/** The network's heads for one image of floats [height,width,3], in float64 and in the file's own orientation. */
function evaluated(net: MtcnnNet, tensors: NamedTensors, image: Float32Array, width: number, height: number): Map3[] {
  const swapped = new Float64Array(image.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let c = 0; c < 3; c += 1) swapped[(x * height + y) * 3 + c] = image[(y * width + x) * 3 + c]!;
    }
  }
  let map: Map3 = { a: width, b: height, c: 3, data: swapped };
  const layer = (index: number): Map3 => {
    const [name, outputs, extent] = CONVOLUTIONS[net][index]!;
    const filters = weight(tensors, `${net}/${name}/weights/read`);
    return convolved(map, filters, weight(tensors, `${net}/${name}/Conv2D_bias`), outputs, extent);
  };
  const alpha = (index: number): ArrayLike<number> => weight(tensors, `${net}/prelu${index}/alpha/read`);
  const pools = {
    pnet: [[2, true]],
    rnet: [
      [3, true],
      [3, false],
    ],
    onet: [
      [3, true],
      [3, false],
      [2, true],
    ],
  } as const;
  const hidden = CONVOLUTIONS[net].filter(([name]) => !name.includes('-')).length;
  for (let index = 0; index < hidden; index += 1) {
    map = rectified(layer(index), alpha(index + 1));
    const pool = pools[net][index] as readonly [number, boolean] | undefined;
    if (pool) map = pooled(map, ...pool);
  }
  if (net === 'pnet') return [layer(3), layer(4)];
  const dense = (index: number, x: Map3): Map3 => {
    const [name, outputs, inputs] = DENSE[net][index]!;
    const filters = weight(tensors, `${net}/${name}/weights/read/transpose`);
    const bias = weight(tensors, `${net}/${name}/${name}/MatMul_bias`);
    return convolved({ a: 1, b: 1, c: inputs, data: x.data }, filters, bias, outputs, 1);
  };
  const features = rectified(dense(0, map), alpha(hidden + 1));
  return DENSE[net].slice(1).map((_, index) => dense(index + 1, features));
}

/** Ours for the same image: the heads joined, [h,w,...]. */
async function answered(net: MtcnnNet, tensors: NamedTensors, image: Float32Array, width: number, height: number) {
  const model = await compileModel(NETS[net], {
    ...{ input: [height, width, 3] as const, classes: 2, weights: fromMtcnnTflite(net, tensors) },
    outputs: (answer) => ({ answer }),
  });
  const { answer } = await model.run(image);
  model.dispose();
  return answer as Float32Array;
}

async function expectEqual(net: MtcnnNet, tensors: NamedTensors, width: number, height: number): Promise<void> {
  const image = noise(width * height * 3, 77);
  const heads = evaluated(net, tensors, image, width, height);
  const ours = await answered(net, tensors, image, width, height);
  const total = heads.reduce((sum, head) => sum + head.c, 0);
  const { a, b } = heads[0]!;
  expect(ours.length).toBe(a * b * total);
  const scale = Math.max(
    1,
    ...heads.map((head) => head.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)),
  );
  const share = (first: number, second: number): number => 1 / (1 + Math.exp(first - second));
  for (let y = 0; y < b; y += 1) {
    for (let x = 0; x < a; x += 1) {
      const at = (y * a + x) * total;
      let to = at;
      for (const head of heads) {
        for (let c = 0; c < head.c; c += 1, to += 1) {
          expect(Math.abs(ours[to]! - head.data[(x * b + y) * head.c + c]!) / scale).toBeLessThan(1e-5);
        }
      }
      const logits = heads[0]!.data.subarray((x * b + y) * 2);
      expect(Math.abs(share(ours[at]!, ours[at + 1]!) - share(logits[0]!, logits[1]!))).toBeLessThan(1e-5);
    }
  }
}

const SIZES = [
  ['pnet', 12, 12],
  ['pnet', 31, 22],
  ['rnet', 24, 24],
  ['onet', 48, 48],
] as const;

describe('the networks are those of the files in float64', () => {
  it.each(SIZES)('%s on %ix%i, made-up weights', (net, width, height) => expectEqual(net, madeUp(net), width, height));

  it.skipIf(!real).each(SIZES)('%s on %ix%i, real weights (GRAMIAN_MTCNN)', async (net, width, height) => {
    await expectEqual(net, await loadTflite(path.join(folder!, `${net}.tflite`)), width, height);
  });

  it('refuse other sizes', () => {
    const image = (...shape: number[]) => new Graph({ training: false }).input('x', shape);
    expect(() => pNet(image(1, 11, 12, 3))).toThrow('[pNet] expected an image batch [N,H,W,3] of at least 12x12x3');
    expect(() => pNet(image(1, 12, 12, 1))).toThrow(ArgumentError);
    expect(() => rNet(image(1, 25, 24, 3))).toThrow('[rNet] expected an image batch [N,H,W,3] of 24x24x3');
    expect(() => oNet(image(48, 48, 3))).toThrow(ArgumentError);
  });
});

describe('fromMtcnnTflite', () => {
  it.each(MTCNN_NETS)('says what is missing from %s', (net) => {
    const tensors = madeUp(net);
    for (const name of Object.keys(tensors)) {
      const { [name]: _, ...rest } = tensors;
      expect(() => fromMtcnnTflite(net, rest)).toThrow(InterchangeError);
    }
    const [first] = Object.keys(tensors);
    const flat = { ...tensors, [first!]: { shape: [5], data: new Float32Array(5) } };
    expect(() => fromMtcnnTflite(net, flat)).toThrow(`expected a float tensor "${net}/conv1/weights/read" of 4 axes`);
  });
});

describe('stages', () => {
  it('P-Net windows come out in frame pixels', () => {
    // Cell (x 2, y 1) of a 3x2 map scores; a pixel of the scaled image is 4 frame pixels wide and 5 high.
    const map = new Float32Array(3 * 2 * 6).map((_, i) => (i % 6 === 0 ? 5 : 0));
    map.set([-2, 2, 0.1, -0.2, 0.3, 0.4], (1 * 3 + 2) * 6);
    const found = proposals(map, 3, 4, 5, 0.6);
    expect(found.length).toBe(1);
    expect(found[0]!.box).toEqual({ x: 16, y: 10, width: 48, height: 60 });
    expect(found[0]!.score).toBeCloseTo(1 / (1 + Math.exp(-4)), 6);
    const box = corrected(found[0]!);
    expect([box.x, box.y, box.x + box.width, box.y + box.height].map((v) => Math.round(v * 1e4) / 1e4)).toEqual([
      16 + 4.8,
      10 - 12,
      64 + 14.4,
      70 + 24,
    ]);
  });

  it('O-Net candidates have landmarks of the box they were cut by', () => {
    const answer = new Float32Array(2 * 16);
    answer.set([0, 3, 0.5, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], 16);
    const boxes = [
      { x: 0, y: 0, width: 10, height: 10 },
      { x: 100, y: 50, width: 20, height: 10 },
    ];
    const [face, ...none] = judged(answer, boxes, 0.7);
    expect(none).toEqual([]);
    expect(face!.landmarks!.leftEye.x).toBeCloseTo(102, 4);
    expect(face!.landmarks!.leftEye.y).toBeCloseTo(56, 4);
    expect(face!.landmarks!.mouthRight.x).toBeCloseTo(110, 4);
    expect(face!.landmarks!.mouthRight.y).toBeCloseTo(60, 4);
  });

  it('squares keep the centre, and boxes outside the frame are dropped', () => {
    expect(square({ x: 10, y: 10, width: 4, height: 10 })).toEqual({ x: 7, y: 10, width: 10, height: 10 });
    expect(usable({ x: -5, y: 0, width: 10, height: 10 }, 20, 20)).toBe(true);
    expect(usable({ x: -10, y: 0, width: 10, height: 10 }, 20, 20)).toBe(false);
    expect(usable({ x: 0, y: 20, width: 10, height: 10 }, 20, 20)).toBe(false);
    expect(usable({ x: 0, y: 0, width: 0.5, height: 0.5 }, 20, 20)).toBe(false);
  });

  it('cuts are black outside the frame and bilinear inside', () => {
    const pixels = Uint8Array.from({ length: 20 * 20 * 3 }, (_, i) => 50 + 5 * (Math.floor(i / 3) % 20));
    const pyramid = new Pyramid({ pixels, width: 20, height: 20, channels: 3 });
    const cut = cutCandidates(pyramid, [{ x: -4, y: 4, width: 8, height: 8 }], 8);
    for (let i = 0; i < 64; i += 1) {
      const x = (i % 8) - 4;
      expect([...cut.slice(3 * i, 3 * i + 3)]).toEqual(new Array(3).fill(x < 0 ? 0 : 50 + 5 * x));
    }
    const half = cutCandidates(pyramid, [{ x: 2, y: 2, width: 8, height: 8 }], 4);
    expect(half[0]).toBe(Math.round(50 + 5 * 2.5));
  });

  it('scales run from the smallest face to the whole frame', () => {
    const sizes = pyramidSizes(640, 480, 40, 0.709);
    expect(sizes[0]).toEqual([192, 144]);
    expect(Math.min(...sizes.at(-1)!)).toBeGreaterThanOrEqual(12);
    expect(480 * (12 / 40) * 0.709 ** sizes.length).toBeLessThan(12);
    expect(pyramidSizes(11, 500, 12, 0.7)).toEqual([]);
  });
});

/** Weights by which every network says "face" where the picture is bright: an average of the pixels is all they pass on. */
function brightness(): Record<string, { shape: number[]; data: Float32Array }> {
  const weights: Record<string, { shape: number[]; data: Float32Array }> = {};
  for (const [net, model, side] of [
    ['pnet', pNet, 12],
    ['rnet', rNet, 24],
    ['onet', oNet, 48],
  ] as const) {
    const graph = new Graph({ training: false });
    model(graph.input('x', [1, side, side, 3]));
    for (const { name, shape, kind } of graph.tensors) {
      if (kind !== 'param') continue;
      const data = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
      const outputs = shape.at(-1)!;
      if (name.endsWith('alpha')) data.fill(1);
      // The first channel averages the first one before it (three at the start); the logits ask for more than 0.
      else if (name.includes('/conv') && name.endsWith('weight')) {
        const inputs = name.includes('conv1') ? 3 : 1;
        for (let i = 0; i < data.length; i += 1) {
          const [o, c] = [i % outputs, Math.floor(i / outputs) % shape[2]!];
          if (o === 0 && c < inputs) data[i] = 1 / (shape[0]! * shape[1]! * inputs);
        }
      } else if (name.endsWith('fc/weight')) {
        const channels = shape[0]! / 9;
        for (let row = 0; row < shape[0]!; row += 1) if (row % channels === 0) data[row * outputs] = 1 / 9;
      } else if (name.endsWith('logits/weight')) {
        data.set([-40, 40]);
      } else if (name.endsWith('logits/bias')) {
        data.set([16, -16]);
      }
      weights[name] = { shape: [...shape], data };
    }
    expect(Object.keys(weights).some((name) => name.startsWith(net))).toBe(true);
  }
  return weights;
}

function brightSquare(width: number, height: number, box: Box): Image {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return x >= box.x && y >= box.y && x < box.x + box.width && y < box.y + box.height ? 230 : 20;
  });
  return { pixels, width, height, channels: 3 };
}

describe('Mtcnn', () => {
  it.each([
    [160, 120, { x: 30, y: 40, width: 40, height: 40 }],
    [121, 97, { x: 60, y: 20, width: 60, height: 60 }],
  ])('finds what is bright in %ix%i', async (width, height, box) => {
    const detector = await Mtcnn.load({ weights: brightness(), minFace: 24 });
    const image = brightSquare(width, height, box);
    const faces = await detector.detect(image);
    expect(faces.length).toBeGreaterThan(0);
    for (const { box: found, landmarks, score } of faces) {
      // The logits ask for three quarters of bright cells; poolings let a cell count by its brightest pixel.
      expect(intersection(found, box) / (found.width * found.height)).toBeGreaterThan(0.55);
      expect(score).toBeGreaterThan(0.7);
      // Offsets and landmark coordinates are all 0: a square whose left upper corner all landmarks are.
      expect(found.width).toBeCloseTo(found.height, 5);
      expect(landmarks!.nose).toEqual({ x: found.x, y: found.y });
    }
    expect(await detector.detect(image)).toEqual(faces);
    const gray = { ...image, channels: 1 as const, pixels: image.pixels.filter((_, i) => i % 3 === 0) };
    expect(await detector.detect(gray)).toEqual(faces);
    expect(await detector.detect({ ...image, pixels: new Uint8Array(image.pixels.length) })).toEqual([]);
    detector.dispose();
    detector.dispose();
    await expect(detector.detect(image)).rejects.toThrow(DisposedError);
  });

  it.each([
    ['without an area', [0, 0, -1.5, 0]],
    ['outside the frame', [9, 0, 9, 0]],
  ])('answers no box %s that O-Net corrects to', async (_, offsets) => {
    const weights = brightness();
    weights['onet/offsets/bias']!.data.set(offsets);
    const detector = await Mtcnn.load({ weights, minFace: 24 });
    const image = brightSquare(160, 120, { x: 30, y: 40, width: 40, height: 40 });
    expect((await detector.candidates(image, 'onet')).length).toBeGreaterThan(0);
    expect(await detector.detect(image)).toEqual([]);
    detector.dispose();
  });

  it('answers for many sizes, also at once', async () => {
    const detector = await Mtcnn.load({ weights: brightness(), minFace: 24 });
    const images = Array.from({ length: 12 }, (_, i) =>
      brightSquare(90 + 7 * i, 80 + 3 * i, { x: 20, y: 20, width: 40, height: 40 }),
    );
    const alone: unknown[] = [];
    for (const image of images) alone.push(await detector.detect(image));
    expect(await Promise.all(images.map((image) => detector.detect(image)))).toEqual(alone);
    detector.dispose();
  });

  it('looks at the widest images at full size', async () => {
    const detector = await Mtcnn.load({ weights: brightness(), minFace: 12 });
    const box = { x: 16_600, y: 2, width: 16, height: 16 };
    const [face] = await detector.detect(brightSquare(17_000, 20, box));
    expect(intersection(face!.box, box)).toBeGreaterThan(50);
    detector.dispose();
  });

  it('reads a safetensors file', async () => {
    const file = path.join(tempFolder(), 'mtcnn.safetensors');
    await saveSafetensors(file, brightness(), {});
    const detector = await Mtcnn.load({ weights: file, minFace: 24 });
    const box = { x: 30, y: 40, width: 40, height: 40 };
    expect((await detector.detect(brightSquare(160, 120, box))).length).toBeGreaterThan(0);
    detector.dispose();
  });

  it('refuses wrong weights and options', async () => {
    const weights = brightness();
    const empty = tempFolder();
    await expect(Mtcnn.load({ weights: empty })).rejects.toThrow(DataError);
    for (const net of MTCNN_NETS) writeFileSync(path.join(empty, `${net}.tflite`), 'no model');
    await expect(mtcnnWeights(empty)).rejects.toThrow(InterchangeError);
    for (const lacking of ['pnet/conv1/weight', 'rnet/fc/bias', 'onet/landmarks/weight']) {
      const { [lacking]: _, ...rest } = weights;
      await expect(Mtcnn.load({ weights: rest })).rejects.toThrow(CheckpointError);
    }
    const wrong = [
      { minFace: 11 },
      { minFace: Number.NaN },
      { scaleFactor: 1 },
      { thresholds: [0.5, 0.5, 1] as const },
    ];
    for (const options of wrong) await expect(Mtcnn.load({ weights, ...options })).rejects.toThrow(ArgumentError);
    expect(MTCNN_PIXELS.mean).toEqual([0.5]);
  });
});

describe.skipIf(!real)('Mtcnn with real weights (GRAMIAN_MTCNN)', () => {
  it('finds the faces that SSD finds on the photographs at 640 pixels', async () => {
    const detector = await Mtcnn.load({ weights: folder! });
    let [found, known] = [0, 0];
    for (const name of PHOTOGRAPHS) {
      const { width } = await photograph(name);
      const image = sharp(photographPath(name)).resize({ width: 640 }).removeAlpha().toColourspace('srgb').raw();
      const { data, info } = await image.toBuffer({ resolveWithObject: true });
      const faces = await detector.detect({
        ...{ pixels: new Uint8Array(data), width: info.width, height: info.height, channels: 3 },
      });
      const scale = 640 / width;
      for (const { box } of frozenFaces(name, 'ssd')) {
        const scaled = { x: box.x * scale, y: box.y * scale, width: box.width * scale, height: box.height * scale };
        known += 1;
        if (faces.some((face) => iou(face.box, scaled) >= 0.4)) found += 1;
      }
    }
    expect(known).toBe(22);
    expect(found).toBe(22);
    detector.dispose();
  });
});
