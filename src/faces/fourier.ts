// Discrete Fourier transforms of real maps as products with matrices of sines and cosines, on a graph. Called by
// correlation.ts. A map has 24 to 64 cells a side; there two products on the engine take a third of the time of a fast
// transform in JavaScript, for any even side. The rule easy to break: a spectrum holds the frequencies 0..side/2 of x only,
// because those of a real map repeat as conjugates, and x comes before y in it.
import { ArgumentError } from '../errors';
import type { Graph, Tensor } from '../graph/graph';
import * as ops from '../graph/ops';

/** Both parts are [side/2 + 1, side, maps]: the frequency of x, that of y, the map. */
export interface Spectrum {
  readonly re: Tensor;
  readonly im: Tensor;
}

/** Frequencies of x in a spectrum of maps of that many cells a side. */
export function frequencies(side: number): number {
  if (!Number.isSafeInteger(side) || side < 2 || side % 2 !== 0) {
    throw new ArgumentError(`[fourier] a map has an even number of cells a side, got ${side}`);
  }
  return side / 2 + 1;
}

/** A constant matrix, one for each name and graph. */
function matrix(
  graph: Graph,
  name: string,
  rows: number,
  columns: number,
  at: (row: number, column: number) => number,
): Tensor {
  const [known] = graph.memo.get(name) ?? [];
  if (known) return known;
  const values = Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  const made = graph.constant(name, [rows, columns], values);
  graph.memo.set(name, [made]);
  return made;
}

/** cos and sin of 2 pi k / side, reduced first so that they are exact to the last bit of a double. */
const cosine = (k: number, side: number): number => Math.cos((2 * Math.PI * (k % side)) / side);
const sine = (k: number, side: number): number => Math.sin((2 * Math.PI * (k % side)) / side);

/** exp(-2 pi i uv / side) of `rows` frequencies u: the real rows, then the imaginary ones. */
function forward(graph: Graph, rows: number, side: number): Tensor {
  return matrix(graph, `dft_${rows}_${side}`, 2 * rows, side, (row, v) =>
    row < rows ? cosine(row * v, side) : -sine((row - rows) * v, side),
  );
}

/** Spectra of real maps z [side, side, maps]. */
export function transform(z: Tensor): Spectrum {
  const { graph } = z;
  const [side, , maps] = z.shape as [number, number, number];
  const half = frequencies(side);
  // Over y: rows (part, frequency of y); then over x, which has to lead for that.
  const overY = ops.matmul(forward(graph, side, side), ops.reshape(z, [side, side * maps]));
  const xLeads = ops.transpose(ops.reshape(overY, [2 * side, side, maps]), [1, 0, 2]);
  const both = ops.matmul(forward(graph, half, side), ops.reshape(xLeads, [side, 2 * side * maps]));
  const parts = ops.reshape(both, [2, half, 2, side * maps]);
  const part = (x: 0 | 1, y: 0 | 1): Tensor =>
    ops.reshape(ops.slice(parts, [x, 0, y, 0], [1, half, 1, side * maps]), [half, side, maps]);
  return { re: ops.sub(part(0, 0), part(1, 1)), im: ops.add(part(0, 1), part(1, 0)) };
}

/** The real maps [side, side, maps] of their spectra. */
export function inverse({ re, im }: Spectrum): Tensor {
  const { graph } = re;
  const [half, side, maps] = re.shape as [number, number, number];
  // Frequencies between 0 and side/2 stand for their conjugates too.
  const weight = (u: number): number => (u === 0 || u === half - 1 ? 1 : 2) / (side * side);
  const overX = matrix(graph, `idft_x_${side}`, 2 * side, 2 * half, (row, column) => {
    const x = row % side;
    const u = column % half;
    const [realRow, realColumn] = [row < side, column < half];
    const turn = realRow === realColumn ? cosine(u * x, side) : (realRow ? -1 : 1) * sine(u * x, side);
    return weight(u) * turn;
  });
  const overY = matrix(graph, `idft_y_${side}`, side, 2 * side, (y, column) =>
    column < side ? cosine(column * y, side) : -sine((column - side) * y, side),
  );
  const stacked = ops.concat([ops.reshape(re, [half, side * maps]), ops.reshape(im, [half, side * maps])], { axis: 0 });
  const x = ops.reshape(ops.matmul(overX, stacked), [2, side, side, maps]);
  const yLeads = ops.reshape(ops.transpose(x, [0, 2, 1, 3]), [2 * side, side * maps]);
  return ops.reshape(ops.matmul(overY, yLeads), [side, side, maps]);
}
