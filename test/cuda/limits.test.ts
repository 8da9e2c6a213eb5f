// What device cuda has no kernel for, said when a plan is compiled, in words that hold.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ShapeError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { images, onCard, useImage } from './device';

const most = 2 ** 31 - 1;

const tooLarge = (append: (x: Tensor) => Tensor, x: [number, number, number, number]) => {
  useImage('ptx80');
  const graph = new Graph();
  const y = append(graph.input('x', x));
  return expect(() => compile(graph, { outputs: { y }, device: 'cuda' }).dispose());
};

describe.skipIf(images.length === 0)('device cuda refuses', () => {
  it.each([
    ['maxPool', ops.maxPool],
    ['avgPool', ops.avgPool],
  ] as const)('%s of an image whose padded side has 2^31 pixels', (op, pool) => {
    const padding = { top: 0, bottom: most - 1, left: 0, right: 0 };
    const pooled = tooLarge((x) => pool(x, { kernel: [most, 1], stride: 1, padding }), [1, 4, 4, 4]);
    pooled.toThrow(ShapeError);
    pooled.toThrow(`[${op}] cuda takes padded images of at most ${most} pixels a side, got ${most + 3}x4`);
  });

  it.skipIf(onCard)('a depthwise filter whose taps are too far apart', () => {
    const padding = { top: 30000, bottom: 0, left: 0, right: 0 };
    const convolved = tooLarge(
      (x) => ops.conv2d(x, x.graph.input('w', [2, 1, 1, 4]), { groups: 4, dilation: [30000, 1], padding }),
      [1, 2, 3, 4],
    );
    convolved.toThrow(ShapeError);
    convolved.toThrow('[conv2d] cuda takes depthwise filters that span at most about 25344 pixels, got 30002x1');
  });
});
