// The kernelised correlation filter of Henriques et al. 2015 ("High-Speed Tracking with Kernelized Correlation Filters") as
// two graphs on the engine: one learns a template from a patch's features, one answers where in other patches the template
// is. Called by kcf.ts. The rule easy to break: the label's peak is at cell (0, 0), so a response is read with wrap-around.
import { type CompileOptions, compile, type Plan } from '../compile';
import { Graph, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { constant, frequencies, hann, inverse, type Spectrum, transform } from './fourier';

export interface FilterOptions {
  /** Cells of a patch's side; even. */
  readonly cells: number;
  /** Features of a cell. */
  readonly channels: number;
  readonly kernel: 'gaussian' | 'linear';
  /** Bandwidth of the Gaussian kernel (the paper's sigma). */
  readonly sigma: number;
  /** Weight of the ridge (the paper's lambda). */
  readonly lambda: number;
  /** Standard deviation of the label's peak, in cells. */
  readonly spread: number;
  /** Patches, at as many scales, that are searched at once. */
  readonly scales: number;
}

/** What is learnt of a face: its features' spectrum x and the dual coefficients alpha, as parts of complex numbers. */
export interface Template {
  readonly xRe: Float32Array;
  readonly xIm: Float32Array;
  readonly alphaRe: Float32Array;
  readonly alphaIm: Float32Array;
  /** Sum of the squared features, one number. */
  readonly energy: Float32Array;
}

const PARTS = ['xRe', 'xIm', 'alphaRe', 'alphaIm', 'energy'] as const;

/**
 * Sums over the features of each of `maps` maps: [rows, maps * channels] -> [rows, maps]. A product takes less than half of
 * reduceSum's time.
 */
function summed(rows: Tensor, maps: number): Tensor {
  const columns = rows.shape[1]!;
  const same = (index: number): number =>
    Math.floor(Math.floor(index / maps) / (columns / maps)) === index % maps ? 1 : 0;
  return ops.matmul(rows, constant(rows.graph, `features_of_${maps}`, [columns, maps], same));
}

/** The wanted response [cells, cells, 1]: a Gaussian about cell (0, 0), wrapped around. */
function label(graph: Graph, { cells, spread }: FilterOptions): Tensor {
  const distance = (i: number): number => Math.min(i, cells - i);
  const values = Float32Array.from({ length: cells * cells }, (_, i) => {
    const [y, x] = [distance(Math.floor(i / cells)), distance(i % cells)];
    return Math.exp(-(x * x + y * y) / (2 * spread * spread));
  });
  return graph.constant('label', [cells, cells, 1], values);
}

/**
 * Spectra [.., cells, maps] of the kernel between the template x and each of `maps` patches z (equations 30 and 31).
 * @param x one map of `channels` features: its spectrum [cells, .., channels] and energy [1].
 * @param z `maps` of them: spectrum [cells, .., maps * channels], energy [maps].
 */
function kernelSpectrum(
  x: Spectrum & { energy: Tensor },
  z: Spectrum & { energy: Tensor },
  { cells, channels, kernel, sigma }: FilterOptions,
): Spectrum {
  const half = frequencies(cells);
  const maps = z.re.shape[2]! / channels;
  const split = (part: Tensor, count: number): Tensor => ops.reshape(part, [cells * half, count, channels]);
  const [xRe, xIm, zRe, zIm] = [split(x.re, 1), split(x.im, 1), split(z.re, maps), split(z.im, maps)];
  const overFeatures = (products: Tensor): Tensor =>
    ops.reshape(summed(ops.reshape(products, [cells * half, maps * channels]), maps), [cells, half, maps]);
  // conj(x) z, summed over the features.
  const re = overFeatures(ops.add(ops.mul(xRe, zRe), ops.mul(xIm, zIm)));
  const im = overFeatures(ops.sub(ops.mul(xRe, zIm), ops.mul(xIm, zRe)));
  const size = cells * cells * channels;
  const correlation = inverse({ re, im });
  if (kernel === 'linear') return transform(ops.affine(correlation, { scale: 1 / size }));
  const energies = ops.add(z.energy, x.energy);
  const distance = ops.relu(ops.add(energies, ops.affine(correlation, { scale: -2 })));
  return transform(ops.exp(ops.affine(distance, { scale: -1 / (size * sigma * sigma) })));
}

/** Features [cells, cells, maps * channels] under the window, as a spectrum and energies [maps]. */
function observe(features: Tensor, { cells, channels }: FilterOptions): Spectrum & { energy: Tensor } {
  const [, , columns] = features.shape as [number, number, number];
  const maps = columns / channels;
  const weights = hann(cells);
  const squared = (index: number): number => (weights[Math.floor(index / cells)]! * weights[index % cells]!) ** 2;
  const windowed = constant(features.graph, 'squared_window', [1, cells * cells], squared);
  const squares = ops.matmul(windowed, ops.reshape(ops.square(features), [cells * cells, columns]));
  return { ...transform(features, { windowed: true }), energy: ops.reshape(summed(squares, maps), [maps]) };
}

/** features [cells, cells, channels] -> the parts of a template. alpha = y / (k + lambda) in the spectrum (equation 17). */
export function learningGraph(options: FilterOptions): { graph: Graph; outputs: Record<string, Tensor> } {
  const { cells, channels, lambda } = options;
  const graph = new Graph({ training: false });
  const x = observe(graph.input('features', [cells, cells, channels]), options);
  const k = kernelSpectrum(x, x, options);
  const y = transform(label(graph, options));
  const re = ops.affine(k.re, { offset: lambda });
  const norm = ops.add(ops.square(re), ops.square(k.im));
  const alphaRe = ops.div(ops.add(ops.mul(y.re, re), ops.mul(y.im, k.im)), norm);
  const alphaIm = ops.div(ops.sub(ops.mul(y.im, re), ops.mul(y.re, k.im)), norm);
  return { graph, outputs: { xRe: x.re, xIm: x.im, alphaRe, alphaIm, energy: x.energy } };
}

/** features [cells, cells, scales * channels] and a template -> response [cells, cells, scales] (equation 22). */
export function respondingGraph(options: FilterOptions): { graph: Graph; outputs: Record<string, Tensor> } {
  const { cells, channels, scales } = options;
  const half = frequencies(cells);
  const graph = new Graph({ training: false });
  const z = observe(graph.input('features', [cells, cells, scales * channels]), options);
  const x = {
    re: graph.input('xRe', [cells, half, channels]),
    im: graph.input('xIm', [cells, half, channels]),
    energy: graph.input('energy', [1]),
  };
  const alphaRe = graph.input('alphaRe', [cells, half, 1]);
  const alphaIm = graph.input('alphaIm', [cells, half, 1]);
  const k = kernelSpectrum(x, z, options);
  const response = inverse({
    re: ops.sub(ops.mul(k.re, alphaRe), ops.mul(k.im, alphaIm)),
    im: ops.add(ops.mul(k.re, alphaIm), ops.mul(k.im, alphaRe)),
  });
  return { graph, outputs: { response } };
}

function run(plan: Plan, feeds: Record<string, Float32Array>, where: Where) {
  return where === 'here' ? plan.runSync(1, { feeds }) : plan.run(1, { feeds });
}

/**
 * Where a graph runs. here: on the calling thread, which has one face's answer sooner. apart: on a thread of its own, while the
 * caller cuts the next face.
 */
export type Where = 'here' | 'apart';

/** The two graphs compiled. They take a fraction of a millisecond, too little to be worth several threads. */
export class CorrelationFilter {
  readonly #learning: Plan;
  readonly #responding: Plan;

  constructor(options: FilterOptions, { threads = 1 }: Pick<CompileOptions, 'threads'> = {}) {
    const { graph, outputs } = learningGraph(options);
    this.#learning = compile(graph, { threads, outputs });
    const responding = respondingGraph(options);
    this.#responding = compile(responding.graph, { threads, outputs: responding.outputs });
  }

  /** The template of a face. What is handed over is copied before this returns. */
  async learn(features: Float32Array, where: Where): Promise<Template> {
    return (await run(this.#learning, { features }, where)) as unknown as Template;
  }

  /** The response [cells, cells, scales] of a face's patches to its template. Copied as in learn(). */
  async respond(features: Float32Array, template: Template, where: Where): Promise<Float32Array> {
    const { response } = await run(this.#responding, { features, ...template }, where);
    return response as Float32Array;
  }

  dispose(): void {
    this.#learning.dispose();
    this.#responding.dispose();
  }
}

/** What was known, moved by `rate` towards what was seen (section 6, linear interpolation); written over what was seen. */
export function blended(known: Template, seen: Template, rate: number): Template {
  for (const name of PARTS) {
    const [before, now] = [known[name], seen[name]];
    for (let i = 0; i < now.length; i += 1) now[i] = (1 - rate) * before[i]! + rate * now[i]!;
  }
  return seen;
}
