// Convolutions of one, two and three axes of space, and the transposed one. Called through ops/index.ts. All run as the
// engine's 2-D convolution: one axis is two with a height of 1, three axes are a sum over the filter's depth.
// The rule easy to break: filters are OIHW in ONNX and HWIO here, and a transposed convolution's are IOHW.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { iota } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { arranged, type Computed, channelsLast, computed, physicalShape, plainOrder, type Value } from '../values';
import { centred } from './linear';
import { padded, squeezed, taken, unsqueezed } from './movement';

/** How a window moves over each axis of space. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** A list of one positive number for each axis of space. */
function perAxis(
  node: OnnxNode,
  name: string,
  count: number,
  fallback: readonly number[],
  least: number,
): readonly number[] {
  const list = node.ints(name) ?? fallback;
  if (list.length !== count || list.some((one) => !Number.isInteger(one) || one < least || one > 2 ** 31)) {
    node.fail(`its ${name} are [${list.join(', ')}] for ${count} axes of space`);
  }
  return list;
}

/** Attributes of a convolution or pooling over `extents`, with automatic padding worked out. */
export function windowsOf(node: OnnxNode, extents: readonly number[], given?: readonly number[]): Windows {
  const count = extents.length;
  const ones = extents.map(() => 1);
  const kernel = perAxis(node, 'kernel_shape', count, given ?? [], 1);
  if (given?.some((one, axis) => one !== kernel[axis])) {
    node.fail(`its kernel_shape [${kernel.join(', ')}] is not its filter's [${given.join(', ')}]`);
  }
  const stride = perAxis(node, 'strides', count, ones, 1);
  const dilation = perAxis(node, 'dilations', count, ones, 1);
  const pads = perAxis(node, 'pads', 2 * count, [...ones, ...ones].fill(0), 0);
  const auto = node.text('auto_pad', 'NOTSET');
  if (!['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'].includes(auto))
    node.fail(`its auto_pad is ${JSON.stringify(auto)}`);
  const same = extents.map((extent, axis) =>
    ops.samePadding(extent, (kernel[axis]! - 1) * dilation[axis]! + 1, stride[axis]!),
  );
  const sides = (side: 0 | 1): number[] =>
    extents.map((_, axis) => {
      if (auto === 'NOTSET') return pads[axis + side * count]!;
      if (auto === 'VALID') return 0;
      return same[axis]![auto === 'SAME_UPPER' ? side : ((1 - side) as 0 | 1)];
    });
  return { kernel, stride, dilation, before: sides(0), after: sides(1) };
}

/** One axis of space as two, of which the first has extent 1. */
const widened = (windows: Windows): Windows => ({
  kernel: [1, ...windows.kernel],
  stride: [1, ...windows.stride],
  dilation: [1, ...windows.dilation],
  before: [0, ...windows.before],
  after: [0, ...windows.after],
});

/** [N,C,L] as [N,C,1,L]. */
export const asImage = (x: Computed): Computed => unsqueezed(x, [2]);
export const asLine = (x: Computed): Computed => squeezed(x, [2]);

/** An input [N,C,...] of one to three axes of space. */
export function spatial(node: OnnxNode): Computed {
  const x = node.computed(0);
  const axes = x.shape.length - 2;
  if (axes < 1 || axes > 3) node.fail(`[${x.shape.join(', ')}] has ${axes} axes of space, expected 1 to 3`);
  return x;
}

/** Order of a filter's axes in memory: space, inputs of a group, outputs. */
const filterOrder = (rank: number): number[] => [...plainOrder(rank).slice(2), 1, 0];

function convolution2d(x: Tensor, w: Tensor, windows: Windows, groups: number): Tensor {
  const [top, left] = windows.before as [number, number];
  const [bottom, right] = windows.after as [number, number];
  return ops.conv2d(x, w, {
    stride: [...windows.stride],
    dilation: [...windows.dilation],
    padding: { top, bottom, left, right },
    groups,
  });
}

/** The filter's taps along depth, each a 2-D convolution of the slices it meets; depth is folded into the batch. */
function convolution3d(x: Computed, w: Tensor, windows: Windows, groups: number): Computed {
  const order = channelsLast(5);
  const deep = padded(x, [0, 0, windows.before[0]!, 0, 0], [0, 0, windows.after[0]!, 0, 0], 0);
  const [kernel, stride, dilation] = [windows.kernel[0]!, windows.stride[0]!, windows.dilation[0]!];
  const depth = Math.floor((deep.shape[2]! - (kernel - 1) * dilation - 1) / stride) + 1;
  const flat: Windows = {
    kernel: windows.kernel.slice(1),
    stride: windows.stride.slice(1),
    dilation: windows.dilation.slice(1),
    before: windows.before.slice(1),
    after: windows.after.slice(1),
  };
  let sum: Tensor | undefined;
  for (let tap = 0; tap < kernel; tap += 1) {
    const slices = taken(
      deep,
      2,
      iota(depth).map((index) => index * stride + tap * dilation),
    );
    const [n, d, h, width, c] = physicalShape(slices.shape, order) as [number, number, number, number, number];
    const images = ops.reshape(slices.tensor, [n * d, h, width, c]);
    const filter = ops.slice(w, [tap, 0, 0, 0, 0], [1, -1, -1, -1, -1]);
    const made = convolution2d(images, ops.reshape(filter, w.shape.slice(1)), flat, groups);
    sum = sum ? ops.add(sum, made) : made;
  }
  const [, h, width, c] = (sum as Tensor).shape as [number, number, number, number];
  const n = x.shape[0]!;
  return computed(ops.reshape(sum as Tensor, [n, depth, h, width, c]), x.type, [n, c, depth, h, width], order);
}

