// Resize and Upsample. Called through ops/index.ts. Whatever the mode, an axis is resized by a fixed table of weights (rows:
// where the result reads), so one matrix product for each axis covers nearest, linear and cubic and every rule for
// coordinates; where the engine's own resize has the same rule, that is taken.
// The rule easy to break: with `scales` the coordinates follow the scale that was given, not the ratio of the sizes.
import * as ops from '../../../graph/ops';
import { iota } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { type Computed, channelsLast, computed, physicalShape, type Value } from '../values';
import { taken } from './movement';

interface Rule {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubic: number;
  readonly excludeOutside: boolean;
  readonly outside: number;
}

interface Axis {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** Part of the axis that tf_crop_and_resize reads. */
  readonly crop: readonly [number, number];
}

function ruleOf(node: OnnxNode): Rule {
  const old = node.opset < 11;
  const mode = node.text('mode', 'nearest');
  const coordinates = node.text('coordinate_transformation_mode', old ? 'asymmetric' : 'half_pixel');
  const nearest = node.text('nearest_mode', old ? 'floor' : 'round_prefer_floor');
  if (!['nearest', 'linear', 'cubic'].includes(mode)) node.fail(`its mode is ${JSON.stringify(mode)}`);
  if (!Object.hasOwn(COORDINATES, coordinates)) node.fail(`its coordinates are ${JSON.stringify(coordinates)}`);
  if (!Object.hasOwn(ROUND, nearest)) node.fail(`its nearest_mode is ${JSON.stringify(nearest)}`);
  if (node.int('antialias', 0) !== 0) node.fail('it is antialiased');
  return {
    mode,
    coordinates,
    nearest,
    cubic: node.float('cubic_coeff_a', -0.75),
    excludeOutside: node.int('exclude_outside', 0) !== 0,
    outside: node.float('extrapolation_value', 0),
  };
}

const COORDINATES: Readonly<Record<string, (at: number, axis: Axis) => number>> = {
  half_pixel: (at, { scale }) => (at + 0.5) / scale - 0.5,
  pytorch_half_pixel: (at, { scale, to }) => (to > 1 ? (at + 0.5) / scale - 0.5 : 0),
  asymmetric: (at, { scale }) => at / scale,
  align_corners: (at, { from, to }) => (to > 1 ? (at * (from - 1)) / (to - 1) : 0),
  tf_half_pixel_for_nn: (at, { scale }) => (at + 0.5) / scale,
  tf_crop_and_resize: (at, { from, to, crop: [begin, end] }) =>
    to > 1 ? begin * (from - 1) + (at * (end - begin) * (from - 1)) / (to - 1) : 0.5 * (begin + end) * (from - 1),
};

