// PNG files and the pictures of feature maps.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { valueRgb } from '../../src/report/color';
import { featureGrid, MAX_CHANNELS, samplePicture } from '../../src/report/features';
import { encodePng } from '../../src/report/png';
import { decodePng } from './decodePng';

describe('encodePng', () => {
  it.each([
    [1, 1, 1],
    [3, 2, 1],
    [5, 7, 3],
    [64, 9, 4],
  ])('%dx%d with %d channels comes back', (width, height, channels) => {
    const pixels = Uint8Array.from({ length: width * height * channels }, (_, index) => (index * 37) % 256);
    expect(decodePng(encodePng(width, height, channels, pixels))).toEqual({ width, height, channels, pixels });
  });

  it.each([
    [2, 2, 2, 8],
    [2, 2, 1, 3],
    [0, 2, 1, 0],
    [1.5, 2, 1, 3],
    [-1, -1, 1, 1],
  ])('refuses %dx%dx%d with %d bytes', (width, height, channels, bytes) => {
    expect(() => encodePng(width, height, channels, new Uint8Array(bytes))).toThrow(ArgumentError);
  });
});

describe('featureGrid', () => {
  it('puts channels side by side, each stretched by itself', () => {
    // Two channels of 24x24: a ramp of small values and one of huge values with the same shape.
    const data = Float32Array.from({ length: 24 * 24 * 2 }, (_, index) => (index % 2 ? 1e6 : 1e-3) * (index >> 1));
    const { width, height, pixels } = decodePng(featureGrid({ name: 'x', height: 24, width: 24, channels: 2, data }));
    expect([width, height]).toEqual([48 + 2 + 48, 48]);
    const pixel = (x: number, y: number): number[] => Array.from(pixels.subarray((y * width + x) * 4).subarray(0, 4));
    for (const left of [0, 50]) {
      expect(pixel(left, 0)).toEqual([...valueRgb(0), 255]);
      expect(pixel(left + 47, 47)).toEqual([...valueRgb(1), 255]);
    }
    expect(pixel(48, 0)[3]).toBe(0);
  });

  it('draws constant channels and values that are not finite without failing', () => {
    const data = Float32Array.from([3, 3, 3, 3, Number.NaN, 1, Number.POSITIVE_INFINITY, 2]);
    const map = { name: 'x', height: 2, width: 4, channels: 1, data };
    const { pixels } = decodePng(featureGrid(map));
    expect(Array.from(pixels.subarray(0, 3))).toEqual([...valueRgb(1)]);
  });

  it('shows at most MAX_CHANNELS channels', () => {
    const map = (channels: number) => ({ name: 'x', height: 1, width: 1, channels, data: new Float32Array(channels) });
    const [many, full] = [featureGrid(map(1000)), featureGrid(map(MAX_CHANNELS))].map(decodePng);
    expect(many?.height).toBe(full?.height);
    expect(many?.width).toBe(full?.width);
  });

  it('refuses data of another size', () => {
    const wrong = { name: 'stem', height: 2, width: 2, channels: 2, data: new Float32Array(7) };
    expect(() => featureGrid(wrong)).toThrow('"stem" of shape 2x2x2 needs 8 values, got 7');
  });
});

it('samplePicture stretches from black to white, grey or RGB', () => {
  for (const channels of [1, 3]) {
    const data = Float32Array.from({ length: 96 * 96 * channels }, (_, index) => index - 1000);
    const decoded = decodePng(samplePicture({ height: 96, width: 96, channels, data }));
    expect(decoded.channels).toBe(channels);
    expect([decoded.width, decoded.height]).toEqual([192, 192]);
    expect([decoded.pixels[0], decoded.pixels.at(-1)]).toEqual([0, 255]);
  }
});
