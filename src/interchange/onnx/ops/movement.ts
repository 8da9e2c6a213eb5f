// Operators that move values without computing: reshape, transpose, concat, slice, gather with known indices, pad. Called
// through ops/index.ts. The rule easy to break: what does not mix axes keeps the order its input lies in; only what reads an
// array row by row (reshape) needs ONNX's own.
import * as ops from '../../../graph/ops';
import { countOf } from '../../tensors';
import { broadcastShape, iota, room } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { arranged, type Computed, computed, physicalShape, plainOrder, type Value } from '../values';

export function sized(node: OnnxNode, shape: readonly number[]): readonly number[] {
  if (shape.includes(0)) node.fail(`a tensor of [${shape.join(', ')}] is empty, which the engine has not`);
  return shape;
}

/** The values in ONNX's order as another shape. */
export function reshaped(node: OnnxNode, x: Computed, shape: readonly number[]): Computed {
  sized(node, shape);
  if (countOf(shape) !== countOf(x.shape)) {
    node.fail(`[${x.shape.join(', ')}] does not make [${shape.join(', ')}]`);
  }
  return computed(ops.reshape(node.plain(x), physicalShape(shape, plainOrder(shape.length))), x.type, shape);
}

/** The shape that Reshape asks for: 0 keeps an extent, -1 is worked out. */
export function targetShape(node: OnnxNode, from: readonly number[], asked: readonly number[]): number[] {
  const keepZero = node.int('allowzero', 0) === 0;
  const shape = asked.map((extent, axis) => {
    if (extent === 0 && keepZero) return from[axis] ?? node.fail(`it keeps axis ${axis} of rank ${from.length}`);
    if (!Number.isInteger(extent) || extent < -1) node.fail(`its shape is [${asked.join(', ')}]`);
    return extent;
  });
  const free = shape.indexOf(-1);
  if (free < 0) return shape;
  if (shape.lastIndexOf(-1) !== free) node.fail(`its shape [${asked.join(', ')}] has more than one -1`);
  const rest = shape.reduce((product, extent) => (extent === -1 ? product : product * extent), 1);
  const extent = countOf(from) / rest;
  if (!Number.isInteger(extent)) node.fail(`[${from.join(', ')}] does not make [${asked.join(', ')}]`);
  return shape.map((one) => (one === -1 ? extent : one));
}

/** Axis i of the result is axis perm[i]: no value moves. */
export function transposed(x: Computed, perm: readonly number[]): Computed {
  const order = x.order.map((axis) => perm.indexOf(axis));
  return computed(
    x.tensor,
    x.type,
    perm.map((axis) => x.shape[axis]!),
    order,
  );
}

function transpose(node: OnnxNode): Value {
  const x = node.computed(0);
  const rank = x.shape.length;
  const perm = (node.ints('perm') ?? plainOrder(rank).reverse()).map((axis) => node.axis(axis, rank));
  if (node.axes(perm, rank).length !== rank) node.fail(`perm [${perm.join(', ')}] is no order of ${rank} axes`);
  return transposed(x, perm);
}

/** x with axes of extent 1 put in so that they stand at `at` (ascending) in the result; nothing moves. */
export function unsqueezed(x: Computed, at: readonly number[]): Computed {
  const rank = x.shape.length + at.length;
  const kept = plainOrder(rank).filter((axis) => !at.includes(axis));
  const shape = Array<number>(rank).fill(1);
  kept.forEach((axis, index) => {
    shape[axis] = x.shape[index]!;
  });
  const order = [...at, ...x.order.map((axis) => kept[axis]!)];
  return computed(ops.reshape(x.tensor, physicalShape(shape, order)), x.type, shape, order);
}

/** x without axes of extent 1. */
export function squeezed(x: Computed, axes: readonly number[]): Computed {
  const kept = plainOrder(x.shape.length).filter((axis) => !axes.includes(axis));
  const order = x.order.filter((axis) => !axes.includes(axis)).map((axis) => kept.indexOf(axis));
  const shape = kept.map((axis) => x.shape[axis]!);
  return computed(ops.reshape(x.tensor, physicalShape(shape, order)), x.type, shape, order);
}

export function squeezeAxes(node: OnnxNode, shape: readonly number[]): number[] {
  const asked = node.list('axes', 1);
  const axes = asked ? node.axes(asked, shape.length) : plainOrder(shape.length).filter((axis) => shape[axis] === 1);
  const long = axes.find((axis) => shape[axis] !== 1);
  if (long !== undefined) node.fail(`axis ${long} has extent ${shape[long]}`);
  return axes;
}

export function unsqueezeAxes(node: OnnxNode, rank: number): number[] {
  const asked = node.list('axes', 1) ?? node.fail('its axes are missing');
  return node.axes(asked, rank + asked.length);
}