const ROUND: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Weights of the four neighbours of a place `t` behind the second (Keys 1981). */
function cubicWeights(t: number, a: number): number[] {
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** What the result's cell reads: places in the axis and their weights; none where it lies outside a crop. */
function readsOf(at: number, axis: Axis, rule: Rule): { place: number; weight: number }[] | undefined {
  const x = (COORDINATES[rule.coordinates] as (at: number, axis: Axis) => number)(at, axis);
  const inside = (place: number): number => Math.min(axis.from - 1, Math.max(0, place));
  if (rule.coordinates === 'tf_crop_and_resize' && (x < 0 || x > axis.from - 1)) return undefined;
  if (rule.mode === 'nearest') {
    return [{ place: inside((ROUND[rule.nearest] as (x: number) => number)(x)), weight: 1 }];
  }
  const floor = Math.floor(x);
  const t = x - floor;
  const weights = rule.mode === 'linear' ? [1 - t, t] : cubicWeights(t, rule.cubic);
  const first = rule.mode === 'linear' ? floor : floor - 1;
  const taps = weights.map((weight, index) => ({ place: first + index, weight }));
  if (!rule.excludeOutside) return taps.map(({ place, weight }) => ({ place: inside(place), weight }));
  const kept = taps.filter(({ place }) => place >= 0 && place < axis.from);
  const sum = kept.reduce((total, { weight }) => total + weight, 0);
  return kept.map(({ place, weight }) => ({ place, weight: weight / sum }));
}

/** One axis by a table [from, to]. */
function resizedAxis(node: OnnxNode, x: Computed, axis: number, size: Axis, rule: Rule): Computed {
  const reads = iota(size.to).map((at) => readsOf(at, size, rule));
  const plain = reads.every((one) => one?.length === 1 && one[0]!.weight === 1);
  if (plain)
    return taken(
      x,
      axis,
      reads.map((one) => one![0]!.place),
    );
  if (size.from * size.to > 2 ** 24) node.fail(`an axis of ${size.from} as ${size.to} needs too large a table`);
  const table = new Float32Array(size.from * size.to);
  const empty = new Float32Array(size.to);
  reads.forEach((one, at) => {
    if (one === undefined) empty[at] = rule.outside;
    for (const { place, weight } of one ?? []) table[place * size.to + at]! += weight;
  });
  const order = [...x.order.filter((one) => one !== axis), axis];
  const rows = ops.reshape(node.ordered(x, order), [-1, size.from]);
  const made = ops.matmul(rows, node.graph.constant('weights', [size.from, size.to], table));
  const shape = x.shape.map((extent, one) => (one === axis ? size.to : extent));
  const y = computed(ops.reshape(made, physicalShape(shape, order)), x.type, shape, order);
  if (reads.every((one) => one !== undefined)) return y;
  // Cells outside a crop have one value, whatever the other axes gave.
  const keep = Float32Array.from(reads, (one) => Number(one !== undefined));
  const masked = ops.mul(y.tensor, node.graph.constant('inside', [size.to], keep));
  return computed(ops.add(masked, node.graph.constant('outside', [size.to], empty)), x.type, shape, order);
}

/** Names of the engine's rules for what it has itself. */
function ownRule({ mode, coordinates, nearest, excludeOutside }: Rule): ops.ResizeOptions | undefined {
  if (mode === 'cubic' || excludeOutside) return undefined;
  const own = ({ half_pixel: 'halfPixel', align_corners: 'aligned', asymmetric: 'asymmetric' } as const)[
    coordinates as 'half_pixel'
  ] as ops.ResizeOptions['coordinates'] | undefined;
  if (own === undefined) return undefined;
  if (mode === 'linear') return { mode: 'bilinear', coordinates: own };
  const rounding = { halfPixel: 'round_prefer_floor', aligned: 'round_prefer_ceil', asymmetric: 'floor' }[own];
  return rounding === nearest ? { mode: 'nearest', coordinates: own } : undefined;
}

function resized(node: OnnxNode, x: Computed, axes: readonly Axis[], rule: Rule): Computed {
  const changed = iota(x.shape.length).filter((axis) => axes[axis]!.to !== axes[axis]!.from || !isWhole(axes[axis]!));
  const own = ownRule(rule);
  const image = x.shape.length === 4 && changed.every((axis) => axis > 1) && changed.length > 0;
  if (own && image && axes.every(({ from, to, scale }) => Math.abs(to / from - scale) < 1e-7 * scale)) {
    const order = channelsLast(4);
    const tensor = ops.resize(node.ordered(x, order), [axes[2]!.to, axes[3]!.to], own);
    return computed(tensor, x.type, [...x.shape.slice(0, 2), axes[2]!.to, axes[3]!.to], order);
  }
  return changed.reduce((all, axis) => resizedAxis(node, all, axis, axes[axis]!, rule), x);
}

/** Whether an axis is read from end to end. */
const isWhole = ({ scale, crop }: Axis): boolean => scale === 1 && crop[0] === 0 && crop[1] === 1;

/** Scales or sizes of all axes, from inputs or, of Upsample, from attributes. */
function axesOf(node: OnnxNode, x: Computed, rule: Rule): Axis[] {
  const rank = x.shape.length;
  const input = node.op === 'Upsample' ? 1 : node.opset < 11 ? 1 : 2;
  const asked = (node.ints('axes') ?? iota(rank)).map((axis) => node.axis(axis, rank));
  const spread = (list: readonly number[], fallback: (axis: number) => number): number[] => {
    if (list.length !== asked.length) node.fail(`it has ${list.length} scales or sizes for ${asked.length} axes`);
    return iota(rank).map((axis) => (asked.includes(axis) ? list[asked.indexOf(axis)]! : fallback(axis)));
  };
  const given = node.floats('scales') ?? (node.inputs[input] ? Array.from(node.constant(input, 'scales').data) : []);
  const crops = rule.coordinates === 'tf_crop_and_resize' ? Array.from(node.constant(1, 'roi').data) : [];
  const crop = (axis: number): readonly [number, number] => {
    const at = asked.indexOf(axis);
    return crops.length === 0 || at < 0 ? [0, 1] : [crops[at]!, crops[at + asked.length]!];
  };
  const policy = node.text('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') node.fail(`its keep_aspect_ratio_policy is ${JSON.stringify(policy)}`);
  if (given.length > 0) {
    const scales = spread(given, () => 1);
    if (scales.some((scale) => !(scale > 0) || !Number.isFinite(scale)))
      node.fail(`its scales are [${scales.join(', ')}]`);
    return scales.map((scale, axis) => {
      const [begin, end] = crop(axis);
      const from = x.shape[axis]!;
      return { from, to: Math.floor(from * (end - begin) * scale), scale, crop: [begin, end] };
    });
  }
  const sizes = spread(node.integers(3, 'sizes'), (axis) => x.shape[axis]!);
  return sizes.map((to, axis) => ({ from: x.shape[axis]!, to, scale: to / x.shape[axis]!, crop: crop(axis) }));
}

function resize(node: OnnxNode): Value {
  const x = node.computed(0);
  const rule = ruleOf(node);
  const axes = axesOf(node, x, rule);
  if (axes.some(({ to }) => !Number.isInteger(to) || to < 1))
    node.fail(`its result is [${axes.map(({ to }) => to).join(', ')}]`);
  return resized(node, x, axes, rule);
}

export const resizes: OperatorTable = {
  Resize: resize,
  Upsample: resize,
};
