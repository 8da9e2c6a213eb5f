// The ops of an inference graph as ONNX operators. Called by export.ts. The rule easy to break: axes of a tensor in
// 'channelsFirst' are renumbered, and the first extent of a shape is never written, since it may be the batch.
import { ArgumentError } from '../../errors';
import type { Node } from '../../graph/graph';
import type { AttributeIn } from './write';
import { attr, type Exporter, inLayout, type Layout, type OnnxWriter } from './writer';

const ALPHA_OPS: Readonly<Record<string, string>> = { leakyRelu: 'LeakyRelu', elu: 'Elu' };
const ACTIVATIONS: Readonly<Record<string, string>> = { relu: 'Relu', tanh: 'Tanh', sigmoid: 'Sigmoid', ...ALPHA_OPS };
/** Where axes of NHWC stand in NCHW. */
const AXES = [0, 2, 3, 1];

const rankOf = (writer: OnnxWriter, id: number): number => writer.info(id).shape.length;
const placed = (axis: number, rank: number, layout: Layout): number =>
  layout === 'channelsFirst' && rank === 4 ? AXES[axis]! : axis;

/** 'channelsFirst' where an operand of rank 4 is there that way already. */
function layoutOf(writer: OnnxWriter, node: Node): Layout {
  const images = node.inputs.filter((id) => rankOf(writer, id) === 4 && !writer.isWeight(id));
  return images.some((id) => writer.has(id, 'channelsFirst')) ? 'channelsFirst' : 'plain';
}

/** One input, one output, in whichever layout the input is there. */
const unary =
  (op: string, attributes: (node: Node) => Readonly<Record<string, AttributeIn>> = () => ({})): Exporter =>
  (writer, node) => {
    const layout = layoutOf(writer, node);
    const x = writer.input(node.inputs[0]!, layout);
    writer.emit(op, [x], [writer.output(node.outputs[0]!, layout)], attributes(node));
  };

const alpha = (node: Node): Readonly<Record<string, AttributeIn>> => ({
  alpha: { float: attr<number>(node, 'alpha') },
});

/** An operand of a broadcasting op as it lines up in that layout: vectors of channels become [C,1,1] beside images. */
function operand(writer: OnnxWriter, id: number, rank: number, layout: Layout): string {
  const { shape } = writer.info(id);
  if (layout === 'plain' || rank !== 4 || shape.length === 4) return writer.input(id, layout);
  const whole = [...Array<number>(4 - shape.length).fill(1), ...shape];
  const wanted = inLayout(whole, 'channelsFirst');
  const made = writer.fresh(`${writer.info(id).name}:column`);
  if (whole.slice(1, 3).some((extent) => extent > 1) && whole[3]! > 1) {
    const four = writer.fresh(`${writer.info(id).name}:image`);
    writer.emit('Reshape', [writer.input(id), writer.constant(whole, 'int64')], [four]);
    writer.emit('Transpose', [four], [made], { perm: { ints: [0, 3, 1, 2] } });
  } else writer.emit('Reshape', [writer.input(id), writer.constant(wanted, 'int64')], [made]);
  return made;
}

const binary =
  (op: string): Exporter =>
  (writer, node) => {
    const layout = layoutOf(writer, node);
    const rank = rankOf(writer, node.outputs[0]!);
    const inputs = node.inputs.map((id) => operand(writer, id, rank, layout));
    writer.emit(op, inputs, [writer.output(node.outputs[0]!, layout)]);
  };

/** scale * x + offset, without what changes nothing. */
const affine: Exporter = (writer, node) => {
  const layout = layoutOf(writer, node);
  const [scale, offset] = [attr<number>(node, 'scale'), attr<number>(node, 'offset')];
  let x = writer.input(node.inputs[0]!, layout);
  const steps = [
    ...(scale === 1 ? [] : [['Mul', scale] as const]),
    ...(offset === 0 ? [] : [['Add', offset] as const]),
  ];
  if (steps.length === 0) steps.push(['Mul', 1]);
  steps.forEach(([op, value], index) => {
    const last = index === steps.length - 1;
    const y = last ? writer.output(node.outputs[0]!, layout) : writer.fresh(`${node.name}:scaled`);
    writer.emit(op, [x, writer.constant([value], 'float32', [])], [y]);
    x = y;
  });
};

