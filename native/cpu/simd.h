// One vector type, `vf` (W floats) and its twin `vi` (W int32), for whatever ISA this file is being compiled for.
// Included only by kernels/*.cpp, which the build compiles once per ISA with GRAMIAN_ISA set to scalar, sse, avx2 or
// avx512. Everything sits in an unnamed namespace: a shared inline function compiled for AVX-512 would crash old CPUs.
// The rule easy to break: no C++ standard header here or in a kernel, because their inline functions are weak symbols.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernel.h"

#if defined(__SSE2__) && !defined(GRAMIAN_SCALAR)
#include <immintrin.h>
#endif

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));

[[maybe_unused]] inline vf set1(float x) { return x - vf{}; }
[[maybe_unused]] inline vi set1i(int32_t x) { return x - vi{}; }

[[maybe_unused]] inline vf load(const float* p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
[[maybe_unused]] inline void store(float* p, vf v) { memcpy(p, &v, sizeof v); }
[[maybe_unused]] inline vi loadi(const int32_t* p) {
  vi v;
  memcpy(&v, p, sizeof v);
  return v;
}
[[maybe_unused]] inline void storei(int32_t* p, vi v) { memcpy(p, &v, sizeof v); }

// The first n (0..W) lanes; the rest read as 0 and are never touched in memory. Narrow tensors live in these tails, so
// none of them calls memcpy.
#if defined(__AVX512F__)
[[maybe_unused]] inline vf load_n(const float* p, int n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
[[maybe_unused]] inline void store_n(float* p, vf v, int n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#elif defined(__AVX2__)
[[maybe_unused]] inline __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
[[maybe_unused]] inline vf load_n(const float* p, int n) { return (vf)_mm256_maskload_ps(p, first_lanes(n)); }
[[maybe_unused]] inline void store_n(float* p, vf v, int n) { _mm256_maskstore_ps(p, first_lanes(n), (__m256)v); }
#else
[[maybe_unused]] inline vf load_n(const float* p, int n) {
  return vf{n > 0 ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, n > 3 ? p[3] : 0};
}
[[maybe_unused]] inline void store_n(float* p, vf v, int n) {
  for (int i = 0; i < W; ++i)
    if (i < n) p[i] = v[i];
}
#endif

// Stores that go past the caches, for a tensor too large to be there when it is read: the line is not fetched first.
// `p` lies on a vector's boundary. stream_fence() before other threads may read.
constexpr bool kStreams = W == 16;
constexpr int64_t kStreamBytes = 8 << 20;  // a smaller tensor is better kept
[[maybe_unused]] inline void stream(float* p, vf v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, (__m512)v);
#else
  store(p, v);
#endif
}
[[maybe_unused]] inline void stream_fence() {
#if defined(__AVX512F__)
  _mm_sfence();
#endif
}
// Whether a tensor is larger than what a cache holds, and whether its rows are whole lines (of a part of a tensor's
// channels they are only where they begin on one) or lie one behind the other.
[[maybe_unused]] inline bool large(const View& v) { return kStreams && v.rows * v.cols * 4 >= kStreamBytes; }
[[maybe_unused]] inline bool streamable_rows(const View& v) { return large(v) && v.pitch % W == 0 && v.cols % W == 0; }
[[maybe_unused]] inline bool streamable_dense(const View& v) { return large(v) && v.pitch == v.cols; }
[[maybe_unused]] inline bool whole_lines(const float* p) { return reinterpret_cast<uintptr_t>(p) % (4 * W) == 0; }

// a*b + c, one rounding where the ISA has FMA, two where it has not (never left to the compiler's choice).
[[maybe_unused]] inline vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
[[maybe_unused]] inline float fma1(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

[[maybe_unused]] inline vf select(vi mask, vf yes, vf no) { return mask ? yes : no; }
// IEEE like std::max(a, b) written a < b ? b : a: a NaN in `a` stays.
// (x86's max and min answer with their second operand then; the compiler does not find that by itself.)
#if defined(__AVX512F__)
[[maybe_unused]] inline vf vmax(vf a, vf b) { return (vf)_mm512_maskz_max_ps((__mmask16)-1, (__m512)b, (__m512)a); }
[[maybe_unused]] inline vf vmin(vf a, vf b) { return (vf)_mm512_maskz_min_ps((__mmask16)-1, (__m512)b, (__m512)a); }
#else
[[maybe_unused]] inline vf vmax(vf a, vf b) { return a < b ? b : a; }
[[maybe_unused]] inline vf vmin(vf a, vf b) { return b < a ? b : a; }
#endif
[[maybe_unused]] inline vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }
[[maybe_unused]] inline vf vsqrt(vf a) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_sqrt_ps((__mmask16)-1, (__m512)a);  // the plain form trips a GCC 12 warning
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)a);
#elif defined(__SSE2__) && !defined(GRAMIAN_SCALAR)
  return (vf)_mm_sqrt_ps((__m128)a);
