// Pooling over one to three axes of space. Called through ops/index.ts. The third axis is a second pooling over what the first
// two left, which is the same for a maximum and for a mean. The rule easy to break: the engine's mean counts the cells inside
// the image; with count_include_pad the padding becomes part of the image first.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { iota } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { type Computed, channelsLast, computed, physicalShape, type Value } from '../values';
import { spatial, type Windows, windowsOf } from './conv';
import { padded, taken } from './movement';

type Pool = (x: Tensor, options: ops.PoolOptions) => Tensor;
/** Below every finite float32 but itself. */
const LOWEST = -3.4028234663852886e38;

/** Cells more behind each axis, so that the last window counts that only begins inside. */
function withCeiling(node: OnnxNode, extents: readonly number[], windows: Windows): Windows {
  if (node.int('ceil_mode', 0) === 0) return windows;
  const after = extents.map((extent, axis) => {
    const [stride, before, behind] = [windows.stride[axis]!, windows.before[axis]!, windows.after[axis]!];
    const reach = (windows.kernel[axis]! - 1) * windows.dilation[axis]! + 1;
    const span = extent + before + behind - reach;
    const count = Math.ceil(span / stride) + 1;
    // A window that would begin in the padding behind the image is not one.
    const last = (count - 1) * stride >= extent + before ? count - 2 : count - 1;
    return Math.max(behind, last * stride + reach - extent - before);
  });
  return { ...windows, after };
}

/** Dilated windows laid side by side: each tap's cell is picked, so that windows touch and do not overlap. */
function spreadOut(x: Computed, windows: Windows): { x: Computed; windows: Windows } {
  let wide = x;
  const changed = { ...windows, stride: [...windows.stride], before: [...windows.before], after: [...windows.after] };
  windows.dilation.forEach((dilation, axis) => {
    if (dilation === 1) return;
    const side = (cells: readonly number[]): number[] => x.shape.map((_, one) => (one === axis + 2 ? cells[axis]! : 0));
    wide = padded(wide, side(windows.before), side(windows.after), LOWEST);
    const kernel = windows.kernel[axis]!;
    const count = Math.floor((wide.shape[axis + 2]! - (kernel - 1) * dilation - 1) / windows.stride[axis]!) + 1;
    const cells = iota(count).flatMap((at) => iota(kernel).map((tap) => at * windows.stride[axis]! + tap * dilation));
    wide = taken(wide, axis + 2, cells);
    changed.stride[axis] = kernel;
    changed.before[axis] = 0;
    changed.after[axis] = 0;
  });
  return { x: wide, windows: changed };
}

/** Pools a tensor [N,H,W,C] with the windows of two axes. */
function pool2d(pool: Pool, x: Tensor, windows: Windows, from: number): Tensor {
  const two = (list: readonly number[], missing: number): [number, number] =>
    list.length - from === 1 ? [missing, list[from]!] : [list[from]!, list[from + 1]!];
  const [top, left] = two(windows.before, 0);
  const [bottom, right] = two(windows.after, 0);
  return pool(x, {
    kernel: two(windows.kernel, 1),
    stride: two(windows.stride, 1),
    padding: { top, bottom, left, right },
  });
}

function pooled(node: OnnxNode, x: Computed, windows: Windows, pool: Pool): Computed {
  const rank = x.shape.length;
  const order = channelsLast(rank);
  const extents = physicalShape(x.shape, order);
  const n = extents[0]!;
  const c = extents.at(-1)!;
  const laid = node.ordered(x, order);
  if (rank < 5) {
    const image = rank === 3 ? ops.reshape(laid, [n, 1, extents[1]!, c]) : laid;
    const made = pool2d(pool, image, windows, 0);
    const [, height, width] = made.shape as [number, number, number, number];
    const space = rank === 3 ? [width] : [height, width];
    return computed(ops.reshape(made, [n, ...space, c]), x.type, [n, c, ...space], order);
  }
  const [, d, h, w] = extents as [number, number, number, number];
  const flat = pool2d(pool, ops.reshape(laid, [n * d, h, w, c]), windows, 1);
  const [, height, width] = flat.shape as [number, number, number];
  const columns = ops.reshape(flat, [n, d, height * width, c]);
  const made = pool(columns, {
    kernel: [windows.kernel[0]!, 1],
    stride: [windows.stride[0]!, 1],
    padding: { top: windows.before[0]!, bottom: windows.after[0]!, left: 0, right: 0 },
  });
  const depth = made.shape[1]!;
  return computed(ops.reshape(made, [n, depth, height, width, c]), x.type, [n, c, depth, height, width], order);
}

function maxPool(node: OnnxNode): readonly (Value | undefined)[] {
  if (node.wants(1)) node.fail('the places of its maxima are read');
  const x = spatial(node);
  const windows = withCeiling(node, x.shape.slice(2), windowsOf(node, x.shape.slice(2)));
  const wide = spreadOut(x, windows);
  return [pooled(node, wide.x, wide.windows, ops.maxPool)];
}

function averagePool(node: OnnxNode): Value {
  const x = spatial(node);
  const windows = windowsOf(node, x.shape.slice(2));
  if (windows.dilation.some((one) => one !== 1)) node.fail('its windows are dilated');
  const ceiled = withCeiling(node, x.shape.slice(2), windows);
  if (node.int('count_include_pad', 0) === 0) return pooled(node, x, ceiled, ops.avgPool);
  // What ceil_mode adds behind the padding never counts.
  const whole = padded(x, [0, 0, ...windows.before], [0, 0, ...windows.after], 0);
  const rest = ceiled.after.map((cells, axis) => cells - windows.after[axis]!);
  return pooled(node, whole, { ...windows, before: rest.map(() => 0), after: rest }, ops.avgPool);
}

export const pools: OperatorTable = {
  MaxPool: maxPool,
  AveragePool: averagePool,
};
