// Adds the parts of a sum. Launched by partials.cpp.
// The rule easy to break: a block is 32 elements by 8 shares of the parts, and the shares are added in their order.
#include "norm.cuh"
#include "partials.h"

namespace gramian::cuda {

constexpr uint32_t kShares = 8;

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) addParts(const PartialsParams p) {
  __shared__ float shares[kShares][32];
  const uint32_t lane = threadIdx.x % 32, share = threadIdx.x / 32, element = blockIdx.x * 32 + lane;
  float sum = 0;
  if (element < p.size) {
    const float* from = p.parts + element;
#pragma unroll 4
    for (uint32_t i = share; i < p.count; i += kShares) sum += from[static_cast<uint64_t>(i) * p.size];
  }
  shares[share][lane] = sum;
  __syncthreads();
  if (share > 0 || element >= p.size) return;
#pragma unroll
  for (uint32_t i = 1; i < kShares; ++i) sum += shares[i][lane];
  const uint32_t row = p.cols_of.quotient(element), column = element - row * p.cols;
  Floats<1> y = {sum};
  if (p.finish.mean) normalize<1>(y, channels_of<1>(p.finish, column), p.finish);
  store<1>(at(p.y, row, p.pitch, column), y);
}
