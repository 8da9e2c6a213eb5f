// The activations that batch normalisation can absorb, each with its value and its derivative.
// Included by elementwise.cpp, batch_norm.cpp, finish.h and staged_rows.h.
// The rule easy to break: slope() takes the *pre-activation*, unlike the reluGrad family, which takes the output.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Identity {
  [[maybe_unused]] inline vf value(vf x) const { return x; }
  [[maybe_unused]] inline vf slope(vf) const { return set1(1.0f); }
};
struct Relu {
  inline vf value(vf x) const { return vmax(x, vf{}); }  // a NaN stays a NaN
  inline vf slope(vf x) const { return select(x > 0.0f, set1(1.0f), vf{}); }
};
struct LeakyRelu {
  float alpha;
  inline vf value(vf x) const { return select(x > 0.0f, x, alpha * x); }
  inline vf slope(vf x) const { return select(x > 0.0f, set1(1.0f), set1(alpha)); }
};
struct Elu {
  float alpha;
  inline vf value(vf x) const { return select(x > 0.0f, x, alpha * vexpm1(x)); }
  inline vf slope(vf x) const { return select(x > 0.0f, set1(1.0f), alpha * vexp(x)); }
};
struct Tanh {
  inline vf value(vf x) const { return vtanh(x); }
  inline vf slope(vf x) const {
    const vf y = vtanh(x);
    return 1.0f - y * y;
  }
};
struct Sigmoid {
  inline vf value(vf x) const { return vsigmoid(x); }
  inline vf slope(vf x) const {
    const vf y = vsigmoid(x);
    return y * (1.0f - y);
  }
};

// with_activation(name, alpha, [&](auto act) {...}): the body is compiled once per activation. False if unknown.
template <typename Body>
[[maybe_unused]] inline bool with_activation(const char* name, float alpha, const Body& body) {
  if (strcmp(name, "none") == 0) return body(Identity{}), true;
  if (strcmp(name, "relu") == 0) return body(Relu{}), true;
  if (strcmp(name, "leakyRelu") == 0) return body(LeakyRelu{alpha}), true;
  if (strcmp(name, "elu") == 0) return body(Elu{alpha}), true;
  if (strcmp(name, "tanh") == 0) return body(Tanh{}), true;
  if (strcmp(name, "sigmoid") == 0) return body(Sigmoid{}), true;
  return false;
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
