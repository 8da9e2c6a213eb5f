// Sums in float64, for what float32 would spoil. Included by hsic.cu and hsic_inverse.cu.
// The rule easy to break: float64 is slow on most cards; only work of the size of a Gram matrix may use it.
#pragma once
#include "device.cuh"
#include "hsic.h"

namespace gramian::cuda {

__device__ __forceinline__ double number(const HsicMatrix& matrix, uint32_t i, uint32_t j) {
  return static_cast<double>(matrix.data[i * matrix.pitch + j]);
}

/** Sums over a warp, given to every lane. */
template <int N>
__device__ __forceinline__ void warp_sums(double (&x)[N]) {
#pragma unroll
  for (int k = 0; k < N; ++k)
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x[k] += __shfl_xor_sync(kFullWarp, x[k], step);
}

/** Sums over a block of `Threads`, given to every thread. Call it with all threads; it begins and ends with a barrier.
 */
template <int Threads, int N>
__device__ __forceinline__ void block_sums(double (&x)[N]) {
  constexpr int warps = Threads / 32;
  __shared__ double partial[N][warps];
  warp_sums(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0)
#pragma unroll
    for (int k = 0; k < N; ++k) partial[k][threadIdx.x / 32] = x[k];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < N; ++k) {
    x[k] = partial[k][0];
#pragma unroll
    for (int i = 1; i < warps; ++i) x[k] += partial[k][i];
  }
  __syncthreads();
}

}  // namespace gramian::cuda
