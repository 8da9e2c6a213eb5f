// Operators that work element by element: activations, arithmetic, comparisons, logic, casts. Called through ops/index.ts.
// The rule easy to break: a bool is 0 or 1 and an integer a whole float32 here, so what would wrap around or round is refused.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { broadcasting } from '../broadcast';
import type { OnnxNode, Operator, OperatorTable } from '../node';
import { type ElementType, elementType, isFloat, isInteger, wraps } from '../types';
import { type Computed, computed, type Value } from '../values';

/** f of the first input, in whatever order it lies. */
export function unary(f: (x: Tensor, node: OnnxNode) => Tensor): Operator {
  return (node) => {
    const { tensor, type, shape, order } = node.computed(0);
    return computed(f(tensor, node), type, shape, order);
  };
}

const negative = (x: Tensor): Tensor => ops.affine(x, { scale: -1 });
/** A number as a tensor that broadcasts. */
export const scalar = (x: Tensor, value: number): Tensor => ops.fill(x.graph, [1], value);
/** 1 / x */
export const reciprocal = (x: Tensor): Tensor => ops.div(scalar(x, 1), x);
/** exp(x) - 1 for x <= 0, accurate near 0. */
const expm1 = (x: Tensor): Tensor => ops.elu(x, { alpha: 1 });
/** x to a fixed power, for x >= 0. */
export const powerOf = (x: Tensor, exponent: number): Tensor =>
  exponent === 0.5 ? ops.sqrt(x) : ops.exp(ops.affine(ops.log(x), { scale: exponent }));

/** max(0, x) + log(1 + exp(-|x|)), which overflows nowhere. */
const softplus = (x: Tensor): Tensor =>
  ops.add(ops.relu(x), ops.log(ops.affine(ops.exp(negative(ops.abs(x))), { offset: 1 })));

/** sinh and cosh of |x| from a = 1 - exp(-|x|): exp(|x|) - 1 = a / (1 - a), so that small numbers keep their digits. */
function hyperbolic(x: Tensor): { sinh: Tensor; cosh: Tensor } {
  const a = negative(expm1(negative(ops.abs(x))));
  const growth = ops.div(a, ops.affine(a, { scale: -1, offset: 1 }));
  const sinh = ops.mul(ops.sign(x), ops.affine(ops.add(growth, a), { scale: 0.5 }));
  return { sinh, cosh: ops.affine(ops.sub(growth, a), { scale: 0.5, offset: 1 }) };
}

/** sign(x) log(|x| + sqrt(x^2 + 1)) */
function asinh(x: Tensor): Tensor {
  const root = ops.sqrt(ops.affine(ops.square(x), { offset: 1 }));
  return ops.mul(ops.sign(x), ops.log(ops.add(ops.abs(x), root)));
}

/**
 * The error function: Abramowitz and Stegun (1964), 7.1.26, to 1.5e-7; below 0.5 the Maclaurin series to x^11, to 1e-7 of the
 * value, so that small arguments keep their digits.
 */
export function erf(x: Tensor): Tensor {
  const magnitude = ops.abs(x);
  const t = reciprocal(ops.affine(magnitude, { scale: 0.3275911, offset: 1 }));
  const far = horner(t, [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0]);
  const tail = ops.mul(far, ops.exp(negative(ops.square(x))));
  const large = ops.mul(ops.sign(x), ops.affine(tail, { scale: -1, offset: 1 }));
  // The series reads at most 0.5, where it is not used it would grow without bound.
  const small = ops.maximum(ops.minimum(x, scalar(x, 0.5)), scalar(x, -0.5));
  const powers = [-1 / 1320, 1 / 216, -1 / 42, 1 / 10, -1 / 3, 1].map((factor) => (factor * 2) / Math.sqrt(Math.PI));
  const near = ops.mul(small, horner(ops.square(small), powers));
  const far01 = ops.relu(ops.sign(ops.affine(magnitude, { offset: -0.5 })));
  return ops.add(near, ops.mul(far01, ops.sub(large, near)));
}

