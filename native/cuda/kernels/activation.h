// The activations that batch normalisation can absorb, by number. Plain data for host and device code.
// The rule easy to break: the numbers are the order of the names in norms.h.
#pragma once
#include <stdint.h>

namespace gramian::cuda {

enum class Activation : int32_t { none, relu, leakyRelu, elu, tanh, sigmoid };

/** act(gamma * (x - mean) / sqrt(variance + eps) + beta) of a channel; without batchNorm `mean` is null. */
struct Norm {
  const float *mean, *variance, *gamma, *beta;
  float eps, alpha;
  Activation activation;
};

}  // namespace gramian::cuda
