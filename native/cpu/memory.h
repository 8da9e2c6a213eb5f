// Aligned memory of the CPU backend: arenas, parameters, staging.
#pragma once
#include <cstdint>

namespace gramian::cpu {

/** 64-byte aligned memory (2 MiB aligned with a huge-page hint when large), zeroed. Null when there is not enough. */
void* allocate(int64_t bytes) noexcept;
void release(void* memory, int64_t bytes) noexcept;

}  // namespace gramian::cpu
