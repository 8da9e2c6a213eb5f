// Brings operands of different ranks and orders together, so that the engine broadcasts them as ONNX does. Called by the
// elementwise operators. The rule easy to break: ONNX aligns shapes at their last axes in ONNX's order, the engine in memory.
import type { Tensor } from '../../graph/graph';
import * as ops from '../../graph/ops';
import { broadcastShape } from './nd';
import type { OnnxNode } from './node';
import { arranged, type Computed, computed, physicalShape, plainOrder, type Value } from './values';

export interface Aligned {
  readonly tensors: readonly Tensor[];
  /** The broadcast shape, and the order in which the result lies. */
  readonly shape: readonly number[];
  readonly order: readonly number[];
}

/** The order that moves the least: that of the largest computed operand that has all the axes. */
function orderOf(values: readonly Value[], rank: number): readonly number[] {
  const size = ({ shape }: Value): number => shape.reduce((product, extent) => product * extent, 1);
  const full = values.filter((value): value is Computed => value.kind === 'computed' && value.shape.length === rank);
  return full.sort((a, b) => size(b) - size(a))[0]?.order ?? plainOrder(rank);
}

/** A constant's tensor without the leading axes of extent 1, which broadcasting adds by itself. */
function shortened(tensor: Tensor): Tensor {
  const first = tensor.shape.findIndex((extent) => extent > 1);
  return ops.reshape(tensor, first < 0 ? [1] : tensor.shape.slice(first));
}

/**
 * The operands, ready for an op of the engine that broadcasts.
 * @param weights whether initializers of more than one element are parameters.
 */
export function aligned(node: OnnxNode, values: readonly Value[], weights = false): Aligned {
  let shape: number[] | undefined = [];
  for (const value of values) shape = shape && broadcastShape(shape, value.shape);
  if (!shape)
    node.fail(`shapes ${values.map((value) => `[${value.shape.join(', ')}]`).join(' and ')} do not broadcast`);
  const rank = shape.length;
  const order = orderOf(values, rank);
  const tensors = values.map((value) => {
    const lead = rank - value.shape.length;
    // The order of its own axes, and its shape with those it lacks as extents of 1.
    const own = order.filter((axis) => axis >= lead).map((axis) => axis - lead);
    const whole = [...Array<number>(lead).fill(1), ...value.shape];
    if (value.kind === 'constant') {
      const many = value.data.length > 1 && weights;
      const tensor = node.translation.tensorOf(value, own, many ? 'param' : 'const');
      return shortened(ops.reshape(tensor, physicalShape(whole, order)));
    }
    return ops.reshape(arranged(value, own), physicalShape(whole, order));
  });
  return { tensors, shape, order };
}

/** f of aligned operands, with the first one's type unless told. */
export function broadcasting(
  node: OnnxNode,
  values: readonly Value[],
  f: (...tensors: Tensor[]) => Tensor,
  { type = values[0]!.type, weights = false }: { type?: Value['type']; weights?: boolean } = {},
): Computed {
  const { tensors, shape, order } = aligned(node, values, weights);
  return computed(f(...tensors), type, shape, order);
}
