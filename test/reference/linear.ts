// Float64 reference of matmul and convolution (docs/ops.md, "Linear algebra and convolution"). Called by interpreter.ts.
// All three convolution ops walk the same list of (input element, filter element, output element) triples, so the
// gradients are the transposes of the forward by construction.
import type { Attrs, Shape } from '../../src/graph/graph';
import { at, bool, num, type Reference, zeros } from './value';

const matmul: Reference = ([a, b], shapes, attrs) => {
  const transA = bool(attrs, 'transA');
  const transB = bool(attrs, 'transB');
  const y = zeros(at(shapes, 0));
  const [m, n] = y.shape as [number, number];
  const [aRows, aCols] = a!.shape as [number, number];
  const bCols = b!.shape[1]!;
  const k = transA ? aRows : aCols;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) {
        const left = transA ? a!.data[l * aCols + i]! : a!.data[i * aCols + l]!;
        const right = transB ? b!.data[j * bCols + l]! : b!.data[l * bCols + j]!;
        sum += left * right;
      }
      y.data[i * n + j] = sum;
    }
  }
  return [y];
};

type Visit = (xIndex: number, wIndex: number, yIndex: number) => void;

/** Calls visit for every product of the convolution of x with w into y. */
function convolve(xShape: Shape, wShape: Shape, yShape: Shape, attrs: Attrs, visit: Visit): void {
  const [batch, height, width, channels] = xShape as [number, number, number, number];
  const [kernelH, kernelW, groupIn, outs] = wShape as [number, number, number, number];
  const [, outH, outW] = yShape as [number, number, number, number];
  const [strideH, strideW] = [num(attrs, 'strideH'), num(attrs, 'strideW')];
  const [padTop, padLeft] = [num(attrs, 'padTop'), num(attrs, 'padLeft')];
  const [dilationH, dilationW] = [num(attrs, 'dilationH'), num(attrs, 'dilationW')];
  const groups = num(attrs, 'groups');
  const groupOut = outs / groups;
  for (let n = 0; n < batch; n++)
    for (let oh = 0; oh < outH; oh++)
      for (let ow = 0; ow < outW; ow++)
        for (let kh = 0; kh < kernelH; kh++)
          for (let kw = 0; kw < kernelW; kw++) {
            const h = oh * strideH - padTop + kh * dilationH;
            const w = ow * strideW - padLeft + kw * dilationW;
            if (h < 0 || h >= height || w < 0 || w >= width) continue;
            for (let o = 0; o < outs; o++) {
              const group = Math.floor(o / groupOut);
              const yIndex = ((n * outH + oh) * outW + ow) * outs + o;
              for (let c = 0; c < groupIn; c++) {
                const xIndex = ((n * height + h) * width + w) * channels + group * groupIn + c;
                visit(xIndex, ((kh * kernelW + kw) * groupIn + c) * outs + o, yIndex);
              }
            }
          }
}

const conv2d: Reference = ([x, w], shapes, attrs) => {
  const y = zeros(at(shapes, 0));
  convolve(x!.shape, w!.shape, y.shape, attrs, (xi, wi, yi) => {
    y.data[yi]! += x!.data[xi]! * w!.data[wi]!;
  });
  return [y];
};

const conv2dGradInput: Reference = ([dy, w], shapes, attrs) => {
  const dx = zeros(at(shapes, 0));
  convolve(dx.shape, w!.shape, dy!.shape, attrs, (xi, wi, yi) => {
    dx.data[xi]! += dy!.data[yi]! * w!.data[wi]!;
  });
  return [dx];
};

const conv2dGradFilter: Reference = ([x, dy], shapes, attrs) => {
  const dw = zeros(at(shapes, 0));
  convolve(x!.shape, dw.shape, dy!.shape, attrs, (xi, wi, yi) => {
    dw.data[wi]! += x!.data[xi]! * dy!.data[yi]!;
  });
  return [dw];
};

export const linear: Record<string, Reference> = { matmul, conv2d, conv2dGradInput, conv2dGradFilter };
