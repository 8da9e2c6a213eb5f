// Parameters of depthwise.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "window.h"

namespace gramian::cuda {

constexpr int kMostOutputs = 16;  // sets of outputs in one launch: the phases of a gradient by the input

struct DepthwiseParams {
  Window window;
  const float* filter;
  float* y;
  uint32_t pitch_filter, pitch_y;
  int32_t y_rows, y_cols, y_step_h, y_step_w;  // the whole result's pixels, and those between two outputs
  uint32_t fold;  // channels of x added into one of the result; more than 1 only with single floats
  Outputs outputs[kMostOutputs];
};

/** Sums over tiles for 3 x 3 taps, those of outputs.filter_first on. */
struct DepthwiseFilterParams {
  Window window;
  const float* dy;
  float* sums;  // [chunk][tap][channel]
  uint32_t pitch_dy, channels;
  int32_t rows, cols, top, left, taps_h, taps_w;
  uint32_t chunks;
  Divisor blocks_w_of;  // blocks of 3 taps across the filter
};

}  // namespace gramian::cuda
