// How the outputs of a depthwise convolution are cut into tiles, and which part of x a tile's windows read. Plain data
// for host and device code; depthwise.cpp fills it. A block takes one tile of one image for `part` vectors of channels.
// The rule easy to break: positions are of pixels, and those before the image's first are negative.
#pragma once
#include "activation.h"
#include "divisor.h"

namespace gramian::cuda {

struct Window {
  const float* x;
  Norm norm;  // of x as it is read
  uint32_t pitch;
  int32_t image_h, image_w;
  int32_t stride_h, stride_w, dilation_h, dilation_w;
  uint32_t vectors, part;   // vectors of channels: all, and those of one block
  uint32_t tiles;           // of all images
  uint32_t tile_h, tile_w;  // outputs of a tile; tile_h is even
  uint32_t in_h, in_w;      // pixels of x that they read
  Divisor part_of, in_w_of, tile_w_of;
  Divisor multiplier_of;        // of a channel of x; more than 1 only with single floats
  Divisor across_of, tiles_of;  // tiles across an image, and tiles of an image
};

/** Outputs (i, j) that one filter makes, at pixels (y_h + i * y_step_h, ...) of the result. */
struct Outputs {
  int32_t top, left;   // where output (0, 0)'s window begins in x
  int32_t rows, cols;  // outputs
  int32_t taps_h, taps_w;
  int32_t filter_first, filter_step_h, filter_step_w;  // tap (p, q) is filter row first + p * step_h + q * step_w
  int32_t y_h, y_w;
};

}  // namespace gramian::cuda
