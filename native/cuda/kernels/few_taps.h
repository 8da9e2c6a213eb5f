// Parameters of few_taps.cu, for host and device code. The host's call of it is declared in conv2d.h.
// The rule easy to break: chunks follow from shapes alone, because their sums are added in their order.
#pragma once
#include "divisor.h"

namespace gramian::cuda {

constexpr uint32_t kMostTaps = 28;  // 3 x 3 of three channels, and then two blocks of sm_75 fit its shared memory

/** dw[taps, outputs] of a convolution with few taps and channels: each chunk of y's pixels leaves a part of it. */
struct FewTapsParams {
  const float *x, *dy;
  float* parts;  // [chunks, taps, outputs]
  uint32_t taps, outputs;
  uint32_t pixels, chunk;  // of y: all, and of a block; chunk is a multiple of 256
  int32_t image_h, image_w;
  int32_t top, left, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pitch_x, pitch_dy;
  Divisor rows_of, cols_of;        // of y's pixels
  Divisor taps_w_of, channels_of;  // of taps
  uint32_t rounded;                // factors are rounded to bfloat16
};

}  // namespace gramian::cuda
