// Models compiled for inference: one image's bits whatever it is called with, where weights come from, and calls that
// overlap with each other, with the calling thread, with dispose and with other threads.
// The rule easy to break: images are many enough for whole chunks and a rest.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { smallNet } from '../../src/cli/bench/smallNet';
import { compile } from '../../src/compile';
import { AbortError, ArgumentError, CheckpointError, DisposedError, ShapeError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { CompiledModel, type InferenceOptions } from '../../src/train/compiledModel';
import { compileModel } from '../../src/train/compileModel';
import { saveSafetensors } from '../../src/train/safetensors';
import { generator, stripeDataset, tinyNet, tinyTrainer } from './fixtures';

const folder = mkdtempSync(path.join(tmpdir(), 'gramian-inference-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SIZE = 64;
const CLASSES = 4;
const tiny: InferenceOptions = { input: [8, 8, 1], classes: CLASSES, device: 'cpu', threads: 2 };

function noise(count: number, seed = 5): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: count }, () => 4 * next() - 2);
}

/** Weights after some training, so that running statistics and offsets are not their initial values. */
async function trainedWeights() {
  using trainer = tinyTrainer('bp');
  await trainer.run(20);
  return await trainer.readState();
}

/** Each image's probabilities from a call of its own. */
function oneByOne(model: CompiledModel, images: Float32Array, size = SIZE): Float32Array {
  const answers = Array.from({ length: images.length / size }, (_, index) => [
    ...model.runSync(images.subarray(index * size, (index + 1) * size)).probabilities!,
  ]);
  return Float32Array.from(answers.flat());
}

describe('an image', () => {
  const images = noise(130 * SIZE);

  it('has the same bits among 1 to 9 and 130, on any number of threads', async () => {
    const weights = await trainedWeights();
    using model = await compileModel(tinyNet, { ...tiny, weights });
    expect(model.chunk).toBe(16);
    expect(model.describe()).toHaveLength(2);
    const alone = oneByOne(model, images);
    expect(alone.some((value, index) => value !== alone[index % CLASSES])).toBe(true);
    for (const threads of [1, 2, 3, 5]) {
      using other = await compileModel(tinyNet, { ...tiny, weights, threads });
      for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 130]) {
        const some = images.subarray(0, count * SIZE);
        const expected = alone.subarray(0, count * CLASSES);
        expect(other.runSync(some).probabilities, `${count} images`).toEqual(expected);
        expect((await other.run(some)).probabilities, `${count} images`).toEqual(expected);
      }
    }
  });

  it('has the bits of a plan of its batch', async () => {
    const weights = await trainedWeights();
    using model = await compileModel(tinyNet, { ...tiny, weights });
    const graph = new Graph({ training: false });
    const x = graph.input('x', [21, 8, 8, 1]);
    const y = ops.softmax(tinyNet(x, { classes: CLASSES }));
    using plan = compile(graph, { outputs: { y }, share: model.plan });
    const some = images.subarray(0, 21 * SIZE);
    const { y: expected } = await plan.step({ x: some });
    expect(model.runSync(some).probabilities).toEqual(expected);
  });

  it('has them whatever was asked before, and plans for rests are few', () => {
    using model = new CompiledModel(tinyNet, tiny);
    const alone = oneByOne(model, images);
    for (const count of [2, 3, 4, 5, 6, 7, 2, 15, 3, 9, 2]) {
      const expected = alone.subarray(0, count * CLASSES);
      expect(model.runSync(images.subarray(0, count * SIZE)).probabilities, `${count} images`).toEqual(expected);
    }
    expect(model.describe()).toHaveLength(6);
  });

  it('has them in shorter chunks too, when a network fills the caches', () => {
    using model = new CompiledModel(smallNet, { input: [40, 40, 1], classes: 7, device: 'cpu', threads: 2 });
    expect(model.chunk).toBeGreaterThan(1);
    expect(model.chunk).toBeLessThan(16);
    for (const { arenaBytes } of model.describe()) expect(arenaBytes).toBeLessThanOrEqual(16 * 2 ** 20);
    const some = noise(7 * 1600);
    expect(model.runSync(some).probabilities).toEqual(oneByOne(model, some, 1600));
  });

  it('is alone in its plan when a single one fills the caches', () => {
    using model = new CompiledModel(smallNet, { input: [96, 96, 1], classes: 7, device: 'cpu', threads: 2 });
    expect([model.chunk, model.describe().length]).toEqual([1, 1]);
    const some = noise(3 * 96 * 96);
    expect(model.runSync(some).probabilities).toEqual(oneByOne(model, some, 96 * 96));
  });
});

