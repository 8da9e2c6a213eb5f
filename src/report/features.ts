// Pictures of feature maps: one PNG for a layer, its channels side by side, and one for the sample they came from.
// Called by report.ts. Every channel is stretched over the colour ramp by itself, so brightness cannot be compared
// between channels; a constant channel is drawn as the ramp's bottom.
import { ArgumentError } from '../errors';
import { valueRgb } from './color';
import { encodePng } from './png';

/** Activations of one layer for one sample; data is [height, width, channels]. */
export interface FeatureMap {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly data: Float32Array;
}

/** A sample of 1 or 3 channels, in any range of values. */
export type SampleImage = Omit<FeatureMap, 'name'>;

/** Channels drawn of a layer; more would be too small to see. */
export const MAX_CHANNELS = 64;
const GAP = 2;

function checkMap(name: string, map: SampleImage): void {
  const size = map.height * map.width * map.channels;
  if (!(size > 0) || map.data.length !== size) {
    const shape = `${map.height}x${map.width}x${map.channels}`;
    throw new ArgumentError(`[report] "${name}" of shape ${shape} needs ${size} values, got ${map.data.length}`);
  }
}

/** Low end and span of every `stride`-th value from `start`; values that are not finite are skipped. */
function extent(data: Float32Array, start: number, stride: number): { low: number; span: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let index = start; index < data.length; index += stride) {
    const value = data[index] as number;
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low: Number.isFinite(low) ? low : 0, span: high > low ? high - low : 0 };
}

const share = (value: number, low: number, span: number): number =>
  span > 0 && Number.isFinite(value) ? (value - low) / span : 0;

/** Whole number of pixels a value is drawn as, so that a map's edge is about `target` pixels. */
function zoomFor(edge: number, target: number): number {
  return Math.max(1, Math.round(target / edge));
}

/** The first MAX_CHANNELS channels of a layer as a grid, on transparent ground. */
export function featureGrid(map: FeatureMap): Buffer {
  checkMap(map.name, map);
  const shown = Math.min(map.channels, MAX_CHANNELS);
  const columns = Math.ceil(Math.sqrt(shown * 2));
  const rows = Math.ceil(shown / columns);
  const zoom = zoomFor(Math.max(map.height, map.width), 48);
  const cellWidth = map.width * zoom + GAP;
  const cellHeight = map.height * zoom + GAP;
  const width = columns * cellWidth - GAP;
  const height = rows * cellHeight - GAP;
  const pixels = new Uint8Array(width * height * 4);
  for (let channel = 0; channel < shown; channel += 1) {
    const { low, span } = extent(map.data, channel, map.channels);
    const left = (channel % columns) * cellWidth;
    const top = Math.floor(channel / columns) * cellHeight;
    for (let y = 0; y < map.height * zoom; y += 1) {
      const row = Math.floor(y / zoom) * map.width;
      for (let x = 0; x < map.width * zoom; x += 1) {
        const value = map.data[(row + Math.floor(x / zoom)) * map.channels + channel] as number;
        const at = ((top + y) * width + left + x) * 4;
        pixels.set(valueRgb(share(value, low, span)), at);
        pixels[at + 3] = 255;
      }
    }
  }
  return encodePng(width, height, 4, pixels);
}

/** The sample as a picture, grey or RGB, its values stretched from black to white. */
export function samplePicture(sample: SampleImage): Buffer {
  checkMap('sample', sample);
  const channels = sample.channels === 3 ? 3 : 1;
  const { low, span } = extent(sample.data, 0, 1);
  const zoom = zoomFor(Math.max(sample.height, sample.width), 192);
  const width = sample.width * zoom;
  const height = sample.height * zoom;
  const pixels = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (Math.floor(y / zoom) * sample.width + Math.floor(x / zoom)) * sample.channels;
      for (let channel = 0; channel < channels; channel += 1) {
        const value = sample.data[from + channel] as number;
        pixels[(y * width + x) * channels + channel] = Math.round(255 * share(value, low, span));
      }
    }
  }
  return encodePng(width, height, channels, pixels);
}
