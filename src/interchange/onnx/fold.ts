// Works out what is known while a model is imported: shape arithmetic, casts, masks, weights that are transposed. Called by
// model.ts before an operator is translated. The rule easy to break: whole numbers are exact here up to 2^53, so shapes are
// never rounded to float32; a division of integers drops the remainder.
import { countOf } from '../tensors';
import {
  combine,
  type Data,
  iota,
  join,
  map,
  type NdArray,
  permute,
  reduce,
  room,
  strided,
  stridesOf,
  take,
} from './nd';
import type { OnnxNode } from './node';
import {
  flattenShape,
  sliceIndices,
  splitLengths,
  squeezeAxes,
  targetShape,
  unsqueezeAxes,
  within,
} from './ops/movement';
import { reductionAxes } from './ops/reduce';
import { type ElementType, elementType, holds, isFloat, isInteger } from './types';
import { type Constant, plainOrder } from './values';

type Fold = (node: OnnxNode, inputs: readonly Constant[]) => Constant | readonly Constant[];

const numbers = (type: ElementType, shape: readonly number[], values: ArrayLike<number>): Constant => ({
  kind: 'constant',
  type,
  shape,
  data: type === 'float32' ? Float32Array.from(values) : Float64Array.from(values),
});

const made = (type: ElementType, array: NdArray): Constant => ({ kind: 'constant', type, ...array });

/** The same values under another shape; still the initializer it was. */
const shaped = ({ type, data, source }: Constant, shape: readonly number[]): Constant => ({
  kind: 'constant',
  type,
  shape,
  data,
  source,
});

function castData(node: OnnxNode, { type, shape, data, source }: Constant, to: ElementType): Constant {
  if (to === type) return { kind: 'constant', type, shape, data, source };
  const convert = (x: number): number => {
    if (to === 'bool') return Number(x !== 0);
    return isInteger(to) && !isInteger(type) ? Math.trunc(x) : x;
  };
  if (to === 'string' || to.startsWith('complex')) node.fail(`known values are not turned to ${to}`);
  const values = to === 'float32' ? new Float32Array(data.length) : new Float64Array(data.length);
  for (let index = 0; index < data.length; index += 1) values[index] = convert(data[index]!);
  return { kind: 'constant', type: to, shape, data: values, source: isFloat(to) && isFloat(type) ? source : undefined };
}

function binary(f: (a: number, b: number) => number, result?: ElementType): Fold {
  return (node, [a, b]) => {
    const array =
      combine(a!, b!, f) ?? node.fail(`[${a!.shape.join(', ')}] and [${b!.shape.join(', ')}] do not broadcast`);
    return made(result ?? a!.type, typed(array, result ?? a!.type));
  };
}

/** Storage of a type: only float32 is rounded to it. */
function typed({ shape, data }: NdArray, type: ElementType): NdArray {
  if ((type === 'float32') === data instanceof Float32Array) return { shape, data };
  return { shape, data: type === 'float32' ? Float32Array.from(data) : Float64Array.from(data) };
}

const unary =
  (f: (x: number) => number): Fold =>
  (_, [x]) =>
    made(x!.type, map(x!, f));

/** Folds any number of operands two by two. */
const variadic =
  (f: (a: number, b: number) => number): Fold =>
  (node, inputs) =>
    inputs.reduce((all, one) => binary(f)(node, [all, one]) as Constant);

function reduction(start: number, f: (sum: number, x: number) => number, mean = false): Fold {
  return (node, [x]) => {
    const axes = reductionAxes(node, x!.shape.length);
    const whole = reduce(x!, axes, start, f);
    const count = axes.reduce((product, axis) => product * x!.shape[axis]!, 1);
    const array = mean ? map(whole, (sum) => sum / count) : whole;
    const kept = node.int('keepdims', 1) !== 0;
    return made(x!.type, {
      ...array,
      shape: kept ? array.shape : array.shape.filter((_, axis) => !axes.includes(axis)),
    });
  };
}

