// Float64 reference of the shape and reduction families of docs/ops.md. Called by interpreter.ts.
// The rule easy to break: topK returns its rows in ascending index order, ties to the lower index.
import type { Shape } from '../../src/graph/graph';
import { broadcast } from './elementwise';
import { at, bool, count, list, matrixOf, num, type Reference, ravel, unravel, type Value, zeros } from './value';

const transpose: Reference = ([x], shapes, attrs) => {
  const perm = list(attrs, 'perm');
  const y = zeros(at(shapes, 0));
  for (let i = 0; i < y.data.length; i++) {
    const out = unravel(i, y.shape);
    const from = new Array<number>(out.length);
    perm.forEach((axis, position) => {
      from[axis] = out[position]!;
    });
    y.data[i] = x!.data[ravel(from, x!.shape)]!;
  }
  return [y];
};

const concat: Reference = (inputs, shapes, attrs) => {
  const axis = num(attrs, 'axis');
  const y = zeros(at(shapes, 0));
  let start = 0;
  for (const x of inputs) {
    for (let i = 0; i < x.data.length; i++) {
      const index = unravel(i, x.shape);
      index[axis] = index[axis]! + start;
      y.data[ravel(index, y.shape)] = x.data[i]!;
    }
    start += x.shape[axis]!;
  }
  return [y];
};

const slice: Reference = ([x], shapes, attrs) => {
  const begin = list(attrs, 'begin');
  const y = zeros(at(shapes, 0));
  for (let i = 0; i < y.data.length; i++) {
    const from = unravel(i, y.shape).map((position, axis) => position + begin[axis]!);
    y.data[i] = x!.data[ravel(from, x!.shape)]!;
  }
  return [y];
};

const pad: Reference = ([x], shapes, attrs) => {
  const before = list(attrs, 'before');
  const y = zeros(at(shapes, 0));
  y.data.fill(num(attrs, 'value'));
  for (let i = 0; i < x!.data.length; i++) {
    const to = unravel(i, x!.shape).map((position, axis) => position + before[axis]!);
    y.data[ravel(to, y.shape)] = x!.data[i]!;
  }
  return [y];
};

function rowIndex(index: Value, position: number, rows: number): number {
  const row = index.data[position]!;
  if (row < 0 || row >= rows) throw new RangeError(`reference: index ${row} is outside 0..${rows - 1}`);
  return row;
}

const gather: Reference = ([x, index], shapes) => {
  const [n, p, d] = x!.shape as [number, number, number];
  const k = index!.shape[1]!;
  const y = zeros(at(shapes, 0));
  for (let b = 0; b < n; b++) {
    for (let j = 0; j < k; j++) {
      const row = rowIndex(index!, b * k + j, p);
      for (let c = 0; c < d; c++) y.data[(b * k + j) * d + c] = x!.data[(b * p + row) * d + c]!;
    }
  }
  return [y];
};

const gatherGrad: Reference = ([dy, index], shapes) => {
  const dx = zeros(at(shapes, 0));
  const [n, p, d] = dx.shape as [number, number, number];
  const k = index!.shape[1]!;
  for (let b = 0; b < n; b++) {
    for (let j = 0; j < k; j++) {
      const row = rowIndex(index!, b * k + j, p);
      for (let c = 0; c < d; c++) dx.data[(b * p + row) * d + c]! += dy!.data[(b * k + j) * d + c]!;
    }
  }
  return [dx];
};

const topK: Reference = ([x], shapes, attrs) => {
  const [n, p, d] = x!.shape as [number, number, number];
  const k = num(attrs, 'k');
  const y = zeros(at(shapes, 0));
  for (let b = 0; b < n; b++) {
    const norms: { row: number; norm: number }[] = [];
    for (let row = 0; row < p; row++) {
      let norm = 0;
      for (let c = 0; c < d; c++) norm += x!.data[(b * p + row) * d + c]! ** 2;
      norms.push({ row, norm });
    }
    norms.sort((left, right) => right.norm - left.norm || left.row - right.row);
    const rows = norms
      .slice(0, k)
      .map((item) => item.row)
      .sort((left, right) => left - right);
    y.data.set(rows, b * k);
  }
  return [y];
};

/** x's shape with the reduced axes set to 1: where element `flat` of x lands. */
function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
}

function reduce(
  start: number,
  fold: (acc: number, value: number) => number,
  finish: (acc: number, n: number) => number,
) {
  const reference: Reference = ([x], shapes, attrs) => {
    const axes = list(attrs, 'axes');
    bool(attrs, 'keepDims'); // Required on the wire; the graph's output shape already says what it means.
    const kept = keptShape(x!.shape, axes);
    const acc = new Float64Array(count(kept)).fill(start);
    for (let i = 0; i < x!.data.length; i++) {
      const to = ravel(
        unravel(i, x!.shape).map((position, axis) => (axes.includes(axis) ? 0 : position)),
        kept,
      );
      acc[to] = fold(acc[to]!, x!.data[i]!);
    }
    const folded = x!.data.length / acc.length;
    return [{ shape: at(shapes, 0), data: acc.map((value) => finish(value, folded)) }];
  };
  return reference;
}

/** NaN is NaN here, and 0 is -0. */
const alike = (a: number, b: number) => a === b || (Number.isNaN(a) && Number.isNaN(b));

const reduceMaxGrad: Reference = ([dy, x, y], _shapes, attrs) => {
  const axes = list(attrs, 'axes');
  const kept = keptShape(x!.shape, axes);
  const dx = zeros(x!.shape);
  const ties = new Float64Array(count(kept));
  const target = (i: number) =>
    ravel(
      unravel(i, x!.shape).map((position, axis) => (axes.includes(axis) ? 0 : position)),
      kept,
    );
  for (let i = 0; i < x!.data.length; i++) if (alike(x!.data[i]!, y!.data[target(i)]!)) ties[target(i)]! += 1;
  for (let i = 0; i < x!.data.length; i++) {
    const to = target(i);
    if (alike(x!.data[i]!, y!.data[to]!)) dx.data[i] = dy!.data[to]! / ties[to]!;
  }
  return [dx];
};

const moments: Reference = ([x], shapes) => {
  const { rows, cols } = matrixOf(x!);
  const mean = zeros(at(shapes, 0));
  const variance = zeros(at(shapes, 1));
  for (let c = 0; c < cols; c++) {
    let sum = 0;
    for (let r = 0; r < rows; r++) sum += x!.data[r * cols + c]!;
    mean.data[c] = sum / rows;
    let squares = 0;
    for (let r = 0; r < rows; r++) squares += (x!.data[r * cols + c]! - mean.data[c]!) ** 2;
    variance.data[c] = squares / rows;
  }
  return [mean, variance];
};

export const shape: Record<string, Reference> = {
  reshape: ([x], shapes) => [{ shape: at(shapes, 0), data: x!.data.slice() }],
  transpose,
  concat,
  slice,
  pad,
  broadcastTo: ([x], shapes) => [broadcast(x!, at(shapes, 0))],
  gather,
  gatherGrad,
  topK,
  reduceSum: reduce(
    0,
    (acc, value) => acc + value,
    (acc) => acc,
  ),
  reduceMean: reduce(
    0,
    (acc, value) => acc + value,
    (acc, n) => acc / n,
  ),
  reduceMax: reduce(Number.NEGATIVE_INFINITY, Math.max, (acc) => acc),
  reduceMaxGrad,
  moments,
};
