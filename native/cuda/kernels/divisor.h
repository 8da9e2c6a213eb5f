// Division of 32-bit indices by a number that is known when a kernel is launched: a multiplication and a shift on the
// device. Plain data for host and device code. Granlund and Montgomery 1994, "Division by invariant integers".
// The rule easy to break: dividends are below 2^31.
#pragma once
#include <stdint.h>

#ifdef __CUDACC__
#define GRAMIAN_BOTH __host__ __device__ __forceinline__
#else
#define GRAMIAN_BOTH inline
#endif

namespace gramian::cuda {

struct Divisor {
  uint32_t divisor, multiplier, shift;

  GRAMIAN_BOTH uint32_t quotient(uint32_t n) const {
#ifdef __CUDA_ARCH__
    return __umulhi(n + n, multiplier) >> shift;
#else
    return static_cast<uint32_t>((static_cast<uint64_t>(n) * multiplier) >> 31) >> shift;
#endif
  }
};

#ifndef __CUDA_ARCH__
/** With s the least shift for which 2^s >= d, the multiplier ceil(2^(31 + s) / d) is exact for dividends below 2^31. */
inline Divisor make_divisor(int64_t divisor) {
  const auto d = static_cast<uint32_t>(divisor);
  uint32_t s = 0;
  while ((uint64_t{1} << s) < d) ++s;
  return {d, static_cast<uint32_t>(((uint64_t{1} << (31 + s)) + d - 1) / d), s};
}
#endif

}  // namespace gramian::cuda
