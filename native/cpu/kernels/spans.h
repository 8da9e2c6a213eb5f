// How the elementwise kernels walk a tensor: pieces of rows x columns, small enough for the cache, handed to the pool.
// Used by every kernel whose output elements do not depend on each other.
// The rule easy to break: the pieces depend on the shape alone, so results are the same for any number of threads.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kPiece = 8192;   // elements: 32 KB of each operand
constexpr int64_t kSerial = 2048;  // elements: below 8 KB a dispatch costs more than it wins

[[maybe_unused]] inline bool dense(const View& v) { return v.rows == 1 || v.pitch == v.cols; }

[[maybe_unused]] inline const float* floats(const View& v) { return static_cast<const float*>(v.data); }
[[maybe_unused]] inline float* floats_out(const View& v) { return static_cast<float*>(v.data); }
[[maybe_unused]] inline const int32_t* ints(const View& v) { return static_cast<const int32_t*>(v.data); }

// The first `lanes` lanes, with the full vector told apart: inlined with a constant W, only the plain move is left.
[[maybe_unused]] inline vf load_lanes(const float* p, int lanes) { return lanes == W ? load(p) : load_n(p, lanes); }
[[maybe_unused]] inline void store_lanes(float* p, vf v, int lanes) {
  if (lanes == W)
    store(p, v);
  else
    store_n(p, v, lanes);
}

// body(row_begin, row_end, col_begin, col_end) over disjoint rectangles that cover rows x cols.
template <typename Body>
[[maybe_unused]] inline void for_pieces(const Parallel& parallel, int64_t rows, int64_t cols, const Body& body) {
  if (rows * cols <= kSerial) {
    body(0, rows, 0, cols);
  } else if (cols >= kPiece) {
    const int64_t per_row = ceil_div(cols, kPiece);
    parallel_for(parallel, rows * per_row, [&](int64_t i) {
      const int64_t row = i / per_row, begin = i % per_row * kPiece;
      body(row, row + 1, begin, min64(begin + kPiece, cols));
    });
  } else {
    const int64_t group = kPiece / cols;
    parallel_for(parallel, ceil_div(rows, group),
                 [&](int64_t i) { body(i * group, min64(i * group + group, rows), 0, cols); });
  }
}

// body(begin, end) over disjoint ranges of `count` independent items that touch `weight` elements each.
template <typename Body>
[[maybe_unused]] inline void for_groups(const Parallel& parallel, int64_t count, int64_t weight, const Body& body) {
  if (count * weight <= kSerial) {
    body(0, count);
    return;
  }
  const int64_t group = max64(1, kPiece / max64(1, weight));
  parallel_for(parallel, ceil_div(count, group), [&](int64_t i) { body(i * group, min64(i * group + group, count)); });
}

// y[i] = op(x[i]) over two views of one shape; y may be x.
template <typename Op>
[[maybe_unused]] inline void map1(const KernelCall* call, const View& x, const View& y, const Op& op) {
  const bool flat = dense(x) && dense(y);
  const int64_t rows = flat ? 1 : y.rows, cols = flat ? y.rows * y.cols : y.cols;
  for_pieces(call->parallel, rows, cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      const float* px = floats(x) + r * x.pitch;
      float* py = floats_out(y) + r * y.pitch;
      int64_t i = c0;
      for (; i + W <= c1; i += W) store(py + i, op(load(px + i)));
      if (i < c1) store_n(py + i, op(load_n(px + i, (int)(c1 - i))), (int)(c1 - i));
    }
  });
}

// y[i] = op(a[i], b[i]) over three views of one shape; y may be a or b.
template <typename Op>
[[maybe_unused]] inline void map2(const KernelCall* call, const View& a, const View& b, const View& y, const Op& op) {
  const bool flat = dense(a) && dense(b) && dense(y);
  const int64_t rows = flat ? 1 : y.rows, cols = flat ? y.rows * y.cols : y.cols;
  for_pieces(call->parallel, rows, cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      const float *pa = floats(a) + r * a.pitch, *pb = floats(b) + r * b.pitch;
      float* py = floats_out(y) + r * y.pitch;
      int64_t i = c0;
      for (; i + W <= c1; i += W) store(py + i, op(load(pa + i), load(pb + i)));
      if (i < c1) {
        const int n = (int)(c1 - i);
        store_n(py + i, op(load_n(pa + i, n), load_n(pb + i, n)), n);
      }
    }
  });
}

// Most kernels need nothing from prepare.
[[maybe_unused]] inline void prepare_nothing(KernelCall*) {}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
