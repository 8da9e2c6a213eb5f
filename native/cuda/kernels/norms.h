// Reads a batchNorm that the planner joined to another op. Host only; used by kernels/*.cpp.
// The rule easy to break: its four vectors are inputs one after the other: mean, variance, gamma, beta.
#pragma once
#include "cuda/kernel.h"
#include "cuda/kernels/activation.h"
#include "cuda/kernels/spans.h"

namespace gramian::cuda {

inline Activation activation_of(const std::string& name) {
  static const char* const names[] = {"none", "relu", "leakyRelu", "elu", "tanh", "sigmoid"};
  for (int i = 0; i < 6; ++i)
    if (name == names[i]) return static_cast<Activation>(i);
  throw Error(Code::graph, cat("[cuda] expected an activation of batchNorm, got ", name));
}

/** The batchNorm whose vectors begin at input `first` and whose attributes are PREFIXEps and so on ("bn", "out"). */
inline Norm norm_of(const Call& call, size_t first, const std::string& prefix) {
  Norm norm = {};
  if (!call.find((prefix + "Eps").c_str())) return norm;
  norm.mean = call.in[first].floats();
  norm.variance = call.in[first + 1].floats();
  norm.gamma = call.in[first + 2].floats();
  norm.beta = call.in[first + 3].floats();
  norm.eps = static_cast<float>(call.number((prefix + "Eps").c_str()));
  norm.alpha = static_cast<float>(call.number((prefix + "Alpha").c_str()));
  norm.activation = activation_of(call.string((prefix + "Activation").c_str()));
  return norm;
}

/** Whether its vectors may be read 4 floats at once. */
inline bool aligned16(const Norm& norm) {
  for (const float* vector : {norm.mean, norm.variance, norm.gamma, norm.beta})
    if (reinterpret_cast<uintptr_t>(vector) % 16 != 0) return false;
  return true;
}

}  // namespace gramian::cuda
