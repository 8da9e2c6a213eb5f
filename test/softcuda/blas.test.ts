// The cuBLAS double against plain loops over small integers, which every order of summation gives exactly.
// The rule easy to break: operands are column-major, as the library's are.
import { beforeAll, describe, expect, it } from 'vitest';
import { build, Script } from './client';

beforeAll(build, 600_000);

describe('the cuBLAS double', () => {
  const [m, n, k] = [5, 4, 7];
  const fill = (length: number, start: number) => Float32Array.from({ length }, (_, i) => ((i * 7 + start) % 11) - 5);
  const a = fill(m * k, 1);
  const b = fill(k * n, 2);
  const c = fill(m * n, 3);

  function start() {
    const script = new Script();
    script.call('cublasCreate_v2', '&blas');
    const [alpha, beta] = [script.host(Float32Array.of(2)), script.host(Float32Array.of(3))];
    return { script, alpha, beta, A: script.upload(a), B: script.upload(b), C: script.upload(c) };
  }

  it('cublasSgemm is column-major and takes transposed factors', () => {
    for (const [transA, transB] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const { script, alpha, beta, A, B, C } = start();
      script.call(
        'cublasSgemm_v2',
        '$blas',
        transA,
        transB,
        m,
        n,
        k,
        alpha,
        A,
        transA ? k : m,
        B,
        transB ? n : k,
        beta,
        C,
        m,
      );
      const out = script.download(C, m * n * 4);
      const result = script.run();
      expect(result.failures(), result.report.errors.join()).toEqual([]);
      const expected = Array.from({ length: m * n }, (_, at) => {
        const [i, j] = [at % m, Math.floor(at / m)];
        let sum = 0;
        for (let q = 0; q < k; q += 1)
          sum += (a[transA ? i * k + q : q * m + i] as number) * (b[transB ? q * n + j : j * k + q] as number);
        return 2 * sum + 3 * (c[at] as number);
      });
      expect([...result.floats(out)]).toEqual(expected);
      expect(result.report.library.cublasGemm).toMatchObject({ calls: 1, flops: 2 * m * n * k });
    }
  });

  it('cublasSgemmStridedBatched and cublasGemmEx, which takes bf16 and rounds its output', () => {
    const { script, alpha, A, B } = start();
    const zero = script.host(Float32Array.of(0));
    const out = script.alloc(2 * 4 * 4); // two products 2 x 2 = [2, 3] [3, 2]; not read, since beta is 0
    script.call('cublasSgemmStridedBatched', '$blas', 0, 0, 2, 2, 3, alpha, A, 2, 6, B, 3, 6, zero, out, 2, 4, 2);
    const bf16 = script.upload(Uint16Array.of(0x3f80, 0x4000)); // 1, 2
    const product = script.alloc(2);
    script.call('cublasGemmEx', '$blas', 1, 0, 1, 1, 2, alpha, bf16, 14, 2, bf16, 14, 2, zero, product, 14, 1, 68, 0);
    const both = [script.download(out, 32), script.download(product, 2)];
    const result = script.run();
    expect(result.failures(), result.report.errors.join()).toEqual([]);
    const expected = Array.from({ length: 8 }, (_, at) => {
      const [batch, j, i] = [at >> 2, (at >> 1) & 1, at & 1];
      return (
        2 *
        [0, 1, 2].reduce(
          (sum, q) => sum + (a[batch * 6 + q * 2 + i] as number) * (b[batch * 6 + j * 3 + q] as number),
          0,
        )
      );
    });
    expect([...result.floats(both[0] as number)]).toEqual(expected);
    expect([...new Uint16Array(result.bytes(both[1] as number))]).toEqual([0x4120]); // 2 (1 + 4) = 10
  });

  it('TF32 cuts the factors to 10 bits when asked to', () => {
    const run = (mode: number) => {
      const script = new Script();
      script.call('cublasCreate_v2', '&blas');
      script.call('cublasSetMathMode', '$blas', mode);
      const [one, zero] = [script.host(Float32Array.of(1)), script.host(Float32Array.of(0))];
      const x = script.upload(Float32Array.of(1 + 2 ** -12));
      const out = script.alloc(4);
      script.call('cublasSgemm_v2', '$blas', 0, 0, 1, 1, 1, one, x, 1, x, 1, zero, out, 1);
      const at = script.download(out, 4);
      return script.run().floats(at)[0];
    };
    expect([run(0), run(3)]).toEqual([Math.fround((1 + 2 ** -12) ** 2), 1]);
  });

  it('enters a capture as a node', () => {
    const { script, alpha, beta, A, B, C } = start();
    const stream = script.stream();
    script.call('cublasSetStream_v2', '$blas', stream);
    script.call('cuStreamBeginCapture_v2', stream, 0);
    script.call('cublasSgemm_v2', '$blas', 0, 0, m, n, k, alpha, A, m, B, k, beta, C, m);
    script.call('cuStreamEndCapture', stream, '&graph');
    script.call('cuGraphInstantiateWithFlags', '&exec', '$graph', 0);
    for (let i = 0; i < 3; i += 1) script.call('cuGraphLaunch', '$exec', stream);
    const result = script.run();
    expect(result.failures(), result.report.errors.join()).toEqual([]);
    expect(result.report.counters).toMatchObject({ libraryCalls: 3, graphLaunches: 3 });
  });
});
