// gram and gramGrad: products of a batch with itself, whose column means are removed on the way where a batch is one
// panel of rows. Launched by gram.cpp. A batch has few rows and many columns, so a block takes all rows and a slab of
// columns. The rules easy to break: column means are removed as z - z_0 - mean(z - z_0), z_0 the first row, so that an
// offset shared by all rows costs no digits; g's halves are sums of the same products in the same order, so that g is
// exactly symmetric.
#include "gram.h"
#include "norm.cuh"

namespace gramian::cuda {

constexpr uint32_t kTile = 32, kShares = 8;

/** A block of 32 vectors of columns by 8 shares of the rows. */
template <int V>
__device__ __forceinline__ void centre(const CentreParams& p) {
  __shared__ __align__(16) float shares[kShares][32 * V];
  const uint32_t lane = threadIdx.x % 32, share = threadIdx.x / 32, vector = blockIdx.x * 32 + lane;
  const bool idle = vector >= p.vectors;
  const float* z = p.z + vector * V;
  Floats<V> first = zeros<V>(), sum = zeros<V>();
  if (!idle) {
    first = load<V>(z);
#pragma unroll 4
    for (uint32_t i = share; i < p.rows; i += kShares) {
      const Floats<V> x = load<V>(z + i * p.pitch_z);
#pragma unroll
      for (int k = 0; k < V; ++k) sum.lane[k] += x.lane[k] - first.lane[k];
    }
  }
  store<V>(&shares[share][lane * V], sum);
  __syncthreads();
  if (idle) return;
  Floats<V> mean = zeros<V>();
#pragma unroll
  for (uint32_t i = 0; i < kShares; ++i) {
    const Floats<V> one = load<V>(&shares[i][lane * V]);
#pragma unroll
    for (int k = 0; k < V; ++k) mean.lane[k] += one.lane[k];
  }
#pragma unroll
  for (float& one : mean.lane) one /= static_cast<float>(p.rows);
#pragma unroll 4
  for (uint32_t i = share; i < p.rows; i += kShares) {
    Floats<V> x = load<V>(z + i * p.pitch_z);
#pragma unroll
    for (int k = 0; k < V; ++k) x.lane[k] = (x.lane[k] - first.lane[k]) - mean.lane[k];
    store<V>(p.y + i * p.pitch_y + vector * V, x);
  }
}

// ---------------------------------------------------------------- products

constexpr uint32_t kCols = 32;  // columns of z at a time, 8 groups of 4

/** Where a row lies among a column's rows in shared memory, so that neither puts nor loads meet in a bank. */
__device__ __forceinline__ uint32_t swizzled(uint32_t group, uint32_t row) { return row ^ 4 * group; }

/** 4 columns of row `row`, zeros beyond the ends. */
template <int V>
__device__ __forceinline__ Floats<4> four_columns(const float* z, uint32_t pitch, uint32_t row, uint32_t rows,
                                                  uint32_t col, uint32_t cols) {
  const float* from = z + row * pitch + col;
  Floats<4> x = zeros<4>();
  if constexpr (V == 4) {
    if (row < rows && col < cols) x = load<4>(from);
  } else {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) x.lane[i] = row < rows && col + i < cols ? from[i] : 0.0f;
  }
  return x;
}

/** Rows of a panel and kCols columns, 4 columns of every 32nd row to each of 256 threads. */
template <int Rows>
struct Panel {
  Floats<4> held[Rows / 32];

