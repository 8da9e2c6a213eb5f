// Reductions, arg-max, softmax and what else looks along an axis. Called through ops/index.ts. The rule easy to break: axes are
// ONNX's; `places` says where they lie in memory, and a result without them keeps the order of the rest.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { countOf } from '../../tensors';
import { iota, room } from '../nd';
import type { OnnxNode, Operator, OperatorTable } from '../node';
import { type Computed, computed, physicalShape, plainOrder, type Value } from '../values';
import { equal } from './elementwise';
import { reshaped, squeezed } from './movement';

type Along = (x: Tensor, axes: readonly number[]) => Tensor;

const sum: Along = (x, axes) => ops.reduceSum(x, { axes, keepDims: true });
const mean: Along = (x, axes) => ops.reduceMean(x, { axes, keepDims: true });
const largest: Along = (x, axes) => ops.reduceMax(x, { axes, keepDims: true });
const negative = (x: Tensor): Tensor => ops.affine(x, { scale: -1 });

/** log(sum(exp(x))) with the largest taken out, so that nothing overflows. */
const logSumExp: Along = (x, axes) => {
  const most = largest(x, axes);
  return ops.add(ops.log(sum(ops.exp(ops.sub(x, most)), axes)), most);
};

const LONGEST_PRODUCT = 1024;

/** Products of neighbours until one is left: halves of the axis are multiplied with each other. */
const product: Along = (x, axes) =>
  axes.reduce((all, axis) => {
    let rest = all;
    const part = (begin: number, length: number): Tensor => {
      const from = rest.shape.map((_, index) => (index === axis ? begin : 0));
      return ops.slice(
        rest,
        from,
        rest.shape.map((extent, index) => (index === axis ? length : extent)),
      );
    };
    for (let extent = rest.shape[axis]!; extent > 1; extent = rest.shape[axis]!) {
      const half = extent >> 1;
      const folded = ops.mul(part(0, half), part(half, half));
      rest = extent % 2 === 0 ? folded : ops.concat([folded, part(extent - 1, 1)], { axis });
    }
    return rest;
  }, x);

/** f along ONNX's axes, which stay with extent 1. */
export function along(x: Computed, axes: readonly number[], f: Along): Computed {
  if (axes.length === 0 || x.shape.length === 0) return x;
  const places = axes.map((axis) => x.order.indexOf(axis)).sort((a, b) => a - b);
  const shape = x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  return computed(f(x.tensor, places), x.type, shape, x.order);
}

/** The axes of a reduction: an attribute, or since version 13 (sum) and 18 an input. */
export function reductionAxes(node: OnnxNode, rank: number): number[] {
  const asked = node.list('axes', 1);
  if (asked !== undefined && asked.length > 0) return node.axes(asked, rank);
  return node.int('noop_with_empty_axes', 0) !== 0 ? [] : plainOrder(rank);
}

function reduction(f: Along): Operator {
  return (node) => {
    const x = node.computed(0);
    const axes = reductionAxes(node, x.shape.length);
    const reduced = along(x, axes, f);
    return node.int('keepdims', 1) !== 0 ? reduced : squeezed(reduced, axes);
  };
}

/** The same along x's only axis, for operators that reduce what is one number already. */
const elements =
  (before: (x: Tensor) => Tensor, f: Along, after: (x: Tensor) => Tensor = (x) => x): Operator =>
  (node) => {
    const x = node.computed(0);
    const axes = reductionAxes(node, x.shape.length);
    const prepared = computed(before(x.tensor), x.type, x.shape, x.order);
    const reduced = along(prepared, axes, f);
    const done = computed(after(reduced.tensor), x.type, reduced.shape, reduced.order);
    return node.int('keepdims', 1) !== 0 ? done : squeezed(done, axes);
  };

const same = (x: Tensor): Tensor => x;

/** 0, 1, ... along one place of a tensor of that rank. */
function counting(x: Tensor, place: number): Tensor {
  const extent = x.shape[place]!;
  const shape = x.shape.map((_, index) => (index === place ? extent : 1));
  return x.graph.constant('places', shape, Float32Array.from(iota(extent)));
}

