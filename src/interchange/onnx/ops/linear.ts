// Matrix products: MatMul with any batch, Gemm, Einsum of one or two operands, and the integer products of quantised models.
// Called through ops/index.ts. The rule easy to break: the engine multiplies matrices of rank 2 only; a batch of products
// becomes one convolution of 1x1 with as many groups.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import { countOf } from '../../tensors';
import { broadcasting } from '../broadcast';
import { broadcastShape, iota } from '../nd';
import type { OnnxNode, OperatorTable } from '../node';
import { type Computed, computed, plainOrder, type Value } from '../values';
import { reshaped, transposed, unsqueezed } from './movement';
import { along, sum } from './reduce';

/** a[B,M,K] b[B,K,N] -> [B,M,N]; a group for each of the batch. */
function batched(a: Tensor, b: Tensor): Tensor {
  const [batch, m, k] = a.shape as [number, number, number];
  const n = b.shape[2]!;
  if (batch === 1) return ops.reshape(ops.matmul(ops.reshape(a, [m, k]), ops.reshape(b, [k, n])), [1, m, n]);
  const rows = ops.reshape(ops.transpose(a, [1, 0, 2]), [m, 1, 1, batch * k]);
  const filters = ops.reshape(ops.transpose(b, [1, 0, 2]), [1, 1, k, batch * n]);
  const made = ops.conv2d(rows, filters, { padding: 'valid', groups: batch });
  return ops.transpose(ops.reshape(made, [m, batch, n]), [1, 0, 2]);
}

/** numpy's matmul of computed operands of rank 2 or more. */
function product(node: OnnxNode, a: Computed, b: Computed): Computed {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const [inner, n] = b.shape.slice(-2) as [number, number];
  if (k !== inner) node.fail(`[${a.shape.join(', ')}] and [${b.shape.join(', ')}] do not multiply`);
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (!batch) node.fail(`the batches of [${a.shape.join(', ')}] and [${b.shape.join(', ')}] do not broadcast`);
  const shape = [...batch, m, n];
  // One right factor for all is one product of all the rows.
  if (countOf(b.shape.slice(0, -2)) === 1) {
    const rows = ops.reshape(node.plain(a), [-1, k]);
    const made = ops.matmul(rows, ops.reshape(node.plain(b), [k, n]));
    return computed(ops.reshape(made, shape), a.type, shape);
  }
  const spread = (x: Computed): Tensor => {
    const whole = [...batch, ...x.shape.slice(-2)];
    return ops.reshape(ops.broadcastTo(node.plain(x), whole), [countOf(batch), ...x.shape.slice(-2)]);
  };
  return computed(ops.reshape(batched(spread(a), spread(b)), shape), a.type, shape);
}

/** Vectors count as a row on the left and as a column on the right, and lose that axis again. */
function matmulOf(node: OnnxNode, a: Computed, b: Computed): Computed {
  const left = a.shape.length === 1 ? unsqueezed(a, [0]) : a;
  const right = b.shape.length === 1 ? unsqueezed(b, [1]) : b;
  const made = product(node, left, right);
  const rank = made.shape.length;
  const kept = made.shape.filter(
    (_, axis) => !(a.shape.length === 1 && axis === rank - 2) && !(b.shape.length === 1 && axis === rank - 1),
  );
  return kept.length === rank ? made : reshaped(node, made, kept);
}

function matmul(node: OnnxNode): Value {
  const operand = (index: number): Computed => node.asComputed(node.value(index), 'param');
  return matmulOf(node, operand(0), operand(1));
}

