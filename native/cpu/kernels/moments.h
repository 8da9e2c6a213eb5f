// Mean and centred sum of squares down the rows of a block, and how those of two blocks are joined. Included by
// batch_norm.cpp (moments) and separable.cpp (the same numbers as its output is made).
// The rule easy to break: a block's rows are fixed by the shape and blocks are joined in order, in float64.
#pragma once
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// Mean and centred sum of squares of `rows` rows of G vectors (the last with `lanes` lanes), by the corrected two-pass
// algorithm (Chan, Golub, LeVeque 1983): the second pass also sums the deviations, which repairs the mean's rounding.
template <int G>
inline void chunk_moments(const float* x, int64_t pitch, int64_t rows, int lanes, double* mean, double* squares) {
  vf sum[G] = {}, deviation[G] = {}, square[G] = {};
  for (int64_t r = 0; r < rows; ++r)
    for (int g = 0; g < G; ++g) sum[g] += load_lanes(x + r * pitch + g * W, G > 1 ? W : lanes);
  for (int g = 0; g < G; ++g) sum[g] *= 1.0f / (float)rows;
  for (int64_t r = 0; r < rows; ++r)
    for (int g = 0; g < G; ++g) {
      const vf d = load_lanes(x + r * pitch + g * W, G > 1 ? W : lanes) - sum[g];
      deviation[g] += d;
      square[g] = fma(d, d, square[g]);
    }
  for (int g = 0; g < G; ++g)
    for (int i = 0; i < (G > 1 ? W : lanes); ++i) {
      const double shift = (double)deviation[g][i] / (double)rows;
      mean[g * W + i] = (double)sum[g][i] + shift;
      squares[g * W + i] = (double)square[g][i] - shift * (double)deviation[g][i];
    }
}

// Of `width` channels: fills mean[0..width) and squares[0..width).
[[maybe_unused]] inline void row_moments(const float* x, int64_t pitch, int64_t rows, int64_t width, double* mean,
                                         double* squares) {
  int64_t c = 0;
  for (; c + 4 * W <= width; c += 4 * W) chunk_moments<4>(x + c, pitch, rows, W, mean + c, squares + c);
  for (; c < width; c += W) chunk_moments<1>(x + c, pitch, rows, (int)min64(W, width - c), mean + c, squares + c);
}

// Adds `m` rows with (other_mean, other_squares) to `n` rows with (mean, squares) (Chan, Golub, LeVeque 1983).
[[maybe_unused]] inline void join_moments(double* mean, double* squares, double n, const double* other_mean,
                                          const double* other_squares, double m, int64_t width) {
  const double share = m / (n + m), weight = n * share;
  for (int64_t c = 0; c < width; ++c) {
    const double shift = other_mean[c] - mean[c];
    mean[c] += shift * share;
    squares[c] += other_squares[c] + shift * shift * weight;
  }
}

// The variance as an output of `moments` holds it: never below zero, NaN kept.
[[maybe_unused]] inline float variance_of(double squares, double rows) {
  const double variance = squares / rows;
  return variance > 0 || variance != variance ? (float)variance : 0.0f;
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
