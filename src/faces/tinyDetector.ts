// face-api's tiny face detector as a Detector: what its network answers turned into boxes (Redmon & Farhadi 2016, section 2,
// "Direct location prediction"). Called by load.ts and by users. The rule easy to break: its weights want the frame padded to a
// square at the right or below and shrunk without half-pixel offsets and without smoothing, as in their training.
import { ArgumentError } from '../errors';
import { TINY_FACE_ANCHORS, TINY_FACE_PIXELS, tinyFaceDetector } from '../models';
import { sampleSquare } from '../pixels';
import type { CompiledModel } from '../train/compiledModel';
import { compileModel, type Weights } from '../train/compileModel';
import { checkImage } from './image';
import { interpolation } from './resize';
import { suppress } from './suppress';
import type { Box, Detection, Detector, Image } from './types';

export interface TinyDetectorOptions {
  /** Safetensors file or tensors by name; fromFaceApi() gives those of face-api. */
  readonly weights: string | Weights;
  /** Side of the square that the network reads, a multiple of 32; 416 by default. Smaller is faster and misses small faces. */
  readonly size?: number;
  /** Detections score more than this, 0 to 1; 0.5 by default. */
  readonly threshold?: number;
  readonly threads?: number;
}

/** IoU up to which two faces may overlap. */
const OVERLAP = 0.4;
/** Numbers for each anchor: x, y, width, height, score. */
const ENCODING = 5;

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * The frame in the left upper corner of a black square, shrunk to size x size and scaled as the network wants it.
 * @param out size * size * 3 floats; written whole.
 */
function squareInto(image: Image, size: number, out: Float32Array): void {
  const side = Math.max(image.width, image.height);
  const points = interpolation(size, side, (i) => (i * side) / size);
  sampleSquare(image, points, points, Float32Array.from(TINY_FACE_PIXELS.mean), out);
}

/**
 * Faces in the network's answer [cells,cells,25], best score first.
 * @param across frame pixels that the map's width stands for, `down` those of its height.
 */
export function decodeTinyFaces(maps: Float32Array, across: number, down: number, threshold: number): Detection[] {
  const anchors = TINY_FACE_ANCHORS.length;
  const cells = Math.sqrt(maps.length / (anchors * ENCODING));
  const boxes: Box[] = [];
  const scores: number[] = [];
  const [pixelsX, pixelsY] = [across / cells, down / cells];
  for (let at = 0; at < maps.length; at += ENCODING) {
    const score = logistic(maps[at + 4]!);
    if (!(score > threshold)) continue;
    const index = at / ENCODING;
    const cell = Math.floor(index / anchors);
    const [anchorWidth, anchorHeight] = TINY_FACE_ANCHORS[index % anchors]!;
    const width = Math.exp(maps[at + 2]!) * anchorWidth * pixelsX;
    const height = Math.exp(maps[at + 3]!) * anchorHeight * pixelsY;
    const x = ((cell % cells) + logistic(maps[at]!)) * pixelsX - width / 2;
    const y = (Math.floor(cell / cells) + logistic(maps[at + 1]!)) * pixelsY - height / 2;
    boxes.push({ x, y, width, height });
    scores.push(score);
  }
  return suppress(boxes, scores, OVERLAP, 'union').map((index) => ({ box: boxes[index]!, score: scores[index]! }));
}

export class TinyDetector implements Detector {
  readonly name = 'tiny';
  readonly #model: CompiledModel;
  readonly #size: number;
  readonly #threshold: number;
  /** What the network reads, used again for every frame: it is copied before the next one is written. */
  readonly #square: Float32Array;

  private constructor(model: CompiledModel, size: number, threshold: number) {
    this.#model = model;
    this.#size = size;
    this.#threshold = threshold;
    this.#square = new Float32Array(size * size * 3);
  }

  /** Rejects with ArgumentError for wrong options, CheckpointError for weights that lack a tensor. */
  static async load({ weights, size = 416, threshold = 0.5, threads }: TinyDetectorOptions): Promise<TinyDetector> {
    if (!Number.isSafeInteger(size) || size < 32 || size > 2048 || size % 32 !== 0) {
      throw new ArgumentError(`[TinyDetector] size is a multiple of 32 from 32 to 2048, got ${size}`);
    }
    if (!(threshold >= 0 && threshold < 1)) {
      throw new ArgumentError(`[TinyDetector] threshold is a number from 0 to below 1, got ${threshold}`);
    }
    const model = await compileModel(tinyFaceDetector, {
      ...{ input: [size, size, 3] as const, classes: 1, weights },
      outputs: (maps) => ({ maps }),
      ...(threads === undefined ? {} : { threads }),
    });
    return new TinyDetector(model, size, threshold);
  }

  async detect(image: Image): Promise<Detection[]> {
    checkImage('detect', image);
    squareInto(image, this.#size, this.#square);
    const { maps } = await this.#model.run(this.#square);
    // As face-api has it, the frame's extents count in whole pixels of the shrunk square.
    const scale = this.#size / Math.max(image.width, image.height);
    const whole = (extent: number): number => (extent * this.#size) / Math.max(1, Math.round(extent * scale));
    return decodeTinyFaces(maps as Float32Array, whole(image.width), whole(image.height), this.#threshold);
  }

  dispose(): void {
    this.#model.dispose();
  }
}
