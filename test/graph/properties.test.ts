// Properties of the shape rules over random shapes: broadcasting against its definition, 'same' padding against
// TensorFlow's, reshape and slice against element counts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grad } from '../../src/graph/gradients';
import { Graph, sizeOf } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const extent = fc.integer({ min: 1, max: 5 });
const shape = fc.array(extent, { minLength: 1, maxLength: 6 });

/** Two shapes that broadcast to a third: some of its leading axes left out, some of the rest made 1. */
const broadcastable = shape.chain((full) => {
  const part = fc
    .tuple(fc.integer({ min: 0, max: full.length - 1 }), fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }))
    .map(([lead, ones]) => full.map((size, axis) => (ones[axis] ? 1 : size)).slice(lead));
  return fc.tuple(part, part);
});

describe('broadcasting', () => {
  it('is symmetric, and each axis is the larger extent', () => {
    fc.assert(
      fc.property(broadcastable, ([a, b]) => {
        const result = ops.broadcastShapes(a, b);
        expect(result).toEqual(ops.broadcastShapes(b, a));
        expect(result?.length).toBe(Math.max(a.length, b.length));
        const fromEnd = (list: number[], axis: number): number => list.at(-1 - axis) ?? 1;
        result?.forEach((_, axis) => {
          expect(fromEnd(result, axis)).toBe(Math.max(fromEnd(a, axis), fromEnd(b, axis)));
        });
      }),
    );
  });

  it('refuses exactly the pairs with two different extents above 1', () => {
    fc.assert(
      fc.property(shape, shape, (a, b) => {
        const clash = a.some((_, axis) => {
          const [left, right] = [a.at(-1 - axis) ?? 1, b.at(-1 - axis) ?? 1];
          return left !== right && left !== 1 && right !== 1;
        });
        expect(ops.broadcastShapes(a, b) === undefined).toBe(clash);
      }),
    );
  });

  it('gives each operand a gradient of its own shape', () => {
    fc.assert(
      fc.property(broadcastable, fc.constantFrom(ops.add, ops.sub, ops.mul, ops.div), ([a, b], op) => {
        const graph = new Graph();
        const leaves = [graph.input('a', a), graph.input('b', b)] as const;
        const y = op(...leaves);
        const gradients = grad(y, leaves, { seed: graph.input('seed', y.shape) });
        expect(gradients.map((gradient) => gradient.shape)).toEqual([a, b]);
      }),
    );
  });
});

describe("'same' padding", () => {
  const window = fc.record({
    input: fc.integer({ min: 1, max: 40 }),
    kernel: fc.integer({ min: 1, max: 7 }),
    stride: fc.integer({ min: 1, max: 5 }),
    dilation: fc.integer({ min: 1, max: 3 }),
  });

  it('makes ceil(input / stride) cells, pads least, and puts the odd cell at the end', () => {
    fc.assert(
      fc.property(window, ({ input, kernel, stride, dilation }) => {
        const reach = (kernel - 1) * dilation + 1;
        const [before, after] = ops.samePadding(input, reach, stride);
        const cells = (padding: number): number => Math.floor((input + padding - reach) / stride) + 1;
        const total = before + after;
        expect(cells(total)).toBe(Math.ceil(input / stride));
        if (total > 0) expect(cells(total - 1)).toBeLessThan(Math.ceil(input / stride));
        expect([0, 1]).toContain(after - before);
      }),
    );
  });

  it('is what conv2d and maxPool use', () => {
    fc.assert(
      fc.property(window, window, (rows, columns) => {
        const graph = new Graph();
        const x = graph.input('x', [1, rows.input, columns.input, 1]);
        const w = graph.input('w', [rows.kernel, columns.kernel, 1, 2]);
        const stride = [rows.stride, columns.stride];
        const out = [Math.ceil(rows.input / rows.stride), Math.ceil(columns.input / columns.stride)];
        const y = ops.conv2d(x, w, { stride, dilation: [rows.dilation, columns.dilation] });
        expect(y.shape).toEqual([1, ...out, 2]);
        const pooled = ops.maxPool(x, { kernel: [rows.kernel, columns.kernel], stride, padding: 'same' });
        expect(pooled.shape).toEqual([1, ...out, 1]);
      }),
    );
  });
});

describe('moving data', () => {
  it('reshape finds the missing dimension', () => {
    fc.assert(
      fc.property(shape, fc.nat({ max: 5 }), (full, at) => {
        const axis = at % full.length;
        const x = new Graph().input('x', [sizeOf(full)]);
        expect(
          ops.reshape(
            x,
            full.map((size, index) => (index === axis ? -1 : size)),
          ).shape,
        ).toEqual(full);
      }),
    );
  });

  it('slice undoes pad, and the parts of a concat add up', () => {
    fc.assert(
      fc.property(shape, fc.nat({ max: 5 }), fc.nat({ max: 3 }), (full, at, margin) => {
        const axis = at % full.length;
        const x = new Graph().input('x', full);
        const before = full.map((_, index) => (index === axis ? margin : 0));
        const padded = ops.pad(x, before, before);
        expect(ops.slice(padded, before, full).shape).toEqual(full);
        const joined = ops.concat([x, padded, x], { axis });
        expect(joined.shape[axis]).toBe(3 * (full[axis] as number) + 2 * margin);
      }),
    );
  });
});