  template <int V>
  __device__ __forceinline__ void fetch(const float* z, uint32_t pitch, uint32_t first, uint32_t rows, uint32_t col,
                                        uint32_t cols) {
#pragma unroll
    for (uint32_t i = 0; i < Rows / 32; ++i)
      held[i] = four_columns<V>(z, pitch, first + threadIdx.x / 8 + 32 * i, rows, col + threadIdx.x % 8 * 4, cols);
  }
  /** Less the means of the columns over all `rows` rows; all threads take part. */
  __device__ __forceinline__ void centre(const Floats<4>& top, uint32_t rows, float (&shares)[8][kCols]) {
    Floats<4> sum = zeros<4>();
#pragma unroll
    for (uint32_t i = 0; i < Rows / 32; ++i) {
      if (threadIdx.x / 8 + 32 * i >= rows) continue;
#pragma unroll
      for (int k = 0; k < 4; ++k) sum.lane[k] += held[i].lane[k] -= top.lane[k];
    }
#pragma unroll
    for (int step = 8; step < 32; step *= 2)
#pragma unroll
      for (float& one : sum.lane) one += __shfl_xor_sync(kFullWarp, one, step);
    if (threadIdx.x % 32 < 8) store<4>(&shares[threadIdx.x / 32][threadIdx.x % 8 * 4], sum);
    __syncthreads();
    Floats<4> mean = zeros<4>();
#pragma unroll
    for (uint32_t warp = 0; warp < 8; ++warp) {
      const Floats<4> one = load<4>(&shares[warp][threadIdx.x % 8 * 4]);
#pragma unroll
      for (int k = 0; k < 4; ++k) mean.lane[k] += one.lane[k];
    }
#pragma unroll
    for (float& one : mean.lane) one /= static_cast<float>(rows);
#pragma unroll
    for (uint32_t i = 0; i < Rows / 32; ++i) {
      if (threadIdx.x / 8 + 32 * i >= rows) continue;
#pragma unroll
      for (int k = 0; k < 4; ++k) held[i].lane[k] -= mean.lane[k];
    }
  }
  /** A column's rows side by side. */
  __device__ __forceinline__ void put(float (&slice)[kCols][Rows]) const {
    const uint32_t group = threadIdx.x % 8;
#pragma unroll
    for (uint32_t i = 0; i < Rows / 32; ++i)
#pragma unroll
      for (uint32_t k = 0; k < 4; ++k)
        slice[group * 4 + k][swizzled(group, threadIdx.x / 8 + 32 * i)] = held[i].lane[k];
  }
  /** As it lies in z. */
  __device__ __forceinline__ void put_rows(float (&slice)[Rows][kCols]) const {
#pragma unroll
    for (uint32_t i = 0; i < Rows / 32; ++i) store<4>(&slice[threadIdx.x / 8 + 32 * i][threadIdx.x % 8 * 4], held[i]);
  }
};

/** 4 rows by 4 columns of y, as far as they exist. */
__device__ __forceinline__ void put_square(const GramParams& p, uint32_t row, uint32_t col, const Floats<4> (&y)[4]) {
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    if (row + i >= p.m) return;
    float* to = p.y + blockIdx.x * p.part + (row + i) * p.pitch_y + col;
    if (p.wide_y && col < p.m) {
      store_wide(to, y[i]);
      continue;
    }
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k)
      if (col + k < p.m) to[k] = y[i].lane[k];
  }
}