/** Index of the largest along a place, the first or the last of equals; extent 1 there. */
function argMax(x: Tensor, place: number, last: boolean): Tensor {
  const extent = x.shape[place]!;
  const isLargest = equal(x, largest(x, [place]));
  // Each largest gets a number above 0 that is larger the better it is; the others get 0.
  const ranks = ops.affine(counting(x, place), last ? { offset: 1 } : { scale: -1, offset: extent });
  const best = largest(ops.mul(isLargest, ranks), [place]);
  return last ? ops.affine(best, { offset: -1 }) : ops.affine(best, { scale: -1, offset: extent });
}

function argument(sign: 1 | -1): Operator {
  return (node) => {
    const x = node.computed(0);
    const axis = node.axis(node.int('axis', 0), x.shape.length);
    const last = node.int('select_last_index', 0) !== 0;
    const found = along(x, [axis], (tensor, [place]) => argMax(sign === 1 ? tensor : negative(tensor), place!, last));
    const index: Computed = { ...found, type: 'int64' };
    return node.int('keepdims', 1) !== 0 ? index : squeezed(index, [axis]);
  };
}

/** x as rows over the axes that softmax and its kin look at: the axis itself, or before version 13 it and all behind it. */
function rowsOf(node: OnnxNode, x: Computed): { rows: Tensor; back: (y: Tensor) => Computed } {
  const rank = x.shape.length;
  const axis = node.axis(node.int('axis', node.opset < 13 ? 1 : -1), Math.max(1, rank));
  if (node.opset < 13 && axis < rank - 1) {
    const flat = reshaped(node, x, [countOf(x.shape.slice(0, axis)), countOf(x.shape.slice(axis))]);
    return { rows: flat.tensor, back: (y) => reshaped(node, computed(y, x.type, flat.shape), x.shape) };
  }
  const order = [...x.order.filter((one) => one !== axis), axis];
  return { rows: node.ordered(x, order), back: (y) => computed(y, x.type, x.shape, order) };
}

function overRows(f: (rows: Tensor) => Tensor): Operator {
  return (node) => {
    const { rows, back } = rowsOf(node, node.computed(0));
    return back(f(rows));
  };
}

/** 1 at the first largest of each row, 0 elsewhere. */
function hardmax(rows: Tensor): Tensor {
  const place = rows.shape.length - 1;
  return equal(counting(rows, place), argMax(rows, place, false));
}

/** A new axis of `depth`, put in at `axis`, with 1 where it equals the index. Indices from -depth count from the end. */
export function oneHotOf(node: OnnxNode, indices: Computed, depth: number, axis: number): Computed {
  const plain = node.plain(indices);
  const shape = [...indices.shape.slice(0, axis), depth, ...indices.shape.slice(axis)];
  const column = ops.reshape(plain, [...indices.shape.slice(0, axis), 1, ...indices.shape.slice(axis)]);
  const wanted = Array<number>(shape.length).fill(1);
  wanted[axis] = depth;
  const places = node.graph.constant('places', wanted, Float32Array.from(iota(depth)));
  const hit = (offset: number): Tensor => equal(offset === 0 ? column : ops.affine(column, { offset }), places);
  return computed(ops.maximum(hit(0), hit(depth)), 'float32', shape);
}

function oneHot(node: OnnxNode): Value {
  const indices = node.computed(0);
  const depth = node.integers(1, 'depth')[0]!;
  const { data, type } = node.constant(2, 'values');
  if (!Number.isInteger(depth) || depth < 1) node.fail(`its depth is ${depth}`);
  const axis = node.axis(node.int('axis', -1), indices.shape.length + 1);
  const hot = oneHotOf(node, indices, depth, axis);
  const [off, on] = [data[0]!, data[1]!];
  return computed(ops.affine(hot.tensor, { scale: on - off, offset: off }), type, hot.shape, hot.order);
}

