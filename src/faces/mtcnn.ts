// MTCNN as a Detector (Zhang et al. 2016, section II.A): P-Net proposes windows over an image pyramid, R-Net sorts out and
// corrects, O-Net decides and finds five landmarks. Called by load.ts and by users. Weights are the user's own files; none come
// with the package. The rule easy to break: P-Net has a plan for each size of image it meets, all over the same weights, and old
// ones are given back.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { compile, type Plan } from '../compile';
import { ArgumentError, CheckpointError, DataError, DisposedError } from '../errors';
import { Graph, type TensorData } from '../graph/graph';
import * as ops from '../graph/ops';
import { fromMtcnnTflite, MTCNN_NETS } from '../interchange/mtcnn';
import { loadTflite } from '../interchange/tflite';
import { MTCNN_PIXELS, ONET_SIDE, oNet, PNET_WINDOW, pNet, RNET_SIDE, rNet } from '../models';
import type { CompiledModel } from '../train/compiledModel';
import { compileModel, type Weights } from '../train/compileModel';
import { loadSafetensors } from '../train/safetensors';
import { type Candidate, corrected, cutCandidates, judged, proposals, square, suppressed, usable } from './candidates';
import { checkImage, coloured } from './image';
import { Pyramid } from './pyramid';
import { resizeArea } from './resize';
import type { Box, Detection, Detector, Image } from './types';

export interface MtcnnOptions {
  /**
   * A folder with pnet.tflite, rnet.tflite and onet.tflite, a safetensors file with all three networks, or tensors by name.
   */
  readonly weights: string | Weights;
  /** Faces smaller than so many pixels are not looked for; at least 12, 40 by default. */
  readonly minFace?: number;
  /** Ratio of neighbouring scales, 0 to 1; 0.709, about the square root of 1/2, by default. */
  readonly scaleFactor?: number;
  /** What P-Net, R-Net and O-Net have to score; 0.6, 0.7, 0.7 by default. */
  readonly thresholds?: readonly [number, number, number];
  readonly threads?: number;
}

/** Overlaps up to which two candidates stay: within a scale, over all scales, behind R-Net, behind O-Net. */
const WITHIN_SCALE = 0.5;
const OVER_SCALES = 0.7;
const BEHIND_RNET = 0.7;
const BEHIND_ONET = 0.7;
/** Sizes of image that P-Net keeps plans for: those of a film need about ten. */
const MOST_PLANS = 32;

/** The weights that `weights` names. Rejects with DataError, InterchangeError or CheckpointError. */
export async function mtcnnWeights(weights: string): Promise<Weights> {
  if (path.extname(weights) === '.safetensors') return (await loadSafetensors(weights)).tensors;
  const all: Record<string, Weights[string]> = Object.create(null);
  for (const net of MTCNN_NETS) {
    const file = path.join(weights, `${net}.tflite`);
    if (!existsSync(file)) {
      throw new DataError(`[mtcnn] ${weights} has no ${net}.tflite; expected that folder or a .safetensors file`);
    }
    Object.assign(all, fromMtcnnTflite(net, await loadTflite(file)));
  }
  return all;
}

/** P-Net for images of any size, with plans that share its weights. */
class ProposalNet {
  /** Holds the weights; used for nothing else. */
  readonly #first: Plan;
  readonly #plans = new Map<string, Plan>();

  private constructor(first: Plan) {
    this.#first = first;
  }

