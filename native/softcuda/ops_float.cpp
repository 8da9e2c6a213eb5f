// Float arithmetic: add sub mul fma div rcp sqrt min max neg abs copysign testp, in f32, f64 and, one value at a time,
// f16, bf16 and packed pairs. Rows of the opcode table; those that share an opcode with integers are called from there.
// The rule easy to break: the file is compiled without contraction, so a * b + c stays two roundings.
#include <algorithm>
#include <cmath>

#include "directed.h"
#include "dispatch.h"
#include "formats.h"

namespace softcuda {
namespace {

struct Add {
  template <class T>
  static T of(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T of(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T of(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static T of(T a, T b) {
    return a / b;
  }
};
struct Fma {
  template <class T>
  static T of(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
struct Rcp {
  template <class T>
  static T of(T a) {
    return T(1) / a;
  }
};
struct Sqrt {
  template <class T>
  static T of(T a) {
    return std::sqrt(a);
  }
};
/** The other operand if one is a NaN; -0 is below +0. */
struct Min {
  template <class T>
  static T of(T a, T b) {
    return a < b || b != b || (a == b && std::signbit(a)) ? a : b;
  }
};
struct Max {
  template <class T>
  static T of(T a, T b) {
    return a > b || b != b || (a == b && !std::signbit(a)) ? a : b;
  }
};
template <class F>
struct OrNan {
  template <class T>
  static T of(T a, T b) {
    return a != a ? a : b != b ? b : F::template of<T>(a, b);
  }
};
template <class F>
struct Three {
  template <class T>
  static T of(T a, T b, T c) {
    return F::template of<T>(F::template of<T>(a, b), c);
  }
};

/** Subnormal inputs and results of f32 count as zero. */
template <class F>
struct Flushed {
  static float of(float a) { return flush(F::template of<float>(flush(a))); }
  static float of(float a, float b) { return flush(F::template of<float>(flush(a), flush(b))); }
  static float of(float a, float b, float c) { return flush(F::template of<float>(flush(a), flush(b), flush(c))); }
};
/** .sat: into [0, 1], a NaN becomes 0. */
float saturate(float x) { return x > 0.0f ? std::min(x, 1.0f) : 0.0f; }

/** f32 with .ftz or .sat; Instr::flag: flush, Instr::sign: saturate. */
template <class F, int sources>
void run_modified(Warp& w, const Instr& i) {
  const bool ftz = i.flag, sat = i.sign;
  const auto finish = [=](auto... x) {
    const float value = ftz ? Flushed<F>::of(x...) : F::template of<float>(x...);
    return sat ? saturate(value) : value;
  };
  if constexpr (sources == 1) unary<float>(w, i, [=](float a) { return finish(a); });
  if constexpr (sources == 2) binary<float>(w, i, [=](float a, float b) { return finish(a, b); });
  if constexpr (sources == 3) ternary<float>(w, i, [=](float a, float b, float c) { return finish(a, b, c); });
}

/** a * b + c rounded once to odd in double: a later rounding to a short format then equals a single one. */
double fma_to_odd(double a, double b, double c) {
  const double product = a * b, sum = product + c;  // the product of short formats is exact
  const double part = sum - product, error = (product - (sum - part)) + (c - part);
  if (error == 0 || !std::isfinite(sum) || (std::bit_cast<u64>(sum) & 1)) return sum;
  return std::nextafter(sum, error > 0 ? INFINITY : -INFINITY);
}

float widen(u32 bits, bool bfloat) {
  return bfloat ? float_from_bfloat(bits & 0xffff) : float_from_half(bits & 0xffff);
}

/** One value of a short format; Instr::width: 1 if bfloat. */
template <class F, int sources>
u32 short_value(u32 a, u32 b, u32 c, bool bfloat) {
  const Format format = bfloat ? kBfloat : kHalf;
  const double x = widen(a, bfloat), y = widen(b, bfloat), z = widen(c, bfloat);
  if constexpr (sources == 1) return encode(F::template of<double>(x), format, 0);
  if constexpr (sources == 2) {
    // add and sub are fma with 1, so that they are rounded once as well.
    if constexpr (std::is_same_v<F, Add>) return encode(fma_to_odd(x, 1, y), format, 0);
    if constexpr (std::is_same_v<F, Sub>) return encode(fma_to_odd(y, -1, x), format, 0);
    return encode(F::template of<double>(x, y), format, 0);
  }
  return encode(fma_to_odd(x, y, z), format, 0);
}
template <class F, int sources>
void run_short(Warp& w, const Instr& i) {
  const u32* in[3] = {};
  for (int n = 0; n < 3; ++n) in[n] = cells<u32>(w, i.src[n < sources ? n : 0]);
  const bool bfloat = i.width != 0, packed = i.elements == 2;
  u32* out = cells<u32>(w, i.dst[0]);
  for_lanes(w.mask, [&](u32 l) {
    const u32 a = in[0][l], b = in[1][l], c = in[2][l];
    const u32 low = short_value<F, sources>(a, b, c, bfloat);
    out[l] = packed ? low | short_value<F, sources>(a >> 16, b >> 16, c >> 16, bfloat) << 16 : low;
  });
}
/** Two f32 in a 64-bit register. */
template <class F, int sources>
void run_pair(Warp& w, const Instr& i) {
  const u64* in[3] = {};
  for (int n = 0; n < 3; ++n) in[n] = cells<u64>(w, i.src[n < sources ? n : 0]);
  const auto part = [](u64 bits, u32 at) { return std::bit_cast<float>(static_cast<u32>(bits >> at)); };
  each_lane<u64>(w, i.dst[0], [=](u32 l) {
    u64 result = 0;
    for (u32 at = 0; at < 64; at += 32) {
      float value;
      if constexpr (sources == 2) value = F::template of<float>(part(in[0][l], at), part(in[1][l], at));
      if constexpr (sources == 3)
        value = F::template of<float>(part(in[0][l], at), part(in[1][l], at), part(in[2][l], at));
      result |= static_cast<u64>(std::bit_cast<u32>(value)) << at;
    }
    return result;
  });
}

template <class F, int sources, class T>
void run_plain(Warp& w, const Instr& i) {
  if constexpr (sources == 1) run1<F, T>(w, i);
  if constexpr (sources == 2) run2<F, T>(w, i);
  if constexpr (sources == 3) run3<F, T>(w, i);
}

/** The handler for one operation in any float type, after the modifiers are read. */
template <class F, int sources>
Handler handler(Op& op, Type type, bool ftz, bool sat) {
  op.out.flag = ftz;
  op.out.sign = sat;
  if ((ftz || sat) && type != Type::f32) op.fail(".ftz and .sat are supported for .f32 only");
  switch (type) {
    case Type::f32:
      return ftz || sat ? Handler(run_modified<F, sources>) : Handler(run_plain<F, sources, float>);
    case Type::f64:
      return run_plain<F, sources, double>;
    case Type::bf16:
    case Type::bf16x2:
    case Type::f16:
    case Type::f16x2:
      op.out.width = type == Type::bf16 || type == Type::bf16x2;
      op.out.elements = type == Type::f16x2 || type == Type::bf16x2 ? 2 : 1;
      return run_short<F, sources>;
    case Type::f32x2:
      if constexpr (sources > 1) return run_pair<F, sources>;
      [[fallthrough]];
    default:
      op.fail(std::string("the type .") + name_of(type) + " is not supported here");
  }
}

/** Rounding, .ftz and .sat, then the operands: add, sub, mul, fma and the correctly rounded div, rcp and sqrt. */
template <class F, int sources>
void rounded(Op& op, Type type, DirectedOp directed) {
  const u8 mode = op.rounding();
  const bool ftz = op.take("ftz"), sat = op.take("sat");
  op.done();
  op.operands(sources, bits_of(type));
  op.out.run = handler<F, sources>(op, type, ftz, sat);
  if (mode == 0) return;
  if (ftz || sat || (type != Type::f32 && type != Type::f64)) op.fail("this rounding is not supported here");
  op.out.mode = mode;
  op.out.target = static_cast<u32>(directed);
  op.out.run = type == Type::f32 ? run_directed<float> : run_directed<double>;
}

template <class F>
void extreme(Op& op, Type type) {
  const bool nan = op.take("NaN"), ftz = op.take("ftz");
  op.done();
  op.expect(3, 4);
  if (op.count() == 4) {
    op.operands(3, bits_of(type));
    op.out.run = nan ? handler<Three<OrNan<F>>, 3>(op, type, ftz, false) : handler<Three<F>, 3>(op, type, ftz, false);
    if (type != Type::f32) op.fail("three operands need .f32");
    return;
  }
  op.operands(2, bits_of(type));
  op.out.run = nan ? handler<OrNan<F>, 2>(op, type, ftz, false) : handler<F, 2>(op, type, ftz, false);
}

/** neg and abs touch the sign bit only, except that .ftz flushes. Instr::offset: bits to flip or, with mode 1, to keep.
 */
template <class T>
void run_sign(Warp& w, const Instr& i) {
  const T bits = static_cast<T>(i.offset);
  const bool keep = i.mode == 1, ftz = i.flag;
  const T* a = cells<T>(w, i.src[0]);
  each_lane<T>(w, i.dst[0], [=](u32 l) {
    T value = a[l];
    if (sizeof(T) == 4 && ftz && (value & 0x7f800000) == 0) value &= 0x80000000u;
    return keep ? value & bits : value ^ bits;
  });
}

void row_fma(Op& op) { row_float_fma(op, op.type()); }

/** rcp and sqrt without .approx. */
template <class F>
void row_root(Op& op, DirectedOp directed) {
  const Type type = op.type({Type::f32, Type::f64});
  rounded<F, 1>(op, type, directed);
}
void row_rcp(Op& op) {
  if (op.take("approx")) return row_approximate(op, Approximate::rcp);
  row_root<Rcp>(op, DirectedOp::rcp);
}
void row_sqrt(Op& op) {
  if (op.take("approx")) return row_approximate(op, Approximate::sqrt);
  row_root<Sqrt>(op, DirectedOp::sqrt);
}

/** The size of b with the sign of a. */
template <class T>
void run_copysign(Warp& w, const Instr& i) {
  binary<T>(w, i, [](T a, T b) { return std::copysign(b, a); });
}
void row_copysign(Op& op) {
  const Type type = op.type({Type::f32, Type::f64});
  op.done();
  op.operands(2, bits_of(type));
  op.out.run = type == Type::f32 ? run_copysign<float> : run_copysign<double>;
}

template <class T>
void run_testp(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  u32 bits = 0;
  for (u32 l = 0; l < 32; ++l) {
    const int kind = std::fpclassify(a[l]);
    const bool yes = i.mode == 0   ? std::isfinite(a[l])
                     : i.mode == 1 ? kind == FP_INFINITE
                     : i.mode == 2 ? kind != FP_NAN
                     : i.mode == 3 ? kind == FP_NAN
                     : i.mode == 4 ? kind == FP_NORMAL
                                   : kind == FP_SUBNORMAL;
    bits |= static_cast<u32>(yes) << l;
  }
  set_predicate(w, i.dst[0], bits);
}
void row_testp(Op& op) {
  const Type type = op.type({Type::f32, Type::f64});
  const std::string_view names[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  u8 mode = 255;
  for (u8 n = 0; n < 6; ++n)
    if (op.take(names[n])) mode = n;
  op.done();
  if (mode == 255) op.fail("expected a property");
  op.expect(2, 2);
  op.out.mode = mode;
  op.out.dst[0] = op.dst(0, 1);
  op.out.src[0] = op.src(1, bits_of(type));
  op.out.run = type == Type::f32 ? run_testp<float> : run_testp<double>;
}

}  // namespace

void row_float_add(Op& op, Type type) { rounded<Add, 2>(op, type, DirectedOp::add); }
void row_float_sub(Op& op, Type type) { rounded<Sub, 2>(op, type, DirectedOp::sub); }
void row_float_mul(Op& op, Type type) { rounded<Mul, 2>(op, type, DirectedOp::mul); }
void row_float_fma(Op& op, Type type) { rounded<Fma, 3>(op, type, DirectedOp::fma); }
void row_float_div(Op& op, Type type) {
  if (op.take("approx") || op.take("full")) return row_approximate_div(op);
  rounded<Div, 2>(op, type, DirectedOp::div);
}
void row_float_extreme(Op& op, Type type, bool largest) {
  if (largest) return extreme<Max>(op, type);
  extreme<Min>(op, type);
}
void row_float_sign(Op& op, Type type, bool absolute) {
  op.out.flag = op.take("ftz");
  op.done();
  op.operands(1, bits_of(type));
  const u64 sign = type == Type::f64                             ? 1ull << 63
                   : type == Type::f32                           ? 1ull << 31
                   : type == Type::f16x2 || type == Type::bf16x2 ? 0x80008000ull
                                                                 : 0x8000ull;
  op.out.offset = static_cast<i64>(absolute ? ~sign : sign);
  op.out.mode = absolute;
  op.out.run = type == Type::f64 ? run_sign<u64> : run_sign<u32>;
}

void add_float_ops(OpTable& table) {
  table["fma"] = row_fma;
  table["rcp"] = row_rcp;
  table["sqrt"] = row_sqrt;
  table["copysign"] = row_copysign;
  table["testp"] = row_testp;
}

}  // namespace softcuda