const division: Fold = (node, inputs) => {
  const whole = isInteger(inputs[0]!.type);
  if (whole && inputs[1]!.data.includes(0)) node.fail('a known integer is divided by 0');
  return binary((a, b) => (whole ? Math.trunc(a / b) : a / b))(node, inputs);
};

/** The remainder has the divisor's sign, or with fmod the dividend's. */
const modulo: Fold = (node, inputs) => {
  const like = node.int('fmod', 0) !== 0;
  return binary((a, b) => (like ? a % b : a - Math.floor(a / b) * b))(node, inputs);
};

const where: Fold = (node, [condition, a, b]) => {
  const chosen = combine(condition!, a!, (c, x) => (c !== 0 ? x : 0));
  const rest = combine(condition!, b!, (c, x) => (c !== 0 ? 0 : x));
  const array = chosen && rest && combine(chosen, rest, (x, y) => x + y);
  return array ? made(a!.type, typed(array, a!.type)) : node.fail('its operands do not broadcast');
};

const gather: Fold = (node, [x, indices]) => {
  const axis = node.axis(node.int('axis', 0), x!.shape.length);
  const found = take(x!, axis, within(node, indices!.data, x!.shape[axis]!));
  const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
  return made(x!.type, { shape, data: found.data });
};

const slice: Fold = (node, [x]) =>
  made(
    x!.type,
    sliceIndices(node, x!.shape).reduce<NdArray>((all, { axis, indices }) => take(all, axis, indices), x!),
  );

const split: Fold = (node, [x]) => {
  const axis = node.axis(node.int('axis', 0), x!.shape.length);
  let begin = 0;
  return splitLengths(node, x!.shape[axis]!).map((length) => {
    const from = begin;
    begin += length;
    return made(
      x!.type,
      take(
        x!,
        axis,
        iota(length).map((index) => from + index),
      ),
    );
  });
};

const concat: Fold = (node, inputs) => {
  const [first] = inputs as readonly [Constant];
  const axis = node.axis(node.int('axis', 1), first.shape.length);
  const fits = inputs.every(
    ({ shape }) =>
      shape.length === first.shape.length && shape.every((one, at) => at === axis || one === first.shape[at]),
  );
  return fits ? made(first.type, join(inputs, axis)) : node.fail('its inputs do not join');
};

const transpose: Fold = (node, [x]) => {
  const rank = x!.shape.length;
  const perm = (node.ints('perm') ?? plainOrder(rank).reverse()).map((axis) => node.axis(axis, rank));
  if (node.axes(perm, rank).length !== rank) node.fail(`perm [${perm.join(', ')}] is no order of ${rank} axes`);
  return { ...made(x!.type, permute(x!, perm)), source: x!.source };
};

const expandTo: Fold = (node, [x, shape]) => {
  const asked = { shape: Array.from(shape!.data), data: x!.data };
  const ones: NdArray = { shape: asked.shape, data: new Float64Array(room(asked.shape)) };
  const whole = combine(ones, x!, (_, value) => value);
  return whole ? made(x!.type, typed(whole, x!.type)) : node.fail(`[${x!.shape.join(', ')}] does not broadcast`);
};

const tile: Fold = (node, [x, repeats]) => {
  if (repeats!.data.length !== x!.shape.length) node.fail('its repeats do not fit');
  return made(
    x!.type,
    Array.from(repeats!.data).reduce<NdArray>(
      (all, count, axis) =>
        take(
          all,
          axis,
          iota(room([count, all.shape[axis]!])).map((index) => index % all.shape[axis]!),
        ),
      x!,
    ),
  );
};

const nonZero: Fold = (_, [x]) => {
  const strides = stridesOf(x!.shape);
  const places = iota(x!.data.length).filter((index) => x!.data[index] !== 0);
  const rows = x!.shape.map((extent, axis) => places.map((place) => Math.floor(place / strides[axis]!) % extent));
  return numbers('int64', [x!.shape.length, places.length], rows.flat());
};

