// Directed rounding through the processor's own mode, see directed.h.
#include "directed.h"

#include <cfenv>
#include <cmath>

#include "lanes.h"

namespace softcuda {
namespace {

template <class T>
[[gnu::noinline]] void compute(Warp& w, const Instr& i) {
  switch (static_cast<DirectedOp>(i.target)) {
    case DirectedOp::add:
      return binary<T>(w, i, [](T a, T b) { return a + b; });
    case DirectedOp::sub:
      return binary<T>(w, i, [](T a, T b) { return a - b; });
    case DirectedOp::mul:
      return binary<T>(w, i, [](T a, T b) { return a * b; });
    case DirectedOp::div:
      return binary<T>(w, i, [](T a, T b) { return a / b; });
    case DirectedOp::fma:
      return ternary<T>(w, i, [](T a, T b, T c) { return std::fma(a, b, c); });
    case DirectedOp::rcp:
      return unary<T>(w, i, [](T a) { return T(1) / a; });
    case DirectedOp::sqrt:
      return unary<T>(w, i, [](T a) { return std::sqrt(a); });
  }
}

}  // namespace

template <class T>
void run_directed(Warp& w, const Instr& i) {
  std::fesetround(i.mode == 1 ? FE_TOWARDZERO : i.mode == 2 ? FE_DOWNWARD : FE_UPWARD);
  compute<T>(w, i);
  std::fesetround(FE_TONEAREST);
}
template void run_directed<float>(Warp&, const Instr&);
template void run_directed<double>(Warp&, const Instr&);

}  // namespace softcuda
