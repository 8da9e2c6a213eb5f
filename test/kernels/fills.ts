// How the op table fills its inputs. Every fill has two modes: `integer`, small whole numbers (or powers of two) whose
// float32 sums are exact, and `random`, float32 values of ordinary size. Used by rows/*.ts.
// The rule easy to break: values are rounded to float32 before the kernel *and* the oracle see them.
import type { Shape } from '../../src/graph/graph';
import { count } from '../reference/value';

export type Mode = 'integer' | 'random';

export interface FillContext {
  readonly shape: Shape;
  readonly mode: Mode;
  /** Uniform in [0, 1), seeded by the case. */
  readonly random: () => number;
  /** Values of the case's earlier inputs, for inputs that depend on them. */
  readonly previous: readonly number[][];
}

export type Fill = (context: FillContext) => number[];

/** Small seeded generator (Mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function each(integer: (u: number) => number, real: (u: number) => number): Fill {
  return ({ shape, mode, random }) =>
    Array.from({ length: count(shape) }, () => Math.fround((mode === 'integer' ? integer : real)(random())));
}

/** -3..4, or [-1, 1). */
export const signed = each(
  (u) => Math.floor(u * 8) - 3,
  (u) => 2 * u - 1,
);
/** 1..4, or [0.25, 2.25). */
export const positive = each(
  (u) => Math.floor(u * 4) + 1,
  (u) => 0.25 + 2 * u,
);
/** 1, 2, 4 or 8, so that division is exact, or +-[0.5, 2). */
export const divisor = each(
  (u) => 2 ** Math.floor(u * 4),
  (u) => (u < 0.5 ? -1 : 1) * (0.5 + ((3 * u) % 1.5)),
);
/** -3..4, or [-1, 1) off by 100: what a one-pass variance gets wrong. */
export const offset = each(
  (u) => Math.floor(u * 8) - 3,
  (u) => 100 + 2 * u,
);
/** Whole range of an activation's input: [-12, 12). */
export const wide = each(
  (u) => Math.floor(u * 8) - 3,
  (u) => 24 * u - 12,
);
/** In (0, 1): probabilities. */
export const probability = each(
  (u) => 2 ** -Math.floor(1 + u * 4),
  (u) => 0.001 + 0.998 * u,
);
/** In [-5, 0): log probabilities. */
export const logProbability = each(
  (u) => -Math.floor(1 + u * 4),
  (u) => -5 * (1 - u),
);
export const bytes = each(
  (u) => Math.floor(u * 256),
  (u) => Math.floor(u * 256),
);

/** Whole numbers 0..n-1: labels and indices. */
export function below(n: number): Fill {
  return each(
    (u) => Math.floor(u * n),
    (u) => Math.floor(u * n),
  );
}

export function constant(value: number): Fill {
  return each(
    () => value,
    () => value,
  );
}

/** Signed numbers of which one in `every` or so is minus infinity, and as many are NaN. */
export function withEnds(every: number): Fill {
  return (context) => {
    const ends = [Number.NEGATIVE_INFINITY, Number.NaN];
    return signed(context).map((value) => ends[Math.floor(context.random() * every)] ?? value);
  };
}

/** The same list in both modes, repeated over the shape. */
export function listed(values: readonly number[]): Fill {
  return ({ shape }) => Array.from({ length: count(shape) }, (_, i) => Math.fround(values[i % values.length]!));
}

function symmetric(m: number, f: (i: number, j: number) => number): number[] {
  const values = new Array<number>(m * m);
  for (let i = 0; i < m; i++)
    for (let j = 0; j <= i; j++) {
      values[i * m + j] = Math.fround(f(i, j));
      values[j * m + i] = values[i * m + j]!;
    }
  return values;
}

/** A Gram matrix of m random rows of d features. */
export function gramFill(d: number): Fill {
  return ({ shape, mode, random }) => {
    const m = shape[0]!;
    const z = signed({ shape: [m, d], mode, random, previous: [] });
    return symmetric(m, (i, j) => {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += z[i * d + c]! * z[j * d + c]!;
      return sum;
    });
  };
}

/** A symmetric matrix of ordinary entries. */
export const symmetricFill: Fill = ({ shape, mode, random }) => {
  const one = () => signed({ shape: [1], mode, random, previous: [] })[0]!;
  return symmetric(shape[0]!, one);
};

/** The label kernel of random labels: 1 on equal classes. */
export function labelKernelFill(classes: number): Fill {
  return ({ shape, random }) => {
    const labels = Array.from({ length: shape[0]! }, () => Math.floor(random() * classes));
    return symmetric(labels.length, (i, j) => (labels[i] === labels[j] ? 1 : 0));
  };
}
