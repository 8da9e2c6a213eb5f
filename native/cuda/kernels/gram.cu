// What gram and gramGrad do around cuBLAS: column means removed, a triangle mirrored, and the factor dG + dG'. Launched
// by gram.cpp. The rule easy to break: column means are removed as z - z_0 - mean(z - z_0), z_0 the first row, so that
// an offset shared by all rows costs no digits.
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

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) centre_4(const CentreParams p) { centre<4>(p); }
extern "C" __global__ void __launch_bounds__(256) centre_1(const CentreParams p) { centre<1>(p); }

// The lower triangle from the upper one, tile by tile through shared memory.
extern "C" __global__ void __launch_bounds__(256) mirror(const SquareParams p) {
  __shared__ float tile[kTile][kTile + 1];
  if (blockIdx.x < blockIdx.y) return;
  const uint32_t lane = threadIdx.x % 32, first = threadIdx.x / 32;
  const uint32_t row = blockIdx.y * kTile, col = blockIdx.x * kTile;
#pragma unroll
  for (uint32_t i = first; i < kTile; i += kShares)
    if (row + i < p.m && col + lane < p.m && row + i <= col + lane)
      tile[i][lane] = p.g[(row + i) * p.pitch_g + col + lane];
  __syncthreads();
#pragma unroll
  for (uint32_t i = first; i < kTile; i += kShares)
    if (col + i < p.m && row + lane < p.m && row + lane < col + i)
      p.factor[(col + i) * p.pitch_factor + row + lane] = tile[lane][i];
}

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
      if (row + i >= p.m || col + lane >= p.m) continue;
      const float sum = p.g[(row + i) * p.pitch_g + col + lane] + turned[lane][i];
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
