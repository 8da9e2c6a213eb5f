// A tile of x with everything its windows read, normalised, in shared memory. Included by depthwise.cu and the kernels
// that join a depthwise convolution to others. The rule easy to break: padding stays zero; it is not normalised.
#pragma once
#include "norm.cuh"
#include "window.h"

namespace gramian::cuda {

template <int V>
__device__ __forceinline__ void multiply_add(Floats<V>& sum, const Floats<V>& a, const Floats<V>& b) {
#pragma unroll
  for (int i = 0; i < V; ++i) sum.lane[i] = fmaf(a.lane[i], b.lane[i], sum.lane[i]);
}

/** What a thread takes of a block's work: one vector of channels of every `pixels`-th pixel. */
struct Share {
  uint32_t pixel, pixels;  // first, and step
  uint32_t lane;           // of the block's vectors
  uint32_t vector;         // of all
  bool idle;
};

__device__ __forceinline__ Share share_of(const Window& w, uint32_t part) {
  Share s;
  s.pixel = w.part_of.quotient(threadIdx.x);
  s.lane = threadIdx.x - s.pixel * w.part;
  s.pixels = w.part_of.quotient(blockDim.x);
  s.vector = part * w.part + s.lane;
  s.idle = s.pixel >= s.pixels || s.vector >= w.vectors;
  return s;
}

/** A tile's image and first output. */
struct WindowTile {
  uint32_t image;
  int32_t row, col;
};

__device__ __forceinline__ WindowTile window_tile(const Window& w, uint32_t index) {
  const uint32_t image = w.tiles_of.quotient(index), rest = index - image * w.tiles_of.divisor;
  const uint32_t down = w.across_of.quotient(rest), across = rest - down * w.across_of.divisor;
  return {image, static_cast<int32_t>(down * w.tile_h), static_cast<int32_t>(across * w.tile_w)};
}

/** Leaves the batchNorm's vectors of the block's channels in norm[lane][3]; a barrier must follow. */
template <int V>
__device__ __forceinline__ void stage_norm(const Window& w, const Share& s, uint32_t channel, float* norm) {
  if (s.idle || s.pixel > 0 || !w.norm.mean) return;
  const Channels<V> channels = channels_of<V>(w.norm, channel);
  float* const mine = norm + s.lane * 3 * V;
  store<V>(mine, channels.mean), store<V>(mine + V, channels.scale), store<V>(mine + 2 * V, channels.beta);
}

/**
 * x from pixel (top, left) on, in_h x in_w pixels of the block's vectors, to memory[pixel][lane]. The vectors of `norm`
 * are read for every pixel, because a thread's registers hold a filter or sums.
 */
template <int V>
__device__ __forceinline__ void stage(const Window& w, const Share& s, uint32_t channel, uint32_t image, int32_t top,
                                      int32_t left, const float* norm, float* memory) {
  if (s.idle) return;
  const float* x = w.x + channel;
  const float* const mine = norm + s.lane * 3 * V;
#pragma unroll 1
  for (uint32_t i = s.pixel; i < w.in_h * w.in_w; i += s.pixels) {
    const uint32_t r = w.in_w_of.quotient(i), row = r + top, col = i - r * w.in_w + left;
    Floats<V> value = zeros<V>();
    if (row < w.image_h && col < w.image_w) {
      value = load<V>(x + ((image * w.image_h + row) * w.image_w + col) * w.pitch);
      if (w.norm.mean)
        normalize<V>(value, Channels<V>{load<V>(mine), load<V>(mine + V), load<V>(mine + 2 * V)}, w.norm);
    }
    store<V>(memory + (i * w.part + s.lane) * V, value);
  }
}

/**
 * The sums of three vectors over the block's pixels, by halving, in kReduction<V> floats of memory; write(k, sum) is
 * called for each by one thread of every lane. Call it with all threads; it begins with a barrier.
 */
template <int V>
constexpr uint32_t kReduction = 3 * 256 * V;

template <int V, typename Write>
__device__ __forceinline__ void add_pixels(const Share& s, uint32_t part, const Floats<V>& x0, const Floats<V>& x1,
                                           const Floats<V>& x2, float* memory, const Write& write) {
  constexpr uint32_t next = 256 * V;
  float* const mine = memory + (s.pixel * part + s.lane) * V;
  __syncthreads();
  if (!s.idle) store<V>(mine, x0), store<V>(mine + next, x1), store<V>(mine + 2 * next, x2);
#pragma unroll 1
  for (uint32_t left = s.pixels; left > 1;) {
    const uint32_t half = (left + 1) / 2;
    __syncthreads();
    if (!s.idle && s.pixel + half < left)
#pragma unroll
      for (uint32_t k = 0; k < 3; ++k) {
        Floats<V> total = load<V>(mine + k * next);
        const Floats<V> more = load<V>(mine + k * next + half * part * V);
#pragma unroll
        for (int i = 0; i < V; ++i) total.lane[i] += more.lane[i];
        store<V>(mine + k * next, total);
      }
    left = half;
  }
  __syncthreads();
  if (!s.idle)
#pragma unroll 1
    for (uint32_t k = s.pixel; k < 3; k += s.pixels) write(k, load<V>(memory + k * next + s.lane * V));
}

}  // namespace gramian::cuda