/** A convolution with the bias of input 2, if `bias`. */
function convolve(node: OnnxNode, x: Computed, w: Value, bias: Value | undefined): Value {
  const rank = x.shape.length;
  if (w.shape.length !== rank) node.fail(`its filter is [${w.shape.join(', ')}] for an input [${x.shape.join(', ')}]`);
  const groups = node.int('group', 1);
  const windows = windowsOf(node, x.shape.slice(2), w.shape.slice(2));
  const filter = node.ordered(w, filterOrder(rank), 'param');
  const laid = computed(node.ordered(x, channelsLast(rank)), x.type, x.shape, channelsLast(rank));
  const y =
    rank === 5 ? convolution3d(laid, filter, windows, groups) : convolutionUpTo2d(laid, filter, windows, groups);
  return bias ? withBias(node, y, bias) : y;
}

function convolutionUpTo2d(x: Computed, filter: Tensor, windows: Windows, groups: number): Computed {
  const line = x.shape.length === 3;
  const image = line ? asImage(x) : x;
  const w = line ? ops.reshape(filter, [1, ...filter.shape]) : filter;
  const made = convolution2d(arranged(image, channelsLast(4)), w, line ? widened(windows) : windows, groups);
  const [n, height, width, channels] = made.shape as [number, number, number, number];
  const y = computed(made, x.type, [n, channels, height, width], channelsLast(4));
  return line ? asLine(y) : y;
}

function withBias(node: OnnxNode, y: Computed, bias: Value): Value {
  if (bias.shape.length !== 1 || bias.shape[0] !== y.shape[1]) {
    node.fail(`its bias is [${bias.shape.join(', ')}] for ${y.shape[1]} channels`);
  }
  const tensor = node.ordered(bias, [0], 'param');
  const order = channelsLast(y.shape.length);
  return computed(ops.bias(node.ordered(y, order), tensor), y.type, y.shape, order);
}

/** Padding and extra cells of a transposed convolution along one axis. */
function transposedSides(node: OnnxNode, windows: Windows, extent: number, axis: number, extra: number) {
  const auto = node.text('auto_pad', 'NOTSET');
  const asked = node.ints('output_shape');
  const [kernel, stride, dilation] = [windows.kernel[axis]!, windows.stride[axis]!, windows.dilation[axis]!];
  const full = stride * (extent - 1) + (kernel - 1) * dilation + 1 + extra;
  if (!asked && auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') {
    return { before: windows.before[axis]!, after: windows.after[axis]!, extra };
  }
  const wanted = asked ? asked[asked.length - windows.kernel.length + axis]! : extent * stride;
  const total = full - wanted;
  // Cells that are missing are added behind; the engine adds less than a stride.
  if (total < 0) return { before: 0, after: 0, extra: extra - total };
  const half = total >> 1;
  return auto === 'SAME_UPPER'
    ? { before: half, after: total - half, extra }
    : { before: total - half, after: half, extra };
}

function convTranspose(node: OnnxNode): Value {
  const x = spatial(node);
  const w = node.value(1);
  const rank = x.shape.length;
  if (rank > 4 || w.shape.length !== rank) {
    node.fail(
      `its filter is [${w.shape.join(', ')}] for an input [${x.shape.join(', ')}], expected one or two axes of space`,
    );
  }
  const line = rank === 3;
  // A transposed convolution's own padding is worked out here, so automatic padding is not that of a convolution.
  const windows = windowsOf(node, x.shape.slice(2), w.shape.slice(2));
  const more = perAxis(
    node,
    'output_padding',
    rank - 2,
    x.shape.slice(2).map(() => 0),
    0,
  );
  const sides = x.shape.slice(2).map((extent, axis) => transposedSides(node, windows, extent, axis, more[axis]!));
  const none = { before: 0, after: 0, extra: 0 };
  const [tall, wide] = (line ? [none, ...sides] : sides) as [typeof none, typeof none];
  const filter = node.ordered(w, filterOrder(rank), 'param');
  const order = channelsLast(rank);
  const image = node.ordered(x, order);
  const full = line ? widened(windows) : windows;
  const made = ops.convTranspose2d(
    line ? ops.reshape(image, [image.shape[0]!, 1, ...image.shape.slice(1)]) : image,
    line ? ops.reshape(filter, [1, ...filter.shape]) : filter,
    {
      stride: [...full.stride],
      dilation: [...full.dilation],
      groups: node.int('group', 1),
      padding: { top: tall.before, bottom: tall.after, left: wide.before, right: wide.after },
      outputPadding: [tall.extra, wide.extra],
    },
  );
  const [n, height, width, channels] = made.shape as [number, number, number, number];
  const wholeImage = computed(made, x.type, [n, channels, height, width], channelsLast(4));
  const y = line ? asLine(wholeImage) : wholeImage;
  return node.inputs[2] ? withBias(node, y, node.inputs[2]) : y;
}

/** Whole numbers in float32, less their zero points. */
function convInteger(node: OnnxNode): Value {
  const x = node.asComputed(centred(node, node.value(0), node.inputs[2], 1));
  const w = centred(node, node.value(1), node.inputs[3], 0);
  return { ...(convolve(node, x, w, undefined) as Computed), type: 'int32' };
}

export const convolutions: OperatorTable = {
  Conv: (node) => convolve(node, spatial(node), node.value(1), node.inputs[2]),
  ConvTranspose: convTranspose,
  ConvInteger: convInteger,
};
