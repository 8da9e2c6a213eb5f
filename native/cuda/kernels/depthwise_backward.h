// Parameters of depthwise_backward.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "window.h"

namespace gramian::cuda {

constexpr uint32_t kBackwardRows = 11;  // of a chunk's sums: 9 taps, then t * (x - mean) and t of gain and offset

/** Floats of a pixel in shared memory, whatever the block's channels, and those in front of the tile: mean, scale,
 * offset, taps. */
constexpr uint32_t kBackwardLanes = 32, kBackwardHead = (3 + 9) * kBackwardLanes;

/** An activation's derivative from its value a: constant + linear a + square a^2, or 1 above 0. */
struct Slope {
  float constant, linear, square;
  uint32_t one_above;
};

/** A tile is one of x, and what its pixels meet is dy spread by the stride; window.x, norm and pitch are x's. */
struct DepthwiseBackwardParams {
  Window window;
  Slope slope;
  const float *dy, *filter, *other;  // other: dz is added to it; null: dz as it is
  float *dz, *sums;                  // dz: null when not wanted; sums: [chunk][kBackwardRows][channels]
  uint32_t pitch_dy, pitch_filter, pitch_other, pitch_dz, channels, chunks;
  int32_t top, left;     // padding of the convolution
  int32_t out_h, out_w;  // of dy as the convolution saw it
  Divisor stride_h_of, stride_w_of;
  uint32_t pooled;     // dy holds cells of a pooling
  int32_t dy_h, dy_w;  // of dy as it is stored
  int32_t pool_h, pool_w, pool_top, pool_left;
  Divisor pool_h_of, pool_w_of;
};

struct BackwardSumsParams {
  const float *sums, *variance;
  float *dw, *dgamma, *dbeta;
  uint32_t chunks, channels, pitch_dw;
  float eps;
};

}  // namespace gramian::cuda
