// Depthwise convolution, its gradient by the input (the same correlation with the filter turned, one set of outputs for
// each phase of a stride), and the gradient by the filter. Launched by depthwise.cpp. A block stages its tile of x
// once; a thread keeps one vector of channels. The rule easy to break: threads without work still meet every barrier.
#include "depthwise.h"
#include "window.cuh"

namespace gramian::cuda {

extern __shared__ float4 depthwise_memory[];

/**
 * body(row, column, where the output's window begins in the tile) for this thread's outputs of the tile, or, with Step
 * 2, for every other one of a column.
 */
template <int V, uint32_t Step, typename Body>
__device__ __forceinline__ void for_outputs(const Window& w, const Share& s, const WindowTile& tile, int32_t rows,
                                            int32_t cols, const float* memory, const Body& body) {
#pragma unroll 1
  for (uint32_t i = s.pixel; i < w.tile_h * w.tile_w / Step; i += s.pixels) {
    const uint32_t above = w.tile_w_of.quotient(i), c = i - above * w.tile_w, r = above * Step;
    const int32_t row = tile.row + static_cast<int32_t>(r), col = tile.col + static_cast<int32_t>(c);
    if (row < rows && col < cols)
      body(row, col, memory + ((r * w.stride_h * w.in_w + c * w.stride_w) * w.part + s.lane) * V);
  }
}

__device__ __forceinline__ float* place_of(const DepthwiseParams& p, const Outputs& o, uint32_t image, int32_t row,
                                           int32_t col) {
  const uint32_t y_row = o.y_h + row * p.y_step_h, y_col = o.y_w + col * p.y_step_w;
  return p.y + ((image * p.y_rows + y_row) * p.y_cols + y_col) * p.pitch_y;
}

/**
 * 3 x 3 taps side by side with stride 1: the filter is in registers, and two outputs of a column share what they read.
 */
template <int V>
__device__ __forceinline__ void near(const DepthwiseParams& p) {
  auto* memory = reinterpret_cast<float*>(depthwise_memory);
  const Window& w = p.window;
  const Outputs& o = p.outputs[0];
  const Share s = share_of(w, blockIdx.y);
  const uint32_t channel = s.vector * V;
  float* const norm = memory + w.in_h * w.in_w * w.part * V;
  stage_norm<V>(w, s, channel, norm);
  Floats<V> filter[9];
  if (!s.idle) {
    const int32_t pitch = static_cast<int32_t>(p.pitch_filter), next = o.filter_step_w * pitch;
    const float* taps = p.filter + channel + o.filter_first * pitch;
#pragma unroll
    for (int r = 0; r < 3; ++r, taps += o.filter_step_h * pitch) {
      filter[3 * r] = load<V>(taps);
      filter[3 * r + 1] = load<V>(taps + next);
      filter[3 * r + 2] = load<V>(taps + 2 * next);
    }
  }
  const uint32_t across = w.part * V, down = w.in_w * across;
#pragma unroll 1
  for (uint32_t index = blockIdx.x; index < w.tiles; index += gridDim.x) {
    const WindowTile tile = window_tile(w, index);
    __syncthreads();
    stage<V>(w, s, channel, tile.image, tile.row * w.stride_h + o.top, tile.col * w.stride_w + o.left, norm, memory);
    __syncthreads();
    if (s.idle) continue;
    for_outputs<V, 2>(w, s, tile, o.rows, o.cols, memory, [&](int32_t row, int32_t col, const float* from) {
      Floats<V> sum[2] = {zeros<V>(), zeros<V>()};
#pragma unroll
      for (int r = 0; r < 4; ++r, from += down)
#pragma unroll
        for (int c = 0; c < 3; ++c) {
          const Floats<V> x = load<V>(from + c * across);
          if (r < 3) multiply_add<V>(sum[0], x, filter[r * 3 + c]);
          if (r > 0) multiply_add<V>(sum[1], x, filter[r * 3 + c - 3]);
        }
      float* to = place_of(p, o, tile.image, row, col) + channel;
      store<V>(to, sum[0]);
      if (row + 1 < o.rows) store<V>(to + p.y_cols * p.pitch_y, sum[1]);
    });
  }
}

/** Copies a set's taps for one channel of each of the block's lanes to shared memory. */
template <int V>
__device__ __forceinline__ void stage_filter(const DepthwiseParams& p, const Outputs& o, const Share& s, uint32_t f,
                                             float* filter) {
#pragma unroll 1
  for (uint32_t t = s.pixel; t < static_cast<uint32_t>(o.taps_h * o.taps_w); t += s.pixels) {
    const int32_t t_h = static_cast<int32_t>(t) / o.taps_w, t_w = static_cast<int32_t>(t) - t_h * o.taps_w;
    const float* from =
        p.filter + (o.filter_first + t_h * o.filter_step_h + t_w * o.filter_step_w) * p.pitch_filter + f;
    store<V>(filter + (t * p.window.part + s.lane) * V, load<V>(from + s.vector * V * p.fold));
  }
}

/** Any taps, any phases: the filter lies in shared memory behind the tile. */
template <int V>
__device__ __forceinline__ void any(const DepthwiseParams& p) {
  auto* memory = reinterpret_cast<float*>(depthwise_memory);
  const Window& w = p.window;
  const Outputs o = p.outputs[blockIdx.z];
  const Share s = share_of(w, blockIdx.y);
  float* const norm = memory + w.in_h * w.in_w * w.part * V;
  float* const filter = norm + 3 * w.part * V;
  const uint32_t across = w.dilation_w * w.part * V, down = w.dilation_h * w.in_w * w.part * V;
#pragma unroll 1
  for (uint32_t f = 0; f < p.fold; ++f) {
    const uint32_t channel = w.multiplier_of.quotient(s.vector * V) * p.fold + f;
    __syncthreads();
    stage_norm<V>(w, s, channel, norm);
    if (!s.idle) stage_filter<V>(p, o, s, f, filter);
#pragma unroll 1
    for (uint32_t index = blockIdx.x; index < w.tiles; index += gridDim.x) {
      const WindowTile tile = window_tile(w, index);
      if (tile.row >= o.rows || tile.col >= o.cols) continue;
      __syncthreads();
      stage<V>(w, s, channel, tile.image, tile.row * w.stride_h + o.top, tile.col * w.stride_w + o.left, norm, memory);
      __syncthreads();
      if (s.idle) continue;
      for_outputs<V, 1>(w, s, tile, o.rows, o.cols, memory, [&](int32_t row, int32_t col, const float* from) {
        Floats<V> sum = zeros<V>();
        const float* tap = filter + s.lane * V;
#pragma unroll 1
        for (int32_t i = 0; i < o.taps_h; ++i, from += down) {
          const float* x = from;
#pragma unroll 1
          for (int32_t j = 0; j < o.taps_w; ++j, x += across, tap += w.part * V)
            multiply_add<V>(sum, load<V>(x), load<V>(tap));
        }
        float* to = place_of(p, o, tile.image, row, col) + s.vector * V;
        if (f > 0) sum.lane[0] += *to;
        store<V>(to, sum);
      });
    }
  }
}

/** A chunk of tiles for one block of 3 x 3 taps. */
template <int V>
__device__ __forceinline__ void filter_gradient(const DepthwiseFilterParams& p) {
  auto* memory = reinterpret_cast<float*>(depthwise_memory);
  const Window& w = p.window;
  const Share s = share_of(w, blockIdx.y);
  const uint32_t block_h = p.blocks_w_of.quotient(blockIdx.z), block_w = blockIdx.z - block_h * p.blocks_w_of.divisor;
  const int32_t first_h = 3 * block_h, first_w = 3 * block_w;
  const uint32_t across = w.dilation_w * w.part * V, down = w.dilation_h * w.in_w * w.part * V;
  const uint32_t channel = w.multiplier_of.quotient(s.vector * V), per = (w.tiles + p.chunks - 1) / p.chunks;
  const uint32_t end = min(w.tiles, (blockIdx.x + 1) * per);
  float* const norm = memory + w.in_h * w.in_w * w.part * V;
  stage_norm<V>(w, s, channel, norm);
  Floats<V> sum[9];
#pragma unroll
  for (auto& tap : sum) tap = zeros<V>();
#pragma unroll 1
  for (uint32_t index = blockIdx.x * per; index < end; ++index) {
    const WindowTile tile = window_tile(w, index);
    __syncthreads();
    stage<V>(w, s, channel, tile.image, tile.row * w.stride_h + p.top + first_h * w.dilation_h,
             tile.col * w.stride_w + p.left + first_w * w.dilation_w, norm, memory);
    __syncthreads();
    if (s.idle) continue;
    for_outputs<V, 1>(w, s, tile, p.rows, p.cols, memory, [&](int32_t row, int32_t col, const float* from) {
      const Floats<V> dy = load<V>(p.dy + ((tile.image * p.rows + row) * p.cols + col) * p.pitch_dy + s.vector * V);
#pragma unroll
      for (int t = 0; t < 9; ++t) multiply_add<V>(sum[t], load<V>(from + t / 3 * down + t % 3 * across), dy);
    });
  }
#pragma unroll
  for (int r = 0; r < 3; ++r)
    add_pixels<V>(s, w.part, sum[r * 3], sum[r * 3 + 1], sum[r * 3 + 2], memory,
                  [&](uint32_t c, const Floats<V>& total) {
                    const int32_t tap_h = first_h + r, tap_w = first_w + static_cast<int32_t>(c);
                    if (tap_h >= p.taps_h || tap_w >= p.taps_w) return;
                    const uint32_t tap = (blockIdx.x * p.taps_h + tap_h) * p.taps_w + tap_w;
                    store<V>(p.sums + tap * p.channels + s.vector * V, total);
                  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 4) near_4(const DepthwiseParams p) { near<4>(p); }
extern "C" __global__ void __launch_bounds__(256, 4) any_4(const DepthwiseParams p) { any<4>(p); }
extern "C" __global__ void __launch_bounds__(256, 4) any_1(const DepthwiseParams p) { any<1>(p); }
extern "C" __global__ void __launch_bounds__(256, 4) filterGradient_4(const DepthwiseFilterParams p) {
  filter_gradient<4>(p);
}
extern "C" __global__ void __launch_bounds__(256, 4) filterGradient_1(const DepthwiseFilterParams p) {
  filter_gradient<1>(p);
}
