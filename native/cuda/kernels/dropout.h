// Parameters of dropout.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "philox.h"
#include "span.h"

namespace gramian::cuda {

struct DropoutParams {
  const float* x;
  const int32_t* step;
  float* y;
  Span span;
  uint32_t pitch_x, pitch_y;
  uint32_t cols;  // of a row of the span: element = row * cols + column
  Key key;
  uint32_t node;
  uint32_t threshold;  // kept when the upper 24 bits of the word reach it
  float scale;
};

}  // namespace gramian::cuda