function gemm(node: OnnxNode): Value {
  const operands = [node.value(0), node.value(1)] as const;
  const [transA, transB] = [node.int('transA', 0) !== 0, node.int('transB', 0) !== 0];
  const bad = operands.find(({ shape }) => shape.length !== 2);
  if (bad) node.fail(`its factor is [${bad.shape.join(', ')}], expected a matrix`);
  // A known factor is turned here, once.
  const factor = (value: Value, turn: boolean): Tensor =>
    node.ordered(value, turn ? [1, 0] : [0, 1], value === operands[1] ? 'param' : 'const');
  const [a, b] = [factor(operands[0], transA), factor(operands[1], transB)];
  if (a.shape[1] !== b.shape[0]) node.fail(`[${a.shape.join(', ')}] and [${b.shape.join(', ')}] do not multiply`);
  const alpha = node.float('alpha', 1);
  const raw = ops.matmul(a, b);
  const y = computed(alpha === 1 ? raw : ops.affine(raw, { scale: alpha }), operands[0].type, [...raw.shape]);
  const c = node.inputs[2];
  const beta = node.float('beta', 1);
  if (!c || beta === 0) return y;
  const scaled = (x: Tensor): Tensor => (beta === 1 ? x : ops.affine(x, { scale: beta }));
  return broadcasting(node, [y, c], (p, q) => ops.add(p, scaled(q)), { type: y.type, weights: true });
}

/** Letters of Einsum's terms, with `...` spelt out as upper-case letters. */
function lettersOf(node: OnnxNode, term: string, rank: number): string[] {
  const [before, after, ...more] = term.split('...') as [string, ...string[]];
  if (more.length > 0 || !/^[a-zA-Z]*$/.test(before + (after ?? ''))) node.fail(`its term is ${JSON.stringify(term)}`);
  if (after === undefined) return [...before];
  const free = rank - before.length - after.length;
  if (free < 0) node.fail(`its term ${JSON.stringify(term)} has more axes than ${rank}`);
  // Ellipses line up at their ends.
  const names = iota(free).map((index) => `.${free - index}`);
  return [...before, ...names, ...after];
}

/** Axes that repeat within one operand become their diagonal, by picking where both agree. */
function sumAway(x: Computed, letters: readonly string[], keep: ReadonlySet<string>): [Computed, string[]] {
  const gone = letters.flatMap((letter, axis) => (keep.has(letter) ? [] : [axis]));
  const reduced = along(x, gone, sum);
  const left = letters.filter((letter) => keep.has(letter));
  const shape = reduced.shape.filter((_, axis) => !gone.includes(axis));
  const order = reduced.order.filter((axis) => !gone.includes(axis));
  const places = order.map((axis) => axis - gone.filter((one) => one < axis).length);
  return [
    computed(
      ops.reshape(reduced.tensor, shape.length === 0 ? [1] : places.map((p) => shape[p]!)),
      x.type,
      shape,
      places,
    ),
    left,
  ];
}

function einsum(node: OnnxNode): Value {
  const equation = node.text('equation', '').replaceAll(' ', '');
  const [left, right] = equation.split('->') as [string, string | undefined];
  const terms = left.split(',');
  if (terms.length !== node.inputs.length || terms.length > 2) node.fail(`its equation is ${JSON.stringify(equation)}`);
  const operands = terms.map((_, index) => node.computed(index));
  const letters = terms.map((term, index) => lettersOf(node, term, operands[index]!.shape.length));
  const all = letters.flat();
  if (letters.some((list) => new Set(list).size !== list.length)) node.fail('an axis repeats within one operand');
  if (letters.some((list, index) => list.length !== operands[index]!.shape.length)) node.fail('its terms do not fit');
  const implied = [...new Set(all)].filter((one) => one.startsWith('.') || all.indexOf(one) === all.lastIndexOf(one));
  const sorted = implied.sort((a, b) => {
    if (a.startsWith('.') !== b.startsWith('.')) return a.startsWith('.') ? -1 : 1;
    return a.startsWith('.') ? b.localeCompare(a) : a < b ? -1 : 1;
  });
  const widest = Math.max(
    0,
    ...operands.map((x, index) => x.shape.length - letters[index]!.filter((l) => !l.startsWith('.')).length),
  );
  const out = right === undefined ? sorted : lettersOf(node, right, right.replace('...', '').length + widest);
  const strange = out.find((letter, index) => !all.includes(letter) || out.indexOf(letter) !== index);
  if (strange !== undefined) {
    const reason = all.includes(strange) ? 'twice' : 'which no operand has';
    node.fail(`its equation is ${JSON.stringify(equation)}: its result names ${strange}, ${reason}`);
  }
  return contracted(node, operands, letters, out);
}