const range: Fold = (node, [start, limit, delta]) => {
  const [from, to, step] = [start!.data[0]!, limit!.data[0]!, delta!.data[0]!];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!Number.isFinite(count)) node.fail(`its range is ${from}, ${to}, ${step}`);
  return numbers(
    start!.type,
    [room([count])],
    iota(count).map((index) => from + index * step),
  );
};

const clip: Fold = (node, [x, least, most]) => {
  const low = least?.data[0] ?? node.float('min', Number.NEGATIVE_INFINITY);
  const high = most?.data[0] ?? node.float('max', Number.POSITIVE_INFINITY);
  return unary((value) => Math.min(high, Math.max(low, value)))(node, [x!]);
};

const FOLDS: Readonly<Record<string, Fold>> = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: division,
  Mod: modulo,
  Pow: binary((a, b) => a ** b),
  Min: variadic(Math.min),
  Max: variadic(Math.max),
  Sum: variadic((a, b) => a + b),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary(roundToEven),
  Sqrt: unary(Math.sqrt),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Reciprocal: unary((x) => 1 / x),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Tan: unary(Math.tan),
  Sign: unary(Math.sign),
  Clip: clip,
  Equal: binary((a, b) => Number(a === b), 'bool'),
  Less: binary((a, b) => Number(a < b), 'bool'),
  LessOrEqual: binary((a, b) => Number(a <= b), 'bool'),
  Greater: binary((a, b) => Number(a > b), 'bool'),
  GreaterOrEqual: binary((a, b) => Number(a >= b), 'bool'),
  And: binary((a, b) => Number(a !== 0 && b !== 0), 'bool'),
  Or: binary((a, b) => Number(a !== 0 || b !== 0), 'bool'),
  Xor: binary((a, b) => Number((a !== 0) !== (b !== 0)), 'bool'),
  Not: (_, [x]) =>
    made(
      'bool',
      map(x!, (value) => Number(value === 0)),
    ),
  Where: where,
  Gather: gather,
  Slice: slice,
  Split: split,
  Concat: concat,
  Transpose: transpose,
  Reshape: (node, [x]) => {
    const asked = node.opset < 5 ? (node.ints('shape') ?? []) : node.integers(1, 'shape');
    const shape = targetShape(node, x!.shape, asked);
    return countOf(shape) === x!.data.length ? shaped(x!, shape) : node.fail(`it does not make [${shape.join(', ')}]`);
  },
  Squeeze: (node, [x]) => {
    const axes = squeezeAxes(node, x!.shape);
    return shaped(
      x!,
      x!.shape.filter((_, axis) => !axes.includes(axis)),
    );
  },
  Unsqueeze: (node, [x]) => {
    const axes = unsqueezeAxes(node, x!.shape.length);
    const rest = [...x!.shape];
    return shaped(
      x!,
      iota(x!.shape.length + axes.length).map((axis) => (axes.includes(axis) ? 1 : rest.shift()!)),
    );
  },
  Flatten: (node, [x]) => shaped(x!, flattenShape(node, x!.shape)),
  Expand: expandTo,
  Tile: tile,
  Range: range,
  NonZero: nonZero,
  Identity: (_, [x]) => x!,
  Cast: (node, [x]) => castData(node, x!, elementType(node.int('to', 0)) ?? node.fail('its type is not known')),
  ReduceSum: reduction(0, (sum, x) => sum + x),
  ReduceProd: reduction(1, (product, x) => product * x),
  ReduceMax: reduction(Number.NEGATIVE_INFINITY, Math.max),
  ReduceMin: reduction(Number.POSITIVE_INFINITY, Math.min),
  ReduceMean: reduction(0, (sum, x) => sum + x, true),
};

const TWO = ['Add', 'Sub', 'Mul', 'Div', 'Mod', 'Pow', 'Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'];
/** Inputs that an operator cannot do without, where they are more than the first; the others of FOLDS look themselves. */
const NEEDED: Readonly<Record<string, number>> = {
  ...Object.fromEntries([...TWO, 'And', 'Or', 'Xor', 'Gather', 'Expand', 'Tile'].map((op) => [op, 2])),
  ...{ Where: 3, Range: 3 },
  // All that they name.
  ...Object.fromEntries(['Min', 'Max', 'Sum', 'Concat'].map((op) => [op, Number.POSITIVE_INFINITY])),
};

