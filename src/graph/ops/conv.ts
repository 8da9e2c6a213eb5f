// Convolution builders: cross-correlation and its transpose, NHWC images, HWIO filters, groups and dilation. depthwiseConv2d is conv2d
// with one group per channel; there is no op of its own for it on the wire.
import { ArgumentError, ShapeError } from '../../errors';
import { formatShape, type Tensor } from '../graph';
import { integer, operands, pair, rank, show, withDefaults } from './check';
import { type ExplicitPadding, explicitPadding, type Padding, place } from './window';

export interface DepthwiseOptions {
  /** One number or [height, width]. Default 1. */
  stride?: number | readonly number[];
  /** Default 'same' (TensorFlow's). */
  padding?: Padding;
  /** One number or [height, width]. Default 1. */
  dilation?: number | readonly number[];
}

export interface ConvOptions extends DepthwiseOptions {
  /** Input and output channels are cut into this many groups. Default 1. */
  groups?: number;
}

function convolve(op: string, x: Tensor, w: Tensor, options: ConvOptions, groups: number): Tensor {
  const [n, h, width, channels] = x.shape as [number, number, number, number];
  const [kernelH, kernelW, perGroup, filters] = w.shape as [number, number, number, number];
  const shapes = `(input ${formatShape(x.shape)}, filter ${formatShape(w.shape)}${groups > 1 ? `, groups ${groups}` : ''})`;
  if (perGroup * groups !== channels) {
    throw new ShapeError(
      `[${op}] filter expects ${perGroup * groups} input channels but "${x.name}" has ${channels} ${shapes}`,
    );
  }
  if (filters % groups !== 0) {
    throw new ShapeError(`[${op}] ${filters} output channels do not divide into ${groups} groups ${shapes}`);
  }
  const [strideH, strideW] = pair(op, 'stride', options.stride, 1);
  const [dilationH, dilationW] = pair(op, 'dilation', options.dilation, 1);
  const extent = [(kernelH - 1) * dilationH + 1, (kernelW - 1) * dilationW + 1] as const;
  const window = { extent, stride: [strideH, strideW] as const };
  const { pads, outHeight, outWidth } = place(op, h, width, window, options.padding);
  const attrs = { strideH, strideW, ...pads, dilationH, dilationW, groups };
  return x.graph.append('conv2d', [x, w], [{ shape: [n, outHeight, outWidth, filters] }], attrs)[0] as Tensor;
}

/** Cross-correlation of x[N,H,W,C] with w[KH,KW,C/groups,O] -> [N,OH,OW,O]. */
export function conv2d(x: Tensor, w: Tensor, options?: ConvOptions): Tensor {
  operands('conv2d', { x, w }, 'f32');
  rank('conv2d', 'x', x, 4, '[N,H,W,C]');
  rank('conv2d', 'w', w, 4, '[KH,KW,C/groups,O]');
  const given = withDefaults<ConvOptions>('conv2d', options, { stride: 1, padding: 'same', dilation: 1, groups: 1 });
  return convolve('conv2d', x, w, given, integer('conv2d', 'groups', given.groups, 1));
}

/** Each channel with filters of its own: x[N,H,W,C], w[KH,KW,1,C*multiplier] -> [N,OH,OW,C*multiplier]. */
export function depthwiseConv2d(x: Tensor, w: Tensor, options?: DepthwiseOptions): Tensor {
  const op = 'depthwiseConv2d';
  operands(op, { x, w }, 'f32');
  rank(op, 'x', x, 4, '[N,H,W,C]');
  rank(op, 'w', w, 4, '[KH,KW,1,C*multiplier]');
  if (w.shape[2] !== 1) throw new ShapeError(`[${op}] w is [KH,KW,1,C*multiplier], but ${show(w)} was given`);
  const given = withDefaults<DepthwiseOptions>(op, options, { stride: 1, padding: 'same', dilation: 1 });
  return convolve(op, x, w, given, x.shape[3] as number);
}

export interface ConvTransposeOptions {
  /** One number or [height, width]. Default 1. */
  stride?: number | readonly number[];
  /** Cells cut off the full result at each side. Default none. */
  padding?: ExplicitPadding;
  /** One number or [height, width]. Default 1. */
  dilation?: number | readonly number[];
  /** Default 1. */
  groups?: number;
  /** Cells added at bottom and right, less than the stride: which of the inputs that conv2d maps to one size is meant. Default 0. */
  outputPadding?: number | readonly number[];
}

/**
 * Transposed convolution: the gradient of conv2d by its input. x[N,H,W,I], w[KH,KW,O/groups,I] -> [N,OH,OW,O] with
 * OH = stride (H - 1) + dilation (KH - 1) + 1 + outputPadding - top - bottom.
 */
export function convTranspose2d(x: Tensor, w: Tensor, options?: ConvTransposeOptions): Tensor {
  const op = 'convTranspose2d';
  const graph = operands(op, { x, w }, 'f32');
  rank(op, 'x', x, 4, '[N,H,W,I]');
  rank(op, 'w', w, 4, '[KH,KW,O/groups,I]');
  const none: ExplicitPadding = { top: 0, bottom: 0, left: 0, right: 0 };
  const given = withDefaults<ConvTransposeOptions>(op, options, {
    ...{ stride: 1, padding: none, dilation: 1, groups: 1, outputPadding: 0 },
  });
  const groups = integer(op, 'groups', given.groups, 1);
  const [n, height, width, channels] = x.shape as [number, number, number, number];
  const [kernelH, kernelW, perGroup, inputs] = w.shape as [number, number, number, number];
  if (inputs !== channels || channels % groups !== 0) {
    throw new ShapeError(
      `[${op}] filter expects ${inputs} input channels in ${groups} groups but "${x.name}" has ${channels} ` +
        `(input ${formatShape(x.shape)}, filter ${formatShape(w.shape)})`,
    );
  }
  const [strideH, strideW] = pair(op, 'stride', given.stride, 1);
  const [dilationH, dilationW] = pair(op, 'dilation', given.dilation, 1);
  const [extraH, extraW] = pair(op, 'outputPadding', given.outputPadding, 0);
  if (extraH >= strideH || extraW >= strideW) {
    const came = `${extraH}x${extraW} of a stride of ${strideH}x${strideW}`;
    throw new ArgumentError(`[${op}] outputPadding is less than the stride, got ${came}`);
  }
  const { top, bottom, left, right } = explicitPadding(op, given.padding);
  const outHeight = strideH * (height - 1) + dilationH * (kernelH - 1) + 1 + extraH - top - bottom;
  const outWidth = strideW * (width - 1) + dilationW * (kernelW - 1) + 1 + extraW - left - right;
  if (outHeight < 1 || outWidth < 1) {
    throw new ShapeError(`[${op}] the padding leaves ${outHeight}x${outWidth} of ${show(x)} and ${show(w)}`);
  }
  const pads = { padTop: top, padBottom: bottom, padLeft: left, padRight: right };
  const attrs = { strideH, strideW, ...pads, dilationH, dilationW, groups };
  const shape = [n, outHeight, outWidth, perGroup * groups];
  return graph.append('conv2dGradInput', [x, w], [{ shape }], attrs)[0] as Tensor;
}
