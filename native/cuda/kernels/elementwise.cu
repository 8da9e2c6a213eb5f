// Unary functions, their gradients, affine, fill and copy. Launched by elementwise.cpp.
// The rule easy to break: y may be a's or b's own memory, so a thread reads an element before it writes it.
#include "device.cuh"
#include "elementwise.h"

namespace gramian::cuda {

template <int V, typename Op>
__device__ __forceinline__ void map1(const MapParams& p, const Op& op) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    Floats<W> x = load<W>(at(p.a, row, p.pitch_a, column));
#pragma unroll
    for (float& lane : x.lane) lane = op(lane);
    store<W>(at(p.y, row, p.pitch_y, column), x);
  });
}

template <int V, typename Op>
__device__ __forceinline__ void map2(const MapParams& p, const Op& op) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    Floats<W> a = load<W>(at(p.a, row, p.pitch_a, column));
    const Floats<W> b = load<W>(at(p.b, row, p.pitch_b, column));
#pragma unroll
    for (int i = 0; i < W; ++i) a.lane[i] = op(a.lane[i], b.lane[i]);
    store<W>(at(p.y, row, p.pitch_y, column), a);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

#define MAP1(name, expression)                                                    \
  extern "C" __global__ void __launch_bounds__(256) name##_4(const MapParams p) { \
    map1<4>(p, [&](float x) -> float { return expression; });                     \
  }                                                                               \
  extern "C" __global__ void __launch_bounds__(256) name##_1(const MapParams p) { \
    map1<1>(p, [&](float x) -> float { return expression; });                     \
  }
#define MAP2(name, expression)                                                    \
  extern "C" __global__ void __launch_bounds__(256) name##_4(const MapParams p) { \
    map2<4>(p, [&](float d, float y) -> float { return expression; });            \
  }                                                                               \
  extern "C" __global__ void __launch_bounds__(256) name##_1(const MapParams p) { \
    map2<1>(p, [&](float d, float y) -> float { return expression; });            \
  }

MAP1(relu, max_of(x, 0.0f))
MAP1(tanh, tanh_of(x))
MAP1(sigmoid, sigmoid_of(x))
MAP1(exp, exp_of(x))
MAP1(log, log_of(x))
MAP1(sqrt, sqrtf(x))
MAP1(square, x* x)
MAP1(abs, fabsf(x))
MAP1(leakyRelu, x > 0.0f ? x : p.alpha * x)
MAP1(elu, x > 0.0f ? x : p.alpha * expm1_of(x))
MAP1(affine, fmaf(x, p.alpha, p.beta))
MAP2(reluGrad, y > 0.0f ? d : 0.0f)
MAP2(tanhGrad, d*(1.0f - y * y))
MAP2(sigmoidGrad, d*(y*(1.0f - y)))
MAP2(leakyReluGrad, y > 0.0f ? d : d * p.alpha)
MAP2(eluGrad, y > 0.0f ? d : d * (y + p.alpha))
MAP2(absGrad, y > 0.0f ? d : y < 0.0f ? -d : 0.0f)

namespace gramian::cuda {

/** Units of four or one words, or of bytes. */
template <typename Unit, typename Word>
__device__ __forceinline__ void copy_units(const CopyParams& p, const Unit& value) {
  constexpr int V = sizeof(Unit) / sizeof(Word);
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    Word* to = at(static_cast<Word*>(p.y), row, p.pitch_y, column);
    const Word* from = at(static_cast<const Word*>(p.x), row, p.pitch_x, column);
    if constexpr (decltype(width)::value == V) {
      *reinterpret_cast<Unit*>(to) = p.x ? *reinterpret_cast<const Unit*>(from) : value;
    } else {
      *to = p.x ? *from : static_cast<Word>(p.value);
    }
  });
}

}  // namespace gramian::cuda

extern "C" __global__ void __launch_bounds__(256) copy_words_4(const CopyParams p) {
  copy_units<uint4, uint32_t>(p, make_uint4(p.value, p.value, p.value, p.value));
}
extern "C" __global__ void __launch_bounds__(256) copy_words_1(const CopyParams p) {
  copy_units<uint32_t, uint32_t>(p, p.value);
}
extern "C" __global__ void __launch_bounds__(256) copy_bytes_1(const CopyParams p) {
  copy_units<uint8_t, uint8_t>(p, static_cast<uint8_t>(p.value));
}
