// See table.h. A new file of kernels adds its list here, and its base name to nothing else.
#include "cuda/kernels/table.h"

namespace gramian::cuda {

extern const KernelList kBatchNormKernels, kBroadcastKernels, kConv2dKernels, kDatasetKernels,
    kDepthwiseBackwardKernels, kDropoutKernels, kElementwiseKernels, kGatherKernels, kGramKernels, kHsicKernels,
    kMatmulKernels, kOptimizerKernels, kPoolKernels, kReduceKernels, kResizeKernels, kShapeKernels, kSoftmaxKernels;

namespace {

const KernelList* const kLists[] = {
    &kBatchNormKernels, &kBroadcastKernels,   &kConv2dKernels, &kDatasetKernels, &kDepthwiseBackwardKernels,
    &kDropoutKernels,   &kElementwiseKernels, &kGatherKernels, &kGramKernels,    &kHsicKernels,
    &kMatmulKernels,    &kOptimizerKernels,   &kPoolKernels,   &kReduceKernels,  &kResizeKernels,
    &kShapeKernels,     &kSoftmaxKernels,
};

}  // namespace

const Kernel* find_kernel(const std::string& op) {
  for (const KernelList* list : kLists)
    for (size_t i = 0; i < list->count; ++i)
      if (op == list->kernels[i].op) return &list->kernels[i];
  return nullptr;
}

bool fuses(Fusion fusion) {
  switch (fusion) {
    case Fusion::fold_batch_norms:
    case Fusion::backward:
    case Fusion::finish:
    case Fusion::residual:
      return true;
    case Fusion::fold_activations:
    case Fusion::sums:
      return false;
    case Fusion::separable:  // a kernel that made it in one pass was 1.5 to 3 times slower on an H200 than its parts
      return false;
  }
  return false;
}

}  // namespace gramian::cuda