/** A polynomial, highest power first. */
function horner(x: Tensor, factors: readonly number[]): Tensor {
  const [first, second, ...rest] = factors as [number, number, ...number[]];
  return rest.reduce(
    (sum, factor) => ops.affine(ops.mul(sum, x), { offset: factor }),
    ops.affine(x, { scale: first, offset: second }),
  );
}

/** 0.5 x (1 + erf(x / sqrt 2)), or its approximation by tanh. */
function gelu(x: Tensor, node: OnnxNode): Tensor {
  const half = ops.affine(x, { scale: 0.5 });
  const approximate = node.text('approximate', 'none');
  if (approximate === 'none') {
    return ops.mul(half, ops.affine(erf(ops.affine(x, { scale: Math.SQRT1_2 })), { offset: 1 }));
  }
  if (approximate !== 'tanh') node.fail(`its approximation is ${JSON.stringify(approximate)}, expected none or tanh`);
  const cubic = ops.mul(x, ops.affine(ops.square(x), { scale: 0.044715, offset: 1 }));
  return ops.mul(half, ops.affine(ops.tanh(ops.affine(cubic, { scale: Math.sqrt(2 / Math.PI) })), { offset: 1 }));
}

/** x between two numbers; an infinite one is no bound. */
export function clipped(x: Tensor, least: number, most: number): Tensor {
  const above = Number.isFinite(least) ? ops.maximum(x, scalar(x, least)) : x;
  return Number.isFinite(most) ? ops.minimum(above, scalar(x, most)) : above;
}

function clip(node: OnnxNode): Value {
  const { tensor, type, shape, order } = node.computed(0);
  const attributes = node.opset < 11;
  const bound = (name: string, index: number, none: number): number | Value => {
    if (attributes) return node.float(name, none);
    const value = node.inputs[index];
    if (value?.kind === 'computed') return value;
    return value?.data[0] ?? none;
  };
  const least = bound('min', 1, Number.NEGATIVE_INFINITY);
  const most = bound('max', 2, Number.POSITIVE_INFINITY);
  const start = computed(tensor, type, shape, order);
  // Bounds are scalars; computed ones broadcast.
  const above =
    typeof least === 'number'
      ? computed(clipped(tensor, least, Number.POSITIVE_INFINITY), type, shape, order)
      : broadcasting(node, [start, least], ops.maximum);
  if (typeof most !== 'number') return broadcasting(node, [above, most], ops.minimum);
  return computed(clipped(above.tensor, Number.NEGATIVE_INFINITY, most), type, shape, above.order);
}

/** x > lambd ? x - bias : x < -lambd ? x + bias : 0 */
function shrink(x: Tensor, node: OnnxNode): Tensor {
  const lambda = node.float('lambd', 0.5);
  const bias = node.float('bias', 0);
  const beyond = ops.relu(ops.sign(ops.affine(ops.abs(x), { offset: -lambda })));
  return ops.mul(beyond, ops.sub(x, ops.affine(ops.sign(x), { scale: bias })));
}

const hardSigmoid = (x: Tensor, alpha: number, beta: number): Tensor =>
  clipped(ops.affine(x, { scale: alpha, offset: beta }), 0, 1);

/** x > alpha ? x : 0 */
const thresholded = (x: Tensor, alpha: number): Tensor =>
  ops.mul(x, ops.relu(ops.sign(ops.affine(x, { offset: -alpha }))));

const identity: Operator = (node) => node.value(0);

function dropout(node: OnnxNode): readonly (Value | undefined)[] {
  if (node.wants(1)) node.fail('its mask is read, which only training has');
  const training = node.inputs[2] && node.constant(2, 'training_mode').data[0] !== 0;
  const ratio = node.inputs[1] ? node.constant(1, 'ratio').data[0] : 0.5;
  if (training && ratio !== 0) node.fail('it drops at random, as in training; export the model for inference');
  return [node.value(0)];
}