const batchNorm: Exporter = (writer, node) => {
  const [x, mean, variance, gamma, beta] = node.inputs as [number, number, number, number, number];
  if (attr<boolean>(node, 'training')) throw new ArgumentError(`[onnx] "${node.name}" normalises by its own batch`);
  const rank = rankOf(writer, x);
  if (rank !== 2 && rank !== 4) throw new ArgumentError(`[onnx] "${node.name}" normalises a tensor of rank ${rank}`);
  const activation = attr<string>(node, 'activation');
  const vectors = [gamma, beta, mean, variance].map((id) => writer.input(id));
  const inputs = [writer.input(x, 'channelsFirst'), ...vectors];
  const y = writer.output(node.outputs[0]!, 'channelsFirst');
  const normal = activation === 'none' ? y : writer.fresh(`${node.name}:normal`);
  writer.emit('BatchNormalization', inputs, [normal], { epsilon: { float: attr<number>(node, 'eps') } });
  if (activation === 'none') return;
  const attributes = Object.hasOwn(ALPHA_OPS, activation) ? alpha(node) : {};
  writer.emit(ACTIVATIONS[activation] as string, [normal], [y], attributes);
};

type Windows = Readonly<Record<string, number>>;

function pads({ padTop, padLeft, padBottom, padRight }: Windows): AttributeIn {
  return { ints: [padTop!, padLeft!, padBottom!, padRight!] };
}

/** A filter HWIO as ONNX wants it: [O, I, H, W] of a convolution, whose first two are exchanged for a transposed one. */
function filter(writer: OnnxWriter, id: number): string {
  const perm = [3, 2, 0, 1];
  if (writer.isWeight(id)) return writer.weight(id, perm);
  const made = writer.fresh(`${writer.info(id).name}:filter`);
  writer.emit('Transpose', [writer.input(id)], [made], { perm: { ints: perm } });
  return made;
}

const conv2d: Exporter = (writer, node) => {
  const a = node.attrs as Windows;
  const [x, w] = node.inputs as [number, number];
  const inputs = [writer.input(x, 'channelsFirst'), filter(writer, w)];
  writer.emit('Conv', inputs, [writer.output(node.outputs[0]!, 'channelsFirst')], {
    strides: { ints: [a.strideH!, a.strideW!] },
    pads: pads(a),
    dilations: { ints: [a.dilationH!, a.dilationW!] },
    group: { int: a.groups! },
  });
};

const convTranspose2d: Exporter = (writer, node) => {
  const a = node.attrs as Windows;
  const [x, w] = node.inputs as [number, number];
  const [, height, width] = writer.info(x).shape as [number, number, number, number];
  const [, outHeight, outWidth] = writer.info(node.outputs[0]!).shape as [number, number, number, number];
  const [kernelH, kernelW] = writer.info(w).shape as [number, number, number, number];
  const extra = (
    out: number,
    size: number,
    stride: number,
    kernel: number,
    dilation: number,
    padding: number,
  ): number => out - (stride * (size - 1) + dilation * (kernel - 1) + 1 - padding);
  const inputs = [writer.input(x, 'channelsFirst'), filter(writer, w)];
  writer.emit('ConvTranspose', inputs, [writer.output(node.outputs[0]!, 'channelsFirst')], {
    strides: { ints: [a.strideH!, a.strideW!] },
    pads: pads(a),
    dilations: { ints: [a.dilationH!, a.dilationW!] },
    group: { int: a.groups! },
    output_padding: {
      ints: [
        extra(outHeight, height, a.strideH!, kernelH, a.dilationH!, a.padTop! + a.padBottom!),
        extra(outWidth, width, a.strideW!, kernelW, a.dilationW!, a.padLeft! + a.padRight!),
      ],
    },
  });
};

const pool =
  (op: string): Exporter =>
  (writer, node) => {
    const a = node.attrs as Windows;
    const x = writer.input(node.inputs[0]!, 'channelsFirst');
    writer.emit(op, [x], [writer.output(node.outputs[0]!, 'channelsFirst')], {
      kernel_shape: { ints: [a.kernelH!, a.kernelW!] },
      strides: { ints: [a.strideH!, a.strideW!] },
      pads: pads(a),
    });
  };

/** Names of ONNX's rules for the engine's resize. */
const RESIZE = {
  halfPixel: ['half_pixel', 'round_prefer_floor'],
  aligned: ['align_corners', 'round_prefer_ceil'],
  asymmetric: ['asymmetric', 'floor'],
} as const;

const resize: Exporter = (writer, node) => {
  const [coordinates, nearest] = RESIZE[attr<keyof typeof RESIZE>(node, 'coordinates')];
  const [, height, width] = writer.info(node.outputs[0]!).shape as [number, number, number, number];
  const inputs = [writer.input(node.inputs[0]!, 'channelsFirst'), '', '', writer.constant([height, width], 'int64')];
  writer.emit('Resize', inputs, [writer.output(node.outputs[0]!, 'channelsFirst')], {
    axes: { ints: [2, 3] },
    mode: { text: attr<string>(node, 'mode') === 'nearest' ? 'nearest' : 'linear' },
    coordinate_transformation_mode: { text: coordinates },
    nearest_mode: { text: nearest },
  });
};

