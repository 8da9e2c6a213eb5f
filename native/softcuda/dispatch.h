// From a PTX type to the instance of a handler, for rows that are the same for every integer width. Also names the
// float rows that share an opcode with integer ones. The rule easy to break: an unsupported type must fail at load
// time.
#pragma once
#include "decode.h"
#include "lanes.h"

namespace softcuda {

template <class F, class T>
void run1(Warp& w, const Instr& i) {
  unary<T>(w, i, [](T a) { return F::template of<T>(a); });
}
template <class F, class T>
void run2(Warp& w, const Instr& i) {
  binary<T>(w, i, [](T a, T b) { return F::template of<T>(a, b); });
}
template <class F, class T>
void run3(Warp& w, const Instr& i) {
  ternary<T>(w, i, [](T a, T b, T c) { return F::template of<T>(a, b, c); });
}

/** Calls f with a value of the C++ type that belongs to an integer type; bit types count as unsigned. */
template <class F>
Handler for_integer(Op& op, Type type, F f) {
  switch (type) {
    case Type::s16:
      return f(i16{});
    case Type::u16:
    case Type::b16:
      return f(u16{});
    case Type::s32:
      return f(i32{});
    case Type::u32:
    case Type::b32:
      return f(u32{});
    case Type::s64:
      return f(i64{});
    case Type::u64:
    case Type::b64:
      return f(u64{});
    default:
      op.fail(std::string("the type .") + name_of(type) + " is not supported here");
  }
}
template <class F>
Handler integer1(Op& op, Type type) {
  return for_integer(op, type, [](auto t) -> Handler { return run1<F, decltype(t)>; });
}
template <class F>
Handler integer2(Op& op, Type type) {
  return for_integer(op, type, [](auto t) -> Handler { return run2<F, decltype(t)>; });
}
template <class F>
Handler integer3(Op& op, Type type) {
  return for_integer(op, type, [](auto t) -> Handler { return run3<F, decltype(t)>; });
}

void row_float_add(Op& op, Type type);
void row_float_sub(Op& op, Type type);
void row_float_mul(Op& op, Type type);
void row_float_fma(Op& op, Type type);
void row_float_div(Op& op, Type type);
void row_float_extreme(Op& op, Type type, bool largest);
void row_float_sign(Op& op, Type type, bool absolute);

enum class Approximate : u8 { rcp, sqrt, rsqrt, ex2, lg2, sin, cos, tanh };
/** After .approx: the rest of the modifiers and the operands, see ops_approximate.cpp. */
void row_approximate(Op& op, Approximate function);
void row_approximate_div(Op& op);

}  // namespace softcuda
