// See table.h. GRAMIAN_KERNEL_FILES(X) is X(Matmul) X(Gram) ...: one name per file, one exported list per file and
// tier.
#include "cpu/kernels/table.h"

#include <string.h>

// clang-format off
#define GRAMIAN_KERNEL_FILES(X) \
  X(Matmul) X(Gram) X(Conv2d) X(Depthwise) X(DepthwiseBackward) X(Separable) X(Elementwise) \
  X(Broadcast) X(Reduce) X(BatchNorm) X(Softmax) X(Pool) X(Resize) \
  X(Shape) X(Gather) X(Dropout) X(Hsic) X(Optimizer) X(Dataset)
// clang-format on

#define GRAMIAN_DECLARE(Name) extern const KernelList k##Name##Kernels;
#define GRAMIAN_LIST(Name) &k##Name##Kernels,
#define GRAMIAN_TIER(isa)                                                                 \
  namespace isa {                                                                         \
  GRAMIAN_KERNEL_FILES(GRAMIAN_DECLARE)                                                   \
  static const KernelList* const kLists[] = {GRAMIAN_KERNEL_FILES(GRAMIAN_LIST) nullptr}; \
  }

namespace gramian::cpu {

GRAMIAN_TIER(scalar)
#if defined(__x86_64__)
GRAMIAN_TIER(sse)
GRAMIAN_TIER(avx2)
GRAMIAN_TIER(avx512)
#endif

static const KernelList* const* lists_of(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::scalar:
      return scalar::kLists;
    case Isa::sse:
      return sse::kLists;
    case Isa::avx2:
      return avx2::kLists;
    case Isa::avx512:
      return avx512::kLists;
  }
#endif
  (void)isa;
  return scalar::kLists;
}

const Kernel* find_kernel(Isa isa, const char* op) {
  for (const KernelList* const* list = lists_of(isa); *list; ++list)
    for (int32_t i = 0; i < (*list)->count; ++i)
      if (strcmp((*list)->kernels[i].op, op) == 0) return &(*list)->kernels[i];
  return nullptr;
}

}  // namespace gramian::cpu