const concat: Exporter = (writer, node) => {
  const layout = layoutOf(writer, node);
  const axis = placed(attr<number>(node, 'axis'), rankOf(writer, node.outputs[0]!), layout);
  const inputs = node.inputs.map((id) => writer.input(id, layout));
  writer.emit('Concat', inputs, [writer.output(node.outputs[0]!, layout)], { axis: { int: axis } });
};

const reduce =
  (op: string): Exporter =>
  (writer, node) => {
    const [x, y] = [node.inputs[0]!, node.outputs[0]!];
    const axes = attr<readonly number[]>(node, 'axes');
    const keepDims = attr<boolean>(node, 'keepDims');
    const rank = rankOf(writer, x);
    const space = rank === 4 && axes.join() === '1,2';
    // Without its axes the rest must lie in order: over space it does either way.
    const layout = keepDims || space ? layoutOf(writer, node) : 'plain';
    const all = axes.length === rank && !keepDims;
    const made = all ? writer.fresh(`${node.name}:scalar`) : writer.output(y, layout);
    if (op === 'ReduceMean' && space && layout === 'channelsFirst') {
      const pooled = keepDims ? made : writer.fresh(`${node.name}:pooled`);
      writer.emit('GlobalAveragePool', [writer.input(x, layout)], [pooled]);
      if (!keepDims) writer.emit('Flatten', [pooled], [made], { axis: { int: 1 } });
      return;
    }
    const list = writer.constant(
      axes.map((axis) => placed(axis, rank, layout)),
      'int64',
    );
    writer.emit(op, [writer.input(x, layout), list], [made], { keepdims: { int: Number(keepDims) } });
    if (all) writer.emit('Reshape', [made, writer.constant([1], 'int64')], [writer.output(y)]);
  };

const matmul: Exporter = (writer, node) => {
  const inputs = node.inputs.map((id) => writer.input(id));
  const [transA, transB] = [attr<boolean>(node, 'transA'), attr<boolean>(node, 'transB')];
  const y = writer.output(node.outputs[0]!);
  if (!transA && !transB) writer.emit('MatMul', inputs, [y]);
  else writer.emit('Gemm', inputs, [y], { transA: { int: Number(transA) }, transB: { int: Number(transB) } });
};

const reshape: Exporter = (writer, node) => {
  const { shape } = writer.info(node.outputs[0]!);
  const inputs = [writer.input(node.inputs[0]!), writer.constant([-1, ...shape.slice(1)], 'int64')];
  writer.emit('Reshape', inputs, [writer.output(node.outputs[0]!)]);
};

const transpose: Exporter = (writer, node) => {
  const perm = { ints: attr<readonly number[]>(node, 'perm') };
  writer.emit('Transpose', [writer.input(node.inputs[0]!)], [writer.output(node.outputs[0]!)], { perm });
};

/** Only the axes that are cut, so that a whole batch stays whole. */
const slice: Exporter = (writer, node) => {
  const layout = layoutOf(writer, node);
  const { shape } = writer.info(node.inputs[0]!);
  const [begin, size] = [attr<readonly number[]>(node, 'begin'), attr<readonly number[]>(node, 'size')];
  const cut = shape.flatMap((extent, axis) => (size[axis] === extent ? [] : [axis]));
  const lists = [
    cut.map((axis) => begin[axis]!),
    cut.map((axis) => begin[axis]! + size[axis]!),
    cut.map((axis) => placed(axis, shape.length, layout)),
  ];
  const x = writer.input(node.inputs[0]!, layout);
  const y = writer.output(node.outputs[0]!, layout);
  if (cut.length === 0) writer.emit('Identity', [x], [y]);
  else writer.emit('Slice', [x, ...lists.map((list) => writer.constant(list, 'int64'))], [y]);
};

const pad: Exporter = (writer, node) => {
  const layout = layoutOf(writer, node);
  const sides = ['before', 'after'].flatMap((side) => inLayout(attr<readonly number[]>(node, side), layout));
  const value = writer.constant([attr<number>(node, 'value')], 'float32', []);
  const inputs = [writer.input(node.inputs[0]!, layout), writer.constant(sides, 'int64'), value];
  writer.emit('Pad', inputs, [writer.output(node.outputs[0]!, layout)], { mode: { text: 'constant' } });
};

