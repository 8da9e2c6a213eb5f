// Batch normalisation and activation of a few channels, as they are loaded or stored. Included by kernels/*.cu.
// The rule easy to break: the pre-activation is this one expression everywhere, that of the CPU's kernels.
#pragma once
#include "activation.h"
#include "device.cuh"

namespace gramian::cuda {

/** 1 / sqrt(x) to about 1 ulp: the quick one and a step of Newton's, which is no number at 0 and at infinity. */
__device__ __forceinline__ float inverse_sqrt(float x) {
  const float y = rsqrtf(x);
  const float better = fmaf(0.5f * y, fmaf(-x * y, y, 1.0f), y);
  return better == better ? better : y;
}

/** scale is gamma / sqrt(variance + eps). */
template <int V>
struct Channels {
  Floats<V> mean, scale, beta;
};

template <int V>
__device__ __forceinline__ Floats<V> zeros() {
  Floats<V> x;
#pragma unroll
  for (float& lane : x.lane) lane = 0;
  return x;
}

/** Of V channels from `channel` on; every vector is aligned like V floats. */
template <int V>
__device__ __forceinline__ Channels<V> channels_of(const Norm& norm, uint32_t channel) {
  Channels<V> c = {load<V>(norm.mean + channel), load<V>(norm.gamma + channel), load<V>(norm.beta + channel)};
  const Floats<V> variance = load<V>(norm.variance + channel);
#pragma unroll
  for (int i = 0; i < V; ++i) c.scale.lane[i] *= inverse_sqrt(variance.lane[i] + norm.eps);
  return c;
}

/** exp(x) - 1 of x <= 0, accurate near 0; -1 below -87.3. */
__device__ __forceinline__ float expm1_down(float x) {
  const float clamped = fmaxf(x, -87.33654f), k = rintf(clamped * 1.44269504088896341f);
  const float r = exp_rest(clamped, k);
  const float p = fmaf(exp_terms(r), r * r, r);  // exp(r) - 1, and r is x where k is 0
  const float power = __int_as_float((static_cast<int>(k) + 127) << 23);
  return fmaf(p, power, power - 1.0f);
}

/**
 * elu, tanh or sigmoid, which is (1 + tanh(x / 2)) / 2: one exponential serves all three, so that a joined kernel holds
 * this code once for each of its lanes.
 */
__device__ __forceinline__ float curve(float x, const Norm& norm) {
  const bool elu = norm.activation == Activation::elu, sigmoid = norm.activation == Activation::sigmoid;
  const float less = expm1_down(elu ? fminf(x, 0.0f) : (sigmoid ? -1.0f : -2.0f) * fabsf(x));
  // The divisor is in [1, 2], where the quick division is good to 2 ulp.
  const float tanh = copysignf(__fdividef(less, 2.0f + less), x);
  const float y = elu ? (x > 0.0f ? x : norm.alpha * less) : sigmoid ? fmaf(0.5f, tanh, 0.5f) : tanh;
  return x != x ? x : y;
}

template <int V>
__device__ __forceinline__ void activate(Floats<V>& x, const Norm& norm) {
  // The branches are the same for the whole grid.
  if (norm.activation == Activation::none) return;
  if (norm.activation == Activation::relu) {
#pragma unroll
    for (float& lane : x.lane) lane = max_of(lane, 0.0f);
  } else if (norm.activation == Activation::leakyRelu) {
#pragma unroll
    for (float& lane : x.lane) lane = lane > 0.0f ? lane : norm.alpha * lane;
  } else {
#pragma unroll
    for (float& lane : x.lane) lane = curve(lane, norm);
  }
}

template <int V>
__device__ __forceinline__ void normalize(Floats<V>& x, const Channels<V>& c, const Norm& norm) {
#pragma unroll
  for (int i = 0; i < V; ++i) x.lane[i] = fmaf(x.lane[i] - c.mean.lane[i], c.scale.lane[i], c.beta.lane[i]);
  activate<V>(x, norm);
}

}  // namespace gramian::cuda
