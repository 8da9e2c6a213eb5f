// What the products multiply: B packed for the tile kernels, and the matrices that A, B and C are read from and written
// to. Included by gemm_thin.h, gemm.h and tile_product.h.
// The rule easy to break: a row source (A), a packer (B) and a target (C) are small structs that own nothing.
#pragma once
#include "cpu/kernels/gemm_tile.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- packing B

// Rows [0, k) of a row-major matrix with n columns.
[[maybe_unused]] inline void pack_rows(float* packed, const float* b, int64_t pitch, int64_t k, int64_t n) {
  for (int64_t row = 0; row < k; ++row, b += pitch) {
    float* panel = packed;
    for (int64_t j = 0; j < n; j += kNR) {
      const int64_t width = panel_width(n - j);
      float* dst = panel + row * width;
      for (int64_t v = 0; v < width; v += W) {
        const int64_t left = n - j - v;
        store(dst + v, left >= W ? load(b + j + v) : load_lanes(b + j + v, (int)left));
      }
      panel += k * width;
    }
  }
}

template <int S, int... L>
inline void exchange_lanes(vf& a, vf& b) {
  const vf low = __builtin_shufflevector(a, b, ((L & S) ? W + L - S : L)...);
  const vf high = __builtin_shufflevector(a, b, ((L & S) ? W + L : L + S)...);
  a = low;
  b = high;
}
template <int S>
inline void transpose_step(vf* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    if (i & S) continue;
#if defined(__AVX512F__)
    exchange_lanes<S, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>(rows[i], rows[i + S]);
#elif defined(__AVX2__)
    exchange_lanes<S, 0, 1, 2, 3, 4, 5, 6, 7>(rows[i], rows[i + S]);
#else
    exchange_lanes<S, 0, 1, 2, 3>(rows[i], rows[i + S]);
#endif
  }
}
// W x W in registers: lane bit S and row bit S change places, for every bit.
inline void transpose_square(vf* rows) {
  transpose_step<1>(rows);
  transpose_step<2>(rows);
#if defined(__AVX2__)
  transpose_step<4>(rows);
#endif
#if defined(__AVX512F__)
  transpose_step<8>(rows);
#endif
}

// Columns [0, k) of a row-major matrix with n rows, as rows k0.. of a packed B of k_total rows.
[[maybe_unused]] inline void pack_columns(float* packed, const float* b, int64_t pitch, int64_t k_total, int64_t k0,
                                          int64_t k, int64_t n) {
  float* panel = packed;
  for (int64_t j = 0; j < n; j += kNR) {
    const int64_t width = panel_width(n - j);
    for (int64_t v = 0; v < width; v += W) {
      const int64_t rows = min64(W, n - j - v);
      for (int64_t col = 0; col < k; col += W) {
        const int64_t cols = min64(W, k - col);
        vf square[W];
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
          const float* src = b + (j + v + i) * pitch + col;
          square[i] = i >= rows ? vf{} : cols == W ? load(src) : load_lanes(src, (int)cols);
        }
        transpose_square(square);
        float* dst = panel + (k0 + col) * width + v;
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i)
          if (i < cols) store(dst + i * width, square[i]);
      }
    }
    panel += k_total * width;
  }
}

// A packed B of k rows and n columns, narrowed in place; its panels stay where they are.
[[maybe_unused]] inline void narrow_packed(Precision precision, float* packed, int64_t k, int64_t n) {
  if (precision == Precision::float32) return;
  for (int64_t j = 0; j < n; j += kNR) {
    const int64_t width = panel_width(n - j);
    narrow_rows_together(precision, packed, width, k, width);
    packed += k * width;
  }
}

// ---------------------------------------------------------------- operands

struct Range {
  int64_t begin, count;
};

// A row-major matrix as row source (A, or A' when the product is planned transposed), as B and as C.
struct Matrix {
  float* data;
  int64_t pitch;
  int64_t group_step;  // elements from one group's matrix to the next (0 without groups)

  Matrix group(int64_t g) const { return {data + g * group_step, pitch, group_step}; }
  void copy(float* dst, int64_t row, int64_t column, int64_t count) const {
    copy_floats(dst, data + row * pitch + column, count);
  }
  void pack(float* packed, int64_t k0, int64_t k, int64_t n0, int64_t n) const {
    pack_rows(packed, data + k0 * pitch + n0, pitch, k, n);
  }
  float* row(int64_t i) const { return data + i * pitch; }
  // Only a hint: the place may lie behind the matrix's end.
  Fetch fetch(int64_t row, int64_t column, int64_t count, int64_t rows) const {
    return fetch_rows(data + row * pitch + column, pitch, count, rows);
  }
  // Columns of rows `row` on as a transposed A reads them; null for an odd number, whose last tile would read one more.
  const float* block(int64_t row, Range columns) const {
    return columns.count % 2 == 0 ? data + row * pitch + columns.begin : nullptr;
  }
};

template <class B>
constexpr bool kIsMatrix = false;
template <>
constexpr bool kIsMatrix<Matrix> = true;

// B given as its transpose, a row-major [n, k] matrix.
struct TransposedMatrix {
  const float* data;
  int64_t pitch;
  int64_t group_step;

  TransposedMatrix group(int64_t g) const { return {data + g * group_step, pitch, group_step}; }
  Fetch fetch(int64_t, int64_t, int64_t, int64_t) const { return {}; }
  void pack(float* packed, int64_t k0, int64_t k, int64_t n0, int64_t n) const {
    pack_columns(packed, data + n0 * pitch + k0, pitch, k, 0, k, n);
  }
};

[[maybe_unused]] inline Matrix matrix_of(const View& view) { return {static_cast<float*>(view.data), view.pitch, 0}; }

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
