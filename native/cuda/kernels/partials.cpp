// See partials.h.
#include "cuda/kernels/partials.h"

#include "cuda/kernel.h"

namespace gramian::cuda {

void enqueue_sum(const float* parts, int64_t count, const View& y, Queue& queue, const Norm& finish) {
  PartialsParams params = {};
  params.parts = parts;
  params.y = y.floats();
  params.count = static_cast<uint32_t>(count);
  params.size = static_cast<uint32_t>(y.count());
  params.cols = static_cast<uint32_t>(y.cols);
  params.pitch = static_cast<uint32_t>(y.pitch);
  params.cols_of = make_divisor(y.cols);
  params.finish = finish;
  queue.launch("partials", "addParts", {ceil_div(y.count(), kPartsElements)}, 256, params);
}

}  // namespace gramian::cuda
