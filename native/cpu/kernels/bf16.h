// Factors of a product as bfloat16: rounded in place, and for the processor's own instruction laid out in pairs, two
// terms of the sum in one 32-bit lane, the earlier one in its low half. Included by gemm.h.
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
#else
#define GRAMIAN_PAIRS_TARGET
inline vf dot_pairs(vf, vf, vf sum) { return sum; }  // never called
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
  for (int64_t i = 0; i < k; i += W) {
    const vi bits = rounded_bits(load_lanes(row + i, (int)min64(W, k - i)));
#if defined(__AVX512F__)
    if (precision == Precision::bf16Pairs) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + i / 2),
                          _mm512_maskz_cvtepi32_epi16((__mmask16)-1, (__m512i)(bits >> 16)));
      continue;
    }
#endif
    store(row + i, (vf)bits);
  }
}

// k rows of terms, `columns` (whole vectors) wide: row i and i + 1 become row i / 2 of pairs.
[[maybe_unused]] inline void narrow_rows_together(Precision precision, float* rows, int64_t pitch, int64_t k,
                                                  int64_t columns) {
  if (precision == Precision::float32) return;
  const bool pairs = precision == Precision::bf16Pairs;
  for (int64_t i = 0; i < k; i += pairs ? 2 : 1) {
    const float* from = rows + i * pitch;
    float* to = rows + (pairs ? i / 2 : i) * pitch;
    for (int64_t j = 0; j < columns; j += W) {
      const vi first = rounded_bits(load(from + j));
      if (!pairs) {
        store(to + j, (vf)first);
        continue;
      }
      const vi second = i + 1 < k ? rounded_bits(load(from + pitch + j)) : vi{};
      store(to + j, (vf)(((first >> 16) & 0xffff) | second));
    }
  }
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
