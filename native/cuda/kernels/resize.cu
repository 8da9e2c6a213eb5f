// Image resizing (nearest, bilinear; three coordinate conventions) and its transpose. Launched by resize.cpp.
// Positions are fractions of whole numbers, so ties and cells are exact. The rule easy to break: the gradient gathers:
// each cell of the image visits the outputs that read it, in their order.
#include "device.cuh"
#include "resize.h"

namespace gramian::cuda {

struct Tap {  // (1 - part) * low + part * high
  uint32_t low, high;
  float part;
};

__device__ __forceinline__ Tap tap_of(const ResizeAxis& axis, uint32_t o, uint32_t nearest) {
  const int place = static_cast<int>(o) * axis.step + axis.start;
  const auto above = static_cast<uint32_t>(max(place, 0));
  const uint32_t low = axis.by.quotient(above);
  if (low >= axis.in - 1) return {axis.in - 1, axis.in - 1, 0.0f};
  if (nearest) return {low, low, 0.0f};
  const uint32_t rest = above - low * axis.by.divisor;
  return {low, low + 1, static_cast<float>(rest) * axis.each};
}

/** Weight with which output o reads cell `cell`. */
__device__ __forceinline__ float weight_of(const ResizeAxis& axis, uint32_t o, uint32_t cell, uint32_t nearest) {
  const Tap tap = tap_of(axis, o, nearest);
  return tap.low == cell ? 1.0f - tap.part : tap.high == cell ? tap.part : 0.0f;
}

struct Range {
  uint32_t begin, end;
};

/** The outputs that may read cell `cell`: those whose lower cell is it or the one before. */
__device__ __forceinline__ Range readers_of(const ResizeAxis& axis, uint32_t cell) {
  if (axis.step == 0) return {0, axis.out};
  const int by = static_cast<int>(axis.by.divisor), here = static_cast<int>(cell), step = axis.step;
  const int first = (here - 1) * by - axis.start, past = (here + 1) * by - axis.start;
  const uint32_t begin = cell == 0 || first <= 0 ? 0 : axis.per_step.quotient(static_cast<uint32_t>(first + step - 1));
  const uint32_t end = past <= 0 ? 0 : axis.per_step.quotient(static_cast<uint32_t>(past + step - 1));
  return {begin, cell + 1 >= axis.in ? axis.out : min(end, axis.out)};
}

__device__ __forceinline__ float mix(float a, float b, float part) { return fmaf(part, b - a, a); }

template <int V>
__device__ __forceinline__ void resize(const ResizeParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const uint32_t line = p.width.quotient(row), image = p.height.quotient(line);
    const Tap down = tap_of(p.rows, line - image * p.height.divisor, p.nearest);
    const Tap across = tap_of(p.cols, row - line * p.width.divisor, p.nearest);
    const uint32_t top = (image * p.rows.in + down.low) * p.cols.in,
                   bottom = (image * p.rows.in + down.high) * p.cols.in;
    Floats<W> value = load<W>(at(p.from, top + across.low, p.pitch_from, column));
    if (down.part != 0 || across.part != 0) {
      const Floats<W> b = load<W>(at(p.from, top + across.high, p.pitch_from, column));
      const Floats<W> c = load<W>(at(p.from, bottom + across.low, p.pitch_from, column));
      const Floats<W> d = load<W>(at(p.from, bottom + across.high, p.pitch_from, column));
#pragma unroll
      for (int i = 0; i < W; ++i)
        value.lane[i] =
            mix(mix(value.lane[i], b.lane[i], across.part), mix(c.lane[i], d.lane[i], across.part), down.part);
    }
    store<W>(at(p.to, row, p.pitch_to, column), value);
  });
}

template <int V>
__device__ __forceinline__ void resize_gradient(const ResizeParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const uint32_t line = p.width.quotient(row), image = p.height.quotient(line);
    const uint32_t h = line - image * p.height.divisor, w = row - line * p.width.divisor;
    const Range rows = readers_of(p.rows, h), cols = readers_of(p.cols, w);
    Floats<W> sum = {};
#pragma unroll 1
    for (uint32_t oh = rows.begin; oh < rows.end; ++oh) {
      const float down = weight_of(p.rows, oh, h, p.nearest);
      if (down == 0) continue;
#pragma unroll 1
      for (uint32_t ow = cols.begin; ow < cols.end; ++ow) {
        const float weight = down * weight_of(p.cols, ow, w, p.nearest);
        if (weight == 0) continue;
        const Floats<W> dy = load<W>(at(p.from, (image * p.rows.out + oh) * p.cols.out + ow, p.pitch_from, column));
#pragma unroll
        for (int i = 0; i < W; ++i) sum.lane[i] = fmaf(dy.lane[i], weight, sum.lane[i]);
      }
    }
    store<W>(at(p.to, row, p.pitch_to, column), sum);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) resize_4(const ResizeParams p) { resize<4>(p); }
extern "C" __global__ void __launch_bounds__(256) resize_1(const ResizeParams p) { resize<1>(p); }
extern "C" __global__ void __launch_bounds__(256) resizeGrad_4(const ResizeParams p) { resize_gradient<4>(p); }
extern "C" __global__ void __launch_bounds__(256) resizeGrad_1(const ResizeParams p) { resize_gradient<1>(p); }
