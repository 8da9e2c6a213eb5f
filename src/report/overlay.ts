// Pictures of where a network looks: an image in grey, coloured and lit by a map over it, and several such in a grid. Called by
// recipes. Every map is stretched by its own maximum, or by one that the caller gives, so that parts of an image compare.
import { ArgumentError } from '../errors';
import { valueRgb } from './color';
import { encodePng } from './png';

/** RGB bytes. */
export interface Canvas {
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint8Array;
}

export interface Gray {
  readonly height: number;
  readonly width: number;
  /** height*width values, any range; 0..255 for bytes. */
  readonly data: ArrayLike<number>;
}

/** How dark the picture is where the map says nothing. */
const DARKEST = 0.25;
const GAP = 4;

/** Bilinear value of a map at a share of its height and width, centres of cells as in the op `resize`. */
function sample(map: Gray, down: number, across: number): number {
  const place = (share: number, extent: number): [number, number, number] => {
    const at = Math.min(extent - 1, Math.max(0, share * extent - 0.5));
    const first = Math.floor(at);
    return [first, Math.min(extent - 1, first + 1), at - first];
  };
  const [top, bottom, dy] = place(down, map.height);
  const [left, right, dx] = place(across, map.width);
  const at = (row: number, column: number): number => map.data[row * map.width + column]!;
  const upper = at(top, left) + dx * (at(top, right) - at(top, left));
  const lower = at(bottom, left) + dx * (at(bottom, right) - at(bottom, left));
  return upper + dy * (lower - upper);
}

function check(what: string, { height, width, data }: Gray): void {
  if (height < 1 || width < 1 || data.length !== height * width) {
    throw new ArgumentError(`[overlay] the ${what} of ${height}x${width} needs as many values, got ${data.length}`);
  }
}

/** The image in grey, `zoom` times as large; 0 is black, 255 white. */
export function grayCanvas(image: Gray, zoom: number): Canvas {
  check('image', image);
  const [height, width] = [image.height * zoom, image.width * zoom];
  const pixels = new Uint8Array(height * width * 3);
  for (let at = 0; at < height * width; at += 1) {
    const [row, column] = [Math.floor(Math.floor(at / width) / zoom), Math.floor((at % width) / zoom)];
    pixels.fill(Math.min(255, Math.max(0, Math.round(image.data[row * image.width + column]!))), 3 * at, 3 * at + 3);
  }
  return { height, width, pixels };
}

/** The image lit by a map of values from 0 to `top` (its own maximum): dark blue where it is 0, bright yellow at the top. */
export function overlay(image: Gray, map: Gray, zoom: number, top = Math.max(...Array.from(map.data))): Canvas {
  check('map', map);
  const { height, width, pixels: gray } = grayCanvas(image, zoom);
  const pixels = new Uint8Array(gray.length);
  for (let at = 0; at < height * width; at += 1) {
    const value = sample(map, (Math.floor(at / width) + 0.5) / height, ((at % width) + 0.5) / width);
    const share = top > 0 ? Math.min(1, value / top) : 0;
    const light = (DARKEST + (1 - DARKEST) * share) * (0.35 + (0.65 * gray[3 * at]!) / 255);
    for (const [channel, color] of valueRgb(share).entries()) pixels[3 * at + channel] = Math.round(color * light);
  }
  return { height, width, pixels };
}

/** Canvases of one size as a grid with so many columns, on white. */
export function montage(canvases: readonly Canvas[], columns: number, gap = GAP): Canvas {
  const [first] = canvases;
  if (!first) throw new ArgumentError('[montage] expected at least one canvas, got none');
  const odd = canvases.find(({ height, width }) => height !== first.height || width !== first.width);
  if (odd) {
    throw new ArgumentError(
      `[montage] expected canvases of ${first.height}x${first.width}, got ${odd.height}x${odd.width}`,
    );
  }
  const rows = Math.ceil(canvases.length / columns);
  const width = columns * (first.width + gap) - gap;
  const height = rows * (first.height + gap) - gap;
  const pixels = new Uint8Array(width * height * 3).fill(255);
  for (const [index, canvas] of canvases.entries()) {
    const top = Math.floor(index / columns) * (first.height + gap);
    const left = (index % columns) * (first.width + gap);
    for (let row = 0; row < first.height; row += 1) {
      const line = canvas.pixels.subarray(row * first.width * 3, (row + 1) * first.width * 3);
      pixels.set(line, ((top + row) * width + left) * 3);
    }
  }
  return { height, width, pixels };
}

export function canvasPng({ height, width, pixels }: Canvas): Buffer {
  return encodePng(width, height, 3, pixels);
}