/** Sums away what no other has, then multiplies: [shared and kept, kept of a, summed] with [shared, summed, kept of b]. */
function contracted(
  node: OnnxNode,
  operands: readonly Computed[],
  letters: readonly (readonly string[])[],
  out: readonly string[],
): Value {
  const others = (index: number): Set<string> => new Set([...out, ...letters.filter((_, one) => one !== index).flat()]);
  const parts = operands.map((x, index) => sumAway(x, letters[index]!, others(index)));
  const [a, inA] = parts[0]!;
  if (parts.length === 1)
    return transposed(
      a,
      out.map((letter) => inA.indexOf(letter)),
    );
  const [b, inB] = parts[1]!;
  const batch = inA.filter((letter) => inB.includes(letter) && out.includes(letter));
  const summed = inA.filter((letter) => inB.includes(letter) && !out.includes(letter));
  const [onlyA, onlyB] = [inA.filter((one) => !inB.includes(one)), inB.filter((one) => !inA.includes(one))];
  const extent = (letter: string): number =>
    inA.includes(letter) ? a.shape[inA.indexOf(letter)]! : b.shape[inB.indexOf(letter)]!;
  const count = (list: readonly string[]): number => countOf(list.map(extent));
  const lay = (x: Computed, own: readonly string[], wanted: readonly string[], shape: readonly number[]): Tensor =>
    ops.reshape(
      node.ordered(
        x,
        wanted.map((letter) => own.indexOf(letter)),
      ),
      shape,
    );
  const left = lay(a, inA, [...batch, ...onlyA, ...summed], [count(batch), count(onlyA), count(summed)]);
  const right = lay(b, inB, [...batch, ...summed, ...onlyB], [count(batch), count(summed), count(onlyB)]);
  const made = [...batch, ...onlyA, ...onlyB];
  const shape = made.map(extent);
  const y = computed(ops.reshape(batched(left, right), shape.length === 0 ? [1] : shape), a.type, shape);
  return transposed(
    y,
    out.map((letter) => made.indexOf(letter)),
  );
}

/** x minus its zero point, which is one number or one for each of an axis. */
export function centred(node: OnnxNode, x: Value, zero: Value | undefined, axis: number): Value {
  if (!zero) return x;
  const rank = x.shape.length;
  const many = zero.shape.length === 1 && rank > 1;
  const shape = many ? plainOrder(rank).map((one) => (one === axis ? zero.shape[0]! : 1)) : zero.shape;
  const lined =
    zero.kind === 'constant'
      ? { ...zero, shape }
      : computed(ops.reshape(node.plain(zero), shape.length ? shape : [1]), zero.type, shape);
  return broadcasting(node, [x, lined], ops.sub, { type: 'int32' });
}

/** Whole numbers in float32: exact as long as sums stay below 2^24. */
function matmulInteger(node: OnnxNode): Value {
  const [a, b] = [node.value(0), node.value(1)];
  const left = node.asComputed(centred(node, a, node.inputs[2], a.shape.length - 2));
  const right = node.asComputed(centred(node, b, node.inputs[3], b.shape.length - 1));
  return { ...matmulOf(node, left, right), type: 'int32' };
}

/** (x - zero point) scale */
function dequantize(node: OnnxNode): Value {
  const x = node.value(0);
  const scale = node.value(1);
  const axis = x.shape.length === 0 ? 0 : node.axis(node.int('axis', 1), Math.max(2, x.shape.length));
  const values = centred(node, x, node.inputs[2], axis);
  const many = scale.shape.length === 1 && x.shape.length > 1;
  const shape = many ? plainOrder(x.shape.length).map((one) => (one === axis ? scale.shape[0]! : 1)) : scale.shape;
  const lined =
    scale.kind === 'constant'
      ? { ...scale, shape }
      : computed(ops.reshape(node.plain(scale), shape.length ? shape : [1]), scale.type, shape);
  return broadcasting(node, [values, lined], ops.mul, { type: 'float32' });
}

export const linear: OperatorTable = {
  MatMul: matmul,
  Gemm: gemm,
  Einsum: einsum,
  MatMulInteger: matmulInteger,
  DequantizeLinear: dequantize,
};
