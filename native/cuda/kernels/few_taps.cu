// The gradient by the filter of a network's first convolution: few taps and channels, and pixels by the million. As a
// product it would fill a ninth of its tile. Launched by few_taps.cpp. A warp takes 32 pixels of y, puts what their
// windows read into shared memory, and then has an output channel to a lane, a sum for each tap. The rule easy to
// break: a warp reads only what its own lanes have put there, so __syncwarp is its barrier.
#include "few_taps.h"
#include "norm.cuh"

namespace gramian::cuda {

constexpr uint32_t kWarps = 8;

/** To the nearest bfloat16, ties to even; NaN stays. */
__device__ __forceinline__ float rounded_to_bf16(float x) {
  const uint32_t bits = __float_as_uint(x), kept = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
  return x != x ? x : __uint_as_float(kept);
}

/** Where a tap reads, from the pixel that y's pixel stands at. */
struct Tap {
  int32_t row, col, channel;
};

__device__ __forceinline__ Tap tap_of(const FewTapsParams& p, uint32_t t) {
  const uint32_t at = p.channels_of.quotient(t), row = p.taps_w_of.quotient(at);
  return {static_cast<int32_t>(row) * p.dilation_h, static_cast<int32_t>(at - row * p.taps_w_of.divisor) * p.dilation_w,
          static_cast<int32_t>(t - at * p.channels_of.divisor)};
}

/** A pixel's window, four taps side by side for each of 32 pixels. */
template <int Fours>
__device__ __forceinline__ void put_window(const FewTapsParams& p, uint32_t pixel, uint32_t end, const int4* taps,
                                           float (*window)[32][4]) {
  const uint32_t above = p.cols_of.quotient(pixel), image = p.rows_of.quotient(above), lane = threadIdx.x % 32;
  const int32_t row = static_cast<int32_t>(above - image * p.rows_of.divisor) * p.stride_h + p.top;
  const int32_t col = static_cast<int32_t>(pixel - above * p.cols_of.divisor) * p.stride_w + p.left;
  const float* x = p.x + static_cast<uint64_t>(image) * p.image_h * p.image_w * p.pitch_x;
#pragma unroll
  for (int i = 0; i < Fours; ++i) {
    Floats<4> four = zeros<4>();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int4 tap = taps[4 * i + k];
      const int32_t r = row + tap.x, c = col + tap.y;
      const bool inside = pixel < end && tap.z >= 0 && static_cast<uint32_t>(r) < static_cast<uint32_t>(p.image_h) &&
                          static_cast<uint32_t>(c) < static_cast<uint32_t>(p.image_w);
      if (inside) four.lane[k] = x[(r * p.image_w + c) * static_cast<int32_t>(p.pitch_x) + tap.z];
      if (p.rounded) four.lane[k] = rounded_to_bf16(four.lane[k]);
    }
    store<4>(window[i][lane], four);
  }
}

/** Sums of 4 * Fours taps for the lane's output. */
template <int Fours>
__device__ __forceinline__ void add_pixels(const FewTapsParams& p, uint32_t first, uint32_t end, uint32_t output,
                                           const float (*window)[32][4], Floats<4> (&sum)[Fours]) {
  constexpr uint32_t at_once = 4;
#pragma unroll 1
  for (uint32_t k = 0; k < 32; k += at_once) {
    float d[at_once];
#pragma unroll
    for (uint32_t i = 0; i < at_once; ++i) {
      const uint32_t pixel = first + k + i;
      d[i] = pixel < end && output < p.outputs ? *at(p.dy, pixel, p.pitch_dy, output) : 0.0f;
      if (p.rounded) d[i] = rounded_to_bf16(d[i]);
    }
#pragma unroll
    for (uint32_t i = 0; i < at_once; ++i)
#pragma unroll
      for (int four = 0; four < Fours; ++four) {
        const Floats<4> x = load<4>(window[four][k + i]);
#pragma unroll
        for (int lane = 0; lane < 4; ++lane) sum[four].lane[lane] = fmaf(x.lane[lane], d[i], sum[four].lane[lane]);
      }
  }
}

template <int Fours>
__device__ __forceinline__ void few_taps(const FewTapsParams& p) {
  __shared__ __align__(16) float memory[kWarps][Fours][32][4];
  __shared__ int4 taps[4 * Fours];
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, output = blockIdx.y * 32 + lane;
  if (threadIdx.x < 4 * Fours) {
    const Tap tap = tap_of(p, threadIdx.x);
    taps[threadIdx.x] = make_int4(tap.row, tap.col, threadIdx.x < p.taps ? tap.channel : -1, 0);
  }
  __syncthreads();
  const uint32_t end = min(p.pixels, (blockIdx.x + 1) * p.chunk);
  Floats<4> sum[Fours];
#pragma unroll
  for (auto& one : sum) one = zeros<4>();
#pragma unroll 1
  for (uint32_t first = blockIdx.x * p.chunk + warp * 32; first < end; first += kWarps * 32) {
    put_window<Fours>(p, first + lane, end, taps, memory[warp]);
    __syncwarp();
    add_pixels<Fours>(p, first, end, output, memory[warp], sum);
    __syncwarp();
  }
#pragma unroll
  for (int i = 0; i < Fours; ++i) store<4>(memory[warp][i][lane], sum[i]);
  __syncthreads();
#pragma unroll 1
  for (uint32_t four = warp; four < Fours && output < p.outputs; four += kWarps) {
    Floats<4> total = zeros<4>();
#pragma unroll
    for (uint32_t other = 0; other < kWarps; ++other) {
      const Floats<4> one = load<4>(memory[other][four][lane]);
#pragma unroll
      for (int k = 0; k < 4; ++k) total.lane[k] += one.lane[k];
    }
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k)
      if (4 * four + k < p.taps) p.parts[(blockIdx.x * p.taps + 4 * four + k) * p.outputs + output] = total.lane[k];
  }
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) fewTaps_12(const FewTapsParams p) { few_taps<3>(p); }
extern "C" __global__ void __launch_bounds__(256) fewTaps_28(const FewTapsParams p) { few_taps<7>(p); }
