// The natural logarithm of a vector, the twin of simd.h's vexp.
// Used by elementwise.cpp and by normal.h's Box-Muller transform.
// The rule easy to break: subnormals are scaled before their exponent is read, so log of the least float is finite.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// Natural logarithm to about 1 ulp: x = m 2^e with m in [sqrt(1/2), sqrt(2)), log x = e ln2 + log1p(m - 1).
// 0 gives -inf, a negative x gives NaN, subnormals are exact.
[[maybe_unused]] inline vf vlog(vf x) {
  const vi tiny = x < 1.17549435e-38f;
  const vf scaled = select(tiny, x * 8388608.0f, x);
  const vi bits = (vi)scaled;
  vi exponent = ((bits >> 23) & 0xff) - 126;
  vf m = (vf)((bits & 0x007fffff) | 0x3f000000);  // [0.5, 1)
  const vi low = m < 0.707106781186547524f;
  exponent = exponent + low;  // a true lane is -1
  m = select(low, m + m, m) - 1.0f;
  exponent = exponent - (tiny & 23);
  const vf e = to_float(exponent), z = m * m;
  vf p = set1(7.0376836292e-2f);
  p = fma(p, m, set1(-1.1514610310e-1f));
  p = fma(p, m, set1(1.1676998740e-1f));
  p = fma(p, m, set1(-1.2420140846e-1f));
  p = fma(p, m, set1(1.4249322787e-1f));
  p = fma(p, m, set1(-1.6668057665e-1f));
  p = fma(p, m, set1(2.0000714765e-1f));
  p = fma(p, m, set1(-2.4999993993e-1f));
  p = fma(p, m, set1(3.3333331174e-1f));
  vf y = p * m * z;
  y = fma(e, set1(-2.12194440e-4f), y);
  y = fma(z, set1(-0.5f), y);
  vf result = fma(e, set1(0.693359375f), m + y);
  result = select(x == 0.0f, set1(-__builtin_inff()), result);
  result = select(x < 0.0f, set1(__builtin_nanf("")), result);
  return select(x < __builtin_inff(), result, x);  // +inf and NaN pass through
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
