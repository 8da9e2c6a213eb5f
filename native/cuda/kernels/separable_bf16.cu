// Separable convolutions in one pass (separable.cuh) whose products round their factors to bfloat16. Launched by
// separable.cpp on sm_80 and newer. The rule easy to break: only the product rounds; u and its sums stay float32.
#include "separable.h"
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#include "bf16.cuh"
#include "separable.cuh"
#else
namespace gramian::cuda {
/** There is no such instruction; the host does not launch these. */
template <int N>
struct Bf16Tile;
template <typename Tile>
__device__ __forceinline__ void separable(const SeparableParams&) {
  __trap();
}
}  // namespace gramian::cuda
#endif

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 2) separable_64(const SeparableParams p) {
  separable<Bf16Tile<64>>(p);
}
