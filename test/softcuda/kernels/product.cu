// Y [M, N] = X [M, K] W [K, N] + bias in float32: tiles of 64 x 64 x 16, 256 threads of 4 x 4. N and K multiples of 4.
// Run by test/softcuda/kernels.test.ts. The rule easy to break: the padding of `left` keeps its transposed stores apart.
constexpr int kTile = 64, kDepth = 16;

extern "C" __global__ void __launch_bounds__(256)
product(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, int m,
        int n, int k) {
  __shared__ float left[kDepth][kTile + 4];
  __shared__ float right[kDepth][kTile];
  const int t = threadIdx.x, tx = t % 16, ty = t / 16, m0 = blockIdx.y * kTile, n0 = blockIdx.x * kTile;
  const int a_row = t / 4, a_column = t % 4 * 4, b_row = t / 16, b_column = t % 16 * 4;
  float sum[4][4] = {};
  for (int k0 = 0; k0 < k; k0 += kDepth) {
    float4 a = make_float4(0, 0, 0, 0), b = a;
    if (m0 + a_row < m && k0 + a_column < k) a = *reinterpret_cast<const float4*>(x + static_cast<size_t>(m0 + a_row) * k + k0 + a_column);
    if (k0 + b_row < k && n0 + b_column < n) b = *reinterpret_cast<const float4*>(w + static_cast<size_t>(k0 + b_row) * n + n0 + b_column);
    left[a_column][a_row] = a.x;
    left[a_column + 1][a_row] = a.y;
    left[a_column + 2][a_row] = a.z;
    left[a_column + 3][a_row] = a.w;
    *reinterpret_cast<float4*>(&right[b_row][b_column]) = b;
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kDepth; ++q) {
      const float4 av = *reinterpret_cast<const float4*>(&left[q][ty * 4]), bv = *reinterpret_cast<const float4*>(&right[q][tx * 4]);
      const float p[4] = {av.x, av.y, av.z, av.w}, r[4] = {bv.x, bv.y, bv.z, bv.w};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(p[i], r[j], sum[i][j]);
    }
    __syncthreads();
  }
  const int column = n0 + tx * 4;
  if (column >= n) return;
  const float4 add = *reinterpret_cast<const float4*>(bias + column);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = m0 + ty * 4 + i;
    if (row < m)
      *reinterpret_cast<float4*>(y + static_cast<size_t>(row) * n + column) =
          make_float4(sum[i][0] + add.x, sum[i][1] + add.y, sum[i][2] + add.z, sum[i][3] + add.w);
  }
}
