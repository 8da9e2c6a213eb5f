// Rows of channels in a cache-sized buffer, and their way into a tensor: past the caches where it is large and whole
// lines can be written. Included by tile_product.h and batch_norm.cpp.
// The rule easy to break: who streams ends with stream_fence() before other threads may read.
#pragma once
#include "cpu/kernels/floats.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Pixels {
  float* data;
  int64_t pitch;
  float* pixel(int64_t i) const { return data + i * pitch; }
};

[[maybe_unused]] inline void stream_rows(const Pixels& from, const Pixels& to, int64_t count, int64_t channels) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t c = 0; c < channels; c += W) stream(to.pixel(i) + c, load(from.pixel(i) + c));
}

// Pixels that lie one behind the other at `to`, on a line's boundary, whose channels are no whole lines.
[[maybe_unused]] inline void stream_dense(const Pixels& from, float* to, int64_t count, int64_t channels) {
  float line[W];
  int64_t held = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float* x = from.pixel(i);
    int64_t c = 0;
    if (held > 0) {
      c = min64(W - held, channels);
      copy_floats(line + held, x, c);
      held += c;
    }
    if (held == W) stream(to, load(line)), to += W, held = 0;
    for (; c + W <= channels; c += W, to += W) stream(to, load(x + c));
    if (c < channels) copy_floats(line, x + c, held = channels - c);
  }
  copy_floats(to, line, held);
}

// A tile's pixels to where they belong; those of a large tensor past the caches where whole lines can be written.
[[maybe_unused]] inline void put_rows(const Pixels& from, const View& view, int64_t first, int64_t count) {
  const Pixels to{floats_out(view) + first * view.pitch, view.pitch};
  if (whole_lines(to.data) && streamable_rows(view)) return stream_rows(from, to, count, view.cols);
  if (whole_lines(to.data) && streamable_dense(view)) return stream_dense(from, to.data, count, view.cols);
  for (int64_t i = 0; i < count; ++i) copy_floats(to.pixel(i), from.pixel(i), view.cols);
}

[[maybe_unused]] inline Pixels pixels_of(const View& view, int64_t first) {
  return {floats_out(view) + first * view.pitch, view.pitch};
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
