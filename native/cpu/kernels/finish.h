// A batchNorm that native/plan/fuse_finish.cpp joined to a product: its rows are normalised as the product writes them.
// Included by conv2d.cpp and matmul.cpp.
// The rule easy to break: the product's own inputs are two, so mean, variance, gamma and beta begin at the third.
#pragma once
#include "cpu/kernels/activation.h"
#include "cpu/kernels/channel_norm.h"
#include "cpu/kernels/gemm.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// Bytes that with_finish() needs; 0 without a joined batchNorm.
[[maybe_unused]] inline int64_t finish_bytes(const KernelCall* call) {
  return find_attr(call, "outEps") ? 2 * call->out[0].cols * (int64_t)sizeof(float) : 0;
}

template <typename Act>
struct NormalizedRow {
  Channel channel;
  Act act;
  static void finish(const void* context, float* y, int64_t first, int64_t count) {
    const auto& self = *static_cast<const NormalizedRow*>(context);
    for (int64_t i = 0; i < count; i += W) {
      const int lanes = (int)min64(W, count - i);
      const vf d = centred(self.channel, load_lanes(y + i, lanes), first + i, lanes);
      store_lanes(y + i, self.act.value(pre_activation(self.channel, d, first + i, lanes)), lanes);
    }
  }
};

// product(finish), where `finish` is the joined batchNorm, if there is one.
template <typename Product>
[[maybe_unused]] void with_finish(const KernelCall* call, void* memory, const Product& product) {
  if (!find_attr(call, "outEps")) return product(Finish{});
  const Channel channel = channel_of(call, 2, (float)attr(call, "outEps"), static_cast<float*>(memory));
  with_activation(attr_string(call, "outActivation", "none"), (float)attr(call, "outAlpha"), [&](auto act) {
    const NormalizedRow<decltype(act)> row = {channel, act};
    product(Finish{NormalizedRow<decltype(act)>::finish, &row});
  });
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
