// MFF-CNN (paper 004): a branch on the whole face, whose mid-level map enters its classifier beside the last one, a branch
// on 16 overlapping patches, whose feature vectors of largest norm enter another, and the sum of both classifiers, trained
// jointly (eq. 5). The paper's input is 60x60x1; any square of a multiple of 5 pixels from 40 works.
// Where the paper is silent: the channels are those whose parameters come to 1.21 M, and to 1.22 M without selection (the 32
// maps behind the fourth convolutions are given; most others would be too many); weights start as He et al. 2015; the
// mid-level layer has a rectifier; the sum is one of logits, as in the joint fine-tuning it cites (Jung et al. 2015).
// The rule easy to break: an image's 16 patches follow each other on the batch axis until `selectedVectors` takes them apart.
import { ArgumentError } from '../errors';
import { formatShape, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { convolution } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkCount, checkImages, type ModelOptions } from './options';

export interface MffCnnOptions extends ModelOptions {
  /** Feature vectors of largest norm that the patch branch keeps of each image's 512, 384; 512 keeps all. */
  readonly selected?: number;
  /** The image branch's classifier reads the fourth convolution's map too, true. */
  readonly midLevel?: boolean;
  /** Each branch has a classifier of its own and their sum is tuned with them, true; else one reads both branches' features. */
  readonly jointTuning?: boolean;
}

const LEAST = 40;
/** Patches down and across; neighbours share half of their edge. */
const GRID = 4;
const IMAGE_CHANNELS = [4, 4, 4, 32, 8, 8];
const PATCH_CHANNELS = [4, 4, 4, 32];
const MID_FEATURES = 256;
const VECTORS = GRID * GRID * PATCH_CHANNELS.at(-1)!;
/** Weight of the cross-entropy of the sum, beside 1 and 1 for the branches (section 3.3). */
const JOINT_WEIGHT = 0.1;

/** The outputs of unpadded 3x3 convolutions with ReLU, a 2x2 max-pooling behind every second; each is a unit. */
function convolutions(branch: string, x: Tensor, channels: readonly number[]): Tensor[] {
  let map = x;
  return channels.map((filters, index) => {
    const input = map;
    const name = `${branch}/conv${index + 1}`;
    map = x.graph.unit(name, () => {
      const y = ops.relu(convolution(`/${name}`, input, filters, { padding: 'valid', bias: 0 }));
      return index % 2 === 1 ? ops.maxPool(y, { kernel: 2 }) : y;
    });
    return map;
  });
}

/** Overlapping patches of edge S = 2L / (sqrt(16) + 1) (eq. 2), row by row: x [N,L,L,C] -> [16N,S,S,C], image by image. */
function patches(x: Tensor): Tensor {
  const [batch, side, , channels] = x.shape as [number, number, number, number];
  const step = side / (GRID + 1);
  const edge = 2 * step;
  const places = Array.from({ length: GRID }, (_, index) => index * step);
  const rows = places.map((top) => {
    const cut = places.map((left) => ops.slice(x, [0, top, left, 0], [batch, edge, edge, channels]));
    return ops.concat(
      cut.map((patch) => ops.reshape(patch, [batch, 1, edge, edge * channels])),
      { axis: 1 },
    );
  });
  return ops.reshape(ops.concat(rows, { axis: 1 }), [-1, edge, edge, channels]);
}

/** A vector a patch and map, the `count` of largest L2 norm in their own order: [16N,H,W,K] -> [N,count*H*W]. */
function selectedVectors(maps: Tensor, count: number): Tensor {
  const [rows, height, width, channels] = maps.shape as [number, number, number, number];
  const batch = rows / (GRID * GRID);
  const columns = ops.reshape(maps, [rows, height * width, channels]);
  const vectors = ops.reshape(ops.transpose(columns, [0, 2, 1]), [batch, VECTORS, height * width]);
  return ops.flatten(count === VECTORS ? vectors : ops.gather(vectors, ops.topK(vectors, { k: count })));
}

function check(x: Tensor, options: MffCnnOptions, selected: number): void {
  checkImages('mffCnn', x, options, LEAST);
  const [, height, width] = x.shape;
  if (height !== width || height! % (GRID + 1) !== 0) {
    const wanted = `square images of a multiple of ${GRID + 1} pixels, which ${GRID * GRID} patches cover`;
    throw new ArgumentError(`[mffCnn] expected ${wanted}, got ${formatShape(x.shape)}`);
  }
  checkCount('mffCnn', 'selected', selected);
  if (selected > VECTORS) {
    throw new ArgumentError(`[mffCnn] expected to select at most ${VECTORS} vectors, got ${selected}`);
  }
}

/** x [N,L,L,C] -> logits [N,classes]. Units: every convolution, the mid-level layer, each classifier. */
export function mffCnn(x: Tensor, options: MffCnnOptions): Tensor {
  const { classes, selected = 384, midLevel = true, jointTuning = true } = options;
  check(x, options, selected);
  const { graph } = x;
  const imageMaps = convolutions('image', x, IMAGE_CHANNELS);
  const high = ops.flatten(imageMaps.at(-1)!);
  const mid = ops.flatten(imageMaps[3]!);
  const deviation = Math.sqrt(2 / mid.shape[1]!);
  const global = midLevel
    ? ops.concat([graph.unit('image/mid', () => ops.relu(dense('/image/mid', mid, MID_FEATURES, { deviation }))), high])
    : high;
  const patchMaps = convolutions('patch', patches(x), PATCH_CHANNELS);
  const local = selectedVectors(patchMaps.at(-1)!, selected);
  if (!jointTuning) return graph.unit('head', () => dense('fc', ops.concat([global, local]), classes));
  const joined = { crossEntropy: 1 };
  const image = graph.unit('image/head', () => dense('fc', global, classes), joined);
  const patch = graph.unit('patch/head', () => dense('fc', local, classes), joined);
  return graph.unit('head', () => ops.add(image, patch), { crossEntropy: JOINT_WEIGHT });
}
