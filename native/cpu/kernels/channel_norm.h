// Batch normalisation of a vector of channels. Used by batch_norm.cpp and finish.h.
// The rule easy to break: the pre-activation is this one expression everywhere, so a joined batchNorm has the bits of
// one that runs alone.
#pragma once
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Channel {
  const float *mean, *beta;
  float *scale, *istd;  // gamma / sqrt(variance + eps), 1 / sqrt(variance + eps): in the workspace
};

// Inputs first .. first+3 are mean, variance, gamma, beta; `memory` holds 2 C floats.
[[maybe_unused]] inline Channel channel_of(const KernelCall* call, int first, float epsilon, float* memory) {
  const int64_t C = call->in[first].cols;
  const float *variance = floats(call->in[first + 1]), *gamma = floats(call->in[first + 2]);
  const vf eps = set1(epsilon);
  Channel channel = {floats(call->in[first]), floats(call->in[first + 3]), memory, memory + C};
  for (int64_t c = 0; c < C; c += W) {
    const int n = (int)min64(W, C - c);
    const vf istd = 1.0f / vsqrt(load_n(variance + c, n) + eps);
    store_n(channel.istd + c, istd, n);
    store_n(channel.scale + c, load_n(gamma + c, n) * istd, n);
  }
  return channel;
}

[[maybe_unused]] inline vf centred(const Channel& p, vf x, int64_t c, int lanes) {
  return x - load_lanes(p.mean + c, lanes);
}
[[maybe_unused]] inline vf pre_activation(const Channel& p, vf centred_x, int64_t c, int lanes) {
  return fma(centred_x, load_lanes(p.scale + c, lanes), load_lanes(p.beta + c, lanes));
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
