// Integer arithmetic: add sub mul mad div rem min max neg abs sad dp4a. Rows of the opcode table.
// The rule easy to break: PTX integers wrap, so signed sums and products are formed unsigned.
#include <limits>
#include <type_traits>

#include "decode.h"
#include "dispatch.h"

namespace softcuda {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
/** Wide enough that a product of two 16-bit values does not overflow int. */
template <class T>
using Work = std::conditional_t<sizeof(T) == 8, u64, u32>;
template <class T>
using Double = std::conditional_t<std::is_signed_v<T>, std::conditional_t<sizeof(T) == 8, __int128, i64>,
                                  std::conditional_t<sizeof(T) == 8, unsigned __int128, u64>>;

struct Add {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(Work<T>(a) + Work<T>(b));
  }
};
struct AddSaturated {
  template <class T>
  static T of(T a, T b) {
    const Double<T> sum = Double<T>(a) + b;
    return static_cast<T>(
        std::min<Double<T>>(std::max<Double<T>>(sum, std::numeric_limits<T>::min()), std::numeric_limits<T>::max()));
  }
};
struct Sub {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(Work<T>(a) - Work<T>(b));
  }
};
struct SubSaturated {
  template <class T>
  static T of(T a, T b) {
    const Double<T> difference = Double<T>(a) - b;
    return static_cast<T>(std::min<Double<T>>(std::max<Double<T>>(difference, std::numeric_limits<T>::min()),
                                              std::numeric_limits<T>::max()));
  }
};
struct Mul {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(Work<T>(a) * Work<T>(b));
  }
};
struct MulHigh {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>((Double<T>(a) * Double<T>(b)) >> (sizeof(T) * 8));
  }
};
struct Mad {
  template <class T>
  static T of(T a, T b, T c) {
    return static_cast<T>(Work<T>(a) * Work<T>(b) + Work<T>(c));
  }
};
struct MadHigh {
  template <class T>
  static T of(T a, T b, T c) {
    return Add::of<T>(MulHigh::of<T>(a, b), c);
  }
};
/** Division by zero has no defined result in PTX; all bits set is what the hardware gives. */
struct Div {
  template <class T>
  static T of(T a, T b) {
    if (b == 0) return static_cast<T>(~T(0));
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Sub::of<T>(0, a);
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T>
  static T of(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <class T>
  static T of(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T of(T a, T b) {
    return a > b ? a : b;
  }
};
struct Neg {
  template <class T>
  static T of(T a) {
    return static_cast<T>(Work<T>(0) - Work<T>(a));
  }
};
struct Abs {
  template <class T>
  static T of(T a) {
    return a < 0 ? Neg::of<T>(a) : a;
  }
};
struct Sad {
  template <class T>
  static T of(T a, T b, T c) {
    return Add::of<T>(c, a < b ? Sub::of<T>(b, a) : Sub::of<T>(a, b));
  }
};

/** mul.wide: factors of T, a product of twice the width. */
template <class T, class Wide>
void run_mul_wide(Warp& w, const Instr& i) {
  const Cell<T>*a = cells<Cell<T>>(w, i.src[0]), *b = cells<Cell<T>>(w, i.src[1]);
  each_lane<Wide>(w, i.dst[0], [=](u32 l) { return Wide(static_cast<T>(a[l])) * Wide(static_cast<T>(b[l])); });
}
template <class T, class Wide>
void run_mad_wide(Warp& w, const Instr& i) {
  using Bits = Unsigned<Wide>;
  const Cell<T>*a = cells<Cell<T>>(w, i.src[0]), *b = cells<Cell<T>>(w, i.src[1]);
  const Bits* c = cells<Bits>(w, i.src[2]);
  each_lane<Bits>(w, i.dst[0],
                  [=](u32 l) { return Bits(Wide(static_cast<T>(a[l]))) * Bits(Wide(static_cast<T>(b[l]))) + c[l]; });
}

template <class A, class B>
void run_dp4a(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.src[0]), *b = cells<u32>(w, i.src[1]), *c = cells<u32>(w, i.src[2]);
  each_lane<u32>(w, i.dst[0], [=](u32 l) {
    u32 sum = c[l];
    for (u32 byte = 0; byte < 32; byte += 8)
      sum += static_cast<u32>(static_cast<i32>(static_cast<A>(a[l] >> byte)) * static_cast<B>(b[l] >> byte));
    return sum;
  });
}

void row_add_sub(Op& op, bool add) {
  const Type type = op.type();
  if (is_float(type)) return add ? row_float_add(op, type) : row_float_sub(op, type);
  const bool saturate = op.take("sat");
  if (saturate && type != Type::s32) op.fail(".sat needs .s32");
  op.done();
  op.operands(2, bits_of(type));
  op.out.run = saturate ? (add ? integer2<AddSaturated>(op, type) : integer2<SubSaturated>(op, type))
                        : (add ? integer2<Add>(op, type) : integer2<Sub>(op, type));
}
void row_add(Op& op) { row_add_sub(op, true); }
void row_sub(Op& op) { row_add_sub(op, false); }

void row_mul(Op& op) {
  const Type type = op.type();
  if (is_float(type)) return row_float_mul(op, type);
  const std::string_view half = op.pick({"lo", "hi", "wide"});
  op.done();
  if (half.empty()) op.fail("expected .lo, .hi or .wide");
  if (half != "wide") {
    op.operands(2, bits_of(type));
    op.out.run = half == "hi" ? integer2<MulHigh>(op, type) : integer2<Mul>(op, type);
    return;
  }
  op.expect(3, 3);
  op.out.dst[0] = op.dst(0, bits_of(type) * 2);
  for (u32 n = 0; n < 2; ++n) op.out.src[n] = op.src(n + 1, bits_of(type));
  op.out.run = type == Type::s32   ? Handler(run_mul_wide<i32, i64>)
               : type == Type::u32 ? Handler(run_mul_wide<u32, u64>)
               : type == Type::s16 ? Handler(run_mul_wide<i16, i32>)
               : type == Type::u16 ? Handler(run_mul_wide<u16, u32>)
                                   : nullptr;
}

void row_mad(Op& op) {
  const Type type = op.type();
  if (is_float(type)) return row_float_fma(op, type);
  const std::string_view half = op.pick({"lo", "hi", "wide"});
  op.done();
  if (half.empty()) op.fail("expected .lo, .hi or .wide");
  if (half != "wide") {
    op.operands(3, bits_of(type));
    op.out.run = half == "hi" ? integer3<MadHigh>(op, type) : integer3<Mad>(op, type);
    return;
  }
  op.expect(4, 4);
  op.out.dst[0] = op.dst(0, bits_of(type) * 2);
  for (u32 n = 0; n < 2; ++n) op.out.src[n] = op.src(n + 1, bits_of(type));
  op.out.src[2] = op.src(3, bits_of(type) * 2);
  op.out.run = type == Type::s32   ? Handler(run_mad_wide<i32, i64>)
               : type == Type::u32 ? Handler(run_mad_wide<u32, u64>)
               : type == Type::s16 ? Handler(run_mad_wide<i16, i32>)
               : type == Type::u16 ? Handler(run_mad_wide<u16, u32>)
                                   : nullptr;
}

template <class F>
void row_binary(Op& op) {
  const Type type = op.type();
  op.done();
  op.operands(2, bits_of(type));
  op.out.run = integer2<F>(op, type);
}
void row_div(Op& op) {
  const Type type = op.type();
  if (is_float(type)) return row_float_div(op, type);
  op.done();
  op.operands(2, bits_of(type));
  op.out.run = integer2<Div>(op, type);
}
template <bool largest>
void row_extreme(Op& op) {
  const Type type = op.type();
  if (is_float(type)) return row_float_extreme(op, type, largest);
  op.done();
  op.operands(2, bits_of(type));
  op.out.run = largest ? integer2<Max>(op, type) : integer2<Min>(op, type);
}
void row_neg(Op& op) {
  const Type type = op.type();
  if (is_float(type)) return row_float_sign(op, type, false);
  op.done();
  op.operands(1, bits_of(type));
  op.out.run = integer1<Neg>(op, type);
}
void row_abs(Op& op) {
  const Type type = op.type();
  if (is_float(type)) return row_float_sign(op, type, true);
  op.done();
  op.operands(1, bits_of(type));
  op.out.run = integer1<Abs>(op, type);
}
void row_sad(Op& op) {
  const Type type = op.type();
  op.done();
  op.operands(3, bits_of(type));
  op.out.run = integer3<Sad>(op, type);
}
void row_dp4a(Op& op) {
  const Type b = op.type({Type::u32, Type::s32}), a = op.type({Type::u32, Type::s32});
  op.done();
  op.operands(3, 32);
  op.out.run = a == Type::s32 ? (b == Type::s32 ? run_dp4a<i8, i8> : run_dp4a<i8, u8>)
                              : (b == Type::s32 ? run_dp4a<u8, i8> : run_dp4a<u8, u8>);
}

}  // namespace

void add_integer_ops(OpTable& table) {
  table["add"] = row_add;
  table["sub"] = row_sub;
  table["mul"] = row_mul;
  table["mad"] = row_mad;
  table["div"] = row_div;
  table["rem"] = row_binary<Rem>;
  table["min"] = row_extreme<false>;
  table["max"] = row_extreme<true>;
  table["neg"] = row_neg;
  table["abs"] = row_abs;
  table["sad"] = row_sad;
  table["dp4a"] = row_dp4a;
}

}  // namespace softcuda