export function flattenShape(node: OnnxNode, shape: readonly number[]): number[] {
  const given = node.int('axis', 1);
  const axis = given === shape.length ? given : node.axis(given, Math.max(1, shape.length));
  return [countOf(shape.slice(0, axis)), countOf(shape.slice(axis))];
}

/** Slices along one axis in the order of `indices`, which are within it. */
export function taken(x: Computed, axis: number, indices: readonly number[]): Computed {
  const place = x.order.indexOf(axis);
  const extent = x.shape[axis]!;
  const shape = x.shape.map((one, index) => (index === axis ? indices.length : one));
  const run = indices.every((one, index) => one === indices[0]! + index);
  if (run && indices.length === extent) return x;
  if (run) {
    const begin = x.tensor.shape.map((_, index) => (index === place ? indices[0]! : 0));
    const size = x.tensor.shape.map((one, index) => (index === place ? indices.length : one));
    return computed(ops.slice(x.tensor, begin, size), x.type, shape, x.order);
  }
  const { shape: physical } = x.tensor;
  const [outer, inner] = [countOf(physical.slice(0, place)), countOf(physical.slice(place + 1))];
  const list = new Int32Array(room([outer, indices.length]));
  for (let row = 0; row < outer; row += 1) list.set(indices, row * indices.length);
  const index = x.tensor.graph.constant('indices', [outer, indices.length], list);
  const found = ops.gather(ops.reshape(x.tensor, [outer, extent, inner]), index);
  return computed(ops.reshape(found, physicalShape(shape, x.order)), x.type, shape, x.order);
}

/** Indices along an axis, where negative ones count from the end. */
export function within(node: OnnxNode, indices: ArrayLike<number>, extent: number): number[] {
  return Array.from(indices, (index) => {
    if (!Number.isInteger(index) || index < -extent || index >= extent) {
      node.fail(`index ${index} is outside an axis of ${extent}`);
    }
    return index < 0 ? index + extent : index;
  });
}

function concat(node: OnnxNode): Value {
  const values = node.inputs.map((_, index) => node.value(index));
  const [first] = values as [Value];
  const rank = first.shape.length;
  if (!node.has('axis') && node.opset >= 4) node.fail('its axis is missing');
  const axis = node.axis(node.int('axis', 1), rank);
  const order = values.find((value): value is Computed => value.kind === 'computed')?.order ?? plainOrder(rank);
  if (values.some(({ shape }) => shape.length !== rank)) node.fail('its inputs differ in rank');
  const tensors = values.map((value) => node.ordered(value, order));
  const total = values.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  const shape = first.shape.map((extent, index) => (index === axis ? total : extent));
  return computed(ops.concat(tensors, { axis: order.indexOf(axis) }), first.type, shape, order);
}

/** The lengths that Split asks for. */
export function splitLengths(node: OnnxNode, extent: number): readonly number[] {
  const asked = node.list('split', 1);
  const count = asked?.length ?? node.int('num_outputs', node.outputs.length);
  const each = Math.ceil(extent / count);
  const lengths = asked ?? iota(count).map((index) => Math.min(each, extent - each * index));
  const fits = lengths.every((length) => Number.isInteger(length) && length >= 0);
  if (!fits || lengths.reduce((sum, length) => sum + length, 0) !== extent) {
    node.fail(`an axis of ${extent} is not split into [${lengths.join(', ')}]`);
  }
  return lengths;
}

function split(node: OnnxNode): readonly Value[] {
  const x = node.computed(0);
  const axis = node.axis(node.int('axis', 0), x.shape.length);
  let begin = 0;
  return splitLengths(node, x.shape[axis]!).map((length) => {
    const from = begin;
    begin += length;
    if (length === 0) node.fail('one of its outputs is empty');
    return taken(
      x,
      axis,
      iota(length).map((index) => from + index),
    );
  });
}

/** What Slice reads along each axis it names. */
export function sliceIndices(node: OnnxNode, shape: readonly number[]): { axis: number; indices: number[] }[] {
  const old = node.opset < 10;
  const get = (name: string, index: number): readonly number[] | undefined =>
    old ? node.ints(name) : node.inputs[index] && node.integers(index, name);
  const starts = get('starts', 1) ?? node.fail('its starts are missing');
  const ends = get('ends', 2) ?? node.fail('its ends are missing');
  const axes = (get('axes', 3) ?? iota(starts.length)).map((axis) => node.axis(axis, shape.length));
  const steps = (old ? undefined : get('steps', 4)) ?? starts.map(() => 1);
  if (![ends, axes, steps].every((list) => list.length === starts.length)) node.fail('its lists differ in length');
  return axes.map((axis, index) => ({
    axis,
    indices: range(node, shape[axis]!, starts[index]!, ends[index]!, steps[index]!),
  }));
}

