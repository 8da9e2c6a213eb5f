// Depthwise convolution, its gradient by the input (the same correlation with the filter turned, one set of outputs for
// each phase of a stride), and the gradient by the filter. Launched by depthwise.cpp. A block stages its tile of x
// once; a thread keeps one vector of channels. The rule easy to break: threads without work still meet every barrier.
#include "depthwise.h"
#include "window.cuh"

namespace gramian::cuda {

extern __shared__ float4 depthwise_memory[];

template <int V>
__device__ __forceinline__ void multiply_add(Floats<V>& sum, const Floats<V>& a, const Floats<V>& b) {
#pragma unroll
  for (int i = 0; i < V; ++i) sum.lane[i] = fmaf(a.lane[i], b.lane[i], sum.lane[i]);
}

/** body(row, column, where the output's window begins in the tile) for this thread's outputs of the tile. */
template <int V, typename Body>
__device__ __forceinline__ void for_outputs(const Window& w, const Share& s, const Tile& tile, int32_t rows,
                                            int32_t cols, const float* memory, const Body& body) {
#pragma unroll 1
  for (uint32_t i = s.pixel; i < static_cast<uint32_t>(w.tile_h * w.tile_w); i += s.pixels) {
    const uint32_t r = w.tile_w_of.quotient(i), c = i - r * w.tile_w;
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

/** 3 x 3 taps that lie side by side: the filter is in registers. */
template <int V>
__device__ __forceinline__ void near(const DepthwiseParams& p) {
  auto* memory = reinterpret_cast<float*>(depthwise_memory);
  const Window& w = p.window;
  const Outputs& o = p.outputs[0];
  const Share s = share_of(w, blockIdx.y);
  const Tile tile = tile_of(w, blockIdx.x);
  const uint32_t channel = s.vector * V;
  Channels<V> channels;
  if (!s.idle) {
    if (w.norm.mean) channels = channels_of<V>(w.norm, channel);
    stage<V>(
        w, s, [&] { return channels; }, channel, tile.image, tile.row * w.stride_h + o.top,
        tile.col * w.stride_w + o.left, memory);
  }
  __syncthreads();
  if (s.idle) return;
  Floats<V> filter[9];
#pragma unroll
  for (int t = 0; t < 9; ++t)
    filter[t] = load<V>(
        p.filter + (o.filter_first + t / 3 * o.filter_step_h + t % 3 * o.filter_step_w) * p.pitch_filter + channel);
  const uint32_t across = w.part * V, down = w.in_w * across;
  for_outputs<V>(w, s, tile, o.rows, o.cols, memory, [&](int32_t row, int32_t col, const float* from) {
    Floats<V> sum = zeros<V>();
#pragma unroll
    for (int t = 0; t < 9; ++t) multiply_add<V>(sum, load<V>(from + t / 3 * down + t % 3 * across), filter[t]);
    store<V>(place_of(p, o, tile.image, row, col) + channel, sum);
  });
}

/** Any taps, any phases: the filter lies in shared memory behind the tile. */
template <int V>
__device__ __forceinline__ void any(const DepthwiseParams& p) {
  auto* memory = reinterpret_cast<float*>(depthwise_memory);
  const Window& w = p.window;
  const Outputs o = p.outputs[blockIdx.z];
  const Share s = share_of(w, blockIdx.y);
  const Tile tile = tile_of(w, blockIdx.x);
  if (tile.row >= o.rows || tile.col >= o.cols) return;
  float* const filter = memory + w.in_h * w.in_w * w.part * V;
  const uint32_t taps = o.taps_h * o.taps_w, across = w.dilation_w * w.part * V,
                 down = w.dilation_h * w.in_w * w.part * V;
#pragma unroll 1
  for (uint32_t f = 0; f < p.fold; ++f) {
    const uint32_t channel = w.multiplier_of.quotient(s.vector * V) * p.fold + f;
    if (f > 0) __syncthreads();
    if (!s.idle) {
      Channels<V> channels;
      if (w.norm.mean) channels = channels_of<V>(w.norm, channel);
      stage<V>(
          w, s, [&] { return channels; }, channel, tile.image, tile.row * w.stride_h + o.top,
          tile.col * w.stride_w + o.left, memory);
#pragma unroll 1
      for (uint32_t t = s.pixel; t < taps; t += s.pixels) {
        const uint32_t t_h = t / o.taps_w, t_w = t - t_h * o.taps_w;
        const float* from = p.filter + (o.filter_first + static_cast<int32_t>(t_h) * o.filter_step_h +
                                        static_cast<int32_t>(t_w) * o.filter_step_w) *
                                           p.pitch_filter;
        store<V>(filter + (t * w.part + s.lane) * V, load<V>(from + s.vector * V * p.fold + f));
      }
    }
    __syncthreads();
    if (s.idle) continue;
    for_outputs<V>(w, s, tile, o.rows, o.cols, memory, [&](int32_t row, int32_t col, const float* from) {
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

/** The sums of `sum` over the block's pixels, three at a time, by halving; thread `pixel` of each lane writes some. */
template <int V>
__device__ __forceinline__ void add_pixels(const DepthwiseFilterParams& p, const Share& s, const Floats<V> (&sum)[9],
                                           int32_t first_h, int32_t first_w) {
  auto* memory = reinterpret_cast<float*>(depthwise_memory);
  const Window& w = p.window;
  const uint32_t tap_floats = s.pixels * w.part * V;
  float* const mine = memory + (s.pixel * w.part + s.lane) * V;
#pragma unroll
  for (int r = 0; r < 3; ++r) {
    __syncthreads();
    if (!s.idle)
#pragma unroll
      for (int c = 0; c < 3; ++c) store<V>(mine + c * tap_floats, sum[r * 3 + c]);
#pragma unroll 1
    for (uint32_t left = s.pixels; left > 1;) {
      const uint32_t half = (left + 1) / 2;
      __syncthreads();
      if (!s.idle && s.pixel + half < left)
#pragma unroll 1
        for (int c = 0; c < 3; ++c) {
          Floats<V> total = load<V>(mine + c * tap_floats);
          const Floats<V> more = load<V>(mine + c * tap_floats + half * w.part * V);
#pragma unroll
          for (int i = 0; i < V; ++i) total.lane[i] += more.lane[i];
          store<V>(mine + c * tap_floats, total);
        }
      left = half;
    }
    __syncthreads();
    if (s.idle || first_h + r >= p.taps_h) continue;
#pragma unroll 1
    for (int32_t c = static_cast<int32_t>(s.pixel); c < 3 && first_w + c < p.taps_w;
         c += static_cast<int32_t>(s.pixels)) {
      const uint32_t tap = (first_h + r) * p.taps_w + first_w + c;
      float* to = p.sums + (blockIdx.x * p.taps_h * p.taps_w + tap) * p.channels + s.vector * V;
      store<V>(to, load<V>(memory + c * tap_floats + s.lane * V));
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
  const uint32_t channel = w.multiplier_of.quotient(s.vector * V), per = (p.tiles + p.chunks - 1) / p.chunks;
  const uint32_t end = min(p.tiles, (blockIdx.x + 1) * per);
  // Kept behind the tile, because there are no registers to spare.
  float* const norm = memory + w.in_h * w.in_w * w.part * V + s.lane * 3 * V;
  if (!s.idle && s.pixel == 0 && w.norm.mean) {
    const Channels<V> channels = channels_of<V>(w.norm, channel);
    store<V>(norm, channels.mean), store<V>(norm + V, channels.scale), store<V>(norm + 2 * V, channels.beta);
  }
  Floats<V> sum[9];
#pragma unroll
  for (auto& tap : sum) tap = zeros<V>();
#pragma unroll 1
  for (uint32_t index = blockIdx.x * per; index < end; ++index) {
    const Tile tile = tile_of(w, index);
    __syncthreads();
    // A tile writes beside the vectors, so they are read anew for each pixel.
    if (!s.idle)
      stage<V>(
          w, s,
          [&] {
            return Channels<V>{load<V>(norm), load<V>(norm + V), load<V>(norm + 2 * V)};
          },
          channel, tile.image, tile.row * w.stride_h + p.top + first_h * w.dilation_h,
          tile.col * w.stride_w + p.left + first_w * w.dilation_w, memory);
    __syncthreads();
    if (s.idle) continue;
    for_outputs<V>(w, s, tile, p.rows, p.cols, memory, [&](int32_t row, int32_t col, const float* from) {
      const Floats<V> dy = load<V>(p.dy + ((tile.image * p.rows + row) * p.cols + col) * p.pitch_dy + s.vector * V);
#pragma unroll
      for (int t = 0; t < 9; ++t) multiply_add<V>(sum[t], load<V>(from + t / 3 * down + t % 3 * across), dy);
    });
  }
  add_pixels<V>(p, s, sum, first_h, first_w);
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
