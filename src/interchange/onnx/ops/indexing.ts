// Operators that pick or replace single elements at known indices. Called through ops/index.ts. Each works out once which place
// of its operand every element of the result reads, and is then one gather. The rule easy to break: places count in ONNX's
// order, so the operand is brought into it first.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { countOf } from '../../tensors';
import { iota, stridesOf } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { type Computed, type Constant, computed, physicalShape, plainOrder, sameList, type Value } from '../values';
import { sized, taken, within } from './movement';

/** Elements by their place in ONNX's order, as a new shape. */
export function picked(node: OnnxNode, x: Computed, places: readonly number[], shape: readonly number[]): Computed {
  sized(node, shape);
  const flat = ops.reshape(node.plain(x), [1, countOf(x.shape), 1]);
  const index = node.graph.constant('indices', [1, places.length], Int32Array.from(places));
  const found = ops.reshape(ops.gather(flat, index), physicalShape(shape, plainOrder(shape.length)));
  return computed(found, x.type, shape);
}

/** Places in a dense array of `shape` that GatherElements reads. */
function elementPlaces(node: OnnxNode, shape: readonly number[], indices: Constant, axis: number): number[] {
  const strides = stridesOf(shape);
  const rows = stridesOf(indices.shape);
  return within(node, indices.data, shape[axis]!).map((index, at) =>
    shape.reduce((place, _, one) => {
      const own = Math.floor(at / rows[one]!) % indices.shape[one]!;
      return place + strides[one]! * (one === axis ? index : own);
    }, 0),
  );
}

/** The indices of GatherElements and ScatterElements, and the axis they count along. */
function elementIndices(node: OnnxNode, shape: readonly number[]): { indices: Constant; axis: number } {
  const axis = node.axis(node.int('axis', 0), shape.length);
  const indices = node.constant(1, 'indices');
  if (indices.shape.length !== shape.length) node.fail('its indices have another rank than its data');
  const outside = indices.shape.findIndex((extent, one) => one !== axis && extent > shape[one]!);
  if (outside >= 0) node.fail(`its indices are longer than its data on axis ${outside}`);
  return { indices, axis };
}

function gatherElements(node: OnnxNode): Value {
  const x = node.computed(0);
  const { indices, axis } = elementIndices(node, x.shape);
  return picked(node, x, elementPlaces(node, x.shape, indices, axis), indices.shape);
}

/** First places of the blocks that a list of index rows names. */
function blockPlaces(node: OnnxNode, shape: readonly number[], indices: Constant): { starts: number[]; size: number } {
  const depth = indices.shape.at(-1) ?? 0;
  if (depth < 1 || depth > shape.length) node.fail(`its indices have ${depth} parts, its data rank ${shape.length}`);
  const strides = stridesOf(shape);
  const starts = iota(indices.data.length / depth).map((row) =>
    rowOf(node, indices, row, depth, shape).reduce((place, index, axis) => place + index * strides[axis]!, 0),
  );
  return { starts, size: countOf(shape.slice(depth)) };
}

function rowOf(node: OnnxNode, { data }: Constant, row: number, depth: number, shape: readonly number[]): number[] {
  return iota(depth).map((axis) => within(node, [data[row * depth + axis]!], shape[axis]!)[0]!);
}

function gatherNd(node: OnnxNode): Value {
  const x = node.computed(0);
  const indices = node.constant(1, 'indices');
  const batch = node.int('batch_dims', 0);
  const depth = indices.shape.at(-1) ?? 0;
  const outer = countOf(x.shape.slice(0, batch));
  const rows = indices.data.length / outer;
  const block = countOf(x.shape.slice(batch));
  const places: number[] = [];
  for (let one = 0; one < outer; one += 1) {
    const part = { ...indices, data: indices.data.subarray(one * rows, (one + 1) * rows) };
    const { starts, size } = blockPlaces(node, x.shape.slice(batch), part);
    for (const start of starts) for (let at = 0; at < size; at += 1) places.push(one * block + start + at);
  }
  return picked(node, x, places, [...indices.shape.slice(0, -1), ...x.shape.slice(batch + depth)]);
}

/** Data with `updates` at known places: both as one list, from which every element is picked. */
function scattered(node: OnnxNode, places: readonly number[]): Value {
  const reduction = node.text('reduction', 'none');
  if (reduction !== 'none') node.fail(`it combines by ${JSON.stringify(reduction)}, expected none`);
  const [x, updates] = [node.computed(0), node.computed(2)];
  const count = countOf(x.shape);
  if (countOf(updates.shape) !== places.length) node.fail('its indices and updates differ in number');
  const from = iota(count);
  places.forEach((place, index) => {
    from[place] = count + index;
  });
  const flat = (value: Computed): Tensor => ops.reshape(node.plain(value), [countOf(value.shape)]);
  const all = computed(ops.concat([flat(x), flat(updates)]), x.type, [count + places.length]);
  return picked(node, all, from, x.shape);
}

function scatterElements(node: OnnxNode): Value {
  const { shape } = node.value(0);
  const { indices, axis } = elementIndices(node, shape);
  const updates = node.value(2);
  if (!sameList(indices.shape, updates.shape)) {
    node.fail(`its indices are [${indices.shape.join(', ')}], its updates [${updates.shape.join(', ')}]`);
  }
  return scattered(node, elementPlaces(node, shape, indices, axis));
}

function scatterNd(node: OnnxNode): Value {
  const { starts, size } = blockPlaces(node, node.value(0).shape, node.constant(1, 'indices'));
  return scattered(
    node,
    starts.flatMap((start) => iota(size).map((at) => start + at)),
  );
}

function compress(node: OnnxNode): Value {
  const x = node.computed(0);
  const { data } = node.constant(1, 'condition');
  const chosen = iota(data.length).filter((index) => data[index] !== 0);
  if (chosen.length === 0) node.fail('its result is empty');
  if (!node.has('axis')) return picked(node, x, within(node, chosen, countOf(x.shape)), [chosen.length]);
  const axis = node.axis(node.int('axis', 0), x.shape.length);
  return taken(x, axis, within(node, chosen, x.shape[axis]!));
}

function reverseSequence(node: OnnxNode): Value {
  const x = node.computed(0);
  const lengths = node.integers(1, 'sequence_lens');
  const [time, batch] = [node.axis(node.int('time_axis', 0), 2), node.axis(node.int('batch_axis', 1), 2)];
  if (x.shape.length < 2 || lengths.length !== x.shape[batch]) node.fail('its lengths do not fit its batch');
  const strides = stridesOf(x.shape);
  const places = iota(countOf(x.shape)).map((place) => {
    const index = (axis: number): number => Math.floor(place / strides[axis]!) % x.shape[axis]!;
    const [t, length] = [index(time), lengths[index(batch)]!];
    return t < length ? place + (length - 1 - 2 * t) * strides[time]! : place;
  });
  return picked(node, x, within(node, places, countOf(x.shape)), x.shape);
}

export const indexing: OperatorTable = {
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: scatterElements,
  Scatter: scatterElements,
  ScatterND: scatterNd,
  Compress: compress,
  ReverseSequence: reverseSequence,
};
