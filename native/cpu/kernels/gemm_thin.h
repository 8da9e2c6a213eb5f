// A product of few rows, as a dense layer makes of a few images: B is larger than the caches and every element of it is
// used only a few times, so it is read once, as it lies, past all packing. Included by gemm.h, whose plan says when.
// The rule easy to break: blocks of terms and the order in them are gemm.h's, so a row has the same bits either way.
#pragma once
#include "cpu/kernels/gemm_operands.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kThinRows = 16;            // at most
constexpr int64_t kThinFloats = 4096;        // of sums: half of a first cache
constexpr int64_t kThinPieces = 8;           // of one product at least, where it is wide enough
constexpr int kThinTerms = 4;                // rows of B that meet a vector of sums at once
constexpr int kThinGroup = W == 16 ? 4 : 2;  // rows of A at once: 16 factors in registers

// Columns of one piece of a product of m rows and n columns that is cut into `others` pieces besides.
[[maybe_unused]] inline int64_t thin_columns(int64_t m, int64_t n, int64_t others) {
  const int64_t most = max64(kNR, min64(512, kThinFloats / m / kNR * kNR));
  const int64_t blocks = max64(ceil_div(n, most), min64(ceil_div(kThinPieces, others), n / 128));
  return round_up(ceil_div(n, max64(1, blocks)), kNR);
}

// What is known of T terms: `a` and `b` begin at the first of them; rows of sums lie sums_pitch apart.
struct ThinStep {
  const float *a, *b;
  int64_t b_pitch, columns;
  float* sums;
  int64_t sums_pitch;
  bool first;  // nothing was summed yet
};

template <int R, int T>
void thin_step(const ThinStep& step) {
  vf left[R][T];
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) left[i][t] = set1(step.a[i * kRowPitch + t]);
  const auto column = [&](int64_t j, int lanes) {
    vf right[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) right[t] = load_lanes(step.b + t * step.b_pitch + j, lanes);
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
      float* const to = step.sums + i * step.sums_pitch + j;
      vf sum = step.first ? vf{} : load(to);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) sum = fma(left[i][t], right[t], sum);
      store(to, sum);
    }
  };
  int64_t j = 0;
  for (; j + W <= step.columns; j += W) {
    // The same columns of the terms after these: rows lie too far apart for the processor to guess.
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) __builtin_prefetch(step.b + (t + kThinTerms) * step.b_pitch + j, 0, 3);
    column(j, W);
  }
  if (j < step.columns) column(j, (int)(step.columns - j));
}

template <int T>
void thin_rows(ThinStep step, int64_t rows) {
  for (; rows >= kThinGroup; rows -= kThinGroup) {
    thin_step<kThinGroup, T>(step);
    step.a += kThinGroup * kRowPitch, step.sums += kThinGroup * step.sums_pitch;
  }
  if (rows == 1) thin_step<1, T>(step);
#if defined(__AVX512F__)
  if (rows == 2) thin_step<2, T>(step);
  if (rows == 3) thin_step<3, T>(step);
#endif
}

// All rows x columns of C over a range of terms, in equal blocks of at most kKC. scratch: thin_floats().
template <class A, class C>
void thin_piece(const A& a, const Matrix& b, const C& c, int64_t rows, Range columns, Range terms, float* scratch) {
  const int64_t blocks = ceil_div(terms.count, kKC);
  const int64_t k_block = ceil_div(terms.count, blocks);
  const int64_t pitch = round_up(columns.count, W);
  float* const panel = scratch + rows * pitch;
  for (int64_t done = 0; done < terms.count; done += k_block) {
    const int64_t k0 = terms.begin + done, k = min64(k_block, terms.count - done);
    for (int64_t i = 0; i < rows; ++i) a.copy(panel + i * kRowPitch, i, k0, k);
    ThinStep step{panel, b.data + k0 * b.pitch + columns.begin, b.pitch, columns.count, scratch, pitch, true};
    int64_t left = k;
    for (; left >= kThinTerms; left -= kThinTerms) {
      thin_rows<kThinTerms>(step, rows);
      step.a += kThinTerms, step.b += kThinTerms * b.pitch, step.first = false;
    }
    for (; left > 0; --left) {
      thin_rows<1>(step, rows);
      step.a += 1, step.b += b.pitch, step.first = false;
    }
    for (int64_t i = 0; i < rows; ++i) {
      float* const to = c.row(i) + columns.begin;
      const float* const sums = scratch + i * pitch;
      for (int64_t j = 0; j < columns.count; j += W) {
        const int lanes = (int)min64(W, columns.count - j);
        const vf sum = load(sums + j);
        store_lanes(to + j, done > 0 ? sum + load_lanes(to + j, lanes) : sum, lanes);
      }
    }
  }
}

[[maybe_unused]] inline int64_t thin_floats(int64_t rows, int64_t columns) {
  return round_up(rows * (round_up(columns, W) + kRowPitch) + W, 16);
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
