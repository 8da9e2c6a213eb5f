// Follows faces from frame to frame by kernelised correlation filters (Henriques et al. 2015), one filter a face, with a
// search over neighbouring scales. Called by stream.ts between detections. The rule easy to break: one tracker serves all
// faces of a stream and keeps only buffers; what is known of a face is in its Track.
import { ArgumentError } from '../errors';
import { HOG_CELL, HOG_CHANNELS, hog } from '../pixels';
import { blended, CorrelationFilter, type FilterOptions, type Template, type Where } from './correlation';
import type { GrayFrame } from './grayFrame';
import { checkFace } from './image';
import type { Box } from './types';

export interface KcfOptions {
  /** HOG (31 channels of cells of 4x4 pixels, the default) or grey values. */
  readonly features?: 'hog' | 'gray';
  readonly kernel?: 'gaussian' | 'linear';
  /** Cells of the search window's side, even; 24 for HOG, 48 for grey. */
  readonly cells?: number;
  /** The search window's side over the face's; 2.5 by default. */
  readonly padding?: number;
  /** Ratio of neighbouring scales that are searched, above 1; 1 searches none. 1.05 by default. */
  readonly scaleStep?: number;
  /** How fast a template follows what is seen, 0 to 1. */
  readonly learningRate?: number;
  /** Of the filter; 1 by default, since a face's filter is too little work for more. */
  readonly threads?: number;
}

/** A face that is followed. */
export interface Track {
  readonly box: Box;
  /** Peak-to-sidelobe ratio of the last response (Bolme et al. 2010, section 3.5); Infinity where it was started. */
  readonly peakToSidelobe: number;
  readonly template: Template;
}

/** The paper's values (table 2) where it has them. */
const DEFAULTS = {
  hog: { cells: 24, sigma: 0.5, learningRate: 0.02 },
  gray: { cells: 48, sigma: 0.2, learningRate: 0.075 },
} as const;
const LAMBDA = 1e-4;
/** The label's deviation over the square root of the face's area in cells. */
const SPREAD = 0.1;
/** Another scale has to answer better than the present one by this factor. */
const SCALE_WEIGHT = 0.95;
/** Cells about the peak that are no sidelobe. */
const PEAK_RADIUS = 3;
/** A face is not followed below this extent, in pixels. */
const LEAST_EXTENT = 4;

interface Peak {
  /** In cells from the centre, between cells. */
  readonly x: number;
  readonly y: number;
  readonly scale: number;
  readonly peakToSidelobe: number;
}

/** Offset of a parabola's top through three neighbouring values, -0.5 to 0.5. */
function parabola(before: number, top: number, after: number): number {
  const bend = before - 2 * top + after;
  return bend < 0 ? Math.max(-0.5, Math.min(0.5, (0.5 * (before - after)) / bend)) : 0;
}

/** Mean and deviation of the response outside the square about its peak (with wrap-around) against the peak. */
function sidelobeRatio(response: Float32Array, cells: number, scales: number, scale: number, peak: number): number {
  const [py, px] = [Math.floor(peak / cells), peak % cells];
  const away = (a: number, b: number): number => Math.min(Math.abs(a - b), cells - Math.abs(a - b));
  let [sum, squares, count] = [0, 0, 0];
  for (let i = 0; i < cells * cells; i += 1) {
    if (Math.max(away(Math.floor(i / cells), py), away(i % cells, px)) <= PEAK_RADIUS) continue;
    const value = response[i * scales + scale]!;
    sum += value;
    squares += value * value;
    count += 1;
  }
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
  return deviation > 0 ? (response[peak * scales + scale]! - mean) / deviation : 0;
}

/** The best cell of all scales of a response [cells, cells, scales]. */
function peakOf(response: Float32Array, cells: number, scales: readonly number[]): Peak {
  let [best, at, scale] = [-Infinity, 0, 0];
  for (let s = 0; s < scales.length; s += 1) {
    const weight = scales[s] === 1 ? 1 : SCALE_WEIGHT;
    for (let i = 0; i < cells * cells; i += 1) {
      const value = response[i * scales.length + s]! * weight;
      if (value > best) [best, at, scale] = [value, i, s];
    }
  }
  const [row, column] = [Math.floor(at / cells), at % cells];
  const value = (y: number, x: number): number =>
    response[(((y + cells) % cells) * cells + ((x + cells) % cells)) * scales.length + scale]!;
  const top = value(row, column);
  const x = column + parabola(value(row, column - 1), top, value(row, column + 1));
  const y = row + parabola(value(row - 1, column), top, value(row + 1, column));
  const signed = (cell: number): number => (cell > cells / 2 ? cell - cells : cell);
  const peakToSidelobe = sidelobeRatio(response, cells, scales.length, scale, at);
  return { x: signed(x), y: signed(y), scale: scales[scale]!, peakToSidelobe };
}

export class KcfTracker {
  readonly #filter: CorrelationFilter;
  readonly #hog: boolean;
  readonly #cells: number;
  readonly #channels: number;
  readonly #padding: number;
  readonly #rate: number;
  readonly #scales: readonly number[];
  /** A patch's pixels, used again for each. */
  readonly #patch: Uint8Array;
  /** A face's features, used again for each. */
  #buffer = new Float32Array(0);

