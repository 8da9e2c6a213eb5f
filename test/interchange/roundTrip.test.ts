// Every model as an ONNX file: read back by our importer, and run by ONNX Runtime where it is installed, it answers as the
// graph that was written. Weights and running statistics are random, so that nothing hides behind zeros and ones.
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, type Plan } from '../../src/compile';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import { exportOnnx } from '../../src/interchange/onnx/export';
import { parseOnnx } from '../../src/interchange/onnx/model';
import { ageGenderNet, type ModelFunction, models, tinyFaceDetector } from '../../src/models';
import { leastShape, narrowed } from '../models/built';

const BATCH = 3;
const CLASSES = 7;

/** Uniform numbers of a seed (Mulberry32). */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Made {
  readonly graph: Graph;
  readonly x: Tensor;
  readonly y: Tensor;
}

function graphOf(model: ModelFunction, shape: readonly number[], batch: number): Made {
  const graph = new Graph({ training: false });
  const x = graph.input('image', [batch, ...shape]);
  return { graph, x, y: model(x, { classes: CLASSES }) };
}

/** Random values for gains, offsets, statistics and biases; filters keep their own. */
async function disturb(plan: Plan): Promise<void> {
  const next = uniform(3);
  for (const { name, shape } of plan.tensors()) {
    if (shape.length !== 1) continue;
    const positive = /gamma|variance/.test(name);
    const values = Float32Array.from({ length: sizeOf(shape) }, () => (positive ? 0.5 + next() : next() - 0.5));
    await plan.write(name, values);
  }
}

interface Written {
  readonly bytes: Uint8Array;
  readonly images: Float32Array;
  readonly expected: Float32Array;
}

/** The file of a model, images, and what the model says of them. */
async function written(model: ModelFunction, shape: readonly number[]): Promise<Written> {
  const { graph, x, y } = graphOf(model, shape, BATCH);
  using plan = compile(graph, { outputs: { y } });
  await disturb(plan);
  const next = uniform(11);
  const images = Float32Array.from({ length: sizeOf(x.shape) }, () => 2 * next() - 1);
  const { y: expected } = await plan.step({ image: images });
  const weights = new Map<string, Float32Array>();
  for (const { name } of plan.tensors()) weights.set(name, (await plan.read(name)) as Float32Array);
  const bytes = exportOnnx(graph, { inputs: { image: x }, outputs: { y }, weights: (name) => weights.get(name) });
  return { bytes, images, expected: expected as Float32Array };
}

/** [N,H,W,C] -> [N,C,H,W]; anything else as it is. */
function channelsFirst(values: Float32Array, shape: readonly number[]): Float32Array {
  if (shape.length !== 4) return values;
  const [, h, w, c] = shape as [number, number, number, number];
  return Float32Array.from({ length: values.length }, (_, at) => {
    const [column, row] = [at % w, Math.floor(at / w) % h];
    const [channel, image] = [Math.floor(at / (w * h)) % c, Math.floor(at / (w * h * c))];
    return values[((image * h + row) * w + column) * c + channel]!;
  });
}

/** Largest distance over the largest value. */
function distance(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const size = b.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0) / size;
}

const all: readonly [string, ModelFunction, readonly number[]][] = [
  ...Object.keys(models).map((name): [string, ModelFunction, readonly number[]] => [
    name,
    narrowed(name),
    leastShape(name),
  ]),
  ['ageGenderNet', ageGenderNet, [16, 16, 3]],
  ['tinyFaceDetector', tinyFaceDetector, [32, 64, 3]],
];

interface Ort {
  readonly InferenceSession: {
    create(
      bytes: Uint8Array,
      options: object,
    ): Promise<{
      run(feeds: Record<string, unknown>): Promise<Record<string, { readonly data: Float32Array }>>;
      release(): Promise<void>;
    }>;
  };
  readonly Tensor: new (type: string, data: Float32Array, shape: readonly number[]) => unknown;
}

/** ONNX Runtime, where bench/peers has it (npm --prefix bench/peers ci --ignore-scripts). */
function onnxRuntime(): Ort | undefined {
  try {
    return createRequire(path.resolve(__dirname, '../../bench/peers/package.json'))('onnxruntime-node') as Ort;
  } catch {
    return undefined;
  }
}

const ort = onnxRuntime();

describe.each(all)('%s', (_, model, shape) => {
  let file: Promise<Written> | undefined;
  const once = (): Promise<Written> => {
    file ??= written(model, shape);
    return file;
  };

  it.each([BATCH, 1])('answers the same through our importer, for %i images', async (batch) => {
    const { bytes, images, expected } = await once();
    const onnx = parseOnnx(bytes);
    const graph = new Graph({ training: false });
    const x = graph.input('image', [batch, ...shape]);
    const [result] = onnx.apply(graph, { image: { tensor: x, layout: shape.length === 3 ? 'channelsLast' : 'plain' } });
    using plan = compile(graph, { outputs: { y: result!.tensor! } });
    const { y } = await plan.step({ image: images.subarray(0, (images.length / BATCH) * batch) });
    const size = [BATCH, ...result!.shape.slice(1)];
    const laid = size.length === 4 ? [size[0]!, size[2]!, size[3]!, size[1]!] : size;
    const wanted = channelsFirst(expected, laid).subarray(0, (expected.length / BATCH) * batch);
    expect(distance(y as Float32Array, wanted)).toBeLessThan(1e-5);
  });

  it.skipIf(!ort)('answers the same through ONNX Runtime, for another batch', async () => {
    const { bytes, images, expected } = await once();
    const session = await ort!.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
    const one = images.subarray(images.length / BATCH);
    const fed = channelsFirst(one, [BATCH - 1, ...shape]);
    const extents = shape.length === 3 ? [shape[2]!, shape[0]!, shape[1]!] : shape;
    const { y } = await session.run({ image: new ort!.Tensor('float32', fed, [BATCH - 1, ...extents]) });
    const rest = expected.subarray(expected.length / BATCH);
    const output = graphOf(model, shape, BATCH - 1).y.shape;
    expect(distance(y!.data, channelsFirst(rest, output))).toBeLessThan(1e-5);
    await session.release();
  });
});
