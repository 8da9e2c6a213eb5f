// The key of the random generator of philox.cuh. Plain data for host and device code.
#pragma once
#include <stdint.h>

namespace gramian::cuda {

struct Key {
  uint32_t low, high;
};

#ifndef __CUDA_ARCH__
/** 0 <= seed < 2^53. */
inline Key key_of(double seed) {
  const auto bits = static_cast<uint64_t>(seed);
  return {static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32)};
}
#endif

}  // namespace gramian::cuda
