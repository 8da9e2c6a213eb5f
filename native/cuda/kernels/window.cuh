// A tile of x with everything its windows read, normalised, in shared memory. Included by depthwise.cu and the kernels
// that join a depthwise convolution to others. The rule easy to break: padding stays zero; it is not normalised.
#pragma once
#include "norm.cuh"
#include "window.h"

namespace gramian::cuda {

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
struct Tile {
  uint32_t image;
  int32_t row, col;
};

__device__ __forceinline__ Tile tile_of(const Window& w, uint32_t index) {
  const uint32_t image = w.tiles_of.quotient(index), rest = index - image * w.tiles_of.divisor;
  const uint32_t down = w.across_of.quotient(rest), across = rest - down * w.across_of.divisor;
  return {image, static_cast<int32_t>(down) * w.tile_h, static_cast<int32_t>(across) * w.tile_w};
}

/**
 * x from pixel (top, left) on, in_h x in_w pixels of the block's vectors, to memory[pixel][lane]. channels() is asked
 * for the batchNorm's vectors, if there is one, at every pixel.
 */
template <int V, typename Source>
__device__ __forceinline__ void stage(const Window& w, const Share& s, const Source& channels, uint32_t channel,
                                      uint32_t image, int32_t top, int32_t left, float* memory) {
  const float* x = w.x + channel;
#pragma unroll 1
  for (uint32_t i = s.pixel; i < w.in_h * w.in_w; i += s.pixels) {
    const uint32_t r = w.in_w_of.quotient(i);
    const uint32_t row = r + top, col = i - r * w.in_w + left;
    Floats<V> value = zeros<V>();
    if (row < w.image_h && col < w.image_w) {
      value = load<V>(x + ((image * w.image_h + row) * w.image_w + col) * w.pitch);
      if (w.norm.mean) normalize<V>(value, channels(), w.norm);
    }
    store<V>(memory + (i * w.part + s.lane) * V, value);
  }
}

}  // namespace gramian::cuda