/** A computed value as another type, where no value changes. */
function cast(node: OnnxNode, type: ElementType): Value {
  const { tensor, shape, order, type: from } = node.computed(0);
  if (type === 'bool' && from !== 'bool') return computed(ops.abs(ops.sign(tensor)), type, shape, order);
  const exact = isFloat(type) || from === 'bool' || (isInteger(from) && !wraps(type));
  if (type === 'string' || !exact) node.fail(`values of ${from} are not turned to ${type}`);
  return computed(tensor, type, shape, order);
}

/** Refuses integers whose arithmetic wraps around. */
function noWrap(node: OnnxNode, values: readonly Value[]): void {
  const narrow = values.find(({ type }) => wraps(type));
  if (narrow) node.fail(`arithmetic of ${narrow.type} wraps around`);
}

/** The number that a constant holds everywhere, where it does and is finite. */
function uniform(value: Value | undefined): number | undefined {
  if (value?.kind !== 'constant' || value.data.length !== 1 || value.shape.length > 1) return undefined;
  const [number] = value.data as unknown as [number];
  return Number.isFinite(number) && Number.isFinite(Math.fround(number)) ? number : undefined;
}

/** A computed operand of a single number, or a list of one where that number stands in a list, as ONNX broadcasts them. */
function besides(x: Computed, { shape }: Value): Computed {
  return x.shape.length < shape.length ? computed(x.tensor, x.type, shape) : x;
}

/** a op b, as scale and offset of one of them where the other is one number. */
function arithmetic(
  f: (a: Tensor, b: Tensor) => Tensor,
  right: (b: number) => { scale?: number; offset?: number } | undefined,
  left: (a: number) => { scale?: number; offset?: number } | undefined,
): Operator {
  return (node) => {
    const [a, b] = legacyOperands(node);
    noWrap(node, [a, b]);
    const [one, other] = [uniform(a), uniform(b)];
    const byNumber = other !== undefined ? right(other) : undefined;
    const scaled = (x: Computed, factors: { scale?: number; offset?: number }): Value =>
      computed(ops.affine(x.tensor, factors), x.type, x.shape, x.order);
    if (a.kind === 'computed' && byNumber) return scaled(besides(a, b), byNumber);
    const ofNumber = one !== undefined ? left(one) : undefined;
    if (b.kind === 'computed' && ofNumber) return scaled(besides(b, a), ofNumber);
    return broadcasting(node, [a, b], f, { weights: true });
  };
}

/** Before version 7, b was lined up with a at `axis` where `broadcast` said so. */
function legacyOperands(node: OnnxNode): [Value, Value] {
  const [a, b] = [node.value(0), node.value(1)];
  if (node.opset >= 7 || !node.has('axis')) return [a, b];
  const axis = node.axis(node.int('axis', 0), a.shape.length);
  const behind = a.shape.length - axis - b.shape.length;
  if (behind < 0) node.fail(`its second operand does not fit at axis ${axis}`);
  const shape = [...b.shape, ...Array<number>(behind).fill(1)];
  if (b.kind === 'constant') return [a, { ...b, shape }];
  return [a, computed(ops.reshape(node.plain(b), shape.length === 0 ? [1] : shape), b.type, shape)];
}

function division(node: OnnxNode): Value {
  if (isInteger(node.value(0).type)) node.fail('integers are not divided by the engine');
  return arithmetic(
    ops.div,
    (b) => (b !== 0 && Number.isFinite(1 / b) ? { scale: 1 / b } : undefined),
    () => undefined,
  )(node) as Value;
}

/** Integer powers by multiplication, others by exp(b log a), which wants a >= 0. */
function power(node: OnnxNode): Value {
  const [a, b] = [node.value(0), node.value(1)];
  const exponent = uniform(b);
  if (a.kind === 'computed' && exponent !== undefined) {
    const { tensor, type, shape, order } = besides(a, b);
    return computed(fixedPower(tensor, exponent), type, shape, order);
  }
  const general = (x: Tensor, y: Tensor): Tensor => ops.exp(ops.mul(y, ops.log(x)));
  return broadcasting(node, [a, b], general, { type: a.type });
}