/** Half to even, as IEEE rounds. */
function roundToEven(x: number): number {
  const near = Math.round(x);
  return Math.abs(x - Math.trunc(x)) === 0.5 ? 2 * Math.round(x / 2) : near;
}

/** Operators that look at nothing but shapes. */
const SHAPES: Readonly<Record<string, (node: OnnxNode) => Constant>> = {
  Shape: (node) => {
    const { shape } = node.value(0);
    const [start, end] = [node.int('start', 0), node.int('end', shape.length)];
    const part = shape.slice(start, end);
    return numbers('int64', [part.length], part);
  },
  Size: (node) => numbers('int64', [], [countOf(node.value(0).shape)]),
  Constant: constantOf,
  ConstantOfShape: (node) => {
    const shape = node.integers(0, 'shape');
    const value = node.tensor('value');
    const data: Data = (value?.data ?? Float32Array.of(0)).slice(0, 1);
    return made(
      value?.type ?? 'float32',
      strided(
        { shape: [1], data },
        shape,
        shape.map(() => 0),
        0,
      ),
    );
  },
  EyeLike: (node) => {
    const { shape, type } = node.value(0);
    if (shape.length !== 2) node.fail(`its input is [${shape.join(', ')}], expected a matrix`);
    const k = node.int('k', 0);
    const data = iota(room(shape)).map((at) => Number((at % shape[1]!) - Math.floor(at / shape[1]!) === k));
    return numbers(node.has('dtype') ? (elementType(node.int('dtype', 1)) ?? 'float32') : type, shape, data);
  },
};

function constantOf(node: OnnxNode): Constant {
  const tensor = node.tensor('value');
  if (tensor) return tensor;
  if (node.has('value_float')) return numbers('float32', [], [node.float('value_float', 0)]);
  if (node.has('value_int')) return numbers('int64', [], [node.int('value_int', 0)]);
  const [floats, ints] = [node.floats('value_floats'), node.ints('value_ints')];
  if (floats) return numbers('float32', [floats.length], floats);
  if (ints) return numbers('int64', [ints.length], ints);
  node.fail('its value is no tensor of numbers');
}

/** Refuses integers that their type does not hold: they would wrap around, or be cut in a way that ONNX leaves open. */
function whole(node: OnnxNode, constant: Constant): Constant {
  const { type, data } = constant;
  const outside = isInteger(type) ? data.findIndex((x) => !holds(type, x)) : -1;
  return outside < 0 ? constant : node.fail(`its result ${data[outside]} is no ${type}`);
}

/** The node's outputs where they are known, else undefined. */
export function folded(node: OnnxNode): readonly Constant[] | undefined {
  if (Object.hasOwn(SHAPES, node.op)) return [(SHAPES[node.op] as (node: OnnxNode) => Constant)(node)];
  const chosen = node.inputs.some((_, index) => node.places(index));
  const known = !chosen && node.inputs.every((input): input is Constant | undefined => input?.kind !== 'computed');
  if (!known || !Object.hasOwn(FOLDS, node.op)) return undefined;
  const inputs = node.inputs as readonly (Constant | undefined)[];
  const needed = NEEDED[node.op] ?? 1;
  for (let index = 0; index < (Number.isFinite(needed) ? needed : Math.max(1, inputs.length)); index += 1)
    node.value(index);
  const result = (FOLDS[node.op] as Fold)(node, inputs as readonly Constant[]);
  return ('kind' in result ? [result] : result).map((constant) => whole(node, constant));
}

/** Whether an operator can be worked out at import, if only there. */
export const isFolded = (op: string): boolean => Object.hasOwn(FOLDS, op) || Object.hasOwn(SHAPES, op);
