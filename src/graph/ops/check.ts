// Argument and operand checks of the op builders. Each check takes what the user passed as it came and returns it
// typed, or throws at once, so that the user's own line is on the stack. The rule easy to break: a wrong tensor shape
// or dtype is a ShapeError, a wrong plain argument an ArgumentError, a tensor of elsewhere a GraphError.
import { ArgumentError, GraphError, ShapeError } from '../../errors';
import { type DType, formatShape, Graph, type Shape, type Tensor } from '../graph';

/** Largest integer an attribute may hold; native code keeps attributes and extents in 32 bits. */
const MAX_INTEGER = 2 ** 31 - 1;

/** How an error message shows any value. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(describe).join(', ')}]`;
  if (value !== null && typeof value === 'object') return 'id' in value && 'shape' in value ? 'a tensor' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/** `"stem" 8x48x48x32`: a tensor in an error message. */
export function show(tensor: Tensor): string {
  return `"${tensor.name}" ${formatShape(tensor.shape)}`;
}

/** Checks that every named value is a tensor of one graph with the given dtype; returns that graph. */
export function operands(op: string, named: Readonly<Record<string, unknown>>, dtype?: DType, owner?: Graph): Graph {
  let graph = owner;
  for (const [what, value] of Object.entries(named)) {
    const tensor = checkTensor(op, what, value);
    graph ??= tensor.graph;
    if (tensor.graph !== graph) throw new GraphError(`[${op}] ${what} "${tensor.name}" belongs to another graph`);
    if (dtype !== undefined && tensor.dtype !== dtype) {
      throw new ShapeError(`[${op}] ${what} has dtype ${dtype}, but ${show(tensor)} is ${tensor.dtype}`);
    }
  }
  if (!graph) throw new ArgumentError(`[${op}] expected at least one tensor, got none`);
  return graph;
}

function checkTensor(op: string, what: string, value: unknown): Tensor {
  const tensor = value as Tensor | null | undefined;
  if (typeof tensor !== 'object' || tensor === null || !(tensor.graph instanceof Graph)) {
    throw new ArgumentError(`[${op}] ${what} is a tensor, got ${describe(value)}`);
  }
  if (tensor.graph.tensor(tensor.id) !== tensor) {
    throw new GraphError(`[${op}] ${what} is not a handle its graph gave out (id ${describe(tensor.id)})`);
  }
  return tensor;
}

/** Checks a tensor's rank; `layout` names its dimensions in the message, as `[N,H,W,C]`. */
export function rank(op: string, what: string, tensor: Tensor, count: number, layout: string): void {
  if (tensor.shape.length !== count) {
    throw new ShapeError(
      `[${op}] ${what} is ${layout}, rank ${count}, but ${show(tensor)} has rank ${tensor.shape.length}`,
    );
  }
}

/** Checks a tensor's whole shape. */
export function hasShape(op: string, what: string, tensor: Tensor, shape: Shape, because: string): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new ShapeError(`[${op}] ${what} has shape ${formatShape(shape)} (${because}), but ${show(tensor)} was given`);
  }
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

/** An options object whose values are not checked yet. */
export type Unchecked<T> = { [K in keyof Required<T>]: unknown };

/** Fills defaults and refuses unknown names. Every permitted option is a key of `defaults`. */
export function withDefaults<T extends object>(op: string, given: object | undefined, defaults: T): T {
  if (given === undefined) return defaults;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ArgumentError(`[${op}] options are an object, got ${describe(given)}`);
  }
  const filled: Record<string, unknown> = Object.fromEntries(Object.entries(defaults));
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, key)) {
      throw new ArgumentError(`[${op}] unknown option "${key}"; the options are ${Object.keys(defaults).join(', ')}`);
    }
    if (value !== undefined) filled[key] = value;
  }
  return filled as T;
}

/** An integer from `least` to `most`, both included. */
export function integer(op: string, what: string, value: unknown, least: number, most = MAX_INTEGER): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const range = most === MAX_INTEGER ? `an integer >= ${least}` : `an integer from ${least} to ${most}`;
  throw new ArgumentError(`[${op}] ${what} is ${range}, got ${describe(value)}`);
}

/** A list of integers of a given length, or of any length >= 1 when `length` is undefined. */
export function integers(op: string, what: string, value: unknown, least: number, length?: number): number[] {
  if (!Array.isArray(value) || value.length === 0 || (length !== undefined && value.length !== length)) {
    const wanted = length === undefined ? 'a non-empty list of' : `a list of ${length}`;
    throw new ArgumentError(`[${op}] ${what} is ${wanted} integers, got ${describe(value)}`);
  }
  return value.map((item, index) => integer(op, `${what}[${index}]`, item, least));
}

/** One integer for height and width alike, or a pair [height, width]. */
export function pair(op: string, what: string, value: unknown, least: number): [number, number] {
  if (Array.isArray(value)) return integers(op, what, value, least, 2) as [number, number];
  const both = integer(op, what, value, least);
  return [both, both];
}

/** A finite number within bounds; `above` excludes its bound, `least` and `most` include theirs. */
export function real(
  op: string,
  what: string,
  value: unknown,
  bounds: { least?: number; above?: number; most?: number; below?: number } = {},
): number {
  const { least = Number.NEGATIVE_INFINITY, above, most = Number.POSITIVE_INFINITY, below } = bounds;
  if (typeof value === 'number' && Number.isFinite(value) && value >= least && value <= most) {
    if ((above === undefined || value > above) && (below === undefined || value < below)) return value;
  }
  const limits = [
    above === undefined ? '' : ` > ${above}`,
    bounds.least === undefined ? '' : ` >= ${least}`,
    bounds.most === undefined ? '' : ` <= ${most}`,
    below === undefined ? '' : ` < ${below}`,
  ];
  const range = limits.filter((limit) => limit !== '').join(' and');
  throw new ArgumentError(`[${op}] ${what} is a finite number${range}, got ${describe(value)}`);
}

/** A list of finite numbers whose length is one of `lengths`. */
export function reals(
  op: string,
  what: string,
  value: unknown,
  lengths: readonly number[],
  bounds: { above?: number } = {},
): number[] {
  if (!Array.isArray(value) || !lengths.includes(value.length)) {
    const wanted = [...new Set(lengths)].join(' or ');
    throw new ArgumentError(`[${op}] ${what} is a list of ${wanted} numbers, got ${describe(value)}`);
  }
  return value.map((item, index) => real(op, `${what}[${index}]`, item, bounds));
}

export function boolean(op: string, what: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new ArgumentError(`[${op}] ${what} is true or false, got ${describe(value)}`);
}

export function choice<T extends string>(op: string, what: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new ArgumentError(`[${op}] ${what} is one of ${choices.join(', ')}, got ${describe(value)}`);
}

/** A non-negative axis from one that may count from the end. */
export function axisOf(op: string, what: string, value: unknown, dimensions: number): number {
  const axis = integer(op, what, value, -dimensions, dimensions - 1);
  return axis < 0 ? axis + dimensions : axis;
}

/** A shape given by the user: the message names the op and not the graph. */
export function shapeOf(op: string, what: string, value: unknown, least = 1): number[] {
  const shape = integers(op, what, value, least);
  if (shape.length > 6) throw new ArgumentError(`[${op}] ${what} has 1 to 6 dimensions, got ${describe(value)}`);
  return shape;
}
