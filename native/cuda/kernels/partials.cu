// Adds the parts of a sum. Launched by partials.cpp.
// The rule easy to break: a block is 8 elements (a sector) by 32 shares of the parts, four of them to a warp, and the
// shares are added by a fixed tree. What rounding takes off a sum is kept beside it, so that many parts cost no digits.
#include "norm.cuh"
#include "partials.h"

namespace gramian::cuda {

constexpr uint32_t kElements = kPartsElements, kShares = 32, kWarps = 8;

/** A sum and what rounding took off it (Knuth, TAOCP 2, 4.2.2, theorem B). */
struct ExactSum {
  float sum, lost;

  __device__ __forceinline__ void add(float x) {
    const float next = sum + x, taken = next - sum;
    lost += (sum - (next - taken)) + (x - taken);
    sum = next;
  }
  __device__ __forceinline__ void add(float other_sum, float other_lost) {
    add(other_sum);
    lost += other_lost;
  }
  /** What an infinite sum has lost is no number; the larger of NaN and the least number is the latter. */
  __device__ __forceinline__ float total() const { return sum + fmaxf(lost, -3.402823466e38f); }
};

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) addParts(const PartialsParams p) {
  __shared__ ExactSum shares[kWarps][kElements];
  const uint32_t lane = threadIdx.x % kElements, share = threadIdx.x / kElements;
  const uint32_t element = blockIdx.x * kElements + lane;
  ExactSum sum = {};
  if (element < p.size) {
    const float* from = p.parts + element;
#pragma unroll 8
    for (uint32_t i = share; i < p.count; i += kShares) sum.add(from[static_cast<uint64_t>(i) * p.size]);
  }
#pragma unroll
  for (int step = kElements; step < 32; step *= 2)
    sum.add(__shfl_xor_sync(kFullWarp, sum.sum, step), __shfl_xor_sync(kFullWarp, sum.lost, step));
  if (threadIdx.x % 32 < kElements) shares[threadIdx.x / 32][lane] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  // Opaque, so that the whole warp works it out and not the few lanes that are left below.
  const uint32_t row = opaque(p.cols_of.quotient(element)), column = opaque(element - row * p.cols);
  if (share > 0 || element >= p.size) return;
#pragma unroll
  for (uint32_t i = 1; i < kWarps; ++i) sum.add(shares[i][lane].sum, shares[i][lane].lost);
  Floats<1> y = {sum.total()};
  if (p.finish.mean) normalize<1>(y, channels_of<1>(p.finish, column), p.finish);
  store<1>(at(p.y, row, p.pitch, column), y);
}
