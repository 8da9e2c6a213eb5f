// Convolution builders: cross-correlation, NHWC images, HWIO filters, groups and dilation. depthwiseConv2d is conv2d
// with one group per channel; there is no op of its own for it on the wire.
import { ShapeError } from '../../errors';
import { formatShape, type Tensor } from '../graph';
import { integer, operands, pair, rank, show, withDefaults } from './check';
import { type Padding, place } from './window';

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
