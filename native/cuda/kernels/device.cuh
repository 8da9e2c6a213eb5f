// What device code shares: vectors of 4 floats, walks over a Span, sums by fixed trees, functions of our own. Included
// by kernels/*.cu only. The rule easy to break: every sum has one order, fixed by shapes; no atomics on floats, no
// double, no division of indices.
#pragma once
#include "fault.h"
#include "nest.h"
#include "span.h"

namespace gramian::cuda {

// ---------------------------------------------------------------- vectors

template <int V>
struct Floats {
  float lane[V];
};

template <int V>
__device__ __forceinline__ Floats<V> load(const float* from) {
  Floats<V> x;
  if constexpr (V == 4) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    x.lane[0] = four.x, x.lane[1] = four.y, x.lane[2] = four.z, x.lane[3] = four.w;
  } else if constexpr (V == 2) {
    const float2 two = *reinterpret_cast<const float2*>(from);
    x.lane[0] = two.x, x.lane[1] = two.y;
  } else {
    x.lane[0] = *from;
  }
  return x;
}

template <int V>
__device__ __forceinline__ void store(float* to, const Floats<V>& x) {
  if constexpr (V == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(x.lane[0], x.lane[1], x.lane[2], x.lane[3]);
  } else if constexpr (V == 2) {
    *reinterpret_cast<float2*>(to) = make_float2(x.lane[0], x.lane[1]);
  } else {
    *to = x.lane[0];
  }
}

/** A piece of a row, or W times the one value that stands for all of it where `inner` is 0. */
template <int W>
__device__ __forceinline__ Floats<W> load_step(const float* from, uint32_t column, uint32_t inner) {
  if (inner) return load<W>(from + column);
  const float value = *from;
  Floats<W> x;
#pragma unroll
  for (float& lane : x.lane) lane = value;
  return x;
}

/** store<4>() to global memory, for places where the compiler would make four stores of it. */
__device__ __forceinline__ void store_wide(float* to, const Floats<4>& x) {
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "f"(x.lane[0]),
               "f"(x.lane[1]), "f"(x.lane[2]), "f"(x.lane[3])
               : "memory");
}

// ---------------------------------------------------------------- spans

/** body(width, row, column) for every piece this thread takes: width 4 or 1 as an integral constant. */
template <int V>
struct Width {
  static constexpr int value = V;
};

template <int V, typename Body>
__device__ __forceinline__ void for_span(const Span& span, const Body& body) {
  const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, stride = gridDim.x * blockDim.x;
#pragma unroll 1
  for (uint32_t i = first; i < span.vectors; i += stride) {
    const uint32_t row = span.row.quotient(i);
    body(Width<V>(), row, (i - row * span.row.divisor) * V);
  }
  if constexpr (V > 1)
    if (first < span.tail) body(Width<1>(), 0u, span.vectors * V + first);
}

/** Element (row, column) of an operand. */
template <typename T>
__device__ __forceinline__ T* at(T* data, uint32_t row, uint32_t pitch, uint32_t column) {
  return data + static_cast<uint64_t>(row) * pitch + column;
}

/** A number that the compiler takes for a new one each time, so that it makes one loop, not one for each value. */
__device__ __forceinline__ uint32_t opaque(uint32_t number) {
  asm volatile("" : "+r"(number));
  return number;
}

/** Where each operand of a nest has its item number `item`. */
template <int N>
struct Offsets {
  uint32_t of[N];
};

template <int N, int Most>
__device__ __forceinline__ Offsets<N> locate(const Nest<N, Most>& nest, uint32_t item) {
  Offsets<N> at = {};
  const uint32_t axes = opaque(nest.axes);
#pragma unroll
  for (int axis = 0; axis < Most; ++axis) {
    if (axis >= axes) break;
    const uint32_t outer = nest.size[axis].quotient(item), here = item - outer * nest.size[axis].divisor;
#pragma unroll
    for (int k = 0; k < N; ++k) at.of[k] += here * nest.step[axis][k];
    item = outer;
  }
  return at;
}

// ---------------------------------------------------------------- sums and maxima of a warp and of a block

constexpr unsigned kFullWarp = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kFullWarp, x, step);
  return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kFullWarp, x, step));
  return x;
}

/** The sum over a block of `Threads`, given to every thread. Call it with all threads; it begins and ends with a
 * barrier. */
template <int Threads>
__device__ __forceinline__ float block_sum(float x) {
  constexpr int warps = Threads / 32;
  __shared__ float partial[warps];
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int i = 0; i < warps; ++i) sum += partial[i];
  return sum;
}

// ---------------------------------------------------------------- faults

/** Says that the data is wrong; the least code of a step is the one reported. */
__device__ __forceinline__ void report(const Fault& fault) { atomicMin(fault.word, fault.code); }

