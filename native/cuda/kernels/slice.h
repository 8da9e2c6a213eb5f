// The block of threads that multiplies, for host and device code: 256 of them make kM rows of y and some columns, and
// keep kTerms terms of the factors in shared memory at a time.
#pragma once
#include <stdint.h>

namespace gramian::cuda {

constexpr uint32_t kM = 128, kTerms = 16;

}  // namespace gramian::cuda
