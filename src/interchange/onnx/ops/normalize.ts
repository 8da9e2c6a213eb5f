// Normalisations for inference. Called through ops/index.ts. The rule easy to break: batch normalisation's mean and variance are
// states of the model and not parameters; gain and offset are.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { countOf } from '../../tensors';
import { broadcasting } from '../broadcast';
import { room } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { type Computed, channelsLast, computed, plainOrder, type Value } from '../values';
import { powerOf, reciprocal } from './elementwise';
import { reshaped } from './movement';
import { along, mean } from './reduce';

/** One number for each channel. */
function perChannel(node: OnnxNode, index: number, channels: number, role: 'param' | 'state'): Tensor {
  const value = node.value(index);
  if (value.shape.length !== 1 || value.shape[0] !== channels) {
    node.fail(`its input ${index} is [${value.shape.join(', ')}] for ${channels} channels`);
  }
  return node.ordered(value, [0], role);
}

function batchNormalization(node: OnnxNode): readonly (Value | undefined)[] {
  const x = node.computed(0);
  const rank = x.shape.length;
  if (rank < 2) node.fail(`its input is [${x.shape.join(', ')}], expected a batch of channels`);
  const channels = x.shape[1]!;
  const order = channelsLast(rank);
  const tensor = node.ordered(x, order);
  const running = { mean: perChannel(node, 3, channels, 'state'), variance: perChannel(node, 4, channels, 'state') };
  const training = node.int('training_mode', 0) !== 0;
  if (!training && [1, 2, 3, 4].some(node.wants)) node.fail('its running statistics are read, which only training has');
  const batch = training ? ops.moments(tensor) : running;
  const y = ops.batchNorm(tensor, {
    ...batch,
    gamma: perChannel(node, 1, channels, 'param'),
    beta: perChannel(node, 2, channels, 'param'),
    eps: Math.max(node.float('epsilon', 1e-5), 1e-12),
    training: false,
  });
  const made = computed(y, x.type, x.shape, order);
  if (!training) return [made];
  const momentum = node.float('momentum', 0.9);
  const blend = (old: Tensor, now: Tensor): Value =>
    computed(ops.add(ops.affine(old, { scale: momentum }), ops.affine(now, { scale: 1 - momentum })), x.type, [
      channels,
    ]);
  return [made, blend(running.mean, batch.mean), blend(running.variance, batch.variance)];
}

interface Normalized {
  readonly y: Computed;
  readonly mean: Computed;
  readonly inverse: Computed;
}

/** (x - mean) / sqrt(variance + eps) over axes. */
function standardized(x: Computed, axes: readonly number[], eps: number): Normalized {
  const centre = along(x, axes, mean);
  const distance = computed(ops.sub(x.tensor, centre.tensor), x.type, x.shape, x.order);
  const variance = along(computed(ops.square(distance.tensor), x.type, x.shape, x.order), axes, mean);
  const tensor = reciprocal(ops.sqrt(ops.affine(variance.tensor, { offset: eps })));
  const inverse = computed(tensor, x.type, centre.shape, x.order);
  return { y: computed(ops.mul(distance.tensor, tensor), x.type, x.shape, x.order), mean: centre, inverse };
}

/** A vector of channels as [C,1,...], which broadcasts over an input of that rank. */
function overChannels(node: OnnxNode, value: Value, rank: number): Value {
  const shape = [value.shape[0] ?? 1, ...Array<number>(rank - 2).fill(1)];
  if (value.kind === 'constant') return { ...value, shape };
  return computed(ops.reshape(node.plain(value), shape), value.type, shape);
}

function scaled(node: OnnxNode, y: Computed, gain: Value | undefined, offset: Value | undefined): Computed {
  const times = gain ? broadcasting(node, [y, gain], ops.mul, { weights: true }) : y;
  return offset ? broadcasting(node, [times, offset], ops.add, { weights: true }) : times;
}

function instanceNormalization(node: OnnxNode): Value {
  const x = node.computed(0);
  const rank = x.shape.length;
  if (rank < 3) node.fail(`its input is [${x.shape.join(', ')}], expected axes of space`);
  const { y } = standardized(x, plainOrder(rank).slice(2), node.float('epsilon', 1e-5));
  return scaled(node, y, overChannels(node, node.value(1), rank), overChannels(node, node.value(2), rank));
}

function groupNormalization(node: OnnxNode): Value {
  const x = node.computed(0);
  const [n, c] = x.shape as [number, number];
  const groups = node.int('num_groups', 1);
  if (x.shape.length < 3 || groups < 1 || c % groups !== 0)
    node.fail(`${groups} groups do not fit [${x.shape.join(', ')}]`);
  const rest = countOf(x.shape.slice(1)) / groups;
  const { y } = standardized(reshaped(node, x, [n, groups, rest]), [2], node.float('epsilon', 1e-5));
  const back = reshaped(node, y, x.shape);
  // Until version 21 there is a gain for each group.
  const spread = (value: Value): Value => {
    if (value.shape[0] === c) return overChannels(node, value, x.shape.length);
    const column = ops.broadcastTo(ops.reshape(node.plain(value), [groups, 1]), [groups, c / groups]);
    return overChannels(node, computed(ops.reshape(column, [c]), value.type, [c]), x.shape.length);
  };
  return scaled(node, back, spread(node.value(1)), spread(node.value(2)));
}

function layerNormalization(node: OnnxNode): readonly Value[] {
  const x = node.computed(0);
  const rank = x.shape.length;
  const axes = plainOrder(rank).slice(node.axis(node.int('axis', -1), rank));
  const made = standardized(x, axes, node.float('epsilon', 1e-5));
  return [scaled(node, made.y, node.value(1), node.inputs[2]), made.mean, made.inverse];
}

/** x / (bias + alpha / size * the sum of squares over neighbouring channels)^beta (Krizhevsky et al. 2012). */
function localResponse(node: OnnxNode): Value {
  const x = node.computed(0);
  const rank = x.shape.length;
  const channels = x.shape[1] ?? node.fail(`its input is [${x.shape.join(', ')}]`);
  const size = node.int('size', 1);
  const [alpha, beta, bias] = [node.float('alpha', 1e-4), node.float('beta', 0.75), node.float('bias', 1)];
  const [below, above] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const neighbours = Float32Array.from({ length: room([channels, channels]) }, (_, at) => {
    const distance = Math.floor(at / channels) - (at % channels);
    return Number(distance >= -below && distance <= above);
  });
  const order = channelsLast(rank);
  const tensor = node.ordered(x, order);
  const rows = ops.reshape(ops.square(tensor), [-1, channels]);
  const table = node.graph.constant('neighbours', [channels, channels], neighbours);
  const sums = ops.reshape(ops.matmul(rows, table), tensor.shape);
  const power = powerOf(ops.affine(sums, { scale: alpha / size, offset: bias }), -beta);
  return computed(ops.mul(tensor, power), x.type, x.shape, order);
}

export const normalizations: OperatorTable = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: layerNormalization,
  LRN: localResponse,
};
