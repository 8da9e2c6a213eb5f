// Faces cut out of a frame as a network wants them: turned upright by their landmarks, or the box as it is. Called by stream.ts
// and by whoever prepares faces for training. The rule easy to break: a face larger than the cut is read from a smaller level of
// the frame, or fine detail turns into noise that no network was trained on.
import { ArgumentError } from '../errors';
import { sample } from '../pixels';
import { checkFace, checkImage, isExtent, MAX_EXTENT, pointsOf } from './image';
import { Pyramid } from './pyramid';
import { interpolation } from './resize';
import type { Box, CropOptions, Image, Landmarks, Point } from './types';

/** (x, y) -> (a x - b y + tx, b x + a y + ty): a turn, a scale and a shift. */
export interface Similarity {
  readonly a: number;
  readonly b: number;
  readonly tx: number;
  readonly ty: number;
}

/**
 * Where the landmarks of an upright face lie in its cut, as shares of the side: the means that recognition networks are
 * aligned to (as of InsightFace's 112x112 faces), made symmetric.
 */
const UPRIGHT: Landmarks = {
  leftEye: { x: 0.3427, y: 0.4607 },
  rightEye: { x: 0.6573, y: 0.4607 },
  nose: { x: 0.5, y: 0.6405 },
  mouthLeft: { x: 0.3698, y: 0.824 },
  mouthRight: { x: 0.6302, y: 0.824 },
};

/**
 * The similarity that moves `from` closest to `to` (least squares; Umeyama 1991 without reflection).
 * @throws ArgumentError for fewer than two points, or points that all lie on one another.
 */
export function similarity(from: readonly Point[], to: readonly Point[]): Similarity {
  const mean = (points: readonly Point[], axis: 'x' | 'y'): number =>
    points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  if (from.length < 2 || from.length !== to.length) {
    throw new ArgumentError(`[similarity] expected two or more pairs of points, got ${from.length} and ${to.length}`);
  }
  const [fx, fy, gx, gy] = [mean(from, 'x'), mean(from, 'y'), mean(to, 'x'), mean(to, 'y')];
  let [along, across, size] = [0, 0, 0];
  from.forEach((point, index) => {
    const [x, y] = [point.x - fx, point.y - fy];
    const [u, v] = [to[index]!.x - gx, to[index]!.y - gy];
    along += x * u + y * v;
    across += x * v - y * u;
    size += x * x + y * y;
  });
  if (!(size > 0) || !(along * along + across * across > 0)) {
    throw new ArgumentError('[similarity] expected points apart from each other, got all on one');
  }
  const [a, b] = [along / size, across / size];
  return { a, b, tx: gx - a * fx + b * fy, ty: gy - b * fx - a * fy };
}

const FITS: readonly CropOptions['fit'][] = ['aligned', 'square', 'padded', 'stretched'];

/** @throws ArgumentError `[op] ...` unless faces can be cut so. */
export function checkFit(op: string, { fit, margin = 0 }: Pick<CropOptions, 'fit' | 'margin'>): void {
  if (!FITS.includes(fit)) {
    throw new ArgumentError(`[${op}] fit is ${FITS.slice(0, -1).join(', ')} or ${FITS.at(-1)}, got ${String(fit)}`);
  }
  if (!(margin > -1 && Number.isFinite(margin))) {
    throw new ArgumentError(`[${op}] margin is a number above -1, got ${String(margin)}`);
  }
}

/** @throws ArgumentError `[op] ...` unless faces can be cut so. */
export function checkCrop(op: string, crop: CropOptions): void {
  const { size, channels } = crop ?? {};
  if (!(Array.isArray(size) && size.length === 2 && size.every(isExtent))) {
    throw new ArgumentError(`[${op}] size is a height and a width of 1 to ${MAX_EXTENT}, got ${JSON.stringify(size)}`);
  }
  if (channels !== 1 && channels !== 3) throw new ArgumentError(`[${op}] channels are 1 or 3, got ${channels}`);
  checkFit(op, crop);
}

/** How cut coordinates become frame coordinates, along each axis, and which part of the cut shows the face. */
interface Placement {
  /** x, y of the frame for (u, v) of the cut: x = xu u + xv v + x0, y = yu u + yv v + y0. */
  readonly xu: number;
  readonly xv: number;
  readonly x0: number;
  readonly yu: number;
  readonly yv: number;
  readonly y0: number;
  /** What lies outside this part of the cut is black. */
  readonly visible?: { left: number; top: number; right: number; bottom: number };
}

function widened({ x, y, width, height }: Box, margin: number): Box {
  const [w, h] = [width * margin, height * margin];
  return { x: x - w / 2, y: y - h / 2, width: width + w, height: height + h };
}

/** The whole box over the whole cut. */
function stretched({ x, y, width, height }: Box, [rows, columns]: readonly [number, number]): Placement {
  return { xu: width / columns, xv: 0, x0: x, yu: 0, yv: height / rows, y0: y };
}

/** The smallest box of the cut's shape about `box`. */
function fitted(box: Box, [rows, columns]: readonly [number, number]): Box {
  const side = Math.max(box.width / columns, box.height / rows);
  const [width, height] = [side * columns, side * rows];
  return { x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) / 2, width, height };
}

function aligned(landmarks: Landmarks, margin: number, [rows, columns]: readonly [number, number]): Placement {
  const side = Math.min(rows, columns);
  const share = 1 / (1 + margin);
  const target = pointsOf(UPRIGHT).map(({ x, y }) => ({
    x: columns / 2 + (x - 0.5) * side * share,
    y: rows / 2 + (y - 0.5) * side * share,
  }));
  const { a, b, tx, ty } = similarity(target, pointsOf(landmarks));
  return { xu: a, xv: -b, x0: tx, yu: b, yv: a, y0: ty };
}

