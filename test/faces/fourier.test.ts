// Transforms on a graph against sums in float64, and the filter against kernel ridge regression over all shifts, solved as a
// system of equations: nothing of either is shared with the code.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ArgumentError } from '../../src/errors';
import { CorrelationFilter, type FilterOptions } from '../../src/faces/correlation';
import { inverse, transform } from '../../src/faces/fourier';
import { Graph } from '../../src/graph/graph';

/** Values of -1..1 that repeat only after 2^32. */
function noise(length: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Solves a x = b by elimination with pivots. */
function solve(a: number[][], b: number[]): number[] {
  const rows = a.map((row, index) => [...row, b[index]!]);
  const size = rows.length;
  for (let column = 0; column < size; column += 1) {
    let pivot = column;
    for (let row = column; row < size; row += 1) {
      if (Math.abs(rows[row]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = row;
    }
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let row = column + 1; row < size; row += 1) {
      const factor = rows[row]![column]! / rows[column]![column]!;
      for (let k = column; k <= size; k += 1) rows[row]![k]! -= factor * rows[column]![k]!;
    }
  }
  const x = new Array<number>(size).fill(0);
  for (let row = size - 1; row >= 0; row -= 1) {
    const known = rows[row]!.slice(row + 1, size).reduce((sum, value, k) => sum + value * x[row + 1 + k]!, 0);
    x[row] = (rows[row]![size]! - known) / rows[row]![row]!;
  }
  return x;
}

describe('transform', () => {
  it.each([2, 4, 6, 10])('has the sums of a map of %i cells', (side) => {
    const maps = 3;
    const graph = new Graph({ training: false });
    const z = graph.input('z', [side, side, maps]);
    const { re, im } = transform(z);
    using plan = compile(graph, { outputs: { re, im, back: inverse({ re, im }) } });
    const values = noise(side * side * maps, side);
    const result = plan.stepSync({ z: values }) as Record<string, Float32Array>;
    for (let u = 0; u < side; u += 1) {
      for (let v = 0; v <= side / 2; v += 1) {
        for (let map = 0; map < maps; map += 1) {
          let [cos, sin] = [0, 0];
          for (let y = 0; y < side; y += 1) {
            for (let x = 0; x < side; x += 1) {
              const angle = (2 * Math.PI * (u * x + v * y)) / side;
              cos += values[(y * side + x) * maps + map]! * Math.cos(angle);
              sin -= values[(y * side + x) * maps + map]! * Math.sin(angle);
            }
          }
          const at = (u * (side / 2 + 1) + v) * maps + map;
          expect(Math.abs(result.re![at]! - cos)).toBeLessThan(1e-5 * side * side);
          expect(Math.abs(result.im![at]! - sin)).toBeLessThan(1e-5 * side * side);
        }
      }
    }
    values.forEach((value, index) => void expect(Math.abs(result.back![index]! - value)).toBeLessThan(2e-6));
  });

  it('refuses odd sides', () => {
    expect(() => transform(new Graph().input('z', [5, 5, 1]))).toThrow(ArgumentError);
  });
});

const CELLS = 8;
const CHANNELS = 2;

/** The patch under the window, moved by (dy, dx) with wrap-around. */
function shifted(features: Float32Array, dy: number, dx: number, maps = 1, map = 0): Float64Array {
  const hann = (i: number): number => Math.sin((Math.PI * (i + 0.5)) / CELLS) ** 2;
  return Float64Array.from({ length: CELLS * CELLS * CHANNELS }, (_, at) => {
    const c = at % CHANNELS;
    const cell = Math.floor(at / CHANNELS);
    const y = (Math.floor(cell / CELLS) - dy + CELLS) % CELLS;
    const x = ((cell % CELLS) - dx + CELLS) % CELLS;
    return features[((y * CELLS + x) * maps + map) * CHANNELS + c]! * hann(y) * hann(x);
  });
}

function kernelOf({ kernel, sigma }: FilterOptions, a: Float64Array, b: Float64Array): number {
  const size = CELLS * CELLS * CHANNELS;
  if (kernel === 'linear') return a.reduce((sum, value, i) => sum + value * b[i]!, 0) / size;
  const distance = a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
  return Math.exp(-distance / (size * sigma * sigma));
}

describe('CorrelationFilter', () => {
  it.each(['gaussian', 'linear'] as const)('is kernel ridge regression over all shifts, %s', async (kernel) => {
    const options: FilterOptions = {
      ...{ cells: CELLS, channels: CHANNELS, kernel, sigma: 0.5, lambda: 1e-2, spread: 1, scales: 3 },
    };
    const x = noise(CELLS * CELLS * CHANNELS, 1);
    const z = noise(CELLS * CELLS * CHANNELS * 3, 2);
    const shifts = Array.from({ length: CELLS * CELLS }, (_, i) => [Math.floor(i / CELLS), i % CELLS] as const);
    const samples = shifts.map(([dy, dx]) => shifted(x, dy, dx));
    const gram = samples.map((a, i) => samples.map((b, j) => kernelOf(options, a, b) + (i === j ? options.lambda : 0)));
    const wrapped = (d: number): number => Math.min(d, CELLS - d);
    const labels = shifts.map(([dy, dx]) => Math.exp(-(wrapped(dy) ** 2 + wrapped(dx) ** 2) / 2));
    const alpha = solve(gram, labels);

    const filter = new CorrelationFilter(options);
    const template = await filter.learn(x, 'here');
    expect(await filter.learn(x, 'apart')).toEqual(template);
    const response = await filter.respond(z, template, 'here');
    const both = await Promise.all([1, 2].map(() => filter.respond(z, template, 'apart')));
    expect(both).toEqual([response, response]);
    filter.dispose();
    let largest = 0;
    for (let map = 0; map < 3; map += 1) {
      shifts.forEach(([dy, dx], at) => {
        // The patch moved back by the shift, so that its response is at the shift.
        const moved = shifted(z, -dy, -dx, 3, map);
        const expected = alpha.reduce((sum, value, i) => sum + value * kernelOf(options, samples[i]!, moved), 0);
        expect(Math.abs(response![at * 3 + map]! - expected)).toBeLessThan(2e-4);
        largest = Math.max(largest, Math.abs(expected));
      });
    }
    expect(largest).toBeGreaterThan(0.05);
  });
});
