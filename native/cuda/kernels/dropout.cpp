// Dropout and, being linear with a mask that is a function of (seed, node, step, element), its own gradient.
// The rule easy to break: the step is a tensor on the device, read when the kernel runs.
#include "cuda/kernels/dropout.h"

#include <cmath>

#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

// x, step[1] -> y
void run_dropout(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const double rate = call.number("rate");
  const Spans spans = spans_of({&x, &y});
  DropoutParams params = {};
  params.x = x.floats();
  params.step = call.in[1].ints();
  params.y = y.floats();
  params.span = spans.span;
  params.pitch_x = static_cast<uint32_t>(x.pitch);
  params.pitch_y = static_cast<uint32_t>(y.pitch);
  params.cols = static_cast<uint32_t>(y.cols);
  params.key = key_of(call.number("seed"));
  params.node = static_cast<uint32_t>(static_cast<int64_t>(call.number("node")));
  // u >= rate on 24-bit integers: exact whatever the rate.
  params.threshold = static_cast<uint32_t>(std::fmin(std::fmax(std::ceil(rate * 0x1p24), 0), 0x1p24));
  params.scale = rate < 1 ? static_cast<float>(1 / (1 - rate)) : 0;
  launch_span(call, queue, "dropout", "dropout", spans, params);
}

const Kernel kernels[] = {{"dropout", prepare_nothing, run_dropout}};

}  // namespace

extern const KernelList kDropoutKernels;
const KernelList kDropoutKernels = list_of(kernels);

}  // namespace gramian::cuda
