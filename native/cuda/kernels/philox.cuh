// The counter-based random generator Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1,
// 2, 3", SC 2011) and normal numbers of it. Included by dropout.cu and dataset.cu; docs/ops.md ("Random numbers") says
// which counter each purpose uses. The rule easy to break: the bits of the words are the CPU's.
#pragma once
#include "device.cuh"
#include "philox.h"

namespace gramian::cuda {

enum Purpose : uint32_t { kDropout = 0, kAugmentation = 1, kNoise = 2, kPermutation = 3 };

/** The four words of one counter. */
__device__ __forceinline__ uint4 philox(Key key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(c0, 0xD2511F53u), low0 = c0 * 0xD2511F53u;
    const uint32_t high2 = __umulhi(c2, 0xCD9E8D57u), low2 = c2 * 0xCD9E8D57u;
    c0 = high2 ^ c1 ^ key.low;
    c1 = low2;
    c2 = high0 ^ c3 ^ key.high;
    c3 = low0;
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

/** Uniform in [0, 1): 24 bits, exact. */
__device__ __forceinline__ float uniform(uint32_t word) {
  return static_cast<float>(word >> 8) * 5.9604644775390625e-8f;
}

/** cos and sin of 2 pi t, 0 <= t <= 1: t = k/4 + r with |r| <= 1/8, exactly; polynomials in 2 pi r. */
__device__ __forceinline__ void turn(float t, float* cosine, float* sine) {
  const int k = static_cast<int>(t * 4.0f + 0.5f);
  const float x = (t - static_cast<float>(k) * 0.25f) * 6.28318530717958648f, z = x * x;
  float s = -1.9515295891e-4f;
  s = fmaf(s, z, 8.3321608736e-3f);
  s = fmaf(s, z, -1.6666654611e-1f);
  s = fmaf(s * z, x, x);
  float c = 2.443315711809948e-5f;
  c = fmaf(c, z, -1.388731625493765e-3f);
  c = fmaf(c, z, 4.166664568298827e-2f);
  c = fmaf(c * z, z, fmaf(z, -0.5f, 1.0f));
  const float first = k & 1 ? s : c, second = k & 1 ? c : s;
  *cosine = (k + 1) & 2 ? -first : first;
  *sine = k & 2 ? -second : second;
}

/** Two standard normal numbers of two words (Box and Muller 1958). */
__device__ __forceinline__ float2 box_muller(uint32_t p, uint32_t q) {
  const float above_zero = static_cast<float>((p >> 8) + 1) * 5.9604644775390625e-8f;
  const float radius = sqrtf(-2.0f * log_of(above_zero));
  float cosine, sine;
  turn(uniform(q), &cosine, &sine);
  return make_float2(radius * cosine, radius * sine);
}

}  // namespace gramian::cuda