  static async load(weights: Weights, threads: number | undefined): Promise<ProposalNet> {
    const placement = threads === undefined ? {} : { threads };
    const first = compile(...ProposalNet.#graph(PNET_WINDOW, PNET_WINDOW, placement));
    try {
      const writes = first.tensors().map(({ name, shape }) => {
        const found = Object.hasOwn(weights, name) ? weights[name] : undefined;
        if (found?.shape.join('x') !== shape.join('x')) {
          throw new CheckpointError(`[mtcnn] the weights lack "${name}" of shape ${shape.join('x')}`);
        }
        return first.write(name, found.data as TensorData);
      });
      await Promise.all(writes);
    } catch (error) {
      first.dispose();
      throw error;
    }
    return new ProposalNet(first);
  }

  static #graph(width: number, height: number, placement: { threads?: number; share?: Plan }) {
    const graph = new Graph({ training: false });
    const images = graph.input('images', [1, height, width, 3], 'u8');
    const labels = graph.constant('no_labels', [1], new Int32Array(1));
    const step = graph.constant('first_batch', [1], new Int32Array(1));
    const { mean, std } = MTCNN_PIXELS;
    const { x } = ops.datasetBatch(images, labels, step, {
      ...{ batch: 1, size: [height, width], shuffle: false, mean: [...mean], std: [...std] },
    });
    return [graph, { outputs: { map: pNet(x) }, ...placement }] as const;
  }

