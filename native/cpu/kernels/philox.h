// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
// Included by dropout.cpp and dataset.cpp; docs/ops.md says which counter draws what.
// The rule easy to break: a number is a function of (seed, counter) alone, so nothing here keeps state.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Words {
  uint32_t w[4];
};

struct PhiloxKey {
  uint32_t low, high;
};

// seed: an integer in 0..2^53-1, as attributes carry it.
[[maybe_unused]] inline PhiloxKey philox_key(double seed) {
  const uint64_t bits = (uint64_t)seed;
  return {(uint32_t)bits, (uint32_t)(bits >> 32)};
}

[[maybe_unused]] inline Words philox(PhiloxKey key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = (uint64_t)0xD2511F53u * c0, right = (uint64_t)0xCD9E8D57u * c2;
    const uint32_t n0 = (uint32_t)(right >> 32) ^ c1 ^ key.low, n2 = (uint32_t)(left >> 32) ^ c3 ^ key.high;
    c0 = n0;
    c1 = (uint32_t)right;
    c2 = n2;
    c3 = (uint32_t)left;
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// In [0, 1), exact in float.
[[maybe_unused]] inline float uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

// Box-Muller on a pair of words: the even element of the pair is radius*cos, the odd one radius*sin.
[[maybe_unused]] inline void normal_pair(uint32_t p, uint32_t q, float* even, float* odd) {
  const double radius = __builtin_sqrt(-2 * __builtin_log((double)((p >> 8) + 1) * 0x1p-24));
  const double turn = 2 * 3.14159265358979323846 * (double)uniform(q);
  *even = (float)(radius * __builtin_cos(turn));
  *odd = (float)(radius * __builtin_sin(turn));
}

// Where position i of 0..n-1 goes in this epoch's order: a Feistel network, walked until it lands below n.
[[maybe_unused]] inline int64_t permute(PhiloxKey key, int64_t n, uint32_t epoch, int64_t i) {
  int half = 1;
  while (((int64_t)1 << (2 * half)) < n) ++half;
  const uint64_t mask = ((uint64_t)1 << half) - 1;
  uint64_t place = (uint64_t)i;
  do {
    uint64_t left = place >> half, right = place & mask;
    for (uint32_t round = 0; round < 6; ++round) {
      const uint64_t word = philox(key, (uint32_t)right, round, epoch, 3).w[0] & mask;
      const uint64_t next = left ^ word;
      left = right;
      right = next;
    }
    place = (left << half) | right;
  } while (place >= (uint64_t)n);
  return (int64_t)place;
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
