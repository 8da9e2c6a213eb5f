// Small dense float64 linear algebra for HSIC: the inverse of a symmetric positive definite matrix, and a product.
// Used by hsic.cpp on m x m matrices, m the batch (typically 128); all matrices are row-major without gaps.
// The rule easy to break: every element is summed in one fixed order, so rows may go to any thread.
#pragma once
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// out[j] += factor * in[j]
[[maybe_unused]] inline void add_scaled(double* __restrict out, const double* __restrict in, double factor, int64_t n) {
  for (int64_t j = 0; j < n; ++j) out[j] += factor * in[j];
}

// Upper Cholesky factor in place: A = U'U. `floor` is a lower bound of A's eigenvalues; a pivot can only fall below it
// by rounding, and is raised to it, so the factor always exists.
[[maybe_unused]] inline void cholesky(double* a, int64_t m, double floor) {
  for (int64_t k = 0; k < m; ++k) {
    double* row = a + k * m;
    const double pivot = __builtin_sqrt(row[k] > floor ? row[k] : floor);
    row[k] = pivot;
    for (int64_t j = k + 1; j < m; ++j) row[j] /= pivot;
    for (int64_t i = k + 1; i < m; ++i) add_scaled(a + i * m + i, row + i, -row[i], m - i);
  }
}

// inverse = A^-1, exactly symmetric; A is destroyed, `lower` is m*m of scratch.
[[maybe_unused]] inline void invert_spd(const Parallel& parallel, double* a, double* lower, double* inverse, int64_t m,
                                        double floor) {
  constexpr int64_t block = 32;
  cholesky(a, m, floor);
  // lower = U'^-1 by forward substitution: its columns do not depend on each other.
  for_groups(parallel, ceil_div(m, block), m * m / 2, [&](int64_t b0, int64_t b1) {
    const int64_t c0 = b0 * block, width = min64(b1 * block, m) - c0;
    for (int64_t i = 0; i < m; ++i) {
      double* row = lower + i * m + c0;
      for (int64_t c = 0; c < width; ++c) row[c] = c0 + c == i ? 1 : 0;
      for (int64_t k = c0; k < i; ++k) add_scaled(row, lower + k * m + c0, -a[k * m + i], width);
      for (int64_t c = 0; c < width; ++c) row[c] /= a[i * m + i];
    }
  });
  // inverse = lower' lower.
  for_groups(parallel, m, m * m / 2, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      double* row = inverse + i * m;
      for (int64_t j = 0; j < m; ++j) row[j] = 0;
      for (int64_t k = i; k < m; ++k) add_scaled(row, lower + k * m, lower[k * m + i], k + 1);
    }
  });
}

// out = a b.
[[maybe_unused]] inline void multiply(const Parallel& parallel, const double* a, const double* b, double* out,
                                      int64_t m) {
  for_groups(parallel, m, m * m, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      double* row = out + i * m;
      for (int64_t j = 0; j < m; ++j) row[j] = 0;
      for (int64_t k = 0; k < m; ++k) add_scaled(row, b + k * m, a[i * m + k], m);
    }
  });
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