  /** Answer [h,w,6] for an RGB image. */
  async run({ pixels, width, height }: Image): Promise<Float32Array> {
    const key = `${width}x${height}`;
    const plan = this.#plans.get(key) ?? compile(...ProposalNet.#graph(width, height, { share: this.#first }));
    // The one used last stands last.
    this.#plans.delete(key);
    this.#plans.set(key, plan);
    const answer = plan.step({ images: pixels });
    for (const [oldest, old] of this.#plans) {
      if (this.#plans.size <= MOST_PLANS) break;
      this.#plans.delete(oldest);
      old.dispose();
    }
    return (await answer).map as Float32Array;
  }

  dispose(): void {
    for (const plan of [...this.#plans.values(), this.#first]) plan.dispose();
    this.#plans.clear();
  }
}

/** Sizes of the scaled images that P-Net looks at, largest first. */
export function pyramidSizes(width: number, height: number, minFace: number, factor: number): [number, number][] {
  const sizes: [number, number][] = [];
  for (let scale = PNET_WINDOW / minFace; Math.min(width, height) * scale >= PNET_WINDOW; scale *= factor) {
    sizes.push([Math.ceil(width * scale), Math.ceil(height * scale)]);
  }
  return sizes;
}

function checkOptions({ minFace = 40, scaleFactor = 0.709, thresholds = [0.6, 0.7, 0.7] }: MtcnnOptions) {
  if (!(minFace >= PNET_WINDOW && Number.isFinite(minFace))) {
    throw new ArgumentError(`[Mtcnn] minFace is a number of ${PNET_WINDOW} or more, got ${minFace}`);
  }
  if (!(scaleFactor > 0.1 && scaleFactor < 0.95)) {
    throw new ArgumentError(`[Mtcnn] scaleFactor is a number between 0.1 and 0.95, got ${scaleFactor}`);
  }
  if (thresholds.length !== 3 || !thresholds.every((value) => value >= 0 && value < 1)) {
    throw new ArgumentError(
      `[Mtcnn] thresholds are three numbers from 0 to below 1, got ${JSON.stringify(thresholds)}`,
    );
  }
  return { minFace, scaleFactor, thresholds };
}

export class Mtcnn implements Detector {
  readonly name = 'mtcnn';
  readonly #proposal: ProposalNet;
  readonly #refine: CompiledModel;
  readonly #output: CompiledModel;
  readonly #options: ReturnType<typeof checkOptions>;
  #disposed = false;

  private constructor(
    proposal: ProposalNet,
    refine: CompiledModel,
    output: CompiledModel,
    options: ReturnType<typeof checkOptions>,
  ) {
    this.#proposal = proposal;
    this.#refine = refine;
    this.#output = output;
    this.#options = options;
  }

  /** Rejects with ArgumentError for wrong options, DataError, InterchangeError or CheckpointError for wrong weights. */
  static async load(options: MtcnnOptions): Promise<Mtcnn> {
    const checked = checkOptions(options);
    const { threads } = options;
    const weights = typeof options.weights === 'string' ? await mtcnnWeights(options.weights) : options.weights;
    const common = {
      ...{ classes: 2, weights, pixels: MTCNN_PIXELS },
      ...(threads === undefined ? {} : { threads }),
    };
    const outputs = (answer: Parameters<typeof ops.softmax>[0]) => ({ answer });
    const parts: { dispose(): void }[] = [];
    const owned = async <T extends { dispose(): void }>(loading: Promise<T>): Promise<T> => {
      const part = await loading;
      parts.push(part);
      return part;
    };
    try {
      const proposal = await owned(ProposalNet.load(weights, threads));
      const refine = await owned(compileModel(rNet, { ...common, outputs, input: [RNET_SIDE, RNET_SIDE, 3] }));
      const output = await owned(compileModel(oNet, { ...common, outputs, input: [ONET_SIDE, ONET_SIDE, 3] }));
      return new Mtcnn(proposal, refine, output, checked);
    } catch (error) {
      for (const part of parts) part.dispose();
      throw error;
    }
  }

  async detect(image: Image): Promise<Detection[]> {
    const { pyramid, boxes } = await this.#candidates('detect', image, 'onet');
    if (boxes.length === 0) return [];
    const decided = await this.#judge(this.#output, pyramid, boxes, ONET_SIDE, this.#options.thresholds[2]);
    const faces = decided
      .map((candidate) => ({ ...candidate, box: corrected(candidate) }))
      .filter(({ box }) => usable(box, image.width, image.height));
    return suppressed(faces, BEHIND_ONET, 'min').map(({ box, score, landmarks }) => ({
      ...{ box, score },
      ...(landmarks ? { landmarks } : {}),
    }));
  }

  /** The squares that R-Net, or O-Net, is shown of an image: what their training learns to tell apart. */
  async candidates(image: Image, shown: 'rnet' | 'onet'): Promise<Box[]> {
    return (await this.#candidates('candidates', image, shown)).boxes;
  }

  dispose(): void {
    this.#disposed = true;
    for (const part of [this.#proposal, this.#refine, this.#output]) part.dispose();
  }

  async #candidates(op: string, image: Image, shown: 'rnet' | 'onet'): Promise<{ pyramid: Pyramid; boxes: Box[] }> {
    checkImage(op, image);
    if (this.#disposed) throw new DisposedError(`[${op}] the detector was disposed of`);
    const frame = coloured(image);
    const pyramid = new Pyramid(frame);
    const squares = (candidates: readonly Candidate[]): Box[] =>
      candidates
        .map((candidate) => square(corrected(candidate)))
        .filter((box) => usable(box, image.width, image.height));
    const proposed = squares(suppressed(await this.#propose(frame, pyramid), OVER_SCALES, 'union'));
    if (shown === 'rnet' || proposed.length === 0) return { pyramid, boxes: proposed };
    const refined = await this.#judge(this.#refine, pyramid, proposed, RNET_SIDE, this.#options.thresholds[1]);
    return { pyramid, boxes: squares(suppressed(refined, BEHIND_RNET, 'union')) };
  }

  async #propose(frame: Image, pyramid: Pyramid): Promise<Candidate[]> {
    const { minFace, scaleFactor, thresholds } = this.#options;
    const scales = pyramidSizes(frame.width, frame.height, minFace, scaleFactor).map(async ([width, height]) => {
      const [across, down] = [frame.width / width, frame.height / height];
      const scaled = resizeArea(pyramid.level(Math.min(across, down)), width, height);
      const map = await this.#proposal.run(scaled);
      const columns = Math.ceil(width / 2) - 5;
      return suppressed(proposals(map, columns, across, down, thresholds[0]), WITHIN_SCALE, 'union');
    });
    return (await Promise.all(scales)).flat();
  }

  async #judge(
    model: CompiledModel,
    pyramid: Pyramid,
    boxes: readonly Box[],
    side: number,
    threshold: number,
  ): Promise<Candidate[]> {
    const { answer } = await model.run(cutCandidates(pyramid, boxes, side));
    return judged(answer as Float32Array, boxes, threshold);
  }
}
