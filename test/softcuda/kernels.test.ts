// Real kernels, compiled by nvcc for four architectures, against plain loops in double; every seed must give the same
// bits and no finding. The rule easy to break: sizes are chosen so that tiles, vectors and warps are left unfilled.
import { beforeAll, describe, expect, it } from 'vitest';
import { build, type Result, Script } from './client';
import { architectures, compile, hasNvcc } from './nvcc';

const seeds = [0, 1, 2, 3, 4, 5, 6, 7];

/** Numbers in [-1, 1) that look random. */
function noise(length: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

interface Case {
  kernel: string;
  /** Uploads inputs, launches, and names the outputs' downloads. */
  start(script: Script, kernel: string): number[];
  expected: Float64Array[];
}

function product(): Case {
  const [m, n, k] = [70, 68, 36];
  const x = noise(m * k, 1);
  const w = noise(k * n, 2);
  const bias = noise(n, 3);
  const expected = Float64Array.from({ length: m * n }, (_, i) => {
    let sum = bias[i % n] as number;
    for (let q = 0; q < k; q += 1) sum += (x[Math.floor(i / n) * k + q] as number) * (w[q * n + (i % n)] as number);
    return sum;
  });
  return {
    kernel: 'product',
    expected: [expected],
    start(script, kernel) {
      const y = script.alloc(m * n * 4);
      const args = [script.upload(x), script.upload(w), script.upload(bias), y].map((at) => `u64:${at}`);
      script.launch(kernel, { grid: [Math.ceil(n / 64), Math.ceil(m / 64), 1], block: 256 }, [
        ...args,
        `u32:${m}`,
        `u32:${n}`,
        `u32:${k}`,
      ]);
      return [script.download(y, m * n * 4)];
    },
  };
}

function depthwise(): Case {
  const [batch, height, width, channels] = [2, 11, 9, 36];
  const x = noise(batch * height * width * channels, 4);
  const w = noise(9 * channels, 5);
  const expected = Float64Array.from(x, (_, i) => {
    const c = i % channels;
    const column = Math.floor(i / channels) % width;
    const row = Math.floor(i / channels / width) % height;
    let sum = 0;
    for (let tap = 0; tap < 9; tap += 1) {
      const iy = row + Math.floor(tap / 3) - 1;
      const ix = column + (tap % 3) - 1;
      if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
      sum += (x[i + ((iy - row) * width + ix - column) * channels] as number) * (w[tap * channels + c] as number);
    }
    return sum;
  });
  return {
    kernel: 'depthwise',
    expected: [expected],
    start(script, kernel) {
      const y = script.alloc(x.byteLength);
      const tiles = Math.ceil(width / 8);
      const args = [script.upload(x), script.upload(w), y].map((at) => `u64:${at}`);
      const grid = [tiles * Math.ceil(height / 8), Math.ceil(channels / 32), batch] as const;
      script.launch(kernel, { grid, block: 256 }, [
        ...args,
        `u32:${height}`,
        `u32:${width}`,
        `u32:${channels}`,
        `u32:${tiles}`,
      ]);
      return [script.download(y, x.byteLength)];
    },
  };
}

function statistics(): Case {
  const [pixels, channels] = [777, 5];
  const x = noise(pixels * channels, 6);
  const channel = (c: number) => Float64Array.from({ length: pixels }, (_, p) => x[p * channels + c] as number);
  const mean = Float64Array.from({ length: channels }, (_, c) => channel(c).reduce((a, b) => a + b) / pixels);
  const variance = Float64Array.from(mean, (mu, c) => channel(c).reduce((a, b) => a + (b - mu) ** 2, 0) / pixels);
  return {
    kernel: 'statistics',
    expected: [mean, variance],
    start(script, kernel) {
      const outputs = [script.alloc(channels * 4), script.alloc(channels * 4)];
      const args = [script.upload(x), ...outputs].map((at) => `u64:${at}`);
      script.launch(kernel, { grid: channels, block: 256 }, [...args, `u32:${pixels}`, `u32:${channels}`]);
      return outputs.map((at) => script.download(at, channels * 4));
    },
  };
}

function softmax(): Case {
  const [rows, classes] = [13, 40];
  const z = noise(rows * classes, 7).map((value) => value * 6);
  const labels = Int32Array.from({ length: rows }, (_, r) => (r * 7) % classes);
  const row = (r: number) => [...z.subarray(r * classes, (r + 1) * classes)];
  const sums = Float64Array.from({ length: rows }, (_, r) => row(r).reduce((a, b) => a + Math.exp(b), 0));
  const loss = Float64Array.from(sums, (sum, r) => Math.log(sum) - (z[r * classes + (labels[r] as number)] as number));
  const gradient = Float64Array.from(z, (value, i) => {
    const r = Math.floor(i / classes);
    return Math.exp(value) / (sums[r] as number) - (i % classes === labels[r] ? 1 : 0);
  });
  return {
    kernel: 'softmax',
    expected: [loss, gradient],
    start(script, kernel) {
      const outputs = [script.alloc(rows * 4), script.alloc(z.byteLength)];
      const args = [script.upload(z), script.upload(labels), ...outputs].map((at) => `u64:${at}`);
      script.launch(kernel, { grid: Math.ceil(rows / 4), block: 128 }, [...args, `u32:${rows}`, `u32:${classes}`]);
      return [script.download(outputs[0] as string, rows * 4), script.download(outputs[1] as string, z.byteLength)];
    },
  };
}

function adam(): Case {
  const n = 1031;
  const [p, g, m] = [noise(n, 8), noise(n, 9), noise(n, 10)];
  const v = noise(n, 11).map((value) => value * value);
  const rates = Float32Array.of(0.01, 0.9, 0.999, 1e-8, 1 / (1 - 0.9 ** 3), 1 / (1 - 0.999 ** 3));
  const [lr, beta1, beta2, epsilon, correct1, correct2] = rates as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const newM = Float64Array.from(m, (old, i) => beta1 * old + (1 - beta1) * (g[i] as number));
  const newV = Float64Array.from(v, (old, i) => beta2 * old + (1 - beta2) * (g[i] as number) ** 2);
  const newP = Float64Array.from(
    p,
    (old, i) => old - (lr * (newM[i] as number) * correct1) / (Math.sqrt((newV[i] as number) * correct2) + epsilon),
  );
  return {
    kernel: 'adam',
    expected: [newP, newM, newV],
    start(script, kernel) {
      const [P, G, M, V] = [p, g, m, v].map((data) => script.upload(data)) as [string, string, string, string];
      const bytes = Buffer.from(rates.buffer).toString('hex');
      script.launch(
        kernel,
        { grid: Math.ceil(n / 1024), block: 256 },
        [P, G, M, V].map((at) => `u64:${at}`).concat(`u32:${n}`, `hex:${bytes}`),
      );
      return [P, M, V].map((at) => script.download(at, n * 4));
    },
  };
}

function run(of: Case, architecture: number, seed: number): { result: Result; outputs: Float32Array[] } {
  const script = new Script(`capability=120;seed=${seed}`);
  const module = script.moduleFile(compile(`${of.kernel}.cu`, architecture));
  const downloads = of.start(script, script.function(module, of.kernel));
  const result = script.run();
  expect(result.failures(), result.report.errors.join('\n')).toEqual([]);
  return { result, outputs: downloads.map((index) => result.floats(index)) };
}

/** The largest difference, as a share of 1 + the expected size. */
function error(got: Float32Array, expected: Float64Array): number {
  expect(got.length).toBe(expected.length);
  return expected.reduce(
    (most, value, i) => Math.max(most, Math.abs((got[i] as number) - value) / (1 + Math.abs(value)) || 0),
    0,
  );
}

describe.skipIf(!hasNvcc)('kernels compiled by nvcc', () => {
  beforeAll(build, 600_000);
  const cases = [product(), depthwise(), statistics(), softmax(), adam()];

  describe.each(architectures)('compute_%i', (architecture) => {
    it.each(cases.map((each) => [each.kernel, each] as const))('%s', { timeout: 120_000 }, (_name, of) => {
      const first = run(of, architecture, 0);
      of.expected.forEach((expected, i) => {
        const got = first.outputs[i] as Float32Array;
        expect(got.every(Number.isFinite)).toBe(true);
        expect(error(got, expected)).toBeLessThan(2e-5);
      });
      for (const seed of seeds.slice(1)) expect(run(of, architecture, seed).outputs).toEqual(first.outputs);
      expect(first.result.report.findings).toEqual([]);
    });
  });

  it('findings name the line of the CUDA source', () => {
    const script = new Script('capability=120');
    const module = script.moduleFile(compile('adam.cu', 80));
    const p = script.alloc(64);
    const launch = script.launch(script.function(module, 'adam'), { block: 256 }, [
      `u64:${p}`,
      `u64:${p}`,
      `u64:${p}`,
      `u64:${p}`,
      'u32:16',
      'hex:'.padEnd(52, '0'),
    ]);
    const result = script.run();
    expect(result.code(launch)).toBe(719);
    expect(result.report.findings[0]).toMatchObject({
      check: 'uninitialised',
      where: 'adam',
      file: expect.stringMatching(/adam\.cu$/),
    });
    expect(result.report.findings[0]?.line).toBeGreaterThan(10);
  });
});
