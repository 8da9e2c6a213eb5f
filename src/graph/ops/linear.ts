// Matrix product and the dense layer's arithmetic. Called by layers, objectives and gradient rules.
import { ShapeError } from '../../errors';
import type { Tensor } from '../graph';
import { boolean, hasShape, operands, rank, show, withDefaults } from './check';
import { bias } from './elementwise';

/** op(a) op(b), where op transposes its matrix when the flag says so; 2-D operands. */
export function matmul(a: Tensor, b: Tensor, options?: { transA?: boolean; transB?: boolean }): Tensor {
  const graph = operands('matmul', { a, b }, 'f32');
  rank('matmul', 'a', a, 2, 'a matrix');
  rank('matmul', 'b', b, 2, 'a matrix');
  const given = withDefaults('matmul', options, { transA: false, transB: false });
  const transA = boolean('matmul', 'transA', given.transA);
  const transB = boolean('matmul', 'transB', given.transB);
  const [rows, innerA] = transA ? [a.shape[1], a.shape[0]] : a.shape;
  const [innerB, columns] = transB ? [b.shape[1], b.shape[0]] : b.shape;
  if (innerA !== innerB) {
    const flags = `transA ${transA}, transB ${transB}`;
    throw new ShapeError(
      `[matmul] inner dimensions differ: ${innerA} and ${innerB} (a ${show(a)}, b ${show(b)}, ${flags})`,
    );
  }
  const shape = [rows as number, columns as number];
  return graph.append('matmul', [a, b], [{ shape }], { transA, transB })[0] as Tensor;
}

/** x[N,D] w[D,O] + b[O]; b may be left out. */
export function dense(x: Tensor, w: Tensor, b?: Tensor): Tensor {
  operands('dense', b === undefined ? { x, w } : { x, w, b }, 'f32');
  rank('dense', 'x', x, 2, '[N,D]');
  rank('dense', 'w', w, 2, '[D,O]');
  if (x.shape[1] !== w.shape[0]) {
    throw new ShapeError(
      `[dense] weights expect ${w.shape[0]} features but "${x.name}" has ${x.shape[1]} (${show(x)}, ${show(w)})`,
    );
  }
  if (b === undefined) return matmul(x, w);
  hasShape('dense', 'b', b, [w.shape[1] as number], 'one value per output feature');
  return bias(matmul(x, w), b);
}