  constructor(options: KcfOptions = {}) {
    const { features = 'hog', kernel = 'gaussian', padding = 2.5, scaleStep = 1.05, threads } = options;
    const defaults = DEFAULTS[features];
    if (!defaults) throw new ArgumentError(`[KcfTracker] features are hog or gray, got ${String(features)}`);
    if (kernel !== 'gaussian' && kernel !== 'linear') {
      throw new ArgumentError(`[KcfTracker] kernel is gaussian or linear, got ${String(kernel)}`);
    }
    const { cells = defaults.cells, learningRate = defaults.learningRate } = options;
    if (!(padding >= 1 && padding <= 10)) {
      throw new ArgumentError(`[KcfTracker] padding is a number from 1 to 10, got ${padding}`);
    }
    if (!(scaleStep >= 1 && scaleStep < 2)) {
      throw new ArgumentError(`[KcfTracker] scaleStep is a number from 1 to below 2, got ${scaleStep}`);
    }
    if (!(learningRate >= 0 && learningRate <= 1)) {
      throw new ArgumentError(`[KcfTracker] learningRate is a number from 0 to 1, got ${learningRate}`);
    }
    if (!Number.isSafeInteger(cells) || cells < 8 || cells > 128 || cells % 2 !== 0) {
      throw new ArgumentError(`[KcfTracker] cells is an even number from 8 to 128, got ${cells}`);
    }
    this.#cells = cells;
    this.#padding = padding;
    this.#rate = learningRate;
    this.#scales = scaleStep > 1 ? [1, 1 / scaleStep, scaleStep] : [1];
    this.#hog = features === 'hog';
    this.#channels = this.#hog ? HOG_CHANNELS : 1;
    const side = this.#patchSide;
    this.#patch = new Uint8Array(side * side);
    const filter: FilterOptions = {
      ...{ cells, channels: this.#channels, kernel, sigma: defaults.sigma, lambda: LAMBDA },
      spread: (SPREAD * cells) / padding,
      scales: this.#scales.length,
    };
    this.#filter = new CorrelationFilter(filter, threads === undefined ? {} : { threads });
  }

  get #patchSide(): number {
    return this.#cells * (this.#hog ? HOG_CELL : 1);
  }

  /** Starts to follow the faces in these boxes. Rejects with ArgumentError for a box without an area. */
  async start(frame: GrayFrame, boxes: readonly Box[]): Promise<Track[]> {
    for (const box of boxes) checkFace('KcfTracker.start', { box });
    const templates = await this.#templates(frame, boxes);
    return boxes.map((box, index) => ({ box, peakToSidelobe: Infinity, template: templates[index]! }));
  }

  /** Where the faces are in this frame; what they look like there is learnt. */
  async follow(frame: GrayFrame, tracks: readonly Track[]): Promise<Track[]> {
    return this.learn(frame, await this.locate(frame, tracks));
  }

  /** Where the faces are in this frame; nothing is learnt. */
  async locate(frame: GrayFrame, tracks: readonly Track[]): Promise<Track[]> {
    const where = this.#whereFor(tracks);
    const responses = await Promise.all(
      tracks.map(({ box, template }) =>
        this.#filter.respond(this.#features(frame, box, this.#scales), template, where),
      ),
    );
    return responses.map((response, index) => {
      const peak = peakOf(response, this.#cells, this.#scales);
      const { box, template } = tracks[index]!;
      return { box: this.#moved(box, peak), peakToSidelobe: peak.peakToSidelobe, template };
    });
  }

  /** The faces where they are, with what they look like there. */
  async learn(frame: GrayFrame, tracks: readonly Track[]): Promise<Track[]> {
    const seen = await this.#templates(
      frame,
      tracks.map(({ box }) => box),
    );
    return tracks.map((track, index) => ({ ...track, template: blended(track.template, seen[index]!, this.#rate) }));
  }

  #templates(frame: GrayFrame, boxes: readonly Box[]): Promise<Template[]> {
    const where = this.#whereFor(boxes);
    return Promise.all(boxes.map((box) => this.#filter.learn(this.#features(frame, box, [1]), where)));
  }

  /** Of several faces one is cut while the filter works on the one before. */
  #whereFor(faces: readonly unknown[]): Where {
    return faces.length > 1 ? 'apart' : 'here';
  }

  dispose(): void {
    this.#filter.dispose();
  }

  /** Side of the search window about a box, in pixels of the frame. */
  #windowSide({ width, height }: Box): number {
    return this.#padding * Math.sqrt(width * height);
  }

  #moved(box: Box, { x, y, scale }: Peak): Box {
    const cell = (this.#windowSide(box) * scale) / this.#cells;
    const grown = Math.min(box.width, box.height) * scale < LEAST_EXTENT ? 1 : scale;
    const [width, height] = [box.width * grown, box.height * grown];
    const centreX = box.x + box.width / 2 + x * cell;
    const centreY = box.y + box.height / 2 + y * cell;
    return { x: centreX - width / 2, y: centreY - height / 2, width, height };
  }

  /** Features [cells, cells, scales * channels] of the windows about a box at these scales. They hold until the next call. */
  #features(frame: GrayFrame, box: Box, scales: readonly number[]): Float32Array {
    const stride = scales.length * this.#channels;
    const size = this.#cells * this.#cells * stride;
    if (this.#buffer.length < size) this.#buffer = new Float32Array(size);
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    scales.forEach((scale, index) => {
      frame.patch(x, y, this.#windowSide(box) * scale, this.#patchSide, this.#patch);
      if (this.#hog) hog(this.#patch, this.#cells, this.#buffer, index * this.#channels, stride);
      else this.#grays(index, stride);
    });
    return this.#buffer.subarray(0, size);
  }

  /** Grey values from -0.5 to 0.5. */
  #grays(offset: number, stride: number): void {
    for (let i = 0; i < this.#patch.length; i += 1) this.#buffer[i * stride + offset] = this.#patch[i]! / 255 - 0.5;
  }
}