function fixedPower(x: Tensor, exponent: number): Tensor {
  if (!Number.isInteger(exponent) || Math.abs(exponent) > 16) return powerOf(x, exponent);
  if (exponent === 0) return ops.fill(x.graph, x.shape, 1);
  let result: Tensor | undefined;
  let square = x;
  for (let rest = Math.abs(exponent); ; square = ops.square(square)) {
    if (rest % 2 === 1) result = result ? ops.mul(result, square) : square;
    rest = Math.floor(rest / 2);
    if (rest === 0) break;
  }
  return exponent < 0 ? reciprocal(result as Tensor) : (result as Tensor);
}

/** Any number of operands, two by two. */
function variadic(f: (a: Tensor, b: Tensor) => Tensor, wrapping: boolean, mean = false): Operator {
  return (node) => {
    const first = node.value(0);
    const rest = node.inputs.slice(1).map((_, index) => node.value(index + 1));
    const values = [first, ...rest];
    if (wrapping) noWrap(node, values);
    const sum = rest.reduce<Value>((all, one) => broadcasting(node, [all, one], f), first);
    if (!mean) return sum;
    const { tensor, type, shape, order } = node.asComputed(sum);
    return computed(ops.affine(tensor, { scale: 1 / values.length }), type, shape, order);
  };
}

/** 1 where a > b. Differences of finite numbers are 0 only where they are equal. */
const greater = (a: Tensor, b: Tensor): Tensor => ops.relu(ops.sign(ops.sub(a, b)));
const negated = (x: Tensor): Tensor => ops.affine(x, { scale: -1, offset: 1 });
export const equal = (a: Tensor, b: Tensor): Tensor => negated(ops.abs(ops.sign(ops.sub(a, b))));

function compare(f: (a: Tensor, b: Tensor) => Tensor): Operator {
  return (node) => broadcasting(node, legacyOperands(node), f, { type: 'bool' });
}

/** condition ? a : b as condition a + (1 - condition) b; infinite constants, as masks have them, become the largest number. */
function where(node: OnnxNode): Value {
  const [condition, a, b] = [0, 1, 2].map((index) => finite(node.value(index))) as [Value, Value, Value];
  const choose = (c: Tensor, x: Tensor, y: Tensor): Tensor => ops.add(ops.mul(c, x), ops.mul(negated(c), y));
  return broadcasting(node, [condition, a, b], choose, { type: a.type });
}

const LARGEST = 3.4028234663852886e38;

function finite(value: Value): Value {
  if (value.kind === 'computed' || value.data.every(Number.isFinite)) return value;
  const data = value.data.map((one) => Math.min(LARGEST, Math.max(-LARGEST, one)));
  return { ...value, data, source: undefined };
}

/** x > 0 ? x : slope x, with the slope broadcast to x. */
function prelu(node: OnnxNode): Value {
  const [x, slope] = [node.value(0), node.value(1)];
  // Before version 7 and in older exports a slope of [C] belongs to the channels.
  const channels = slope.shape.length === 1 && x.shape.length > 2 && slope.shape[0] === x.shape[1];
  const last = x.shape.at(-1);
  const spread = channels && slope.shape[0] !== last && slope.shape[0] !== 1;
  const shape = [...slope.shape, ...(spread ? Array<number>(x.shape.length - 2).fill(1) : [])];
  const apart = (): Value => computed(ops.reshape(node.plain(slope), shape), slope.type, shape);
  const shaped = slope.kind === 'constant' ? { ...slope, shape } : spread ? apart() : slope;
  return broadcasting(node, [x, shaped], preluOf, { type: x.type, weights: true });
}

const preluOf = (x: Tensor, slope: Tensor): Tensor => ops.sub(ops.relu(x), ops.mul(slope, ops.relu(negative(x))));

const both = (a: Tensor, b: Tensor): Tensor => ops.mul(a, b);