/** An extent that stays is written as 1, which broadcasts to itself. */
const broadcastTo: Exporter = (writer, node) => {
  const { shape } = writer.info(node.outputs[0]!);
  const from = writer.info(node.inputs[0]!).shape;
  const lead = shape.length - from.length;
  const wanted = shape.map((extent, axis) => (axis >= lead && from[axis - lead] === extent ? 1 : extent));
  const inputs = [writer.input(node.inputs[0]!), writer.constant(wanted, 'int64')];
  writer.emit('Expand', inputs, [writer.output(node.outputs[0]!)]);
};

/** The k rows of largest norm, in ascending order of their places: the places are sorted by a second TopK. */
const topK: Exporter = (writer, node) => {
  const k = writer.constant([attr<number>(node, 'k')], 'int64');
  const [norms, found] = [writer.fresh(`${node.name}:norms`), writer.fresh(`${node.name}:found`)];
  const inputs = [writer.input(node.inputs[0]!), writer.constant([2], 'int64')];
  writer.emit('ReduceSumSquare', inputs, [norms], { keepdims: { int: 0 } });
  writer.emit('TopK', [norms, k], [writer.fresh(`${node.name}:values`), found], { axis: { int: 1 } });
  const order = { axis: { int: 1 }, largest: { int: 0 } };
  writer.emit('TopK', [found, k], [writer.output(node.outputs[0]!), writer.fresh(`${node.name}:places`)], order);
};

/** y[n,k] = x[n, index[n,k]] */
const gather: Exporter = (writer, node) => {
  const [x, index] = node.inputs as [number, number];
  const column = writer.fresh(`${node.name}:indices`);
  if (writer.isWeight(index)) throw new ArgumentError(`[onnx] "${node.name}" gathers by fixed indices`);
  writer.emit('Unsqueeze', [writer.input(index), writer.constant([2], 'int64')], [column]);
  const attributes = { batch_dims: { int: 1 } };
  writer.emit('GatherND', [writer.input(x), column], [writer.output(node.outputs[0]!)], attributes);
};

/** Along the last axis, which is the channels' of an image. */
const overChannels =
  (op: string): Exporter =>
  (writer, node) => {
    const layout = layoutOf(writer, node);
    const rank = rankOf(writer, node.inputs[0]!);
    const axis = { int: placed(rank - 1, rank, layout) };
    writer.emit(op, [writer.input(node.inputs[0]!, layout)], [writer.output(node.outputs[0]!, layout)], { axis });
  };

/** z / max(norm, eps) for each row. */
const rowNormalize: Exporter = (writer, node) => {
  const z = writer.input(node.inputs[0]!);
  const [norm, bounded] = [writer.fresh(`${node.name}:norm`), writer.fresh(`${node.name}:bounded`)];
  writer.emit('ReduceL2', [z, writer.constant([1], 'int64')], [norm], { keepdims: { int: 1 } });
  writer.emit('Max', [norm, writer.constant([attr<number>(node, 'eps')], 'float32', [])], [bounded]);
  writer.emit('Div', [z, bounded], [writer.output(node.outputs[0]!)]);
};

const square: Exporter = (writer, node) => {
  const layout = layoutOf(writer, node);
  const x = writer.input(node.inputs[0]!, layout);
  writer.emit('Mul', [x, x], [writer.output(node.outputs[0]!, layout)]);
};

const fill: Exporter = (writer, node) => {
  const { shape } = writer.info(node.outputs[0]!);
  const value = writer.constant([attr<number>(node, 'value')], 'float32', []);
  writer.emit('Expand', [value, writer.constant(shape, 'int64')], [writer.output(node.outputs[0]!)]);
};

export const exporters: Readonly<Record<string, Exporter>> = {
  relu: unary('Relu'),
  tanh: unary('Tanh'),
  sigmoid: unary('Sigmoid'),
  exp: unary('Exp'),
  log: unary('Log'),
  sqrt: unary('Sqrt'),
  abs: unary('Abs'),
  leakyRelu: unary('LeakyRelu', alpha),
  elu: unary('Elu', alpha),
  stopGradient: unary('Identity'),
  square,
  affine,
  add: binary('Add'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  div: binary('Div'),
  maximum: binary('Max'),
  minimum: binary('Min'),
  fill,
  reshape,
  transpose,
  concat,
  slice,
  pad,
  broadcastTo,
  topK,
  gather,
  reduceSum: reduce('ReduceSum'),
  reduceMean: reduce('ReduceMean'),
  reduceMax: reduce('ReduceMax'),
  matmul,
  conv2d,
  conv2dGradInput: convTranspose2d,
  batchNorm,
  rowNormalize,
  maxPool: pool('MaxPool'),
  avgPool: pool('AveragePool'),
  resize,
  softmax: overChannels('Softmax'),
  logSoftmax: overChannels('LogSoftmax'),
};
