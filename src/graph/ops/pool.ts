// Pooling and resizing of NHWC images. The rule easy to break: padding stays smaller than the kernel, so that every
// window holds at least one cell of the image.
import { ArgumentError } from '../../errors';
import type { Tensor } from '../graph';
import { choice, integers, operands, pair, rank, type Unchecked, withDefaults } from './check';
import { type Padding, place } from './window';

export interface PoolOptions {
  /** One number or [height, width]. */
  kernel: number | readonly number[];
  /** Default: the kernel. */
  stride?: number | readonly number[];
  /** Default 'valid'. */
  padding?: Padding;
}

function pooling(op: string, x: Tensor, options: PoolOptions): { shape: number[]; attrs: Record<string, number> } {
  operands(op, { x }, 'f32');
  rank(op, 'x', x, 4, '[N,H,W,C]');
  const given = withDefaults<Unchecked<PoolOptions>>(op, options, {
    kernel: undefined,
    stride: undefined,
    padding: 'valid',
  });
  const [kernelH, kernelW] = pair(op, 'kernel', given.kernel, 1);
  const [strideH, strideW] = pair(op, 'stride', given.stride ?? given.kernel, 1);
  const [n, h, w, c] = x.shape as [number, number, number, number];
  const window = { extent: [kernelH, kernelW], stride: [strideH, strideW] } as const;
  const { pads, outHeight, outWidth } = place(op, h, w, window, given.padding);
  const { padTop, padBottom, padLeft, padRight } = pads;
  if (Math.max(padTop, padBottom) >= kernelH || Math.max(padLeft, padRight) >= kernelW) {
    const sides = `top ${padTop}, bottom ${padBottom}, left ${padLeft}, right ${padRight}`;
    throw new ArgumentError(`[${op}] padding is smaller than the kernel ${kernelH}x${kernelW}, got ${sides}`);
  }
  return { shape: [n, outHeight, outWidth, c], attrs: { kernelH, kernelW, strideH, strideW, ...pads } };
}

/** Maximum over each window; padding never wins. */
export function maxPool(x: Tensor, options: PoolOptions): Tensor {
  const { shape, attrs } = pooling('maxPool', x, options);
  return x.graph.append('maxPool', [x], [{ shape }, { shape, dtype: 'i32' }], attrs)[0] as Tensor;
}

/** Mean over the cells of each window that lie inside the image. */
export function avgPool(x: Tensor, options: PoolOptions): Tensor {
  const { shape, attrs } = pooling('avgPool', x, options);
  return x.graph.append('avgPool', [x], [{ shape }], attrs)[0] as Tensor;
}

export interface ResizeOptions {
  /** Default 'bilinear'. */
  mode?: 'nearest' | 'bilinear';
  /** How output cells map to input cells (see docs/ops.md). Default 'halfPixel'. */
  coordinates?: 'halfPixel' | 'aligned' | 'asymmetric';
}

/** x[N,H,W,C] sampled at size = [height, width]. */
export function resize(x: Tensor, size: readonly number[], options?: ResizeOptions): Tensor {
  const graph = operands('resize', { x }, 'f32');
  rank('resize', 'x', x, 4, '[N,H,W,C]');
  const [height, width] = integers('resize', 'size', size, 1, 2) as [number, number];
  const given = withDefaults<ResizeOptions>('resize', options, { mode: 'bilinear', coordinates: 'halfPixel' });
  const attrs = {
    mode: choice('resize', 'mode', given.mode, ['nearest', 'bilinear']),
    coordinates: choice('resize', 'coordinates', given.coordinates, ['halfPixel', 'aligned', 'asymmetric']),
  };
  const shape = [x.shape[0] as number, height, width, x.shape[3] as number];
  return graph.append('resize', [x], [{ shape }], attrs)[0] as Tensor;
}