describe('outputs', () => {
  it('have names and shapes of their own', async () => {
    const outputs = (logits: Tensor, x: Tensor) => ({
      logits,
      corner: ops.slice(x, [0, 0, 0, 0], [x.shape[0]!, 2, 1, 1]),
    });
    using model = new CompiledModel(tinyNet, { ...tiny, outputs });
    const images = noise(19 * SIZE);
    const { logits, corner } = await model.run(images);
    expect(logits).toHaveLength(19 * CLASSES);
    expect(corner).toEqual(
      Float32Array.from({ length: 38 }, (_, index) => images[(index >> 1) * SIZE + (index % 2) * 8]!),
    );
  });

  it('that are no rows of images are refused', () => {
    const mean = (logits: Tensor) => ({ mean: ops.reduceMean(logits, { axes: [0, 1] }) });
    expect(() => new CompiledModel(tinyNet, { ...tiny, outputs: mean })).toThrow(ShapeError);
  });
});

describe('bytes', () => {
  const { images } = stripeDataset(37, 8, CLASSES);

  it('are scaled as in training', async () => {
    const weights = await trainedWeights();
    const [mean, std] = [0.3, 0.2];
    using bytes = await compileModel(tinyNet, { ...tiny, weights, pixels: { mean: [mean], std: [std] } });
    using floats = await compileModel(tinyNet, { ...tiny, weights });
    const scaled = Float32Array.from(images, (byte) => (byte / 255 - mean) / std);
    const { probabilities } = floats.runSync(scaled);
    (await bytes.run(images)).probabilities!.forEach((value, index) => {
      expect(value).toBeCloseTo(probabilities![index]!, 5);
    });
  });

  it('of another size are resized, each alone', async () => {
    const pixels = { size: [12, 10] as const, mean: [0.4], std: [0.3] };
    using model = new CompiledModel(tinyNet, { ...tiny, pixels, outputs: (_, x) => ({ x }) });
    const count = 18;
    const larger = Uint8Array.from({ length: count * 120 }, (_, index) => (index * 37 + (index >> 5)) % 256);
    const { x } = await model.run(larger);
    const last = model.runSync(larger.subarray(17 * 120)).x!;
    expect(x!.subarray(17 * SIZE)).toEqual(last);
    const graph = new Graph();
    const all = graph.constant('images', [count, 12, 10, 1], larger);
    const labels = graph.constant('labels', [count], new Int32Array(count));
    const options = { batch: count, size: [8, 8], shuffle: false, mean: [0.4], std: [0.3] };
    const batch = ops.datasetBatch(all, labels, graph.state('step', [1], 'i32'), options);
    using plan = compile(graph, { outputs: { x: batch.x }, device: 'cpu' });
    expect(x).toEqual((await plan.step()).x);
  });
});

describe('weights', () => {
  const images = noise(5 * SIZE);

  it('come from a record, a file or a plan in training, which they follow', async () => {
    const data = stripeDataset(96, 8, CLASSES);
    using trainer = tinyTrainer('bp', { data });
    using live = await compileModel(tinyNet, { ...tiny, share: trainer.plan });
    const before = live.runSync(images).probabilities!;
    await trainer.run(20);
    const after = (await live.run(images)).probabilities!;
    expect(after).not.toEqual(before);
    const weights = await trainer.readState();
    using record = await compileModel(tinyNet, { ...tiny, mode: 'inference', weights });
    expect(record.runSync(images).probabilities).toEqual(after);
    const file = path.join(folder, 'weights.safetensors');
    await saveSafetensors(file, weights);
    using read = await compileModel(tinyNet, { ...tiny, weights: file });
    expect(read.runSync(images).probabilities).toEqual(after);
  });

  it('that lack a tensor or have another shape are refused', async () => {
    const weights = await trainedWeights();
    const { 'head/fc/bias': _, ...rest } = weights;
    await expect(compileModel(tinyNet, { ...tiny, weights: rest })).rejects.toThrow(
      new CheckpointError('[weights] the record lacks "head/fc/bias" of shape 4'),
    );
    await expect(compileModel(tinyNet, { ...tiny, classes: 5, weights })).rejects.toThrow(CheckpointError);
    const float64 = { ...weights, 'head/fc/bias': { shape: [4], data: new Float64Array(4) } };
    await expect(compileModel(tinyNet, { ...tiny, weights: float64 })).rejects.toThrow(ArgumentError);
    await expect(compileModel(tinyNet, { ...tiny, weights: path.join(folder, 'none') })).rejects.toThrow(
      CheckpointError,
    );
    await expect(compileModel(tinyNet, { ...tiny, weights: folder })).rejects.toThrow(CheckpointError);
  });

  it('and a plan to share are not both given, and the mode is known', async () => {
    using trainer = tinyTrainer('bp');
    const both = { ...tiny, share: trainer.plan, weights: {} };
    await expect(compileModel(tinyNet, both)).rejects.toThrow('[compileModel] expected weights or share, got both');
    const mode = 'training' as 'inference';
    await expect(compileModel(tinyNet, { ...tiny, mode })).rejects.toThrow('[compileModel] mode is inference');
  });
});

