// Overlays: dark where the map is 0, bright at its peak, interpolated between cells, and laid out in a grid.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { valueRgb } from '../../src/report/color';
import { canvasPng, grayCanvas, montage, overlay } from '../../src/report/overlay';
import { decodePng } from './decodePng';

const white = { height: 2, width: 2, data: [255, 255, 255, 255] };
const brightness = (pixels: Uint8Array, at: number): number =>
  pixels[3 * at]! + pixels[3 * at + 1]! + pixels[3 * at + 2]!;

describe('overlay', () => {
  it('is the ramp’s top where the map peaks and its dark bottom where it is 0', () => {
    const { height, width, pixels } = overlay(white, { height: 2, width: 2, data: [0, 1, 0, 1] }, 1);
    expect([height, width]).toEqual([2, 2]);
    expect([...pixels.subarray(3, 6)]).toEqual([...valueRgb(1)]);
    expect([...pixels.subarray(0, 3)]).toEqual(valueRgb(0).map((value) => Math.round(value / 4)));
  });
  it('is darker where the image is', () => {
    const image = { height: 1, width: 2, data: [0, 255] };
    const { pixels } = overlay(image, { height: 1, width: 1, data: [3] }, 1);
    expect(brightness(pixels, 0)).toBeLessThan(0.5 * brightness(pixels, 1));
    expect(brightness(pixels, 0)).toBeGreaterThan(0);
  });
  it('interpolates between cells, and compares by a top of the caller’s', () => {
    const image = { height: 1, width: 4, data: [255, 255, 255, 255] };
    const map = { height: 1, width: 2, data: [0, 1] };
    const shown = (top?: number): number[] => {
      const { pixels } = overlay(image, map, 1, top);
      return [0, 1, 2, 3].map((at) => brightness(pixels, at));
    };
    const [a, b, c, d] = shown() as [number, number, number, number];
    expect(a).toBeLessThan(b);
    expect(b).toBeLessThan(c);
    expect(c).toBeLessThan(d);
    expect(shown(4)[3]).toBeLessThan(d);
  });
  it('of a map of zeros is dark, not undefined', () => {
    const { pixels } = overlay(white, { height: 1, width: 1, data: [0] }, 2);
    expect(new Set(pixels).size).toBeLessThanOrEqual(3);
    expect(Math.max(...pixels)).toBeLessThan(64);
  });
  it('refuses values that do not fit', () => {
    expect(() => overlay(white, { height: 2, width: 2, data: [1] }, 1)).toThrow(ArgumentError);
    expect(() => grayCanvas({ height: 1, width: 1, data: [] }, 1)).toThrow(ArgumentError);
  });
});

describe('montage', () => {
  it('lays canvases out by rows on white, and becomes a PNG', () => {
    const black = grayCanvas({ height: 1, width: 1, data: [0] }, 2);
    const grid = montage([black, black, black], 2, 1);
    expect([grid.height, grid.width]).toEqual([5, 5]);
    const rows = Array.from({ length: 5 }, (_, row) =>
      Array.from({ length: 5 }, (__, column) => (grid.pixels[(row * 5 + column) * 3] === 0 ? '#' : '.')).join(''),
    );
    expect(rows).toEqual(['##.##', '##.##', '.....', '##...', '##...']);
    expect(decodePng(canvasPng(grid))).toMatchObject({ width: 5, height: 5 });
    expect(() => montage([], 2)).toThrow(ArgumentError);
    expect(() => montage([black, grayCanvas(white, 1), grayCanvas(white, 2)], 2)).toThrow(/canvases of 2x2, got 4x4/);
  });
});
