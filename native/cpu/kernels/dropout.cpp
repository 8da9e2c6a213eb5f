// Dropout: each element is kept with probability 1 - rate and scaled by 1/(1 - rate). Its gradient is the same op on
// dy. The rule easy to break: the mask belongs to the element's place in the dense shape, whatever the pitch.
#include "cpu/kernels/philox.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

void run_dropout(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  const float rate = (float)attr(call, "rate");
  const float scale = (float)(1 / (1 - attr(call, "rate")));
  const PhiloxKey key = philox_key(attr(call, "seed"));
  const uint32_t stream = (uint32_t)(int64_t)attr(call, "node");
  const uint32_t step = (uint32_t) static_cast<const int32_t*>(call->in[1].data)[0];
  for_pieces(call->parallel, x.rows, x.cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      const float* from = floats(x) + r * x.pitch;
      float* to = floats_out(y) + r * y.pitch;
      Words words = {};
      for (int64_t c = c0; c < c1; ++c) {
        const int64_t element = r * x.cols + c;
        if (c == c0 || element % 4 == 0) words = philox(key, (uint32_t)(element / 4), stream, step, 0);
        to[c] = uniform(words.w[element % 4]) >= rate ? from[c] * scale : 0.0f;
      }
    }
  });
}

const Kernel kernels[] = {{"dropout", prepare_nothing, run_dropout}};

}  // namespace

extern const KernelList kDropoutKernels;
const KernelList kDropoutKernels = {kernels, 1};

}  // namespace gramian::cpu::GRAMIAN_ISA
