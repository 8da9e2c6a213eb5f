// Parameters of broadcast.cu. Plain data for host and device code; steps in elements.
#pragma once
#include "nest.h"
#include "span.h"

namespace gramian::cuda {

enum class Combine : uint32_t { add, sub, mul, div, maximum, minimum, first };

/** y = a combined with b; operands of the nest are y, a, b. */
struct BroadcastParams {
  const float *a, *b;
  float* y;
  Nest<3> nest;
  Span span;
  uint32_t inner_a, inner_b;  // 1: steps along the row, 0: one value for all of it
  Combine how;
};

}  // namespace gramian::cuda
