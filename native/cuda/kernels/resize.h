// Parameters of resize.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "span.h"

namespace gramian::cuda {

/** Output o of an axis reads the source coordinate (o * step + start) / by, rounded down where the mode is nearest. */
struct ResizeAxis {
  uint32_t in, out;
  int32_t step, start;
  Divisor by;
  float each;        // 1 / by, exact where by is a power of two
  Divisor per_step;  // outputs to a source cell: step as a divisor, or 1 where it is 0
};

struct ResizeParams {
  const float* from;
  float* to;
  Span span;              // over the rows written
  Divisor width, height;  // of the map written
  ResizeAxis rows, cols;
  uint32_t nearest;
  uint32_t pitch_from, pitch_to;
};

}  // namespace gramian::cuda
