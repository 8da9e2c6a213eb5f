// Adds the parts of a sum that blocks made each on their own: the second phase of every long reduction. Parameters of
// partials.cu; kernel.h has the host call. The rule easy to break: how many parts there are follows from shapes, never
// from the device, so that a sum has one order everywhere.
#pragma once
#include "activation.h"
#include "divisor.h"

namespace gramian::cuda {

constexpr uint32_t kPartsElements = 8;  // to a block of 256 threads

struct PartialsParams {
  const float* parts;  // [count][rows * cols]
  float* y;
  uint32_t count, size;
  uint32_t cols, pitch;
  Divisor cols_of;
  Norm finish;  // of the sums; no batchNorm: mean is null
};

}  // namespace gramian::cuda
