// Discrete Fourier transforms of real maps as products with matrices of sines and cosines, on a graph. Called by
// correlation.ts. A map has 24 to 64 cells a side; there two products on the engine take a third of the time of a fast
// transform in JavaScript, for any even side, and a window over the map costs nothing, since its factors go into the
// matrices. The rule easy to break: a spectrum holds the frequencies 0..side/2 of y only, because those of a real map repeat
// as conjugates, and the frequency of x leads.
import { ArgumentError } from '../errors';
import type { Graph, Tensor } from '../graph/graph';
import * as ops from '../graph/ops';

/** Both parts are [side, side/2 + 1, maps]: the frequency of x, that of y, the map. */
export interface Spectrum {
  readonly re: Tensor;
  readonly im: Tensor;
}

/** Frequencies of y in a spectrum of maps of that many cells a side. */
export function frequencies(side: number): number {
  if (!Number.isSafeInteger(side) || side < 2 || side % 2 !== 0) {
    throw new ArgumentError(`[fourier] a map has an even number of cells a side, got ${side}`);
  }
  return side / 2 + 1;
}

/** sin^2 along an axis of `side` cells, so that borders, where shifts wrap around, weigh nothing. */
export function hann(side: number): Float64Array {
  return Float64Array.from({ length: side }, (_, i) => Math.sin((Math.PI * (i + 0.5)) / side) ** 2);
}

/** A constant, one for each name and graph. */
export function constant(graph: Graph, name: string, shape: readonly number[], at: (index: number) => number): Tensor {
  const [known] = graph.memo.get(name) ?? [];
  if (known) return known;
  const length = shape.reduce((size, extent) => size * extent, 1);
  const values = Float32Array.from({ length }, (_, index) => at(index));
  const made = graph.constant(name, shape, values);
  graph.memo.set(name, [made]);
  return made;
}

/** A constant matrix. */
function matrix(
  graph: Graph,
  name: string,
  rows: number,
  columns: number,
  at: (row: number, column: number) => number,
): Tensor {
  return constant(graph, name, [rows, columns], (index) => at(Math.floor(index / columns), index % columns));
}

/** cos and sin of 2 pi k / side, reduced first so that they are exact to the last bit of a double. */
const cosine = (k: number, side: number): number => Math.cos((2 * Math.PI * (k % side)) / side);
const sine = (k: number, side: number): number => Math.sin((2 * Math.PI * (k % side)) / side);

/** exp(i turn 2 pi k / side) as it stands in the rows and columns (real, imaginary) of a matrix over complex numbers. */
function rotation(k: number, side: number, turn: 1 | -1, imaginaryRow: boolean, imaginaryColumn: boolean): number {
  if (imaginaryRow === imaginaryColumn) return cosine(k, side);
  return (imaginaryRow ? turn : -turn) * sine(k, side);
}

/** All `side` frequencies of x, or the cells of x of all frequencies: [2 side, 2 side], real parts before imaginary ones. */
function alongX(graph: Graph, side: number, turn: 1 | -1, weights: ArrayLike<number> | undefined): Tensor {
  const name = `dft_x_${side}_${turn}${weights ? '_windowed' : ''}`;
  return matrix(graph, name, 2 * side, 2 * side, (row, column) => {
    const k = (row % side) * (column % side);
    return (weights?.[column % side] ?? 1) * rotation(k, side, turn, row >= side, column >= side);
  });
}

/** Parts [2, a, b, maps] with a and b changed over. */
const turned = (parts: Tensor): Tensor => ops.transpose(parts, [0, 2, 1, 3]);

/** Spectra of real maps z [side, side, maps], under the window hann() along both axes where that is asked for. */
export function transform(z: Tensor, { windowed = false } = {}): Spectrum {
  const { graph } = z;
  const [side, , maps] = z.shape as [number, number, number];
  const half = frequencies(side);
  const weights = windowed ? hann(side) : undefined;
  const overY = matrix(graph, `dft_y_${side}${windowed ? '_windowed' : ''}`, 2 * half, side, (row, y) => {
    return (weights?.[y] ?? 1) * rotation((row % half) * y, side, -1, row >= half, false);
  });
  const y = ops.matmul(overY, ops.reshape(z, [side, side * maps]));
  const rows = ops.reshape(turned(ops.reshape(y, [2, half, side, maps])), [2 * side, half * maps]);
  const both = ops.matmul(alongX(graph, side, -1, weights), rows);
  const part = (at: 0 | 1): Tensor =>
    ops.reshape(ops.slice(both, [at * side, 0], [side, half * maps]), [side, half, maps]);
  return { re: part(0), im: part(1) };
}

/** The real maps [side, side, maps] of their spectra. */
export function inverse({ re, im }: Spectrum): Tensor {
  const { graph } = re;
  const [side, half, maps] = re.shape as [number, number, number];
  const flat = (part: Tensor): Tensor => ops.reshape(part, [side, half * maps]);
  const x = ops.matmul(alongX(graph, side, 1, undefined), ops.concat([flat(re), flat(im)], { axis: 0 }));
  const rows = ops.reshape(turned(ops.reshape(x, [2, side, half, maps])), [2 * half, side * maps]);
  // Frequencies between 0 and side/2 stand for their conjugates too.
  const weight = (v: number): number => (v === 0 || v === half - 1 ? 1 : 2) / (side * side);
  const overY = matrix(graph, `idft_y_${side}`, side, 2 * half, (y, column) => {
    return weight(column % half) * rotation(y * (column % half), side, 1, false, column >= half);
  });
  return ops.reshape(ops.matmul(overY, rows), [side, side, maps]);
}
