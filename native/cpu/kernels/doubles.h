// Vectors of D float64 values, for sums that float32 would spoil. Used by hsic.cpp.
// The rule easy to break: lanes behind the last are read as 0 and never written.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int D = W / 2;
typedef double vd __attribute__((vector_size(D * 8)));
typedef float vf_of_d __attribute__((vector_size(D * 4)));

[[maybe_unused]] inline vd load_doubles(const double* p, int lanes) {
  vd v = {};
  if (lanes == D) {
    memcpy(&v, p, sizeof v);
  } else {
    for (int i = 0; i < lanes && i < D; ++i) v[i] = p[i];
  }
  return v;
}
[[maybe_unused]] inline vd load_doubles(const float* p, int lanes) {
  vf_of_d v = {};
  if (lanes == D) {
    memcpy(&v, p, sizeof v);
  } else {
    for (int i = 0; i < lanes && i < D; ++i) v[i] = p[i];
  }
  return __builtin_convertvector(v, vd);
}
[[maybe_unused]] inline void store_doubles(double* p, const vd& v, int lanes) {
  if (lanes == D) return (void)memcpy(p, &v, sizeof v);
  for (int i = 0; i < lanes && i < D; ++i) p[i] = v[i];
}
[[maybe_unused]] inline void store_floats(float* p, const vd& v, int lanes) {
  const vf_of_d narrow = __builtin_convertvector(v, vf_of_d);
  if (lanes == D) return (void)memcpy(p, &narrow, sizeof narrow);
  for (int i = 0; i < lanes && i < D; ++i) p[i] = narrow[i];
}
// 0 in every lane but the first `lanes`.
[[maybe_unused]] inline vd first_doubles(vd v, int lanes) {
  for (int i = lanes; i < D; ++i) v[i] = 0;
  return v;
}
// By halving: the order is fixed by D alone.
[[maybe_unused]] inline double sum_of(const vd& v) {
  double lane[D];
  memcpy(lane, &v, sizeof v);
  for (int half = D / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
