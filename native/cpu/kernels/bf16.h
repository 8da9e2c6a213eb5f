// Factors of a product as bfloat16: rounded in place, and for the processor's own instruction laid out in pairs, two
// terms of the sum in one 32-bit lane, the earlier one in its low half. Included by gemm_tile.h.
// The rule easy to break: an odd last term is paired with a zero, so whoever narrows writes whole pairs.
#pragma once
#include "cpu/kernels/floats.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

#if defined(__AVX512F__)
// One compiler target for every tile kernel of the tier; only those that pair contain its instruction, and they run
// only where the processor has it.
#define GRAMIAN_PAIRS_TARGET __attribute__((target("avx512bf16,avx512vl")))
GRAMIAN_PAIRS_TARGET inline vf dot_pairs(vf a, vf b, vf sum) {
  return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
GRAMIAN_PAIRS_TARGET inline __m256 dot_half_pairs(__m256 a, __m256 b, __m256 sum) {
  return _mm256_dpbf16_ps(sum, (__m256bh)a, (__m256bh)b);
}
// The processor's own rounding: as rounded_bits(), but for subnormal numbers, which dot_pairs takes as zeros anyway.
GRAMIAN_PAIRS_TARGET inline void narrow_row_to_pairs(float* row, int64_t k) {
  int64_t i = 0;
  for (; i + 2 * W <= k; i += 2 * W) {
    const __m512bh both = _mm512_cvtne2ps_pbh((__m512)load(row + i + W), (__m512)load(row + i));
    store(row + i / 2, (vf)both);
  }
  for (; i < k; i += W) {
    const __m256bh one = _mm512_cvtneps_pbh((__m512)load_lanes(row + i, (int)min64(W, k - i)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + i / 2), (__m256i)one);
  }
}
// Row i and i + 1 of `columns` (whole vectors) become row i / 2.
GRAMIAN_PAIRS_TARGET inline void narrow_rows_to_pairs(float* rows, int64_t pitch, int64_t k, int64_t columns) {
  // Of the two roundings one below the other, lane by lane.
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (int64_t i = 0; i < k; i += 2) {
    const float* from = rows + i * pitch;
    for (int64_t j = 0; j < columns; j += W) {
      const vf second = i + 1 < k ? load(from + pitch + j) : vf{};
      const __m512bh both = _mm512_cvtne2ps_pbh((__m512)second, (__m512)load(from + j));
      store(rows + i / 2 * pitch + j, (vf)_mm512_permutexvar_epi16(order, (__m512i)both));
    }
  }
}
#else
#define GRAMIAN_PAIRS_TARGET
inline void narrow_row_to_pairs(float*, int64_t) {}                     // never called
inline void narrow_rows_to_pairs(float*, int64_t, int64_t, int64_t) {}  // never called
inline vf dot_pairs(vf, vf, vf sum) { return sum; }                     // never called
#endif

// The float whose upper half is x rounded to bfloat16, nearest, ties to even; a NaN stays one.
inline vi rounded_bits(vf x) {
  const vi bits = (vi)x;
  const vi rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & (int32_t)0xffff0000;
  return x != x ? bits | 0x400000 : rounded;
}

// k terms in a row, with room for a vector behind them.
[[maybe_unused]] inline void narrow_row(Precision precision, float* row, int64_t k) {
  if (precision == Precision::float32) return;
  if (precision == Precision::bf16Pairs) return narrow_row_to_pairs(row, k);
  for (int64_t i = 0; i < k; i += W) store(row + i, (vf)rounded_bits(load_lanes(row + i, (int)min64(W, k - i))));
}

// k rows of terms, `columns` (whole vectors) wide; of pairs, row i and i + 1 become row i / 2.
[[maybe_unused]] inline void narrow_rows_together(Precision precision, float* rows, int64_t pitch, int64_t k,
                                                  int64_t columns) {
  if (precision == Precision::float32) return;
  if (precision == Precision::bf16Pairs) return narrow_rows_to_pairs(rows, pitch, k, columns);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < columns; j += W) {
      float* const place = rows + i * pitch + j;
      store(place, (vf)rounded_bits(load(place)));
    }
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