/** numpy's start:end:step within an extent. */
function range(node: OnnxNode, extent: number, start: number, end: number, step: number): number[] {
  if (step === 0) node.fail('a step is 0');
  const [least, most] = step > 0 ? [0, extent] : [-1, extent - 1];
  const clamp = (at: number): number => Math.min(most, Math.max(least, at < 0 ? at + extent : at));
  const [from, to] = [clamp(start), clamp(end)];
  return iota(Math.max(0, Math.ceil((to - from) / step))).map((index) => from + index * step);
}

function slice(node: OnnxNode): Value {
  let x = node.computed(0);
  for (const { axis, indices } of sliceIndices(node, x.shape)) {
    if (indices.length === 0) node.fail('its result is empty');
    x = taken(x, axis, indices);
  }
  return x;
}

function gather(node: OnnxNode): Value {
  const x = node.computed(0);
  const axis = node.axis(node.int('axis', 0), x.shape.length);
  const { data, shape } = node.constant(1, 'indices');
  if (data.length === 0) node.fail('its result is empty');
  const found = taken(x, axis, within(node, data, x.shape[axis]!));
  const whole = [...x.shape.slice(0, axis), ...shape, ...x.shape.slice(axis + 1)];
  return shape.length === 1 ? found : reshaped(node, found, whole);
}

function expandTo(node: OnnxNode): Value {
  const x = node.computed(0);
  const shape = broadcastShape(x.shape, node.integers(1, 'shape'));
  if (!shape) node.fail(`[${x.shape.join(', ')}] does not broadcast`);
  sized(node, shape);
  const lead = shape.length - x.shape.length;
  const order = [...iota(lead), ...x.order.map((axis) => axis + lead)];
  const whole = [...Array<number>(lead).fill(1), ...x.shape];
  const tensor = ops.reshape(x.tensor, physicalShape(whole, order));
  return computed(ops.broadcastTo(tensor, physicalShape(shape, order)), x.type, shape, order);
}

function tile(node: OnnxNode): Value {
  let x = node.computed(0);
  const repeats = node.integers(1, 'repeats');
  if (node.opset < 6 && repeats.length === 1) {
    const axis = node.axis(node.integers(2, 'axis')[0]!, x.shape.length);
    repeats.splice(0, 1, ...x.shape.map((_, index) => (index === axis ? repeats[0]! : 1)));
  }
  if (repeats.length !== x.shape.length || repeats.some((count) => count < 1)) {
    node.fail(`its repeats are [${repeats.join(', ')}] for [${x.shape.join(', ')}]`);
  }
  repeats.forEach((count, axis) => {
    if (count === 1) return;
    const place = x.order.indexOf(axis);
    const { shape: physical } = x.tensor;
    const [outer, inner] = [countOf(physical.slice(0, place)), countOf(physical.slice(place))];
    const repeated = ops.broadcastTo(ops.reshape(x.tensor, [outer, 1, inner]), [outer, count, inner]);
    const shape = x.shape.map((extent, index) => (index === axis ? extent * count : extent));
    x = computed(ops.reshape(repeated, physicalShape(shape, x.order)), x.type, shape, x.order);
  });
  return x;
}

/** Where index `at`, which may lie outside 0 .. extent - 1, reads in each mode. */
const READS: Readonly<Partial<Record<string, (at: number, extent: number) => number>>> = {
  edge: (at, extent) => Math.min(extent - 1, Math.max(0, at)),
  wrap: (at, extent) => ((at % extent) + extent) % extent,
  reflect: (at, extent) => {
    const period = Math.max(1, 2 * (extent - 1));
    const place = ((at % period) + period) % period;
    return place < extent ? place : period - place;
  },
};