// ---------------------------------------------------------------- functions
// The polynomials of the CPU's kernels (native/cpu/simd.h): the same bits on every device, and no local memory.

/** x - k log(2), for exp(x) = 2^k exp(r). */
__device__ __forceinline__ float exp_rest(float x, float k) {
  return fmaf(k, 2.12194440e-4f, fmaf(k, -0.693359375f, x));
}

/** (exp(r) - 1 - r) / r^2 of |r| <= log(2) / 2 (Cephes' polynomial). */
__device__ __forceinline__ float exp_terms(float r) {
  float p = 1.9875691500e-4f;
  p = fmaf(p, r, 1.3981999507e-3f);
  p = fmaf(p, r, 8.3334519073e-3f);
  p = fmaf(p, r, 4.1665795894e-2f);
  p = fmaf(p, r, 1.6666665459e-1f);
  p = fmaf(p, r, 5.0000001201e-1f);
  return p;
}

/** exp(x) to about 1 ulp; 0 below -87.3, infinite above 88.7, NaN stays NaN. */
__device__ __forceinline__ float exp_of(float x) {
  const float clamped = fminf(fmaxf(x, -88.0f), 89.0f);
  const float k = rintf(clamped * 1.44269504088896341f);
  const float r = exp_rest(clamped, k), p = fmaf(exp_terms(r), r * r, r + 1.0f);
  // 2^k in two halves, so that k = 128 does not overflow early.
  const int exponent = static_cast<int>(k), half = exponent >> 1;
  float y = p * __int_as_float((half + 127) << 23) * __int_as_float((exponent - half + 127) << 23);
  y = x < -87.33654f ? 0.0f : y;
  y = x > 88.72283f ? __int_as_float(0x7f800000) : y;
  return x != x ? x : y;
}

/** expm1 accurate near 0: Taylor to degree 7 for |x| < 0.5, exp(x) - 1 elsewhere. */
__device__ __forceinline__ float expm1_of(float x) {
  float p = 1.0f / 5040.0f;
  p = fmaf(p, x, 1.0f / 720.0f);
  p = fmaf(p, x, 1.0f / 120.0f);
  p = fmaf(p, x, 1.0f / 24.0f);
  p = fmaf(p, x, 1.0f / 6.0f);
  p = fmaf(p, x, 0.5f);
  const float near = fmaf(p * x, x, x), far = exp_of(x) - 1.0f;
  return fabsf(x) < 0.5f ? near : far;
}

/** log(x) to about 1 ulp: -infinite at 0, NaN below it, subnormals exact. */
__device__ __forceinline__ float log_of(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const int bits = __float_as_int(tiny ? x * 8388608.0f : x);
  int exponent = ((bits >> 23) & 0xff) - 126;
  float m = __int_as_float((bits & 0x007fffff) | 0x3f000000);  // [0.5, 1)
  const bool low = m < 0.707106781186547524f;
  exponent = exponent - (low ? 1 : 0) - (tiny ? 23 : 0);
  m = (low ? m + m : m) - 1.0f;
  const float e = static_cast<float>(exponent), z = m * m;
  float p = 7.0376836292e-2f;
  p = fmaf(p, m, -1.1514610310e-1f);
  p = fmaf(p, m, 1.1676998740e-1f);
  p = fmaf(p, m, -1.2420140846e-1f);
  p = fmaf(p, m, 1.4249322787e-1f);
  p = fmaf(p, m, -1.6668057665e-1f);
  p = fmaf(p, m, 2.0000714765e-1f);
  p = fmaf(p, m, -2.4999993993e-1f);
  p = fmaf(p, m, 3.3333331174e-1f);
  float y = p * m * z;
  y = fmaf(e, -2.12194440e-4f, y);
  y = fmaf(z, -0.5f, y);
  float result = fmaf(e, 0.693359375f, m + y);
  const float infinite = __int_as_float(0x7f800000);
  result = x == 0.0f ? -infinite : result;
  result = x < 0.0f ? __int_as_float(0x7fc00000) : result;
  return x < infinite ? result : x;  // infinity and NaN pass through
}

__device__ __forceinline__ float sigmoid_of(float x) {
  // exp of a negative number only, so that neither tail overflows.
  const float e = exp_of(-fabsf(x)), positive = 1.0f / (1.0f + e);
  return x < 0.0f ? e * positive : positive;
}

__device__ __forceinline__ float tanh_of(float x) {
  const float e = expm1_of(-2.0f * fabsf(x)), magnitude = -e / (2.0f + e);
  return x != x ? x : x < 0.0f ? -magnitude : magnitude;
}

/** The larger, NaN where one is NaN, the first of two zeros. */
__device__ __forceinline__ float max_of(float a, float b) { return a != a || a >= b ? a : b; }

}  // namespace gramian::cuda
