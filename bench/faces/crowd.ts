// Films of one to five faces that drift about, cut from face-api's photographs: what speed is measured on. Called by
// bench/faces.ts. The rule easy to break: each face keeps its photograph's surroundings, or detectors do not see it.
import type { Box, Image } from '../../src/faces/types';

export const WIDTH = 640;
export const HEIGHT = 480;

/** Side of the square that shows one face, and the face's height in it. */
const TILE = 208;
const FACE = 104;

interface Source {
  readonly photo: Image;
  readonly face: Box;
}

/** Left upper corner of tile `index` of a film of `count` faces, in frame `frame`. */
function place(index: number, count: number, frame: number): [number, number] {
  const columns = Math.min(count, 3);
  const rows = Math.ceil(count / 3);
  const [column, row] = [index % 3, Math.floor(index / 3)];
  const phase = frame / 25 + index;
  const x = ((column + 0.5) * WIDTH) / columns - TILE / 2 + 4 * Math.sin(phase);
  const y = ((row + 0.5) * HEIGHT) / rows - TILE / 2 + 4 * Math.cos(phase * 1.3);
  return [Math.round(Math.min(Math.max(x, 0), WIDTH - TILE)), Math.round(Math.min(Math.max(y, 0), HEIGHT - TILE))];
}

/** The face and as much again around it, TILE x TILE x 3 bytes. */
function tileOf({ photo, face }: Source): Uint8Array {
  const step = face.height / FACE;
  const tile = new Uint8Array(TILE * TILE * 3);
  for (let y = 0, to = 0; y < TILE; y += 1) {
    for (let x = 0; x < TILE; x += 1, to += 3) {
      const px = Math.round(face.x + face.width / 2 + (x - TILE / 2) * step);
      const py = Math.round(face.y + face.height / 2 + (y - TILE / 2) * step);
      const inside = px >= 0 && py >= 0 && px < photo.width && py < photo.height;
      const at = (py * photo.width + px) * 3;
      for (let c = 0; c < 3; c += 1) tile[to + c] = inside ? photo.pixels[at + c]! : 128;
    }
  }
  return tile;
}

/** `frames` RGB frames of 640x480 with the faces of these sources, at most six. */
export function crowd(sources: readonly Source[], frames: number): Image[] {
  const tiles = sources.map(tileOf);
  const background = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => 96 + ((i * 7919) % 13));
  return Array.from({ length: frames }, (_, frame) => {
    const pixels = background.slice();
    tiles.forEach((tile, index) => {
      const [left, top] = place(index, tiles.length, frame);
      for (let y = 0; y < TILE; y += 1) {
        pixels.set(tile.subarray(y * TILE * 3, (y + 1) * TILE * 3), ((top + y) * WIDTH + left) * 3);
      }
    });
    return { pixels, width: WIDTH, height: HEIGHT, channels: 3 };
  });
}
