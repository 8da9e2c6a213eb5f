// The counter-based random generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A number is a function of seed, counter and purpose alone, so any thread may draw any of them.
// Used by dropout.cpp and dataset.cpp; docs/ops.md ("Random numbers") says which counter each purpose uses.
// The rule easy to break: changing a counter changes every trained model.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

enum Purpose : uint32_t { kDropout = 0, kAugmentation = 1, kNoise = 2, kPermutation = 3 };

struct Key {
  uint32_t low, high;
};
// 0 <= seed < 2^53.
[[maybe_unused]] inline Key key_of(double seed) {
  const auto bits = (uint64_t)seed;
  return {(uint32_t)bits, (uint32_t)(bits >> 32)};
}

typedef uint32_t vu __attribute__((vector_size(W * 4)));
typedef uint64_t vq __attribute__((vector_size(W * 4)));

// The 64-bit products of the even lanes with `factor`.
[[maybe_unused]] inline vq multiply_even(vq a, uint32_t factor) {
#if defined(__AVX512F__)
  return (vq)_mm512_maskz_mul_epu32((__mmask8)-1, (__m512i)a, _mm512_set1_epi64((long long)factor));
#elif defined(__AVX2__)
  return (vq)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((long long)factor));
#elif defined(__SSE2__) && !defined(GRAMIAN_SCALAR)
  return (vq)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x((long long)factor));
#else
  return (a & 0xffffffffu) * (uint64_t)factor;
#endif
}

[[maybe_unused]] inline void multiply_wide(vu a, uint32_t factor, vu* high, vu* low) {
  const vq even = multiply_even((vq)a, factor), odd = multiply_even((vq)a >> 32, factor);
  const vq mask = (vq{} + 0xffffffffu);
  *low = (vu)((even & mask) | (odd << 32));
  *high = (vu)((even >> 32) | (odd & ~mask));
}

// The four words of W consecutive counters (c0 + lane, c1, c2, c3).
[[maybe_unused]] inline void philox(Key key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, vu (&words)[4]) {
  uint32_t first[W];
  for (int i = 0; i < W; ++i) first[i] = c0 + (uint32_t)i;
  memcpy(&words[0], first, sizeof words[0]);
  words[1] = vu{} + c1;
  words[2] = vu{} + c2;
  words[3] = vu{} + c3;
  for (int round = 0; round < 10; ++round) {
    vu high0, low0, high2, low2;
    multiply_wide(words[0], 0xD2511F53u, &high0, &low0);
    multiply_wide(words[2], 0xCD9E8D57u, &high2, &low2);
    words[0] = high2 ^ words[1] ^ key.low;
    words[1] = low2;
    words[2] = high0 ^ words[3] ^ key.high;
    words[3] = low0;
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
}

// The four words of one counter.
[[maybe_unused]] inline void philox(Key key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t (&words)[4]) {
  vu lanes[4];
  philox(key, c0, c1, c2, c3, lanes);
  for (int w = 0; w < 4; ++w) words[w] = lanes[w][0];
}

// Uniform in [0, 1): 24 bits, exact in float.
[[maybe_unused]] inline float uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
