// Parameters of elementwise.cu. Plain data for host and device code.
#pragma once
#include "span.h"

namespace gramian::cuda {

/** y = f(a, b), row by row; pitches in elements. One-input functions leave b null. */
struct MapParams {
  const float *a, *b;
  float* y;
  Span span;
  uint32_t pitch_a, pitch_b, pitch_y;
  float alpha, beta;  // what the function needs besides
};

/** Rows of units of 4 bytes or of 1: y = x, or y = value where x is null. */
struct CopyParams {
  const void* x;
  void* y;
  Span span;
  uint32_t pitch_x, pitch_y;
  uint32_t value;
};

}  // namespace gramian::cuda