#else
  vf r = a;
  for (int i = 0; i < W; ++i) r[i] = __builtin_sqrtf(a[i]);
  return r;
#endif
}
[[maybe_unused]] inline vf to_float(vi a) { return __builtin_convertvector(a, vf); }
// Truncation; callers keep |a| < 2^31.
[[maybe_unused]] inline vi to_int(vf a) { return __builtin_convertvector(a, vi); }

// Horizontal sum by halving: the order is fixed by W alone.
[[maybe_unused]] inline float hsum(vf v) {
  float lane[W];
  store(lane, v);
  for (int half = W / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}
[[maybe_unused]] inline float hmax(vf v) {
  float lane[W];
  store(lane, v);
  float best = lane[0];
  for (int i = 1; i < W; ++i) best = best < lane[i] ? lane[i] : best;
  return best;
}

// exp(x) to about 1 ulp of float: x = k ln2 + r, degree-6 polynomial on |r| <= ln2/2. Below -87.3 it flushes to 0,
// above 88.7 it gives +inf, NaN stays NaN.
[[maybe_unused]] inline vf vexp(vf x) {
  const vf log2e = set1(1.44269504088896341f), hi = set1(0.693359375f), lo = set1(-2.12194440e-4f);
  vf clamped = vmin(vmax(x, set1(-88.0f)), set1(89.0f));
  vf scaled = clamped * log2e;
  vi k = to_int(scaled + select(scaled < 0.0f, set1(-0.5f), set1(0.5f)));
  vf kf = to_float(k);
  vf r = fma(kf, -hi, clamped);
  r = fma(kf, -lo, r);
  vf p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, r * r, r + 1.0f);
  // 2^k in two halves, so that k = 128 does not overflow early.
  vi half = k >> 1;
  vf result = p * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
  result = select(x < -87.33654f, vf{}, result);
  result = select(x > 88.72283f, set1(__builtin_inff()), result);
  return select(x != x, x, result);
}

// expm1 accurate near 0 (needed by HSIC's centred Gaussian): Taylor to degree 7 for |x| < 0.5, exp(x) - 1 elsewhere.
[[maybe_unused]] inline vf vexpm1(vf x) {
  vf p = set1(1.0f / 5040.0f);
  p = fma(p, x, set1(1.0f / 720.0f));
  p = fma(p, x, set1(1.0f / 120.0f));
  p = fma(p, x, set1(1.0f / 24.0f));
  p = fma(p, x, set1(1.0f / 6.0f));
  p = fma(p, x, set1(0.5f));
  vf near = fma(p * x, x, x);
  return select(vabs(x) < 0.5f, near, vexp(x) - 1.0f);
}

[[maybe_unused]] inline vf vsigmoid(vf x) {
  // exp of a negative number only, so that neither tail overflows.
  vf e = vexp(-vabs(x));
  vf positive = 1.0f / (1.0f + e);
  return select(x < 0.0f, e * positive, positive);
}

[[maybe_unused]] inline vf vtanh(vf x) {
  vf e = vexpm1(-2.0f * vabs(x));
  vf magnitude = -e / (2.0f + e);
  vf signed_result = select(x < 0.0f, -magnitude, magnitude);
  return select(x != x, x, signed_result);
}

// ---------------------------------------------------------------- attributes and parallel loops

[[maybe_unused]] inline const Attr* find_attr(const KernelCall* call, const char* key) {
  for (int i = 0; i < call->attr_count; ++i)
    if (strcmp(call->attrs[i].key, key) == 0) return &call->attrs[i];
  return nullptr;
}
// An absent number reads as `fallback`; native/graph/contracts.cpp has already insisted on the required ones.
[[maybe_unused]] inline double attr(const KernelCall* call, const char* key, double fallback = 0) {
  const Attr* found = find_attr(call, key);
  return found ? found->number : fallback;
}
[[maybe_unused]] inline const char* attr_string(const KernelCall* call, const char* key, const char* fallback = "") {
  const Attr* found = find_attr(call, key);
  return found && found->string ? found->string : fallback;
}

template <typename Params>
[[maybe_unused]] inline Params* params_of(KernelCall* call) {
  static_assert(sizeof(Params) <= sizeof call->params);
  return reinterpret_cast<Params*>(call->params);
}
template <typename Params>
[[maybe_unused]] inline const Params* params_of(const KernelCall* call) {
  return reinterpret_cast<const Params*>(call->params);
}

// parallel_for(call->parallel, n, [&](int64_t i) {...}): i is a piece of work fixed by shape.
template <typename Body>
[[maybe_unused]] inline void parallel_for(const Parallel& parallel, int64_t count, const Body& body) {
  if (count <= 0) return;
  parallel.run(
      parallel.pool, count, [](void* context, int64_t index) { (*static_cast<const Body*>(context))(index); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

[[maybe_unused]] inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
[[maybe_unused]] inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
[[maybe_unused]] inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
