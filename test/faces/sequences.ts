// Films made from one photograph by a known motion, so that where the face is in every frame is known too: pan, zoom,
// rotation, change of light, partial occlusion. Used by the tracker's test and by bench/faces.ts. The rule easy to break: they
// are functions of the frame's number alone, so that any frame can be drawn by itself.
import type { Box, Image } from '../../src/faces/types';

/** How a frame is taken: about the face's centre, which it shows at (x, y), turned and scaled. */
interface View {
  /** Where the face's centre is in the frame. */
  readonly x: number;
  readonly y: number;
  /** Frame pixels a photograph pixel. */
  readonly scale: number;
  /** Radians, clockwise as seen. */
  readonly angle: number;
  /** Factor on brightness at the frame's left and at its right side. */
  readonly light: readonly [number, number];
  /** A bar over the face: its left edge and width in face widths from the face's left side. */
  readonly bar?: readonly [number, number];
}

export const MOTIONS = ['pan', 'zoom', 'rotation', 'light', 'occlusion'] as const;
export type Motion = (typeof MOTIONS)[number];

export interface Film {
  readonly width: number;
  readonly height: number;
  readonly count: number;
  /** The face's box in frame `index`: its extents scaled, about its centre. */
  box(index: number): Box;
  frame(index: number): Image;
}

/** t runs from 0 to 1 over the film; all motions begin at rest in the frame's centre. */
function viewAt(motion: Motion, t: number, width: number, height: number, base: number): View {
  const wave = (turns: number): number => Math.sin(2 * Math.PI * turns * t);
  const still = { x: width / 2, y: height / 2, scale: base, angle: 0, light: [1, 1] as const };
  const drift = { ...still, x: still.x + 0.06 * width * wave(2), y: still.y + 0.06 * height * wave(1) };
  switch (motion) {
    case 'pan':
      return { ...still, x: still.x + 0.25 * width * wave(3), y: still.y + 0.15 * height * wave(2) };
    case 'zoom':
      return { ...drift, scale: base * 2 ** (0.8 * wave(1.5)) };
    case 'rotation':
      return { ...drift, angle: (Math.PI / 6) * wave(2) };
    case 'light': {
      const [left, right] = [1 + 0.6 * wave(2), 1 - 0.6 * wave(3)];
      return { ...drift, light: [left, right] };
    }
    case 'occlusion':
      // Half a face wide; it crosses the face twice and stands still over its half in between.
      return { ...drift, bar: [1.2 - 2 * Math.abs(wave(1)) ** 0.5, 0.5] };
  }
}

/** A hash of the pixel and the frame as noise of -amplitude..amplitude. */
function noise(index: number, at: number, amplitude: number): number {
  let mixed = Math.imul(at ^ Math.imul(index + 1, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32 - 0.5) * 2 * amplitude;
}

/** Mean of four samples a pixel would be right for shrinking by two; bilinear otherwise. */
function sample(photo: Image, x: number, y: number, channel: number): number {
  const { pixels, width, height, channels } = photo;
  const cx = Math.min(Math.max(x - 0.5, 0), width - 1.001);
  const cy = Math.min(Math.max(y - 0.5, 0), height - 1.001);
  const [ix, iy] = [Math.floor(cx), Math.floor(cy)];
  const [fx, fy] = [cx - ix, cy - iy];
  const at = (iy * width + ix) * channels + channel;
  const row = width * channels;
  const top = pixels[at]! * (1 - fx) + pixels[at + channels]! * fx;
  const bottom = pixels[at + row]! * (1 - fx) + pixels[at + row + channels]! * fx;
  return top * (1 - fy) + bottom * fy;
}

export interface FilmOptions {
  readonly width?: number;
  readonly height?: number;
  readonly count?: number;
  /** Height of the face at rest, in frame pixels. */
  readonly faceHeight?: number;
}

/** A film of the face in `face` of a photograph. */
export function filmOf(photo: Image, face: Box, motion: Motion, options: FilmOptions = {}): Film {
  const { width = 640, height = 480, count = 300, faceHeight = 110 } = options;
  const base = faceHeight / face.height;
  const [cx, cy] = [face.x + face.width / 2, face.y + face.height / 2];
  const view = (index: number): View => viewAt(motion, index / count, width, height, base);
  const box = (index: number): Box => {
    const { x, y, scale } = view(index);
    const [w, h] = [face.width * scale, face.height * scale];
    return { x: x - w / 2, y: y - h / 2, width: w, height: h };
  };
  const frame = (index: number): Image => {
    const { x, y, scale, angle, light, bar } = view(index);
    const [cos, sin] = [Math.cos(angle) / scale, Math.sin(angle) / scale];
    const { channels } = photo;
    const pixels = new Uint8Array(width * height * channels);
    const at = box(index);
    const barLeft = bar ? at.x + bar[0] * at.width : Infinity;
    const barRight = bar ? barLeft + bar[1] * at.width : -Infinity;
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const [dx, dy] = [column + 0.5 - x, row + 0.5 - y];
        const [px, py] = [cx + dx * cos + dy * sin, cy - dx * sin + dy * cos];
        const gain = light[0] + ((light[1] - light[0]) * column) / width;
        const covered = column >= barLeft && column < barRight && Math.abs(dy) < at.height;
        const to = (row * width + column) * channels;
        for (let c = 0; c < channels; c += 1) {
          const value = covered ? 90 + 20 * ((row >> 3) & 1) : sample(photo, px, py, c) * gain;
          pixels[to + c] = Math.min(255, Math.max(0, value + noise(index, to + c, 3) + 0.5));
        }
      }
    }
    return { pixels, width, height, channels };
  };
  return { width, height, count, box, frame };
}
