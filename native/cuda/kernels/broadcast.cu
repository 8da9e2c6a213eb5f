// Elementwise functions of two operands with numpy broadcasting, and broadcastTo. Launched by broadcast.cpp.
// The rule easy to break: with equal shapes y may be a's memory, so a thread reads its elements before it writes them.
#include "broadcast.h"
#include "device.cuh"

namespace gramian::cuda {

/** NaN where either is NaN, the first of two zeros. */
__device__ __forceinline__ float maximum_of(float a, float b) { return b != b ? b : max_of(a, b); }
__device__ __forceinline__ float minimum_of(float a, float b) { return b != b ? b : a != a || a <= b ? a : b; }

template <int W, typename Op>
__device__ __forceinline__ void each(Floats<W>& a, const Floats<W>& b, const Op& op) {
#pragma unroll
  for (int i = 0; i < W; ++i) a.lane[i] = op(a.lane[i], b.lane[i]);
}

template <int W>
__device__ __forceinline__ void combine(Combine how, Floats<W>& a, const Floats<W>& b) {
  switch (how) {
    case Combine::add:
      return each(a, b, [](float x, float y) { return x + y; });
    case Combine::sub:
      return each(a, b, [](float x, float y) { return x - y; });
    case Combine::mul:
      return each(a, b, [](float x, float y) { return x * y; });
    case Combine::div:
      return each(a, b, [](float x, float y) { return x / y; });
    case Combine::maximum:
      return each(a, b, maximum_of);
    case Combine::minimum:
      return each(a, b, minimum_of);
    case Combine::first:
      return;
  }
}

template <int V>
__device__ __forceinline__ void broadcast(const BroadcastParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Offsets<3> at = locate(p.nest, row);
    Floats<W> a = load_step<W>(p.a + at.of[1], column, p.inner_a);
    const auto how = static_cast<Combine>(opaque(static_cast<uint32_t>(p.how)));
    if (how != Combine::first) combine(how, a, load_step<W>(p.b + at.of[2], column, p.inner_b));
    store<W>(p.y + at.of[0] + column, a);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) broadcast_4(const BroadcastParams p) { broadcast<4>(p); }
extern "C" __global__ void __launch_bounds__(256) broadcast_1(const BroadcastParams p) { broadcast<1>(p); }