/** Squares of 4 x 4 to a thread: Q x Q of them, 64 rows and columns apart. */
template <int Q, int V>
__device__ __forceinline__ void gram(const GramParams& p) {
  constexpr uint32_t rows = 64 * Q;
  __shared__ __align__(16) float left[kCols][rows], right[kCols][rows], shares[8][kCols];
  const uint32_t tx = threadIdx.x % 16 * 4, ty = threadIdx.x / 16 * 4;
  const uint32_t first = blockIdx.x * p.slab, end = min(p.cols, first + p.slab);
  const uint32_t above = blockIdx.y * rows, beside = blockIdx.z * rows;
  if (beside < above) return;
  Floats<4> sum[Q][Q][4];
#pragma unroll
  for (int i = 0; i < Q * Q * 4; ++i) sum[i / 4 / Q][i / 4 % Q][i % 4] = zeros<4>();
  Panel<rows> a;
  a.template fetch<V>(p.z, p.pitch_z, above, p.m, first, end);
#pragma unroll 1
  for (uint32_t col = first; col < end; col += kCols) {
    if (p.centred) {
      const Floats<4> top = four_columns<V>(p.z, p.pitch_z, 0, 1, col + threadIdx.x % 8 * 4, end);
      a.centre(top, p.m, shares);
    }
    a.put(left);
    if (beside != above) {
      a.template fetch<V>(p.z, p.pitch_z, beside, p.m, col, end);
      a.put(right);
    }
    __syncthreads();
    if (col + kCols < end) a.template fetch<V>(p.z, p.pitch_z, above, p.m, col + kCols, end);
    const float(&other)[kCols][rows] = beside != above ? right : left;
#pragma unroll 2
    for (uint32_t k = 0; k < kCols; ++k) {
      Floats<4> x[Q], y[Q];
#pragma unroll
      for (int q = 0; q < Q; ++q) {
        x[q] = load<4>(&left[k][swizzled(k / 4, ty) + 64 * q]);
        y[q] = load<4>(&other[k][swizzled(k / 4, tx) + 64 * q]);
      }
#pragma unroll
      for (int i = 0; i < Q * Q * 4; ++i) {
        const int u = i / 4 / Q, v = i / 4 % Q, r = i % 4;
#pragma unroll
        for (int c = 0; c < 4; ++c) sum[u][v][r].lane[c] = fmaf(x[u].lane[r], y[v].lane[c], sum[u][v][r].lane[c]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < Q * Q; ++i) {
    const int u = i / Q, v = i % Q;
    put_square(p, above + ty + 64 * u, beside + tx + 64 * v, sum[u][v]);
    if (beside == above) continue;
    Floats<4> turned[4];
#pragma unroll
    for (int k = 0; k < 16; ++k) turned[k % 4].lane[k / 4] = sum[u][v][k / 4].lane[k % 4];
    put_square(p, beside + tx + 64 * v, above + ty + 64 * u, turned);
  }
}

constexpr uint32_t kMostRows = 128, kTerms = 16;

/** 4 x 4 of dz to a thread; the factor goes by in slices of kTerms of its rows, which are its columns too. */
template <int V>
__device__ __forceinline__ void gram_grad(const GramGradParams& p) {
  __shared__ __align__(16) float batch[kMostRows][kCols], factor[kTerms][kMostRows], shares[8][kCols];
  const uint32_t col = blockIdx.x * kCols, row = threadIdx.x / 8 * 4, group = threadIdx.x % 8 * 4;
  Panel<kMostRows> z;
  z.template fetch<V>(p.z, p.pitch_z, 0, p.m, col, p.cols);
  if (p.centred) z.centre(four_columns<V>(p.z, p.pitch_z, 0, 1, col + group, p.cols), p.m, shares);
  z.put_rows(batch);
  // 4 of a row's columns, for two rows of the slice.
  const uint32_t term = threadIdx.x / 32, four = threadIdx.x % 32 * 4;
  const auto bring = [&](uint32_t from, uint32_t half) {
    const uint32_t k = from + term + half * kTerms / 2;
    return k < p.m && four < p.pitch_factor ? load<4>(p.factor + k * p.pitch_factor + four) : zeros<4>();
  };
  Floats<4> held[2] = {bring(0, 0), bring(0, 1)}, sum[4] = {zeros<4>(), zeros<4>(), zeros<4>(), zeros<4>()};
#pragma unroll 1
  for (uint32_t first = 0; first < p.m; first += kTerms) {
    store<4>(&factor[term][four], held[0]);
    store<4>(&factor[term + kTerms / 2][four], held[1]);
    __syncthreads();
    if (first + kTerms < p.m) held[0] = bring(first + kTerms, 0), held[1] = bring(first + kTerms, 1);
#pragma unroll
    for (uint32_t k = 0; k < kTerms; ++k) {
      const Floats<4> f = load<4>(&factor[k][row]), x = load<4>(&batch[first + k][group]);
#pragma unroll
      for (int i = 0; i < 16; ++i) sum[i / 4].lane[i % 4] = fmaf(f.lane[i / 4], x.lane[i % 4], sum[i / 4].lane[i % 4]);
    }
    __syncthreads();
  }
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    if (row + i >= p.m) return;
    float* to = p.dz + (row + i) * p.pitch_dz + col + group;
    if constexpr (V == 4) {
      if (col + group < p.cols) store_wide(to, sum[i]);
    } else {
#pragma unroll
      for (uint32_t k = 0; k < 4; ++k)
        if (col + group + k < p.cols) to[k] = sum[i].lane[k];
    }
  }
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) gram64_4(const GramParams p) { gram<1, 4>(p); }
extern "C" __global__ void __launch_bounds__(256) gram64_1(const GramParams p) { gram<1, 1>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) gram128_4(const GramParams p) { gram<2, 4>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) gram128_1(const GramParams p) { gram<2, 1>(p); }
extern "C" __global__ void __launch_bounds__(256, 4) gramGrad_4(const GramGradParams p) { gram_grad<4>(p); }
extern "C" __global__ void __launch_bounds__(256, 4) gramGrad_1(const GramGradParams p) { gram_grad<1>(p); }
extern "C" __global__ void __launch_bounds__(256) centre_4(const CentreParams p) { centre<4>(p); }
extern "C" __global__ void __launch_bounds__(256) centre_1(const CentreParams p) { centre<1>(p); }

// A band of 32 rows of dG + dG', and the means of these rows.
extern "C" __global__ void __launch_bounds__(256) factorRows(const SquareParams p) {
  __shared__ float turned[kTile][kTile + 1];
  const uint32_t lane = threadIdx.x % 32, first = threadIdx.x / 32, row = blockIdx.x * kTile;
  double sums[kTile / kShares] = {};
#pragma unroll 1
  for (uint32_t col = 0; col < p.m; col += kTile) {
    __syncthreads();
#pragma unroll
    for (uint32_t i = first; i < kTile; i += kShares)
      if (col + i < p.m && row + lane < p.m) turned[i][lane] = p.g[(col + i) * p.pitch_g + row + lane];
    __syncthreads();
#pragma unroll
    for (uint32_t k = 0; k < kTile / kShares; ++k) {
      const uint32_t i = first + k * kShares;
      // Rows are read by fours, so what fills them up is written too.
      if (row + i >= p.m || col + lane >= p.pitch_factor) continue;
      const float sum = col + lane < p.m ? p.g[(row + i) * p.pitch_g + col + lane] + turned[lane][i] : 0.0f;
      p.factor[(row + i) * p.pitch_factor + col + lane] = sum;
      sums[k] += static_cast<double>(sum);
    }
  }
  if (!p.means) return;
#pragma unroll
  for (uint32_t k = 0; k < kTile / kShares; ++k) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sums[k] += __shfl_xor_sync(kFullWarp, sums[k], step);
    const uint32_t i = row + first + k * kShares;
    if (lane == 0 && i < p.m) p.means[i] = sums[k] / static_cast<double>(p.m);
  }
}

// H S H, a row to a warp.
extern "C" __global__ void __launch_bounds__(256) factorCentre(const SquareParams p) {
  const uint32_t lane = threadIdx.x % 32, row = blockIdx.x * kShares + threadIdx.x / 32;
  if (row >= p.m) return;
  double grand = 0;
  for (uint32_t i = lane; i < p.m; i += 32) grand += p.means[i];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) grand += __shfl_xor_sync(kFullWarp, grand, step);
  const double shift = p.means[row] - grand / static_cast<double>(p.m);
  float* factor = p.factor + row * p.pitch_factor;
  for (uint32_t j = lane; j < p.m; j += 32)
    factor[j] = static_cast<float>(static_cast<double>(factor[j]) - p.means[j] - shift);
}
