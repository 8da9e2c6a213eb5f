// Anchors of the float64 oracle: known answers worked by hand or published, so that the oracle itself is not taken on
// trust. Agreement of forward and gradient is checked by gradcheck.test.ts, agreement with the kernels by test/kernels.
import { describe, expect, it } from 'vitest';
import { type Attrs, Graph, type Shape } from '../../src/graph/graph';
import { ReferenceSession, references } from './interpreter';
import { permute, philox, uniform } from './random';
import { count } from './value';

function run(op: string, inputs: [Shape, number[]][], outputs: Shape[], attrs: Attrs = {}): number[][] {
  const values = inputs.map(([shape, data]) => ({ shape, data: Float64Array.from(data) }));
  const reference = references.get(op);
  if (!reference) throw new Error(`no reference for ${op}`);
  return reference(values, outputs, attrs).map((value) => Array.from(value.data));
}

const pads = { padTop: 0, padBottom: 0, padLeft: 0, padRight: 0 };
const unitConv = { strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, groups: 1, ...pads };

describe('Philox4x32-10', () => {
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('gives the published words for counter %j', (counter, key, expected) => {
    expect(philox(counter, key)).toEqual(expected);
  });

  it('makes uniforms in [0, 1) with 24 bits', () => {
    expect(uniform(0)).toBe(0);
    expect(uniform(0xffffffff)).toBe(1 - 2 ** -24);
  });

  it.each([1, 2, 3, 4, 5, 16, 17, 100, 1000])('permutes 0..%d-1 without loss', (n) => {
    const order = Array.from({ length: n }, (_, i) => permute(n, 7, 3, i));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
    if (n >= 16) expect(order).not.toEqual(Array.from({ length: n }, (_, i) => permute(n, 7, 4, i)));
  });
});