export const elementwise: OperatorTable = {
  Relu: unary(ops.relu),
  LeakyRelu: unary((x, node) => leakyRelu(x, node.float('alpha', 0.01))),
  Elu: unary((x, node) => ops.elu(x, { alpha: node.float('alpha', 1) })),
  Selu: unary((x, node) =>
    ops.affine(ops.elu(x, { alpha: node.float('alpha', 1.6732632423543772) }), {
      scale: node.float('gamma', 1.0507009873554805),
    }),
  ),
  Celu: unary((x, node) => {
    const alpha = node.float('alpha', 1);
    return ops.affine(ops.elu(ops.affine(x, { scale: 1 / alpha }), { alpha: 1 }), { scale: alpha });
  }),
  Sigmoid: unary(ops.sigmoid),
  HardSigmoid: unary((x, node) => hardSigmoid(x, node.float('alpha', 0.2), node.float('beta', 0.5))),
  HardSwish: unary((x) => ops.mul(x, hardSigmoid(x, 1 / 6, 0.5))),
  Mish: unary((x) => ops.mul(x, ops.tanh(softplus(x)))),
  Gelu: unary(gelu),
  Tanh: unary(ops.tanh),
  Exp: unary(ops.exp),
  Log: unary(ops.log),
  Sqrt: unary(ops.sqrt),
  Abs: unary(ops.abs),
  Neg: unary(negative),
  Reciprocal: unary(reciprocal),
  Erf: unary(erf),
  Sign: unary(ops.sign),
  Sinh: unary((x) => hyperbolic(x).sinh),
  Cosh: unary((x) => hyperbolic(x).cosh),
  Asinh: unary(asinh),
  Acosh: unary((x) => ops.log(ops.add(x, ops.sqrt(ops.affine(ops.square(x), { offset: -1 }))))),
  Atanh: unary((x) => {
    const ratio = ops.div(ops.affine(x, { offset: 1 }), ops.affine(x, { scale: -1, offset: 1 }));
    return ops.affine(ops.log(ratio), { scale: 0.5 });
  }),
  Softplus: unary(softplus),
  Softsign: unary((x) => ops.div(x, ops.affine(ops.abs(x), { offset: 1 }))),
  ThresholdedRelu: unary((x, node) => thresholded(x, node.float('alpha', 1))),
  Shrink: unary(shrink),
  Clip: clip,
  Identity: identity,
  Dropout: dropout,
  Cast: (node) => cast(node, elementType(node.int('to', 0)) ?? node.fail(`element type ${node.int('to', 0)}`)),
  CastLike: (node) => cast(node, node.value(1).type),
  Add: arithmetic(
    ops.add,
    (b) => ({ offset: b }),
    (a) => ({ offset: a }),
  ),
  Sub: arithmetic(
    ops.sub,
    (b) => ({ offset: -b }),
    (a) => ({ scale: -1, offset: a }),
  ),
  Mul: arithmetic(
    ops.mul,
    (b) => ({ scale: b }),
    (a) => ({ scale: a }),
  ),
  Div: division,
  Pow: power,
  PRelu: prelu,
  Sum: variadic(ops.add, true),
  Mean: variadic(ops.add, true, true),
  Max: variadic(ops.maximum, false),
  Min: variadic(ops.minimum, false),
  Not: unary(negated),
  And: compare(both),
  Or: compare(ops.maximum),
  Xor: compare((a, b) => ops.abs(ops.sub(a, b))),
  Equal: compare(equal),
  Greater: compare(greater),
  Less: compare((a, b) => greater(b, a)),
  GreaterOrEqual: compare((a, b) => negated(greater(b, a))),
  LessOrEqual: compare((a, b) => negated(greater(a, b))),
  Where: where,
};

/** A slope below 0 is no leakyRelu of the engine's. */
function leakyRelu(x: Tensor, alpha: number): Tensor {
  if (alpha >= 0) return ops.leakyRelu(x, { alpha });
  return ops.sub(ops.relu(x), ops.affine(ops.relu(negative(x)), { scale: alpha }));
}
