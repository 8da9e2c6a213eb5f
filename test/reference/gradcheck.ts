// Central differences of the float64 oracle against the gradient graph that grad() appends, run by the same oracle.
// Used by gradcheck.test.ts. The rule easy to break: a sigma from the median heuristic is a constant of the gradient,
// so the differences are taken of a graph whose sigma is fixed at the value the median gave.

import { grad } from '../../src/graph/gradients';
import { Graph, type Shape, type Tensor } from '../../src/graph/graph';
import { kernelMatrix, mul, reduceSum } from '../../src/graph/ops';
import { generator } from '../kernels/fills';
import { ReferenceSession } from './interpreter';
import { count } from './value';

/** How an input is filled: `free` away from the kinks at 0, in +-[0.1, 1.1); `positive` in [0.5, 1.5). */
export type GradFill = 'free' | 'positive' | readonly number[];

export interface GradInput {
  readonly shape: Shape;
  readonly fill?: GradFill;
  readonly dtype?: 'f32' | 'i32';
  /** Not differentiated. */
  readonly fixed?: boolean;
}

export interface GradCase {
  readonly name: string;
  readonly inputs: Readonly<Record<string, GradInput>>;
  /** Appends the op; sigma is the objective's, 0 for the median. */
  readonly build: (inputs: Record<string, Tensor>, sigma: number) => Tensor;
  /** Gram matrix and features whose median sigma is held; makes `build` run with sigma 0 and then with that value. */
  readonly median?: (inputs: Record<string, Tensor>) => { gram: Tensor; features: number };
  readonly training?: boolean;
  /** Half the distance of the differences, where rounding asks for more than 1e-6. */
  readonly step?: number;
}

/** Loss made of the op's output: its sum, which lets rules skip a dy tensor, or a sum weighted at random. */
export type LossKind = 'sum' | 'weighted';

/** Differences of losses of size 10 carry about 1e-9; curvature adds 1e-12. */
const RELATIVE = 1e-5;
const ABSOLUTE = 1e-7;
/** Elements checked of each input. */
const SAMPLES = 24;

function fillOf(input: GradInput, random: () => number): number[] {
  const { fill = 'free', shape } = input;
  if (typeof fill !== 'string') return Array.from({ length: count(shape) }, (_, i) => fill[i % fill.length]!);
  return Array.from({ length: count(shape) }, () => {
    const u = random();
    return fill === 'positive' ? 0.5 + u : (u < 0.5 ? -1 : 1) * (0.1 + ((2 * u) % 1));
  });
}

interface Forward {
  readonly graph: Graph;
  readonly inputs: Record<string, Tensor>;
  readonly loss: Tensor;
  readonly weights: Shape | undefined;
}

function forward(item: GradCase, kind: LossKind, sigma: number): Forward {
  const graph = new Graph({ training: item.training ?? true });
  const inputs = Object.fromEntries(
    Object.entries(item.inputs).map(([name, input]) => [name, graph.input(name, input.shape, input.dtype ?? 'f32')]),
  );
  const output = item.build(inputs, sigma);
  if (kind === 'sum') return { graph, inputs, loss: reduceSum(output), weights: undefined };
  const weights = graph.input('dy', output.shape);
  return { graph, inputs, loss: reduceSum(mul(output, weights)), weights: output.shape };
}

/** Sigma that the median heuristic gives at these values. */
function medianSigma(item: GradCase, feeds: Record<string, number[]>): number {
  if (!item.median) return 0;
  const graph = new Graph({ training: item.training ?? true });
  const inputs = Object.fromEntries(
    Object.entries(item.inputs).map(([name, input]) => [name, graph.input(name, input.shape, input.dtype ?? 'f32')]),
  );
  const { gram, features } = item.median(inputs);
  const { sigma } = kernelMatrix(gram, { features });
  return new ReferenceSession(graph).step(feeds).get(sigma.id)!.data[0]!;
}

export interface GradResult {
  readonly checked: number;
  /** Gradient elements that are not zero: a check of zeros alone proves nothing. */
  readonly nonZero: number;
  readonly failures: readonly string[];
}

/** Compares every differentiated input of a case with central differences. */
export function gradcheck(item: GradCase, kind: LossKind): GradResult {
  const random = generator(item.name.length * 7919 + item.name.charCodeAt(0));
  const feeds: Record<string, number[]> = {};
  for (const [name, input] of Object.entries(item.inputs)) feeds[name] = fillOf(input, random);
  const analytic = forward(item, kind, 0);
  if (analytic.weights) feeds.dy = fillOf({ shape: analytic.weights }, random);
  const wrt = Object.entries(item.inputs)
    .filter(([, input]) => !input.fixed && input.dtype !== 'i32')
    .map(([name]) => name);
  const gradients = grad(
    analytic.loss,
    wrt.map((name) => analytic.inputs[name]!),
  );
  const values = new ReferenceSession(analytic.graph).step(feeds);

  const numeric = forward(item, kind, medianSigma(item, feeds));
  const session = new ReferenceSession(numeric.graph);
  const lossAt = () => session.step(feeds).get(numeric.loss.id)!.data[0]!;
  const step = item.step ?? 1e-6;
  const failures: string[] = [];
  let [checked, nonZero] = [0, 0];
  wrt.forEach((name, position) => {
    const gradient = values.get(gradients[position]!.id)!.data;
    const data = feeds[name]!;
    const stride = Math.max(1, Math.floor(data.length / SAMPLES));
    for (let i = 0; i < data.length; i += stride) {
      const middle = data[i]!;
      data[i] = middle + step;
      const high = lossAt();
      data[i] = middle - step;
      const low = lossAt();
      data[i] = middle;
      const expected = (high - low) / (2 * step);
      const actual = gradient[i]!;
      checked += 1;
      if (actual !== 0) nonZero += 1;
      if (!(Math.abs(actual - expected) <= RELATIVE * Math.abs(expected) + ABSOLUTE)) {
        failures.push(`d/d${name}[${i}]: grad gives ${actual}, central differences ${expected}`);
      }
    }
  });
  return { checked, nonZero, failures };
}
