// The types of the op table and the way a case becomes a graph, both plain and pitched. Used by rows/*.ts, table.ts
// and the two test files. A pitched case sends every float32 operand through a concatenation with fillers, which
// the planner does by placement: the kernel then sees a pitch larger than its columns and an address that no vector
// likes, and a kernel that writes past its columns damages a filler.
import { type Attrs, type DType, Graph, type Initial, type Shape, sizeOf, type Tensor } from '../../src/graph/graph';
import { type Fill, generator, type Mode, signed } from './fills';

export interface InputSpec {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly fill: Fill;
  /** A persistent tensor that the op writes in place, not an input. */
  readonly persistent: boolean;
}

export interface Case {
  readonly inputs: readonly InputSpec[];
  readonly outputs: readonly { shape: Shape; dtype?: DType }[];
  readonly attrs: Attrs;
  /** Integer fill is exact in float32: compare with threshold 0. Default: the row's. */
  readonly exact?: boolean;
  /** Length of the longest sum, for the tolerance. Default 1. */
  readonly terms?: number;
  /** Replaces the row's tolerance. */
  readonly tolerance?: number;
  /** Error allowed whatever the size of the result, where large terms cancel by nature. */
  readonly floor?: number;
  /** Only this mode makes sense (say, special values). */
  readonly only?: Mode;
}

export interface Row {
  readonly op: string;
  readonly cases: readonly Case[];
  readonly exact: boolean;
  /** Allowed error, see tolerance.ts. Default 2e-6. */
  readonly tolerance?: number;
  /** Judge each element by its own size instead of the tensor's: for functions of one element. */
  readonly perElement?: boolean;
  /** Share of zeros in an expected output above which the case is mistrusted. Default 0.7; raised where the op makes zeros. */
  readonly zeroLimit?: number;
}

export function f32(shape: Shape, fill: Fill = signed): InputSpec {
  return { shape, dtype: 'f32', fill, persistent: false };
}

export function i32(shape: Shape, fill: Fill): InputSpec {
  return { shape, dtype: 'i32', fill, persistent: false };
}

export function u8(shape: Shape, fill: Fill): InputSpec {
  return { shape, dtype: 'u8', fill, persistent: false };
}

/** A persistent tensor the op writes. */
export function state(shape: Shape, fill: Fill = signed, dtype: DType = 'f32'): InputSpec {
  return { shape, dtype, fill, persistent: true };
}

export function typed(dtype: DType, values: readonly number[]): Float32Array | Int32Array | Uint8Array {
  return dtype === 'f32'
    ? Float32Array.from(values)
    : dtype === 'i32'
      ? Int32Array.from(values)
      : Uint8Array.from(values);
}

/** One case in a graph: what to feed and what to look at. */
export interface Placed {
  readonly label: string;
  readonly row: Row;
  readonly case: Case;
  readonly feeds: Record<string, Float32Array | Int32Array | Uint8Array>;
  /** Outputs of the step, by their name in `compile`'s outputs. */
  readonly outputs: Record<string, Tensor>;
  /** Persistent tensors the op writes, by name, with their initial values. */
  readonly states: Record<string, Float32Array | Int32Array | Uint8Array>;
}

function describeAttrs(attrs: Attrs): string {
  return Object.entries(attrs)
    .map(([key, value]) => `${key}=${Array.isArray(value) ? `[${value.join(',')}]` : String(value)}`)
    .join(' ');
}

export function labelOf(row: Row, item: Case, pitched: boolean): string {
  const shapes = item.inputs.map((input) => input.shape.join('x')).join(', ');
  return `${row.op}(${shapes})${pitched ? ' pitched' : ''} ${describeAttrs(item.attrs)}`.trim();
}

/** Filler columns before and after a pitched operand, and what they hold. */
export const BEFORE = 3;
export const AFTER = 2;
export const FILLER = 7;

/** `x` inside a wider buffer: [filler 3 | x | filler 2] on the last axis. */
function placeInConcat(graph: Graph, x: Tensor): Tensor {
  const beside = (width: number) => {
    const shape = [...x.shape.slice(0, -1), width];
    return graph.append('fill', [], [{ shape }], { value: FILLER })[0]!;
  };
  const axis = x.shape.length - 1;
  const shape = [...x.shape.slice(0, -1), x.shape[axis]! + BEFORE + AFTER];
  return graph.append('concat', [beside(BEFORE), x, beside(AFTER)], [{ shape }], { axis })[0]!;
}

function seedOf(text: string): number {
  let hash = 2166136261;
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 16777619) >>> 0;
  return hash;
}

/** Appends a case to a graph under names that begin with `prefix`. */
export function place(graph: Graph, row: Row, item: Case, mode: Mode, pitched: boolean, prefix: string): Placed {
  const random = generator(seedOf(`${labelOf(row, item, false)} ${mode}`));
  const previous: number[][] = [];
  const feeds: Placed['feeds'] = {};
  const states: Placed['states'] = {};
  const outputs: Placed['outputs'] = {};
  const tensors = item.inputs.map((input, index) => {
    const values = input.fill({ shape: input.shape, mode, random, previous });
    if (values.length !== sizeOf(input.shape))
      throw new Error(`${labelOf(row, item, pitched)}: fill ${index} is short`);
    previous.push(values);
    const name = `${prefix}_in${index}`;
    const data: Initial = typed(input.dtype, values);
    if (input.persistent) {
      states[name] = data;
      return graph.state(name, input.shape, input.dtype, data);
    }
    feeds[name] = data;
    const fed = graph.input(name, input.shape, input.dtype);
    if (!pitched || input.dtype !== 'f32') return fed;
    const [copy] = graph.append('affine', [fed], [{ shape: input.shape }], { scale: 1, offset: 0 });
    outputs[`${prefix}_wide${index}`] = placeInConcat(graph, copy!);
    return copy!;
  });
  const written = tensors.filter((_, index) => item.inputs[index]!.persistent);
  if (written.length > 0) graph.appendUpdate(row.op, tensors, written, item.attrs);
  else {
    graph.append(row.op, tensors, item.outputs, item.attrs).forEach((made, index) => {
      const wide = pitched && made.dtype === 'f32';
      outputs[`${prefix}_out${index}`] = wide ? placeInConcat(graph, made) : made;
    });
  }
  return { label: labelOf(row, item, pitched), row, case: item, feeds, outputs, states };
}

/** Every case of a row in one graph, plain or both plain and pitched. */
export function placeRow(row: Row, mode: Mode, forms = [false, true]): { graph: Graph; placed: Placed[] } {
  const graph = new Graph();
  const placed: Placed[] = [];
  row.cases.forEach((item, index) => {
    if (item.only && item.only !== mode) return;
    for (const pitched of forms) {
      placed.push(place(graph, row, item, mode, pitched, `c${index}${pitched ? 'p' : ''}`));
    }
  });
  return { graph, placed };
}
