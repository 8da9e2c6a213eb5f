// See memory.h. Large blocks come straight from the kernel, so that they go back to it at dispose().
#include "cpu/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace gramian::cpu {
namespace {

constexpr int64_t kHuge = int64_t{2} << 20;

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// mmap gives page alignment only: take one huge page more and return the ends.
void* allocate_huge(int64_t bytes) {
  const int64_t size = round_up(bytes, kHuge), taken = size + kHuge;
  void* base = mmap(nullptr, taken, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(base);
  const uintptr_t aligned = (begin + kHuge - 1) / kHuge * kHuge;
  if (aligned > begin) munmap(base, aligned - begin);
  const uintptr_t end = begin + taken;
  if (end > aligned + size) munmap(reinterpret_cast<void*>(aligned + size), end - aligned - size);
  void* memory = reinterpret_cast<void*>(aligned);
  madvise(memory, size, MADV_HUGEPAGE);  // a hint: its failure changes nothing
  return memory;
}

}  // namespace

void* allocate(int64_t bytes) noexcept {
  if (bytes < 0 || bytes > int64_t{1} << 46) return nullptr;
  if (bytes >= kHuge) return allocate_huge(bytes);
  void* memory = nullptr;
  const int64_t size = round_up(bytes > 0 ? bytes : 1, 64);
  if (posix_memalign(&memory, 64, size) != 0) return nullptr;
  return memset(memory, 0, size);
}

void release(void* memory, int64_t bytes) noexcept {
  if (!memory) return;
  if (bytes >= kHuge) {
    munmap(memory, round_up(bytes, kHuge));
  } else {
    free(memory);
  }
}

}  // namespace gramian::cpu
