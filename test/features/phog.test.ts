// PHOG and the edge detector under it against naive versions from the definition, and on pictures whose answer is plain.
import { describe, expect, it } from 'vitest';
import { ArgumentError, ShapeError } from '../../src/errors';
import { canny, type GrayImage, phog } from '../../src/features';
import { pixel, texture } from './reference';

function slopes(image: GrayImage, y: number, x: number): { down: number; right: number } {
  const [above, beneath] = [Math.max(0, y - 1), Math.min(image.height - 1, y + 1)];
  const [before, behind] = [Math.max(0, x - 1), Math.min(image.width - 1, x + 1)];
  return {
    down: (pixel(image, beneath, x) - pixel(image, above, x)) / (beneath - above),
    right: (pixel(image, y, behind) - pixel(image, y, before)) / (behind - before),
  };
}

/** Canny by one two-dimensional convolution and by sweeping until no weak pixel is joined any more. */
function cannyReference(image: GrayImage, sigma: number, quiet: number, low: number): number[] {
  const { height, width } = image;
  const radius = Math.ceil(3 * sigma);
  const places = Array.from({ length: height * width }, (_, at) => [Math.floor(at / width), at % width] as const);
  const smooth = places.map(([y, x]) => {
    let [sum, total] = [0, 0];
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        const weight = Math.exp(-(dy * dy + dx * dx) / (2 * sigma * sigma));
        sum += weight * pixel(image, y + dy, x + dx);
        total += weight;
      }
    }
    return sum / total;
  });
  const slope = places.map(([y, x]) => slopes({ height, width, pixels: smooth }, y, x));
  const size = slope.map(({ down, right }) => Math.sqrt(down ** 2 + right ** 2));
  const at = (y: number, x: number) => (y < 0 || x < 0 || y >= height || x >= width ? 0 : size[y * width + x]!);
  const upper = [...size].sort((a, b) => a - b)[Math.floor(quiet * size.length)]!;
  const ridge = places.map(([y, x], i) => {
    const degrees = (Math.atan2(slope[i]!.down, slope[i]!.right) * 180) / Math.PI;
    const turn = (degrees + 360 + 22.5) % 180;
    const [dy, dx] = turn < 45 ? [0, 1] : turn < 90 ? [1, 1] : turn < 135 ? [1, 0] : [1, -1];
    return size[i]! >= at(y + dy, x + dx) && size[i]! > at(y - dy, x - dx);
  });
  const edge = ridge.map((isRidge, i) => isRidge && size[i]! >= upper);
  for (let changed = true; changed; ) {
    changed = false;
    for (const [i, [y, x]] of places.entries()) {
      const near = places.some(([v, u], j) => edge[j] && Math.abs(v - y) <= 1 && Math.abs(u - x) <= 1);
      if (edge[i] || !ridge[i] || size[i]! < low * upper || !near) continue;
      edge[i] = true;
      changed = true;
    }
  }
  return edge.map(Number);
}

function phogReference(image: GrayImage, edges: ArrayLike<number>, levels: number, bins: number, range: number) {
  const { height, width } = image;
  const out: number[] = [];
  for (let level = 0; level <= levels; level++) {
    const cells = 2 ** level;
    for (let cellRow = 0; cellRow < cells; cellRow++) {
      for (let cellColumn = 0; cellColumn < cells; cellColumn++) {
        const histogram = new Array<number>(bins).fill(0);
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            const inside =
              Math.floor((y * cells) / height) === cellRow && Math.floor((x * cells) / width) === cellColumn;
            if (!inside || !edges[y * width + x]) continue;
            const { down, right } = slopes(image, y, x);
            const degrees = ((Math.atan2(down, right) / Math.PI) * 180 + 720) % range;
            histogram[Math.min(bins - 1, Math.floor(degrees / (range / bins)))]! += Math.hypot(down, right);
          }
        }
        out.push(...histogram);
      }
    }
  }
  const total = out.reduce((a, b) => a + b, 0);
  return out.map((value) => value / total);
}

/** Dark left of `edge`, bright from there on. */
function step(height: number, width: number, edge: number): GrayImage {
  const pixels = Uint8Array.from({ length: height * width }, (_, at) => (at % width < edge ? 20 : 220));
  return { height, width, pixels };
}

