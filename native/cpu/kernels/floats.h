// What the products and convolutions share: copies of short runs of floats, and sums of chunks by a fixed tree.
// Included by gemm_tile.h, bf16.h, pixels.h and staged_rows.h.
// The rule easy to break: nothing here reads or writes past the n floats it is given, masked tails included.
#pragma once
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kMaxSlots = 32;   // pieces of scratch memory, hence the most threads one call can use
constexpr int64_t kMaxChunks = 32;  // partial sums of one result

[[maybe_unused]] inline int64_t round_up(int64_t value, int64_t unit) { return ceil_div(value, unit) * unit; }

[[maybe_unused]] inline void copy_floats(float* dst, const float* src, int64_t n) {
  if (n < W) {
    store_lanes(dst, load_lanes(src, (int)n), (int)n);
    return;
  }
  for (int64_t i = 0; i + W <= n; i += W) store(dst + i, load(src + i));
  store(dst + n - W, load(src + n - W));
}
[[maybe_unused]] inline void zero_floats(float* dst, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(dst + i, vf{});
  for (; i < n; ++i) dst[i] = 0;
}

// ---------------------------------------------------------------- sums of chunks

// Adds `count` vectors in place by halving strides; the order is fixed by count.
[[maybe_unused]] inline vf tree_sum(vf* values, int64_t count) {
  for (int64_t step = 1; step < count; step *= 2)
    for (int64_t i = 0; i + step < count; i += 2 * step) values[i] = values[i] + values[i + step];
  return values[0];
}

// c = sum over chunks of partial[chunk], where each chunk is `stride` floats.
[[maybe_unused]] inline void sum_chunks(float* c, const float* partial, int64_t stride, int64_t chunks, int64_t n) {
  for (int64_t j = 0; j < n; j += W) {
    vf values[kMaxChunks];
    for (int64_t chunk = 0; chunk < chunks; ++chunk) values[chunk] = load(partial + chunk * stride + j);
    const vf total = tree_sum(values, chunks);
    if (n - j >= W) {
      store(c + j, total);
    } else {
      store_lanes(c + j, total, (int)(n - j));
    }
  }
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