describe('options of placement', () => {
  it.each([
    ['deviceIndex', -1],
    ['memoryLimit', 0],
    ['tf32', 'yes'],
  ])('%s reaches the plans', async (name, wrong) => {
    await expect(compileModel(tinyNet, { ...tiny, [name]: wrong })).rejects.toThrow(`[compile] ${name} is`);
  });
});

describe('calls', () => {
  it('that overlap answer each for its own images, beside calls on the thread itself', async () => {
    using model = new CompiledModel(tinyNet, tiny);
    const images = noise(60 * SIZE);
    const alone = oneByOne(model, images);
    const calls = Array.from({ length: 200 }, (_, call) => {
      const [first, count] = [call % 23, 1 + (call % 37)];
      const mine = images.slice(first * SIZE, (first + count) * SIZE);
      const expected = alone.slice(first * CLASSES, (first + count) * CLASSES);
      const answer = model.run(mine);
      mine.fill(0); // Too late: the images were copied.
      if (call % 10 === 0) expect(model.runSync(images).probabilities).toEqual(alone);
      return { answer, expected };
    });
    for (const { answer, expected } of calls) expect((await answer).probabilities).toEqual(expected);
  });

  it('that are queued settle when the model is disposed, and later ones are refused', async () => {
    const model = new CompiledModel(tinyNet, tiny);
    const images = noise(33 * SIZE);
    const { probabilities } = model.runSync(images);
    const queued = Array.from({ length: 20 }, () => model.run(images));
    model.dispose();
    model.dispose();
    for (const answer of await Promise.all(queued)) expect(answer.probabilities).toEqual(probabilities);
    await expect(model.run(images)).rejects.toThrow(DisposedError);
    expect(() => model.runSync(images)).toThrow(DisposedError);
  });

  it('can be aborted, alone', async () => {
    using model = new CompiledModel(tinyNet, tiny);
    const images = noise(4000 * SIZE);
    const controller = new AbortController();
    const aborted = model.run(images, { signal: controller.signal });
    const other = model.run(images.subarray(0, 3 * SIZE));
    controller.abort();
    await expect(aborted).rejects.toBeInstanceOf(AbortError);
    expect((await other).probabilities).toEqual(oneByOne(model, images.subarray(0, 3 * SIZE)));
  });

  it('with another array or length are refused', async () => {
    using model = new CompiledModel(tinyNet, tiny);
    using bytes = new CompiledModel(tinyNet, { ...tiny, pixels: { mean: [0], std: [1] } });
    await expect(model.run(new Uint8Array(SIZE))).rejects.toThrow('[run] images are a Float32Array');
    expect(() => bytes.runSync(noise(SIZE))).toThrow('[runSync] images are a Uint8Array');
    for (const length of [0, 1, SIZE - 1, SIZE + 1])
      expect(() => model.runSync(noise(length))).toThrow(`images of 8x8x1, 64 values each, got ${length} values`);
  });
});

describe('worker threads', () => {
  it('answer with models of their own at the same time', { timeout: 120_000 }, async () => {
    const weights = path.join(folder, 'worker.safetensors');
    await saveSafetensors(weights, await trainedWeights());
    using model = await compileModel(tinyNet, { ...tiny, weights });
    const answers = [3, 16, 50].map((count, index) => {
      const images = noise(count * SIZE, index + 1);
      const workerData = { weights, images, calls: 20 };
      const worker = new Worker(path.join(__dirname, 'inferenceWorker.mjs'), { execArgv: [], workerData });
      const posted = new Promise<Float32Array[]>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      const ended = new Promise<number>((resolve) => worker.once('exit', resolve));
      return { images, posted, ended };
    });
    for (const { images, posted, ended } of answers) {
      const expected = (await model.run(images)).probabilities;
      const found = await posted;
      expect(found).toHaveLength(21);
      for (const one of found) expect(one).toEqual(expected);
      expect(await ended).toBe(0);
    }
  });
});
