// Draws what the recogniser answered onto a copy of the frame: boxes, numbers, the likeliest expression, landmarks. Called by the
// command line. The rule easy to break: everything is clipped to the frame, because boxes may reach over its border.
import { dot, GLYPH_HEIGHT, GLYPH_WIDTH } from './font';
import { checkImage, coloured } from './image';
import type { Image, TrackedFace } from './types';

type Rgb = readonly [number, number, number];

/** Told apart on skin and by colour-blind readers (after Okabe and Ito 2008). */
const COLOURS: readonly Rgb[] = [
  [86, 180, 233],
  [240, 228, 66],
  [0, 158, 115],
  [230, 159, 0],
  [204, 121, 167],
  [213, 94, 0],
];
const INK: Rgb = [0, 0, 0];

/** `1 happy 98%, female 31`: what is known of a face, in one line. */
export function labelOf({ id, expressions, gender, age }: TrackedFace): string {
  const [best] = Object.entries(expressions ?? {}).sort(([, a], [, b]) => b - a);
  const expression = best ? ` ${best[0]} ${Math.round(best[1] * 100)}%` : '';
  const person = gender ? `, ${gender.label}${age === undefined ? '' : ` ${Math.round(age)}`}` : '';
  return `${id}${expression}${person}`;
}

/** A picture that is drawn on. */
class Canvas {
  readonly image: Image;

  constructor(image: Image) {
    const rgb = coloured(image);
    this.image = { ...rgb, pixels: new Uint8Array(rgb.pixels) };
  }

  fill(x: number, y: number, width: number, height: number, colour: Rgb): void {
    const { pixels, ...frame } = this.image;
    const [left, right] = [Math.max(0, Math.round(x)), Math.min(frame.width, Math.round(x + width))];
    const [top, bottom] = [Math.max(0, Math.round(y)), Math.min(frame.height, Math.round(y + height))];
    for (let row = top; row < bottom; row += 1) {
      for (let column = left; column < right; column += 1) pixels.set(colour, (row * frame.width + column) * 3);
    }
  }

  outline(x: number, y: number, width: number, height: number, line: number, colour: Rgb): void {
    this.fill(x - line, y - line, width + 2 * line, line, colour);
    this.fill(x - line, y + height, width + 2 * line, line, colour);
    this.fill(x - line, y, line, height, colour);
    this.fill(x + width, y, line, height, colour);
  }

  /** @param size pixels of a dot. */
  text(text: string, x: number, y: number, size: number, colour: Rgb): void {
    [...text].forEach((letter, index) => {
      const left = x + index * (GLYPH_WIDTH + 1) * size;
      for (let row = 0; row < GLYPH_HEIGHT; row += 1) {
        for (let column = 0; column < GLYPH_WIDTH; column += 1) {
          if (dot(letter, column, row)) this.fill(left + column * size, y + row * size, size, size, colour);
        }
      }
    });
  }
}

/** An RGB copy of the frame with its faces drawn. Throws ArgumentError for an image whose numbers do not fit each other. */
export function annotated(image: Image, faces: readonly TrackedFace[]): Image {
  checkImage('annotated', image);
  const canvas = new Canvas(image);
  const size = Math.max(1, Math.round(Math.min(image.width, image.height) / 400));
  for (const face of faces) {
    const { x, y, width, height } = face.box;
    const colour = COLOURS[(face.id - 1) % COLOURS.length]!;
    canvas.outline(Math.round(x), Math.round(y), Math.round(width), Math.round(height), 2 * size, colour);
    for (const point of Object.values(face.landmarks ?? {})) {
      canvas.fill(point.x - size, point.y - size, 2 * size + 1, 2 * size + 1, colour);
    }
    const label = labelOf(face);
    const [labelWidth, labelHeight] = [((GLYPH_WIDTH + 1) * label.length + 3) * size, (GLYPH_HEIGHT + 4) * size];
    // Above the box, or inside where there is no room; inside the frame in any case.
    const above = Math.round(y) - 2 * size - labelHeight;
    const top = above >= 0 ? above : Math.max(0, Math.round(y));
    const left = Math.max(0, Math.min(Math.round(x) - 2 * size, image.width - labelWidth));
    canvas.fill(left, top, labelWidth, labelHeight, colour);
    canvas.text(label, left + 2 * size, top + 2 * size, size, INK);
  }
  return canvas.image;
}
