// What native/plan/fuse_finish.cpp and fuse_sums.cpp joined to a product: its rows are normalised, added to and
// activated as the product writes them. Included by conv2d.cpp, matmul.cpp and separable.cpp. The rule easy to break:
// inputs come in the order mean, variance, gamma, beta (with outEps), bias (outBias), what is added (outAdd), and the
// sums in the order of the ops they were: (product + bias) + other.
#pragma once
#include "cpu/kernels/activation.h"
#include "cpu/kernels/channel_norm.h"
#include "cpu/kernels/gemm.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// Bytes that with_finish() needs.
[[maybe_unused]] inline int64_t finish_bytes(const KernelCall* call) {
  return find_attr(call, "outEps") ? 2 * call->out[0].cols * (int64_t)sizeof(float) : 0;
}

struct Ending {
  Channel channel;
  float alpha;  // of the batchNorm's activation
  void (*normalize)(const Ending& ending, const Part& part);
  const float* bias;  // null for none
  const View* other;  // null for none
  float sum_alpha;
  void (*sum)(const Ending& ending, const Part& part);
};

template <typename Act>
inline Act with_alpha(float alpha) {
  if constexpr (__is_empty(Act)) {
    return Act{};
  } else {
    return Act{alpha};
  }
}

// body(row of the part, column of the part, lanes)
template <typename Body>
[[gnu::always_inline]] inline void for_vectors(const Part& part, const Body& body) {
  for (int64_t row = 0; row < part.rows.count; ++row) {
    int64_t i = 0;
    for (; i + W <= part.columns.count; i += W) body(row, i, W);
    if (i < part.columns.count) body(row, i, (int)(part.columns.count - i));
  }
}

template <typename Act>
void normalize_part(const Ending& ending, const Part& part) {
  const Act act = with_alpha<Act>(ending.alpha);
  for_vectors(part, [&](int64_t row, int64_t i, int lanes) {
    float* const y = part.data + row * part.pitch + i;
    const int64_t c = part.columns.begin + i;
    store_lanes(
        y, act.value(pre_activation(ending.channel, centred(ending.channel, load_lanes(y, lanes), c, lanes), c, lanes)),
        lanes);
  });
}

template <typename Act, bool kBias, bool kOther>
void sum_part(const Ending& ending, const Part& part) {
  const Act act = with_alpha<Act>(ending.sum_alpha);
  const float* const bias = kBias ? ending.bias + part.columns.begin : nullptr;
  const int64_t pitch = kOther ? ending.other->pitch : 0;
  const float* const other = kOther ? floats(*ending.other) + part.rows.begin * pitch + part.columns.begin : nullptr;
  for_vectors(part, [&](int64_t row, int64_t i, int lanes) {
    float* const y = part.data + row * part.pitch + i;
    vf sum = load_lanes(y, lanes);
    if (kBias) sum = sum + load_lanes(bias + i, lanes);
    if (kOther) sum = sum + load_lanes(other + row * pitch + i, lanes);
    store_lanes(y, act.value(sum), lanes);
  });
}

template <typename Act>
auto sum_for(bool bias, bool other) {
  if (bias) return other ? sum_part<Act, true, true> : sum_part<Act, true, false>;
  return other ? sum_part<Act, false, true> : sum_part<Act, false, false>;
}

[[maybe_unused]] inline void run_ending(const void* context, const Part& part) {
  const Ending& ending = *static_cast<const Ending*>(context);
  if (ending.normalize) ending.normalize(ending, part);
  if (ending.sum) ending.sum(ending, part);
}

// What was joined, its inputs from number `input` on. `memory` holds finish_bytes().
[[maybe_unused]] inline Ending ending_of(const KernelCall* call, int input, void* memory) {
  Ending ending = {};
  if (find_attr(call, "outEps")) {
    ending.channel = channel_of(call, input, (float)attr(call, "outEps"), static_cast<float*>(memory));
    ending.alpha = (float)attr(call, "outAlpha");
    with_activation(attr_string(call, "outActivation", "none"), ending.alpha,
                    [&](auto act) { ending.normalize = normalize_part<decltype(act)>; });
    input += 4;
  }
  if (find_attr(call, "outBias")) ending.bias = floats(call->in[input++]);
  if (find_attr(call, "outAdd")) ending.other = &call->in[input++];
  ending.sum_alpha = (float)attr(call, "outSumAlpha");
  const char* const activation = attr_string(call, "outSumActivation", "none");
  if (ending.bias || ending.other || strcmp(activation, "none") != 0)
    with_activation(activation, ending.sum_alpha,
                    [&](auto act) { ending.sum = sum_for<decltype(act)>(ending.bias, ending.other); });
  return ending;
}

[[maybe_unused]] inline Finish finish_of(const Ending& ending) {
  return ending.normalize || ending.sum ? Finish{run_ending, &ending} : Finish{};
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
