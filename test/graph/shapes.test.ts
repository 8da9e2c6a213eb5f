// The shape rules by value: each row is a call and the shapes it must give. Errors are in errors.test.ts, properties
// over random shapes in properties.test.ts.
import { describe, expect, it } from 'vitest';
import { Graph, type Shape, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

type F = (...shape: number[]) => Tensor;
type Row = [name: string, call: (f: F, graph: Graph) => Tensor, shape: Shape, attrs?: Record<string, unknown>];

const conv = (f: F, x: number[], w: number[], options?: ops.ConvOptions): Tensor =>
  ops.conv2d(f(...x), f(...w), options);
const pads = (top: number, bottom: number, left: number, right: number): Record<string, number> => ({
  padTop: top,
  padBottom: bottom,
  padLeft: left,
  padRight: right,
});

const rows: readonly Row[] = [
  ['add with itself', (f) => ops.add(f(2, 3), f(2, 3)), [2, 3]],
  ['add broadcasts both ways', (f) => ops.add(f(2, 1, 4), f(3, 1)), [2, 3, 4]],
  ['sub of a vector', (f) => ops.sub(f(4), f(5, 4)), [5, 4]],
  ['div by a scalar', (f) => ops.div(f(5, 4), f(1)), [5, 4]],
  ['bias', (f) => ops.bias(f(2, 6, 6, 3), f(3)), [2, 6, 6, 3]],
  ['channelScale per sample', (f) => ops.channelScale(f(2, 6, 6, 3), f(2, 3)), [2, 6, 6, 3]],
  ['fill', (_, graph) => ops.fill(graph, [2, 3], 1), [2, 3], { value: 1 }],
  ['affine defaults', (f) => ops.affine(f(3)), [3], { scale: 1, offset: 0 }],
  ['leakyRelu default', (f) => ops.leakyRelu(f(3)), [3], { alpha: 0.01 }],
  ['elu default', (f) => ops.elu(f(3)), [3], { alpha: 1 }],
  ['activation passes alpha', (f) => ops.activation(f(3), 'leakyRelu', 0.3), [3], { alpha: 0.3 }],
  ['reshape', (f) => ops.reshape(f(4, 6), [3, 8]), [3, 8]],
  ['reshape works out -1', (f) => ops.reshape(f(4, 6), [2, -1, 3]), [2, 4, 3]],
  ['flatten', (f) => ops.flatten(f(2, 3, 4, 5)), [2, 60]],
  ['flatten of a vector', (f) => ops.flatten(f(7)), [7, 1]],
  ['transpose', (f) => ops.transpose(f(2, 3, 4), [2, 0, 1]), [4, 2, 3], { perm: [2, 0, 1] }],
  ['concat on the last axis', (f) => ops.concat([f(2, 3), f(2, 4), f(2, 1)]), [2, 8], { axis: 1 }],
  ['concat on the first', (f) => ops.concat([f(2, 3), f(5, 3)], { axis: 0 }), [7, 3], { axis: 0 }],
  ['concat from the end', (f) => ops.concat([f(2, 3, 1), f(2, 5, 1)], { axis: -2 }), [2, 8, 1], { axis: 1 }],
  ['slice', (f) => ops.slice(f(4, 5), [1, 2], [2, 3]), [2, 3], { begin: [1, 2], size: [2, 3] }],
  ['slice to the end', (f) => ops.slice(f(4, 5), [1, 2], [-1, 1]), [3, 1], { begin: [1, 2], size: [3, 1] }],
  ['pad', (f) => ops.pad(f(2, 3), [1, 0], [0, 4]), [3, 7], { before: [1, 0], after: [0, 4], value: 0 }],
  ['broadcastTo', (f) => ops.broadcastTo(f(3, 1), [2, 3, 4]), [2, 3, 4]],
  ['gather', (f, g) => ops.gather(f(2, 9, 3), g.input('index', [2, 4], 'i32')), [2, 4, 3]],
  ['topK', (f) => ops.topK(f(2, 9, 3), { k: 4 }), [2, 4], { k: 4 }],
  ['reduceSum of all', (f) => ops.reduceSum(f(2, 3)), [1], { axes: [0, 1], keepDims: false }],
  [
    'reduceSum of all, kept',
    (f) => ops.reduceSum(f(2, 3), { keepDims: true }),
    [1, 1],
    { axes: [0, 1], keepDims: true },
  ],
  [
    'reduceMean sorts axes',
    (f) => ops.reduceMean(f(2, 3, 4), { axes: [-1, 0] }),
    [3],
    { axes: [0, 2], keepDims: false },
  ],
  ['reduceMax of one axis', (f) => ops.reduceMax(f(2, 3, 4), { axes: 1 }), [2, 4], { axes: [1], keepDims: false }],
  ['globalAvgPool', (f) => ops.globalAvgPool(f(2, 5, 6, 3)), [2, 3], { axes: [1, 2], keepDims: false }],
  ['moments', (f) => ops.moments(f(2, 5, 6, 3)).variance, [3]],
  ['matmul', (f) => ops.matmul(f(2, 3), f(3, 4)), [2, 4], { transA: false, transB: false }],
  ['matmul A transposed', (f) => ops.matmul(f(3, 2), f(3, 4), { transA: true }), [2, 4]],
  ['matmul B transposed', (f) => ops.matmul(f(2, 3), f(4, 3), { transB: true }), [2, 4]],
  ['matmul both', (f) => ops.matmul(f(3, 2), f(4, 3), { transA: true, transB: true }), [2, 4]],
  ['dense', (f) => ops.dense(f(8, 3), f(3, 7), f(7)), [8, 7]],
  ['conv2d default is same', (f) => conv(f, [8, 48, 48, 1], [3, 3, 1, 32]), [8, 48, 48, 32], pads(1, 1, 1, 1)],
  ['conv2d valid', (f) => conv(f, [1, 7, 8, 2], [3, 3, 2, 4], { padding: 'valid' }), [1, 5, 6, 4], pads(0, 0, 0, 0)],
  ['conv2d same pads the end', (f) => conv(f, [1, 4, 4, 1], [2, 2, 1, 1]), [1, 4, 4, 1], pads(0, 1, 0, 1)],
  [
    'conv2d same, stride 2, even',
    (f) => conv(f, [1, 48, 48, 1], [3, 3, 1, 1], { stride: 2 }),
    [1, 24, 24, 1],
    pads(0, 1, 0, 1),
  ],
  [
    'conv2d same, stride 2, odd',
    (f) => conv(f, [1, 7, 7, 1], [3, 3, 1, 1], { stride: 2 }),
    [1, 4, 4, 1],
    pads(1, 1, 1, 1),
  ],
  [
    'conv2d same, stride over kernel',
    (f) => conv(f, [1, 5, 5, 1], [1, 1, 1, 1], { stride: 3 }),
    [1, 2, 2, 1],
    pads(0, 0, 0, 0),
  ],
  ['conv2d same, dilated', (f) => conv(f, [1, 9, 9, 1], [3, 3, 1, 1], { dilation: 3 }), [1, 9, 9, 1], pads(3, 3, 3, 3)],
  [
    'conv2d explicit padding',
    (f) => conv(f, [1, 5, 5, 1], [3, 3, 1, 2], { padding: { top: 2, bottom: 0, left: 1, right: 3 } }),
    [1, 5, 7, 2],
    pads(2, 0, 1, 3),
  ],
  [
    'conv2d pairs',
    (f) => conv(f, [1, 9, 9, 1], [3, 2, 1, 1], { stride: [1, 2], dilation: [2, 1], padding: 'valid' }),
    [1, 5, 4, 1],
    { strideH: 1, strideW: 2, dilationH: 2, dilationW: 1, groups: 1 },
  ],
  ['conv2d groups', (f) => conv(f, [1, 5, 5, 6], [3, 3, 2, 9], { groups: 3 }), [1, 5, 5, 9], { groups: 3 }],
  ['depthwiseConv2d', (f) => ops.depthwiseConv2d(f(1, 5, 5, 6), f(3, 3, 1, 6)), [1, 5, 5, 6], { groups: 6 }],
  ['depthwiseConv2d twofold', (f) => ops.depthwiseConv2d(f(1, 5, 5, 6), f(3, 3, 1, 12)), [1, 5, 5, 12], { groups: 6 }],
  ['maxPool', (f) => ops.maxPool(f(2, 6, 7, 3), { kernel: 2 }), [2, 3, 3, 3], { strideH: 2, strideW: 2 }],
  [
    'maxPool same',
    (f) => ops.maxPool(f(2, 7, 7, 3), { kernel: 3, stride: 2, padding: 'same' }),
    [2, 4, 4, 3],
    pads(1, 1, 1, 1),
  ],
  ['avgPool pair', (f) => ops.avgPool(f(2, 6, 6, 3), { kernel: [2, 3] }), [2, 3, 2, 3], { strideH: 2, strideW: 3 }],
  ['resize', (f) => ops.resize(f(2, 6, 6, 3), [12, 5]), [2, 12, 5, 3], { mode: 'bilinear', coordinates: 'halfPixel' }],
  ['softmax', (f) => ops.softmax(f(2, 7)), [2, 7]],
  ['crossEntropy', (f, g) => ops.crossEntropy(f(4, 7), g.input('l', [4], 'i32')), [1], { labelSmoothing: 0 }],
  ['accuracy', (f, g) => ops.accuracy(f(4, 7), g.input('l', [4], 'i32')), [1]],
  ['rowNormalize', (f) => ops.rowNormalize(f(4, 7)), [4, 7], { eps: 1e-8 }],
  ['gram', (f) => ops.gram(f(4, 7)), [4, 4], { center: true }],
  ['kernelMatrix', (f) => ops.kernelMatrix(f(4, 4), { features: 7 }).kernel, [4, 4], { kernel: 'gaussian', sigma: 0 }],
  ['kernelMatrix sigma', (f) => ops.kernelMatrix(f(4, 4), { features: 7, sigma: 2 }).sigma, [1], { sigma: 2 }],
  ['labelKernel', (_, g) => ops.labelKernel(g.input('l', [4], 'i32')), [4, 4]],
  ['hsicNormalize', (f) => ops.hsicNormalize(f(4, 4)), [4, 4], { eps: 1e-5 }],
  [
    'schedule',
    (_, g) => ops.schedule(g.state('step', [1], 'i32'), { base: 0.1 }),
    [1],
    { kind: 'constant', base: 0.1 },
  ],
];

function source(): { graph: Graph; f: F } {
  const graph = new Graph();
  let count = 0;
  return { graph, f: (...shape) => graph.input(`x${count++}`, shape) };
}

describe('shape rules', () => {
  it.each(rows)('%s', (_name, call, shape, attrs) => {
    const { graph, f } = source();
    const y = call(f, graph);
    expect(y.shape).toEqual(shape);
    if (attrs) expect(graph.producer(y)?.attrs).toMatchObject(attrs);
  });

  it('gives every op an f32 result but for indices and labels', () => {
    const { graph, f } = source();
    const x = f(2, 4, 4, 3);
    const pooled = ops.maxPool(x, { kernel: 2 });
    expect(graph.nodes[0]?.outputs.map((id) => graph.tensor(id).dtype)).toEqual(['f32', 'i32']);
    expect(pooled.dtype).toBe('f32');
    expect(ops.topK(f(2, 4, 3), { k: 1 }).dtype).toBe('i32');
    const images = graph.input('images', [10, 8, 8, 3], 'u8');
    const labels = graph.input('labels', [10], 'i32');
    const step = graph.state('step', [1], 'i32');
    const batch = ops.datasetBatch(images, labels, step, { batch: 4, size: [6, 5], variants: ['flip', 'noise'] });
    expect([batch.x.shape, batch.x.dtype]).toEqual([[4, 6, 5, 3], 'f32']);
    expect([batch.labels.shape, batch.labels.dtype]).toEqual([[4], 'i32']);
    expect(graph.producer(batch.x)?.attrs).toMatchObject({ count: 10, variants: 'flip,noise', mean: [0], std: [1] });
  });

  it('appends nothing where nothing changes', () => {
    const { graph, f } = source();
    const x = f(2, 3);
    expect(ops.concat([x])).toBe(x);
    expect(ops.reshape(x, [2, -1])).toBe(x);
    expect(ops.broadcastTo(x, [2, 3])).toBe(x);
    expect(ops.activation(x, 'none')).toBe(x);
    expect(graph.nodes).toEqual([]);
  });

  it('gives each dropout of a graph its own stream', () => {
    const { graph, f } = source();
    const step = graph.state('step', [1], 'i32');
    const x = f(2, 3);
    const masked = [1, 2, 3].map((seed) => ops.dropout(x, step, { rate: 0.5, seed }));
    expect(masked.map((y) => graph.producer(y)?.attrs)).toEqual([
      { rate: 0.5, seed: 1, node: 0 },
      { rate: 0.5, seed: 2, node: 1 },
      { rate: 0.5, seed: 3, node: 2 },
    ]);
  });

  it("takes the activation's own alpha in batchNorm", () => {
    const { graph, f } = source();
    const x = f(4, 3);
    const vectors = { ...ops.moments(x), gamma: f(3), beta: f(3) };
    const alphas = ops.ACTIVATIONS.map((activation) => {
      return graph.producer(ops.batchNorm(x, { ...vectors, activation }))?.attrs.alpha;
    });
    expect(alphas).toEqual([0, 0, 0.01, 1, 0, 0]);
  });

  it('takes training from the graph unless told', () => {
    const graph = new Graph({ training: false });
    const x = graph.input('x', [4, 3]);
    const [mean, variance, gamma, beta] = ['m', 'v', 'g', 'b'].map((name) => graph.input(name, [3]));
    const vectors = { mean: mean!, variance: variance!, gamma: gamma!, beta: beta! };
    expect(graph.producer(ops.batchNorm(x, vectors))?.attrs.training).toBe(false);
    expect(graph.producer(ops.batchNorm(x, { ...vectors, training: true }))?.attrs.training).toBe(true);
  });
});
