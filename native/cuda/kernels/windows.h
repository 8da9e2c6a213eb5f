// Cuts a depthwise convolution into tiles that fit into shared memory. Host only; used by depthwise.cpp and by the
// launches that join a depthwise convolution to others. The rule easy to break: half of the threads a multiprocessor
// can hold must fit beside their tiles, so a block takes at most kTileBytes.
#pragma once
#include "cuda/kernel.h"
#include "cuda/kernels/window.h"

namespace gramian::cuda {

constexpr int64_t kTileBytes = 31 * 1024;
constexpr int64_t kTileBlock = 256;  // threads, at most

/** What is asked of a window; extents are of the taps, in taps. */
struct WindowNeeds {
  int64_t batch, image_h, image_w;
  int64_t rows, cols;  // outputs of an image
  int64_t taps_h, taps_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t channels, multiplier;
  int64_t behind;            // vectors of each lane behind tile and batchNorm, as for a filter
  int64_t pixel_floats = 0;  // of a staged pixel in shared memory; 0: those of its channels
  int64_t other_bytes = 0;   // of shared memory
  int64_t tile_h = 8, tile_w = 16;
};

struct WindowPlan {
  Window window;
  int64_t tiles;   // of all images
  int64_t parts;   // of the channels
  int64_t blocks;  // of a part, when each takes every blocks-th tile
  unsigned block;
  unsigned shared_bytes;
};

/** Whether a block's memory holds what at least one output reads, in vectors of `width` floats. */
bool window_fits(const Call& call, const WindowNeeds& needs, int64_t width);

/** `width` is 4, 2 or 1 floats of a vector. Throws ERR_SHAPE when not even one output fits. */
WindowPlan plan_window(const Call& call, const WindowNeeds& needs, int64_t width);

}  // namespace gramian::cuda
