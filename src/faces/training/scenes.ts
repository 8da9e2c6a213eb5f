// Drawn scenes with known faces, so that MTCNN's training can be tried and tested without photographs: synthetic faces of
// data/synthetic.ts in several sizes before drawn backgrounds. Called by train.ts. What is trained on them finds drawn faces and
// no others. The rule easy to break: a scene is a function of seed and number alone.
import { Random } from '../../data/random';
import { SYNTHETIC_SIDE, syntheticFaces } from '../../data/synthetic';
import type { JobOptions } from '../../data/types';
import { ArgumentError } from '../../errors';
import { coloured, iou } from '../image';
import { resizeArea, resizeBilinear } from '../resize';
import type { Box, Image } from '../types';
import type { AnnotatedImage } from './annotations';

const WIDTH = 160;
const HEIGHT = 120;
const MOST_FACES = 3;
/** Extents of the drawn head in its tile, which is what its box shows; the middle of the range that is drawn. */
const HEAD = { width: 0.76, height: 0.92 } as const;

/** Boxes and smooth stripes, which are no faces. */
function drawBackground(random: Random): Uint8Array {
  const pixels = new Uint8Array(WIDTH * HEIGHT);
  const [base, slopeX, slopeY] = [random.between(40, 200), random.between(-0.5, 0.5), random.between(-0.5, 0.5)];
  const [turnX, turnY, depth] = [random.between(0, 0.5), random.between(0, 0.5), random.between(0, 30)];
  for (let y = 0, i = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1, i += 1) {
      pixels[i] = Math.min(255, Math.max(0, base + slopeX * x + slopeY * y + depth * Math.sin(turnX * x + turnY * y)));
    }
  }
  for (let count = random.below(12); count > 0; count -= 1) {
    const [left, top] = [random.below(WIDTH), random.below(HEIGHT)];
    const [right, bottom] = [
      Math.min(WIDTH, left + 4 + random.below(50)),
      Math.min(HEIGHT, top + 4 + random.below(50)),
    ];
    const shade = random.below(256);
    for (let y = top; y < bottom; y += 1) pixels.fill(shade, y * WIDTH + left, y * WIDTH + right);
  }
  return pixels;
}

/** Draws the head of a tile at (x, y), its surroundings faded out. */
function paste(scene: Uint8Array, tile: Image, x: number, y: number): void {
  const side = tile.width;
  for (let v = 0; v < side; v += 1) {
    for (let u = 0; u < side; u += 1) {
      const [dx, dy] = [(u + 0.5) / side - 0.5, (v + 0.5) / side - 0.5];
      const distance = Math.hypot(dx / (HEAD.width / 2), dy / (HEAD.height / 2));
      const share = Math.min(1, Math.max(0, (1.1 - distance) * 8));
      const [column, row] = [x + u, y + v];
      if (share === 0 || column < 0 || row < 0 || column >= WIDTH || row >= HEIGHT) continue;
      const at = row * WIDTH + column;
      scene[at] = scene[at]! + share * (tile.pixels[v * side + u]! - scene[at]!) + 0.5;
    }
  }
}

/** `count` scenes of 160x120 with none to three faces of 24 to 80 pixels. */
export async function drawnScenes(
  count: number,
  { seed = 1, ...job }: { seed?: number } & JobOptions = {},
): Promise<AnnotatedImage[]> {
  if (!Number.isSafeInteger(count) || count < 1 || count > 100_000) {
    throw new ArgumentError(`[scenes] expected 1 to 100000 scenes, got ${count}`);
  }
  const faces = await syntheticFaces({ count: count * MOST_FACES, seed, pose: 0.5, ...job });
  const bytes = SYNTHETIC_SIDE ** 2;
  return Array.from({ length: count }, (_, scene) => {
    const random = new Random(seed, 0x5ce0e000 + scene);
    const gray = drawBackground(random);
    const boxes: Box[] = [];
    for (let face = random.below(MOST_FACES + 1); face > 0; face -= 1) {
      const side = 24 + random.below(57);
      const [x, y] = [random.below(WIDTH - side + 1), random.below(HEIGHT - side + 1)];
      const [width, height] = [HEAD.width * side, HEAD.height * side];
      const box = { x: x + (side - width) / 2, y: y + (side - height) / 2, width, height };
      if (boxes.some((other) => iou(other, box) > 0.05)) continue;
      const from = (scene * MOST_FACES + face - 1) * bytes;
      const drawn = faces.images.subarray(from, from + bytes);
      const tile: Image = { pixels: drawn, width: SYNTHETIC_SIDE, height: SYNTHETIC_SIDE, channels: 1 };
      paste(gray, (side < SYNTHETIC_SIDE ? resizeArea : resizeBilinear)(tile, side, side), x, y);
      boxes.push(box);
    }
    const image = coloured({ pixels: gray, width: WIDTH, height: HEIGHT, channels: 1 });
    return { name: `scene ${scene}`, faces: boxes.map((box) => ({ box })), load: async () => image };
  });
}