function pad(node: OnnxNode): Value {
  let x = node.computed(0);
  const rank = x.shape.length;
  const old = node.opset < 11;
  const given = old ? (node.ints('pads') ?? node.ints('paddings')) : node.integers(1, 'pads');
  const axes = node.inputs[3] && !old ? node.integers(3, 'axes').map((axis) => node.axis(axis, rank)) : iota(rank);
  if (given?.length !== 2 * axes.length) node.fail(`its pads are [${given?.join(', ')}]`);
  const fill = old ? node.float('value', 0) : node.inputs[2] ? node.constant(2, 'constant_value').data[0] : 0;
  const [before, after] = [iota(rank).map(() => 0), iota(rank).map(() => 0)];
  axes.forEach((axis, index) => {
    before[axis] = given[index]!;
    after[axis] = given[index + axes.length]!;
  });
  const mode = node.text('mode', 'constant');
  const reads = Object.hasOwn(READS, mode) ? READS[mode] : undefined;
  if (!reads && mode !== 'constant') node.fail(`its mode is ${JSON.stringify(mode)}`);
  for (const axis of axes) {
    const [head, tail, extent] = [before[axis]!, after[axis]!, x.shape[axis]!];
    // Negative ones cut; other modes than constant read the image itself.
    const [from, to] = [reads ? -head : Math.max(0, -head), extent + (reads ? tail : Math.min(0, tail))];
    if (to - from < 1) node.fail('its result is empty');
    const indices = iota(to - from).map((index) => from + index);
    x = taken(x, axis, reads ? indices.map((index) => reads(index, extent)) : indices);
  }
  return reads ? x : padded(x, before, after, fill ?? 0);
}

/** x with cells of `value` around it, none where a number is negative. */
export function padded(x: Computed, before: readonly number[], after: readonly number[], value: number): Computed {
  const inOrder = (list: readonly number[]): number[] => x.order.map((axis) => Math.max(0, list[axis]!));
  if ([...inOrder(before), ...inOrder(after)].every((cells) => cells === 0)) return x;
  const shape = x.shape.map((extent, axis) => extent + Math.max(0, before[axis]!) + Math.max(0, after[axis]!));
  const bounded = Math.min(3.4028234663852886e38, Math.max(-3.4028234663852886e38, value));
  return computed(ops.pad(x.tensor, inOrder(before), inOrder(after), { value: bounded }), x.type, shape, x.order);
}

/** [N,C,H,W] -> [N,C/b^2,Hb,Wb] */
function depthToSpace(node: OnnxNode): Value {
  const x = node.computed(0);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const b = node.int('blocksize', 0);
  if (x.shape.length !== 4 || b < 1 || c % (b * b) !== 0)
    node.fail(`blocks of ${b} do not fit [${x.shape.join(', ')}]`);
  const crd = node.text('mode', 'DCR') === 'CRD';
  const split = reshaped(node, x, crd ? [n, c / (b * b), b, b, h, w] : [n, b, b, c / (b * b), h, w]);
  return reshaped(node, transposed(split, crd ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [
    n,
    c / (b * b),
    h * b,
    w * b,
  ]);
}

function spaceToDepth(node: OnnxNode): Value {
  const x = node.computed(0);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const b = node.int('blocksize', 0);
  if (x.shape.length !== 4 || b < 1 || h % b !== 0 || w % b !== 0) {
    node.fail(`blocks of ${b} do not fit [${x.shape.join(', ')}]`);
  }
  const split = reshaped(node, x, [n, c, h / b, b, w / b, b]);
  return reshaped(node, transposed(split, [0, 3, 5, 1, 2, 4]), [n, c * b * b, h / b, w / b]);
}

/** The upper or lower triangle of the last two axes. */
function trilu(node: OnnxNode): Value {
  const x = node.computed(0);
  const [rows, cols] = x.shape.slice(-2) as [number, number];
  const [k, ...more] = node.inputs[1] ? node.integers(1, 'k') : [0];
  if (k === undefined || more.length > 0)
    node.fail(`k holds ${k === undefined ? 0 : 1 + more.length} numbers, expected one`);
  const upper = node.int('upper', 1) !== 0;
  const keeps = (at: number): boolean => {
    const distance = (at % cols) - Math.floor(at / cols);
    return upper ? distance >= k : distance <= k;
  };
  const data = Float32Array.from({ length: room([rows, cols]) }, (_, at) => Number(keeps(at)));
  const mask = ops.reshape(node.graph.constant('triangle', [rows, cols], data), [rows, cols]);
  const tensor = ops.mul(arranged(x, plainOrder(x.shape.length)), mask);
  return computed(tensor, x.type, x.shape);
}

export const movement: OperatorTable = {
  Reshape: (node) => {
    const x = node.computed(0);
    const asked =
      node.opset < 5 ? (node.ints('shape') ?? node.fail('its shape is missing')) : node.integers(1, 'shape');
    return reshaped(node, x, targetShape(node, x.shape, asked));
  },
  Flatten: (node) => {
    const x = node.computed(0);
    return reshaped(node, x, flattenShape(node, x.shape));
  },
  Squeeze: (node) => {
    const x = node.computed(0);
    return squeezed(x, squeezeAxes(node, x.shape));
  },
  Unsqueeze: (node) => {
    const x = node.computed(0);
    return unsqueezed(x, unsqueezeAxes(node, x.shape.length));
  },
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Expand: expandTo,
  Tile: tile,
  Pad: pad,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Trilu: trilu,
};
