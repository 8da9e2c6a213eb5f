// Histograms of oriented gradients against the definition of Felzenszwalb et al. 2010, in float64 and pixel by pixel.
import { expect, it } from 'vitest';
import { HOG_CELL, HOG_CHANNELS, hog } from '../../src/pixels';

const CELLS = 5;
const SIDE = CELLS * HOG_CELL;

function patchOf(seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 90 + 60 * Math.sin(i / 7) + (state >>> 27);
  });
}

/** The 31 channels of each cell by the definition. */
function reference(pixels: Uint8Array): number[][] {
  const histograms = Array.from({ length: CELLS * CELLS }, () => new Array<number>(18).fill(0));
  const at = (x: number, y: number): number => pixels[y * SIDE + x]!;
  for (let y = 1; y < SIDE - 1; y += 1) {
    for (let x = 1; x < SIDE - 1; x += 1) {
      const [dx, dy] = [at(x + 1, y) - at(x - 1, y), at(x, y + 1) - at(x, y - 1)];
      // The direction with the largest projection.
      let best = 0;
      for (let o = 1; o < 18; o += 1) {
        const projection = (k: number): number => dx * Math.cos((k * Math.PI) / 9) + dy * Math.sin((k * Math.PI) / 9);
        if (projection(o) > projection(best) + 1e-9) best = o;
      }
      for (let cy = 0; cy < CELLS; cy += 1) {
        for (let cx = 0; cx < CELLS; cx += 1) {
          const wx = 1 - Math.abs((x + 0.5) / HOG_CELL - (cx + 0.5));
          const wy = 1 - Math.abs((y + 0.5) / HOG_CELL - (cy + 0.5));
          if (wx > 0 && wy > 0) histograms[cy * CELLS + cx]![best]! += wx * wy * Math.hypot(dx, dy);
        }
      }
    }
  }
  const clamp = (i: number): number => Math.min(Math.max(i, 0), CELLS - 1);
  const unsigned = (h: number[]): number[] => h.slice(0, 9).map((value, o) => value + h[o + 9]!);
  const energy = (x: number, y: number): number =>
    unsigned(histograms[clamp(y) * CELLS + clamp(x)]!).reduce((sum, value) => sum + value * value, 0);
  return histograms.map((h, cell) => {
    const [x, y] = [cell % CELLS, Math.floor(cell / CELLS)];
    const norms = [
      [1, 1],
      [-1, 1],
      [1, -1],
      [-1, -1],
    ].map(([sx, sy]) =>
      Math.sqrt(energy(x, y) + energy(x + sx!, y) + energy(x, y + sy!) + energy(x + sx!, y + sy!) + 1e-4),
    );
    const clipped = (value: number): number[] => norms.map((norm) => Math.min(value / norm, 0.2));
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    return [
      ...h.map((value) => sum(clipped(value)) / 2),
      ...unsigned(h).map((value) => sum(clipped(value)) / 2),
      ...norms.map((_, k) => 0.2357 * sum(h.map((value) => clipped(value)[k]!))),
    ];
  });
}

it.each([1, 2, 3])('has the 31 channels of the definition, %i', (seed) => {
  const pixels = patchOf(seed);
  const [stride, offset] = [HOG_CHANNELS + 4, 3];
  const out = new Float32Array(CELLS * CELLS * stride).fill(-1);
  hog(patchOf(9), CELLS, out, offset, stride);
  hog(pixels, CELLS, out, offset, stride);
  reference(pixels).forEach((channels, cell) => {
    channels.forEach((value, channel) => {
      expect(Math.abs(out[cell * stride + offset + channel]! - value)).toBeLessThan(2e-5);
    });
    expect(out[cell * stride]).toBe(-1);
  });
});

it('is 0 where nothing changes', () => {
  const out = new Float32Array(CELLS * CELLS * HOG_CHANNELS).fill(1);
  hog(new Uint8Array(SIDE * SIDE).fill(77), CELLS, out);
  expect(out.every((value) => value === 0)).toBe(true);
});