/** Running sums as a product with a triangle of ones. */
function cumSum(node: OnnxNode): Value {
  const x = node.computed(0);
  const axis = node.axis(node.integers(1, 'axis')[0]!, x.shape.length);
  const extent = x.shape[axis]!;
  const [exclusive, reverse] = [node.int('exclusive', 0) !== 0, node.int('reverse', 0) !== 0];
  const reads = (from: number, to: number): boolean => {
    const distance = reverse ? from - to : to - from;
    return exclusive ? distance > 0 : distance >= 0;
  };
  const table = Float32Array.from({ length: room([extent, extent]) }, (_, at) =>
    Number(reads(Math.floor(at / extent), at % extent)),
  );
  const order = [...x.order.filter((one) => one !== axis), axis];
  const rows = ops.reshape(node.ordered(x, order), [-1, extent]);
  const sums = ops.matmul(rows, node.graph.constant('triangle', [extent, extent], table));
  return computed(ops.reshape(sums, physicalShape(x.shape, order)), x.type, x.shape, order);
}

/** x / norm along an axis, by the sum of magnitudes or of squares. */
function lpNormalization(node: OnnxNode): Value {
  const x = node.computed(0);
  const axis = node.axis(node.int('axis', -1), x.shape.length);
  const p = node.int('p', 2);
  if (p !== 1 && p !== 2) node.fail(`its p is ${p}, expected 1 or 2`);
  const norm = along(x, [axis], (tensor, axes) =>
    p === 1 ? sum(ops.abs(tensor), axes) : ops.sqrt(sum(ops.square(tensor), axes)),
  );
  return computed(ops.div(x.tensor, norm.tensor), x.type, x.shape, x.order);
}

/** The mean over everything but batch and channels, or over the given axes, and the deviation from it. */
function meanVariance(node: OnnxNode): Value {
  const x = node.computed(0);
  const axes = node.axes(node.ints('axes') ?? [0, 2, 3], x.shape.length);
  const centre = along(x, axes, mean);
  const distance = ops.sub(x.tensor, centre.tensor);
  const places = axes.map((axis) => x.order.indexOf(axis)).sort((a, b) => a - b);
  const deviation = ops.sqrt(mean(ops.square(distance), places));
  return computed(ops.div(distance, ops.affine(deviation, { offset: 1e-9 })), x.type, x.shape, x.order);
}

function reduceProduct(node: OnnxNode): Value {
  const x = node.computed(0);
  const axes = reductionAxes(node, x.shape.length);
  const long = axes.find((axis) => x.shape[axis]! > LONGEST_PRODUCT);
  if (long !== undefined) node.fail(`a product of ${x.shape[long]} factors is too long`);
  return reduction(product)(node) as Value;
}

export const reductions: OperatorTable = {
  ReduceSum: reduction(sum),
  ReduceMean: reduction(mean),
  ReduceMax: reduction(largest),
  ReduceMin: elements(negative, largest, negative),
  ReduceProd: reduceProduct,
  ReduceL1: elements(ops.abs, sum),
  ReduceL2: elements(ops.square, sum, ops.sqrt),
  ReduceSumSquare: elements(ops.square, sum),
  ReduceLogSum: elements(same, sum, ops.log),
  ReduceLogSumExp: reduction(logSumExp),
  ArgMax: argument(1),
  ArgMin: argument(-1),
  Softmax: overRows(ops.softmax),
  LogSoftmax: overRows(ops.logSoftmax),
  Hardmax: overRows(hardmax),
  OneHot: oneHot,
  CumSum: cumSum,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVariance,
  GlobalAveragePool: (node) => overSpace(node, mean),
  GlobalMaxPool: (node) => overSpace(node, largest),
};

function overSpace(node: OnnxNode, f: Along): Value {
  const x = node.computed(0);
  if (x.shape.length < 3) node.fail(`[${x.shape.join(', ')}] has no axes of space`);
  return along(x, plainOrder(x.shape.length).slice(2), f);
}

export { mean, sum };