describe('known answers', () => {
  it('multiplies with each operand transposed', () => {
    const a: [Shape, number[]] = [
      [2, 2],
      [1, 2, 3, 4],
    ];
    const b: [Shape, number[]] = [
      [2, 2],
      [5, 6, 7, 8],
    ];
    const product = (transA: boolean, transB: boolean) => run('matmul', [a, b], [[2, 2]], { transA, transB })[0];
    expect(product(false, false)).toEqual([19, 22, 43, 50]);
    expect(product(true, false)).toEqual([26, 30, 38, 44]);
    expect(product(false, true)).toEqual([17, 23, 39, 53]);
    expect(product(true, true)).toEqual([23, 31, 34, 46]);
  });

  it('cross-correlates, it does not convolve', () => {
    const x: [Shape, number[]] = [
      [1, 3, 3, 1],
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    ];
    const w: [Shape, number[]] = [
      [2, 2, 1, 1],
      [1, 0, 0, 10],
    ];
    expect(run('conv2d', [x, w], [[1, 2, 2, 1]], unitConv)[0]).toEqual([51, 62, 84, 95]);
    const padded = { ...unitConv, padTop: 1, padLeft: 1, strideH: 2, strideW: 2 };
    expect(run('conv2d', [x, w], [[1, 2, 2, 1]], padded)[0]).toEqual([10, 30, 70, 95]);
  });

  it('keeps depthwise channels apart', () => {
    const x: [Shape, number[]] = [
      [1, 1, 2, 2],
      [1, 2, 3, 4],
    ];
    const w: [Shape, number[]] = [
      [1, 2, 1, 4],
      [1, 10, 100, 1000, 2, 20, 200, 2000],
    ];
    expect(run('conv2d', [x, w], [[1, 1, 1, 4]], { ...unitConv, groups: 2 })[0]).toEqual([7, 70, 1000, 10000]);
  });

  it('pools inside the image only and keeps the first maximum', () => {
    const x: [Shape, number[]] = [
      [1, 2, 2, 1],
      [-1, -2, -1, -4],
    ];
    const attrs = { kernelH: 2, kernelW: 2, strideH: 1, strideW: 1, ...pads, padTop: 1, padLeft: 1 };
    expect(
      run(
        'maxPool',
        [x],
        [
          [1, 2, 2, 1],
          [1, 2, 2, 1],
        ],
        attrs,
      ),
    ).toEqual([
      [-1, -1, -1, -1],
      [0, 0, 0, 0],
    ]);
    expect(run('avgPool', [x], [[1, 2, 2, 1]], attrs)[0]).toEqual([-1, -1.5, -1, -2]);
  });

  it('resizes in the three coordinate systems', () => {
    const x: [Shape, number[]] = [
      [1, 1, 4, 1],
      [0, 10, 20, 30],
    ];
    const row = (mode: string, coordinates: string, width: number) =>
      run('resize', [x], [[1, 1, width, 1]], { mode, coordinates })[0];
    expect(row('bilinear', 'halfPixel', 8)).toEqual([0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]);
    expect(row('bilinear', 'aligned', 7)).toEqual([0, 5, 10, 15, 20, 25, 30]);
    expect(row('bilinear', 'asymmetric', 8)).toEqual([0, 5, 10, 15, 20, 25, 30, 30]);
    expect(row('nearest', 'halfPixel', 2)).toEqual([0, 20]); // 0.5 and 2.5 round down.
    expect(row('nearest', 'aligned', 7)).toEqual([0, 10, 10, 20, 20, 30, 30]);
    expect(row('nearest', 'asymmetric', 8)).toEqual([0, 0, 10, 10, 20, 20, 30, 30]);
  });

  it('keeps the largest rows in index order, ties to the lower index', () => {
    const x: [Shape, number[]] = [
      [1, 4, 1],
      [2, -3, 1, 3],
    ];
    expect(run('topK', [x], [[1, 2]], { k: 2 })[0]).toEqual([1, 3]);
    expect(run('topK', [x], [[1, 1]], { k: 1 })[0]).toEqual([1]);
  });

  it('shares a gradient among tied maxima', () => {
    const shapes: [Shape, number[]][] = [
      [[1], [6]],
      [[3], [5, 5, 1]],
      [[1], [5]],
    ];
    expect(run('reduceMaxGrad', shapes, [[3]], { axes: [0] })[0]).toEqual([3, 3, 0]);
  });

  it('weighs and smooths cross-entropy', () => {
    const uniformLoss = run(
      'crossEntropy',
      [
        [[2, 4], new Array(8).fill(3)],
        [[2], [0, 3]],
      ],
      [[1], [2, 4]],
      { labelSmoothing: 0.2 },
    );
    expect(uniformLoss[0]![0]).toBeCloseTo(Math.log(4), 12);
    expect(uniformLoss[1]![0]).toBeCloseTo((0.25 - 0.85) / 2, 12);
    const weighted = run(
      'crossEntropy',
      [
        [
          [2, 2],
          [0, 0, 0, Math.log(3)],
        ],
        [[2], [0, 1]],
        [[2], [1, 3]],
      ],
      [[1], [2, 2]],
      { labelSmoothing: 0 },
    );
    expect(weighted[0]![0]).toBeCloseTo((Math.log(2) + 3 * Math.log(4 / 3)) / 4, 12);
  });

  it('takes the lower median for sigma', () => {
    // Points 0, 1, 3: squared distances 1, 9, 4; the lower median of three is 4, so g = 8.
    const gram = run(
      'gram',
      [
        [
          [3, 1],
          [0, 1, 3],
        ],
      ],
      [[3, 3]],
      { center: false },
    )[0]!;
    expect(gram).toEqual([0, 0, 0, 0, 1, 3, 0, 3, 9]);
    const [e, sigma] = run('kernelMatrix', [[[3, 3], gram]], [[3, 3], [1]], {
      kernel: 'gaussian',
      sigma: 0,
      features: 1,
    });
    expect(sigma![0]).toBe(2);
    expect(e![1]).toBe(Math.expm1(-1 / 8));
  });

  it('gives HSIC of a hand-worked pair of labels', () => {
    // Two samples of different classes: K = L = I, centred [[.5,-.5],[-.5,.5]], tr = 1.
    const same: [Shape, number[]] = [
      [2, 2],
      [1, 0, 0, 1],
    ];
    const attrs = {
      kind: 'hsic',
      kernel: 'linear',
      sigma: 0,
      features: 1,
      beta: 3,
      gamma: 2,
      power: 2,
      eps: 1e-5,
      unbiased: false,
    };
    const [loss, report, dG] = run('hsicObjective', [same, same, same], [[1], [8], [2, 2]], attrs);
    expect(loss![0]).toBeCloseTo(1 - 3, 12);
    expect(report).toEqual([-2, 1, 1, 0, 0, 1, 1, 1].map((value) => expect.closeTo(value, 12)));
    expect(dG).toEqual([-1, 1, 1, -1].map((value) => expect.closeTo(value, 12)));
  });

  it('makes the first Adam step one learning rate long', () => {
    const one = (value: number): [Shape, number[]] => [[1], [value]];
    const attrs = { beta1: 0.9, beta2: 0.999, eps: 0, weightDecay: 0, decoupled: false };
    const [p] = run('adam', [one(1), one(-4), one(0), one(0), one(0.1), one(0)], [[1], [1], [1]], attrs);
    expect(p![0]).toBeCloseTo(1.1, 12);
  });

  it('gives unchanged pixels when nothing is drawn', () => {
    const pixels = Array.from({ length: 2 * 3 * 4 }, (_, i) => i * 10);
    const attrs = { seed: 1, shuffle: false, count: 2, mean: [0], std: [1], variants: '', flip: false, rotate: 0 };
    const still = { ...attrs, scaleMin: 1, scaleMax: 1, shift: 0, noise: 0 };
    const inputs: [Shape, number[]][] = [
      [[2, 3, 4, 1], pixels],
      [[2], [5, 6]],
      [[1], [1]],
    ];
    const [x, y] = run('datasetBatch', inputs, [[1, 3, 4, 1], [1]], still);
    expect(y).toEqual([6]);
    expect(x).toEqual(pixels.slice(12).map((value) => expect.closeTo(value / 255, 12)));
    const flipped = run('datasetBatch', inputs, [[1, 3, 4, 1], [1]], { ...still, variants: 'identity,flip', count: 1 });
    expect(flipped[0]!.slice(0, 4)).toEqual([30, 20, 10, 0].map((value) => expect.closeTo(value / 255, 12)));
  });

  it('turns counter-clockwise as seen', () => {
    // A bright pixel right of the centre goes up and right-of-centre at +45 degrees, so the top right brightens.
    const pixels = [0, 0, 0, 0, 0, 255, 0, 0, 0];
    const attrs = {
      seed: 1,
      shuffle: false,
      count: 1,
      mean: [0],
      std: [1],
      variants: 'rotate+45',
      flip: false,
      rotate: 0,
    };
    const inputs: [Shape, number[]][] = [
      [[1, 3, 3, 1], pixels],
      [[1], [0]],
      [[1], [0]],
    ];
    const [x] = run('datasetBatch', inputs, [[1, 3, 3, 1], [1]], {
      ...attrs,
      scaleMin: 1,
      scaleMax: 1,
      shift: 0,
      noise: 0,
    });
    expect(x![2]).toBeGreaterThan(0.9);
    expect(x![8]).toBeLessThan(0.1);
  });
});

describe('ReferenceSession', () => {
  it('runs in append order and writes persistent tensors in place', () => {
    const graph = new Graph();
    const step = graph.state('step', [1], 'i32', 5);
    graph.appendUpdate('increment', [step], [step]);
    const [after] = graph.append('affine', [step], [{ shape: [1] }], { scale: 2, offset: 0 });
    graph.appendUpdate('increment', [step], [step]);
    const session = new ReferenceSession(graph);
    expect(session.step().get(after!.id)!.data[0]).toBe(12);
    expect(session.read('step')[0]).toBe(7);
    session.write('step', [0]);
    expect(session.step().get(after!.id)!.data[0]).toBe(2);
  });

  it('refuses an unfed input and a feed of the wrong size', () => {
    const graph = new Graph();
    graph.input('x', [2, 2]);
    const session = new ReferenceSession(graph);
    expect(() => session.step()).toThrow('"x" is not fed');
    expect(() => session.step({ x: [1, 2, 3] })).toThrow('has 3 values');
    expect(count([2, 2])).toBe(4);
  });
});
