// gather, gatherGrad and topK over samples of [rows, D]. Launched by gather.cpp.
// The rule easy to break: an index out of range is reported and touches no memory.
#include "device.cuh"
#include "gather.h"

namespace gramian::cuda {

constexpr uint32_t kBlock = 256, kWarps = kBlock / 32;

template <int V>
__device__ __forceinline__ void gather(const GatherParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const uint32_t sample = p.rows_to.quotient(row), pick = row - sample * p.rows_to.divisor;
    const auto from = static_cast<uint32_t>(at(p.index, sample, p.pitch_index, pick)[0]);
    Floats<W> x = {};
    if (from < p.rows)
      x = load<W>(at(p.from, sample * p.rows_from + from, p.pitch_from, column));
    else if (column == 0)
      report(p.fault);
    store<W>(at(p.to, row, p.pitch_to, column), x);
  });
}

/** dx[n, p] = the sum of dy[n, k] over k with index[n, k] = p, in order. */
template <int V>
__device__ __forceinline__ void gather_gradient(const GatherParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const uint32_t sample = p.rows_to.quotient(row), here = row - sample * p.rows_to.divisor;
    const int32_t* index = at(p.index, sample, p.pitch_index, 0);
    const float* from = at(p.from, sample * p.rows_from, p.pitch_from, column);
    Floats<W> sum = {};
#pragma unroll 1
    for (uint32_t k = 0; k < p.picks; ++k, from += p.pitch_from) {
      const auto pick = static_cast<uint32_t>(index[k]);
      if (pick >= p.rows && here == 0 && column == 0) report(p.fault);
      if (pick != here) continue;
      const Floats<W> x = load<W>(from);
#pragma unroll
      for (int i = 0; i < W; ++i) sum.lane[i] += x.lane[i];
    }
    store<W>(at(p.to, row, p.pitch_to, column), sum);
  });
}

/** A NaN counts as less than any norm. */
__device__ __forceinline__ float norm_at(const float* norms, uint32_t row) {
  const float norm = norms[row];
  return norm == norm ? norm : -1.0f;
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) gather_4(const GatherParams p) { gather<4>(p); }
extern "C" __global__ void __launch_bounds__(256) gather_1(const GatherParams p) { gather<1>(p); }
extern "C" __global__ void __launch_bounds__(256) gatherGrad_4(const GatherParams p) { gather_gradient<4>(p); }
extern "C" __global__ void __launch_bounds__(256) gatherGrad_1(const GatherParams p) { gather_gradient<1>(p); }

// A block to a sample. A row is picked when fewer than `picks` rows come before it by norm, then by number; picked rows
// are written in the order of their numbers.
extern "C" __global__ void __launch_bounds__(256) topK(const TopParams p) {
  __shared__ float others[kBlock];
  __shared__ uint32_t picked_by_warp[kWarps];
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll 1
  for (uint32_t sample = blockIdx.x; sample < p.samples; sample += gridDim.x) {
    const float* norms = p.norms + sample * p.rows;
    uint32_t written = 0;
#pragma unroll 1
    for (uint32_t first = 0; first < p.rows; first += kBlock) {
      const uint32_t row = first + threadIdx.x;
      const float norm = row < p.rows ? norm_at(norms, row) : 0.0f;
      uint32_t ahead = 0;
#pragma unroll 1
      for (uint32_t begin = 0; begin < p.rows; begin += kBlock) {
        const uint32_t count = min(kBlock, p.rows - begin);
        __syncthreads();
        if (threadIdx.x < count) others[threadIdx.x] = norm_at(norms, begin + threadIdx.x);
        __syncthreads();
        for (uint32_t i = 0; i < count; ++i)
          ahead += others[i] > norm || (others[i] == norm && begin + i < row) ? 1 : 0;
      }
      const bool picked = row < p.rows && ahead < p.picks;
      const uint32_t votes = __ballot_sync(kFullWarp, picked);
      if (lane == 0) picked_by_warp[warp] = __popc(votes);
      __syncthreads();
      uint32_t before = written;
#pragma unroll
      for (uint32_t w = 0; w < kWarps; ++w) {
        before += w < warp ? picked_by_warp[w] : 0;
        written += picked_by_warp[w];
      }
      if (picked)
        at(p.index, sample, p.pitch_index, before)[__popc(votes & ((1u << lane) - 1))] = static_cast<int>(row);
    }
  }
}
