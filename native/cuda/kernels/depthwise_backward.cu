// The backward of a unit's front, batchNorm -> activation -> depthwise 3x3, in one pass over x: sums for the filter,
// the gain and the offset, and the gradient of the pre-activation where it is wanted. Launched by
// depthwise_backward.cpp. A block stages what its tile of x meets of dy; a thread keeps one vector of channels, of 2
// floats, because for 4 there are not the registers. The rule easy to break: threads without work still meet every
// barrier.
#include "depthwise_backward.h"
#include "window.cuh"

namespace gramian::cuda {

extern __shared__ float4 backward_memory[];

/** Cells of the map inside a pooling window along one axis. */
__device__ __forceinline__ int32_t inside(int32_t cell, int32_t size, int32_t pad, int32_t extent) {
  return min((cell + 1) * size - pad, extent) - max(cell * size - pad, 0);
}

/** dy at (row, col) of the map that the convolution made; 0 outside and between the pixels that the stride spreads. */
template <int V>
__device__ __forceinline__ Floats<V> gradient_at(const DepthwiseBackwardParams& p, uint32_t image, int32_t row,
                                                 int32_t col, uint32_t channel) {
  if (row < 0 || col < 0) return zeros<V>();
  int32_t y = static_cast<int32_t>(p.stride_h_of.quotient(row)), x = static_cast<int32_t>(p.stride_w_of.quotient(col));
  const bool met = y * p.stride_h_of.divisor == row && x * p.stride_w_of.divisor == col;
  if (!met || y >= p.out_h || x >= p.out_w) return zeros<V>();
  float share = 1;
  if (p.pooled) {
    y = static_cast<int32_t>(p.pool_h_of.quotient(y + p.pool_top));
    x = static_cast<int32_t>(p.pool_w_of.quotient(x + p.pool_left));
    if (y >= p.dy_h || x >= p.dy_w) return zeros<V>();
    share = static_cast<float>(inside(y, p.pool_h, p.pool_top, p.out_h) * inside(x, p.pool_w, p.pool_left, p.out_w));
  }
  Floats<V> value = load<V>(p.dy + ((image * p.dy_h + y) * p.dy_w + x) * p.pitch_dy + channel);
  if (p.pooled) {
    share = 1.0f / share;
#pragma unroll
    for (float& lane : value.lane) lane *= share;
  }
  return value;
}

/** What the tile meets: in_h x in_w pixels of dy spread. */
template <int V>
__device__ __forceinline__ void stage_gradient(const DepthwiseBackwardParams& p, const Share& s, const WindowTile& tile,
                                               float* memory) {
  if (s.idle) return;
  const Window& w = p.window;
#pragma unroll 1
  for (uint32_t i = s.pixel; i < w.in_h * w.in_w; i += s.pixels) {
    const uint32_t r = w.in_w_of.quotient(i);
    const int32_t row = tile.row + static_cast<int32_t>(r) + p.top - 2,
                  col = tile.col + static_cast<int32_t>(i - r * w.in_w) + p.left - 2;
    store<V>(memory + i * kBackwardLanes, gradient_at<V>(p, tile.image, row, col, s.vector * V));
  }
}

/** act'(pre), where a = act(pre). */
__device__ __forceinline__ float slope(float pre, float a, const Slope& s) {
  const float curve = fmaf(fmaf(s.square, a, s.linear), a, s.constant);
  return s.one_above && pre > 0.0f ? 1.0f : curve;
}

template <int V>
__device__ __forceinline__ void backward(const DepthwiseBackwardParams& p) {
  auto* memory = reinterpret_cast<float*>(backward_memory);
  const Window& w = p.window;
  const Share s = share_of(w, blockIdx.y);
  const uint32_t channel = s.vector * V;
  float* const mine = memory + s.lane * V;
  if (!s.idle && s.pixel == 0) {
    const Channels<V> channels = channels_of<V>(w.norm, channel);
    store<V>(mine, channels.mean), store<V>(mine + kBackwardLanes, channels.scale),
        store<V>(mine + 2 * kBackwardLanes, channels.beta);
  }
  if (!s.idle)
    for (uint32_t t = s.pixel; t < 9; t += s.pixels)
      store<V>(mine + (3 + t) * kBackwardLanes, load<V>(p.filter + (8 - t) * p.pitch_filter + channel));
  Floats<V> dw[9], gain = zeros<V>(), offset = zeros<V>();  // sums of t * (x - mean) and of t
#pragma unroll
  for (auto& tap : dw) tap = zeros<V>();
  const uint32_t per = (w.tiles + p.chunks - 1) / p.chunks, end = min(w.tiles, (blockIdx.x + 1) * per);
#pragma unroll 1
  for (uint32_t index = blockIdx.x * per; index < end; ++index) {
    const WindowTile tile = window_tile(w, index);
    __syncthreads();
    stage_gradient<V>(p, s, tile, mine + kBackwardHead);
    __syncthreads();
    if (s.idle) continue;
#pragma unroll 1
    for (uint32_t i = s.pixel; i < w.tile_h * w.tile_w; i += s.pixels) {
      const uint32_t r = w.tile_w_of.quotient(i), c = i - r * w.tile_w, row = tile.row + r, col = tile.col + c;
      if (row >= w.image_h || col >= w.image_w) continue;
      const uint32_t pixel = (tile.image * w.image_h + row) * w.image_w + col;
      const Floats<V> x = load<V>(w.x + pixel * w.pitch + channel);
      Floats<V> a = x, da = zeros<V>();
      normalize<V>(a, Channels<V>{load<V>(mine), load<V>(mine + kBackwardLanes), load<V>(mine + 2 * kBackwardLanes)},
                   w.norm);
      const float* from = mine + kBackwardHead + (r * w.in_w + c) * kBackwardLanes;
#pragma unroll
      for (uint32_t t = 0; t < 9; ++t) {
        const Floats<V> dy = load<V>(from + (t / 3 * w.in_w + t % 3) * kBackwardLanes);
        multiply_add<V>(da, dy, load<V>(mine + (3 + t) * kBackwardLanes));
        multiply_add<V>(dw[t], dy, a);
      }
      const Channels<V> channels = {load<V>(mine), load<V>(mine + kBackwardLanes), load<V>(mine + 2 * kBackwardLanes)};
#pragma unroll
      for (int k = 0; k < V; ++k) {
        const float centred = x.lane[k] - channels.mean.lane[k];
        const float pre = fmaf(centred, channels.scale.lane[k], channels.beta.lane[k]);
        da.lane[k] *= slope(pre, a.lane[k], p.slope);
        gain.lane[k] = fmaf(da.lane[k], centred, gain.lane[k]);
        offset.lane[k] += da.lane[k];
      }
      if (!p.dz) continue;
      if (p.other) {
        const Floats<V> other = load<V>(p.other + pixel * p.pitch_other + channel);
#pragma unroll
        for (int k = 0; k < V; ++k) da.lane[k] = fmaf(da.lane[k], channels.scale.lane[k], other.lane[k]);
      }
      store<V>(p.dz + pixel * p.pitch_dz + channel, da);
    }
  }
  float* const sums = p.sums + blockIdx.x * kBackwardRows * p.channels + channel;
  // The filter lies turned, so the sums of tap t are those of 8 - t.
#pragma unroll
  for (uint32_t r = 0; r < 3; ++r)
    add_pixels<V>(s, w.part, dw[3 * r], dw[3 * r + 1], dw[3 * r + 2], memory,
                  [&](uint32_t k, const Floats<V>& total) { store<V>(sums + (8 - 3 * r - k) * p.channels, total); });
  add_pixels<V>(s, w.part, gain, offset, zeros<V>(), memory, [&](uint32_t k, const Floats<V>& total) {
    if (k < 2) store<V>(sums + (9 + k) * p.channels, total);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 4) depthwiseBackward_2(const DepthwiseBackwardParams p) {
  backward<2>(p);
}
extern "C" __global__ void __launch_bounds__(256, 4) depthwiseBackward_1(const DepthwiseBackwardParams p) {
  backward<1>(p);
}

// 32 channels by 8 shares of the chunks, for one of the rows of sums.
extern "C" __global__ void __launch_bounds__(256) backwardSums(const BackwardSumsParams p) {
  __shared__ float shares[8][32];
  const uint32_t lane = threadIdx.x % 32, share = threadIdx.x / 32, row = blockIdx.y, channel = blockIdx.x * 32 + lane;
  float sum = 0;
  if (channel < p.channels) {
    const float* from = p.sums + row * p.channels + channel;
#pragma unroll 4
    for (uint32_t i = share; i < p.chunks; i += 8) sum += from[i * kBackwardRows * p.channels];
  }
  shares[share][lane] = sum;
  __syncthreads();
  if (share > 0 || channel >= p.channels) return;
#pragma unroll
  for (uint32_t i = 1; i < 8; ++i) sum += shares[i][lane];
  if (row < 9)
    p.dw[row * p.pitch_dw + channel] = sum;
  else if (row == 9)
    p.dgamma[channel] = sum * inverse_sqrt(p.variance[channel] + p.eps);
  else
    p.dbeta[channel] = sum;
}