/** Whether they show where a face is turned to: a network may put them all on one point. */
function areApart(landmarks: Landmarks): boolean {
  const { x, y } = landmarks.nose;
  return pointsOf(landmarks).some((point) => point.x !== x || point.y !== y);
}

function placementOf(
  face: { readonly box: Box; readonly landmarks?: Landmarks },
  { size, fit, margin = 0 }: CropOptions,
): Placement {
  const { landmarks } = face;
  if (fit === 'aligned' && landmarks && areApart(landmarks)) return aligned(landmarks, margin, size);
  const box = widened(face.box, margin);
  if (fit === 'stretched') return stretched(box, size);
  const whole = fitted(box, size);
  const placement = stretched(whole, size);
  if (fit !== 'padded') return placement;
  const [scaleX, scaleY] = [placement.xu, placement.yv];
  const left = (box.x - whole.x) / scaleX;
  const top = (box.y - whole.y) / scaleY;
  return { ...placement, visible: { left, top, right: left + box.width / scaleX, bottom: top + box.height / scaleY } };
}

/** One bilinear sample of every channel, outside the image its nearest edge pixel; `x`, `y` count from pixel centres. */
function samplePoint(
  { pixels, width, height, channels }: Image,
  x: number,
  y: number,
  out: Uint8Array,
  to: number,
): void {
  const cx = Math.min(Math.max(x, 0), width - 1);
  const cy = Math.min(Math.max(y, 0), height - 1);
  const ix = Math.floor(cx);
  const iy = Math.floor(cy);
  const right = ix + 1 < width ? channels : 0;
  const below = iy + 1 < height ? width * channels : 0;
  const first = (iy * width + ix) * channels;
  for (let c = 0; c < channels; c += 1) {
    const at = first + c;
    const top = pixels[at]! + (cx - ix) * (pixels[at + right]! - pixels[at]!);
    const bottom = pixels[at + below]! + (cx - ix) * (pixels[at + below + right]! - pixels[at + below]!);
    out[to + c] = top + (cy - iy) * (bottom - top) + 0.5;
  }
}

/** The frame's region under a cut, and its pixels for a pixel of the cut. */
function extentOf({ xu, xv, x0, yu, yv, y0 }: Placement, [rows, columns]: readonly [number, number]) {
  const xs = [x0, x0 + xu * columns, x0 + xv * rows, x0 + xu * columns + xv * rows];
  const ys = [y0, y0 + yu * columns, y0 + yv * rows, y0 + yu * columns + yv * rows];
  const region = { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
  return { region, step: Math.min(Math.hypot(xu, yu), Math.hypot(xv, yv)) };
}

/** Samples the frame in its own channels at the centre of every pixel of the cut. */
function sampled(pyramid: Pyramid, placement: Placement, size: readonly [number, number], out: Uint8Array): void {
  const [rows, columns] = size;
  const { region, step } = extentOf(placement, size);
  const level = pyramid.level(step, region);
  const { factor, channels } = level;
  const { xu, xv, x0, yu, yv, y0 } = placement;
  if (xv === 0 && yu === 0) {
    const across = interpolation(columns, level.width, (u) => (xu * (u + 0.5) + x0) / factor - 0.5);
    const down = interpolation(rows, level.height, (v) => (yv * (v + 0.5) + y0) / factor - 0.5);
    sample(level, across, down, out);
    return;
  }
  for (let row = 0, to = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, to += channels) {
      const [u, v] = [column + 0.5, row + 0.5];
      const [x, y] = [xu * u + xv * v + x0, yu * u + yv * v + y0];
      samplePoint(level, x / factor - 0.5, y / factor - 0.5, out, to);
    }
  }
}

/** Blackens the pixels whose centre lies outside the visible part. */
function blacken(out: Uint8Array, [rows, columns]: readonly [number, number], { visible }: Placement): void {
  if (!visible) return;
  const bytes = out.length / rows;
  const channels = bytes / columns;
  const first = Math.max(0, Math.ceil(visible.left - 0.5));
  const end = Math.min(columns, Math.ceil(visible.right - 0.5));
  for (let row = 0; row < rows; row += 1) {
    const line = out.subarray(row * bytes, (row + 1) * bytes);
    if (row + 0.5 < visible.top || row + 0.5 >= visible.bottom) line.fill(0);
    line.fill(0, 0, first * channels);
    line.fill(0, end * channels);
  }
}

/**
 * Faces of a frame, one after the other: n x height x width x channels bytes. Grey is BT.601 luma.
 * Throws ArgumentError for an image, a face or options whose numbers make no sense.
 */
export function cropFaces(
  image: Image,
  faces: readonly { readonly box: Box; readonly landmarks?: Landmarks }[],
  options: CropOptions,
): Uint8Array {
  checkImage('cropFaces', image);
  checkCrop('cropFaces', options);
  const { size, channels } = options;
  const pixels = size[0] * size[1];
  const bytes = pixels * channels;
  const out = new Uint8Array(faces.length * bytes);
  const pyramid = new Pyramid(image, { gray: channels === 1 });
  const colouring = channels > image.channels;
  faces.forEach((face, index) => {
    checkFace('cropFaces', face);
    const placement = placementOf(face, options);
    const cut = out.subarray(index * bytes, (index + 1) * bytes);
    // A grey frame's samples lie at the end of the cut until they are spread over its channels, first to last.
    const samples = colouring ? cut.subarray(bytes - pixels) : cut;
    sampled(pyramid, placement, size, samples);
    if (colouring) for (let i = 0; i < pixels; i += 1) cut.fill(samples[i]!, 3 * i, 3 * i + 3);
    blacken(cut, size, placement);
  });
  return out;
}
