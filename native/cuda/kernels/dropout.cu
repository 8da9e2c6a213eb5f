// Dropout, which is its own gradient. Launched by dropout.cpp.
// The rule easy to break: `element` counts in the dense row-major shape, whatever the pitch.
#include "dropout.h"
#include "philox.cuh"

namespace gramian::cuda {

__device__ __forceinline__ float factor_of(const DropoutParams& p, uint32_t word) {
  return word >> 8 >= p.threshold ? p.scale : 0.0f;
}

template <int V>
__device__ __forceinline__ void dropout(const DropoutParams& p) {
  const auto step = static_cast<uint32_t>(*p.step);
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const uint32_t element = row * p.cols + column;
    Floats<W> x = load<W>(at(p.x, row, p.pitch_x, column));
    const uint4 words = philox(p.key, element / 4, p.node, step, kDropout);
    if constexpr (W == 4) {
      x.lane[0] *= factor_of(p, words.x), x.lane[1] *= factor_of(p, words.y);
      x.lane[2] *= factor_of(p, words.z), x.lane[3] *= factor_of(p, words.w);
    } else {
      const uint32_t low = element & 1 ? words.y : words.x, high = element & 1 ? words.w : words.z;
      x.lane[0] *= factor_of(p, element & 2 ? high : low);
    }
    store<W>(at(p.y, row, p.pitch_y, column), x);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) dropout_4(const DropoutParams p) { dropout<4>(p); }
extern "C" __global__ void __launch_bounds__(256) dropout_1(const DropoutParams p) { dropout<1>(p); }
