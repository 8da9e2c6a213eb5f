// A walk over N operands of one shape and different strides (broadcasting, slices, permuted axes). Plain data for host
// and device code; nests.h makes it, device.cuh's locate() follows it. The rule easy to break: the axis along which
// neighbouring threads work is not in here; the Span beside it has that one.
#pragma once
#include "divisor.h"

namespace gramian::cuda {

constexpr int kMostAxes = 6;

template <int N, int Most = kMostAxes>
struct Nest {
  uint32_t axes;       // inner ones first
  Divisor size[Most];  // size 1 beyond `axes`
  uint32_t step[Most][N];
};

}  // namespace gramian::cuda