describe('canny', () => {
  it.each([
    [1, Math.SQRT2, 0.7, 0.4],
    [2, 1, 0.8, 0.5],
    [3, 0.8, 0.5, 0],
    [4, 2, 0.9, 1],
  ])('equals the reference (picture %i, sigma %f, quiet %f, low %f)', (seed, sigma, quiet, low) => {
    const image = texture(19, 23, seed);
    const found = [...canny(image, { sigma, quiet, low })];
    expect(found).toEqual(cannyReference(image, sigma, quiet, low));
    const count = found.reduce((a, b) => a + b, 0);
    expect(count).toBeGreaterThan(10);
    expect(count).toBeLessThan(0.6 * found.length);
  });
  it('finds a line of one pixel at a step and nothing in a flat picture', () => {
    const found = canny(step(10, 16, 8), { quiet: 0.9 });
    const columns = Array.from(found.keys())
      .filter((at) => found[at])
      .map((at) => at % 16);
    expect(new Set(columns).size).toBe(1);
    expect([7, 8]).toContain(columns[0]);
    expect(columns).toHaveLength(10);
    // Without smoothing the gradient is equally large on both sides of the step: one of the two remains.
    expect(canny(step(10, 16, 8), { quiet: 0.9, sigma: 0 }).reduce((a, b) => a + b, 0)).toBe(10);
    // A dot on a flat ground: more than 70 % of the gradients are 0, and the ground is no edge.
    const dot = Uint8Array.from({ length: 400 }, (_, at) => (at === 210 ? 90 : 20));
    const around = canny({ height: 20, width: 20, pixels: dot });
    expect(Array.from(around.keys()).filter((at) => around[at] && Math.abs(Math.floor(at / 20) - 10) > 3)).toEqual([]);
    expect(around.reduce((a, b) => a + b, 0)).toBeGreaterThan(0);
    for (const value of [0, 77, 255]) {
      expect(canny({ height: 7, width: 5, pixels: new Uint8Array(35).fill(value) })).toEqual(new Uint8Array(35));
    }
  });
  it.each([{ sigma: -1 }, { sigma: 17 }, { quiet: 0 }, { quiet: 1 }, { low: 2 }, { low: Number.NaN }])(
    'refuses %j',
    (options) => {
      expect(() => canny(step(5, 5, 2), options)).toThrow(ArgumentError);
    },
  );
});

describe('phog', () => {
  const image = texture(21, 18, 8);
  it.each([
    [0, 8, 360],
    [2, 9, 180],
    [3, 20, 360],
    [1, 2, 180],
  ] as const)('levels 0..%i, %i bins of %i degrees', (levels, bins, range) => {
    for (const edges of [{}, false] as const) {
      const descriptor = phog({ levels, bins, range, edges });
      const found = descriptor.describe(image);
      const mask = edges === false ? new Uint8Array(image.pixels.length).fill(1) : canny(image);
      const wanted = phogReference(image, mask, levels, bins, range);
      expect([descriptor.length, found.length]).toEqual([wanted.length, wanted.length]);
      for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 13);
      expect(found.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    }
  });
  it('puts a step to the right into the first bin, and a step to the left there too when directions are not told apart', () => {
    const mirror = (picture: GrayImage) => ({ ...picture, pixels: Array.from(picture.pixels).reverse() });
    const bins = (range: 180 | 360, picture: GrayImage) => [...phog({ levels: 0, bins: 4, range }).describe(picture)];
    expect(bins(360, step(8, 8, 4))).toEqual([1, 0, 0, 0]);
    expect(bins(360, mirror(step(8, 8, 4)))).toEqual([0, 0, 1, 0]);
    expect(bins(180, step(8, 8, 4))).toEqual([1, 0, 0, 0]);
    expect(bins(180, mirror(step(8, 8, 4)))).toEqual([1, 0, 0, 0]);
  });
  it('has the lengths of Bosch, Zisserman and Munoz: 680 of 8 bins, 1700 of 20, at levels to 3', () => {
    expect(phog({ levels: 3, bins: 8, range: 360 }).length).toBe(680);
    expect(phog({ levels: 3, bins: 20, range: 180 }).length).toBe(1700);
  });
  it('is all zeros without an edge', () => {
    expect(phog({ levels: 1 }).describe({ height: 4, width: 4, pixels: new Uint8Array(16).fill(9) })).toEqual(
      new Float64Array(40),
    );
  });
  it.each([{ levels: -1 }, { levels: 7 }, { levels: 0.5 }, { bins: 1 }, { bins: 361 }, { range: 90 as 180 }])(
    'refuses %j',
    (options) => {
      expect(() => phog(options)).toThrow(ArgumentError);
    },
  );
  it('refuses images with fewer pixels than cells', () => {
    expect(() => phog({ levels: 3 }).describe(texture(7, 9, 1))).toThrow(ShapeError);
  });
});
