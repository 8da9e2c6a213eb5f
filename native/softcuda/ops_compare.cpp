// setp, selp and slct. Rows of the opcode table.
// The rule easy to break: a comparison of floats is false if one is a NaN, unless it is spelled with a trailing u.
#include "decode.h"
#include "dispatch.h"
#include "formats.h"

namespace softcuda {
namespace {

struct Eq {
  template <class T>
  static bool of(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static bool of(T a, T b) {
    return a < b || a > b;
  }
};
struct NeInt {
  template <class T>
  static bool of(T a, T b) {
    return a != b;
  }
};
struct Lt {
  template <class T>
  static bool of(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static bool of(T a, T b) {
    return a <= b;
  }
};
struct Gt {
  template <class T>
  static bool of(T a, T b) {
    return a > b;
  }
};
struct Ge {
  template <class T>
  static bool of(T a, T b) {
    return a >= b;
  }
};
struct Num {
  template <class T>
  static bool of(T a, T b) {
    return a == a && b == b;
  }
};
struct Nan {
  template <class T>
  static bool of(T a, T b) {
    return a != a || b != b;
  }
};
template <class F>
struct Unordered {
  template <class T>
  static bool of(T a, T b) {
    return Nan::of(a, b) || F::template of<T>(a, b);
  }
};

/** mode: 0 plain, 1 and, 2 or, 3 xor with the predicate src[2], negated if Instr::sign. */
template <class F, class T>
void run_setp(Warp& w, const Instr& i) {
  const Cell<T>*a = cells<Cell<T>>(w, i.src[0]), *b = cells<Cell<T>>(w, i.src[1]);
  const bool ftz = i.flag;
  u32 bits = 0;
  for (u32 l = 0; l < 32; ++l) {
    T x = static_cast<T>(a[l]), y = static_cast<T>(b[l]);
    if constexpr (std::is_same_v<T, float>)
      if (ftz) {
        x = flush(x);
        y = flush(y);
      }
    bits |= (F::template of<T>(x, y) ? 1u : 0u) << l;
  }
  u32 other = ~bits;
  if (i.mode != 0) {
    const u32 c = predicate(w, i.src[2]) ^ (i.sign ? kFull : 0);
    const auto combine = [&](u32 x) { return i.mode == 1 ? x & c : i.mode == 2 ? x | c : x ^ c; };
    other = combine(~bits);
    bits = combine(bits);
  }
  set_predicate(w, i.dst[0], bits);
  set_predicate(w, i.dst[1], other);
}

template <class T>
Handler compare_float(Op& op, std::string_view name) {
  if (name == "eq") return run_setp<Eq, T>;
  if (name == "ne") return run_setp<Ne, T>;
  if (name == "lt") return run_setp<Lt, T>;
  if (name == "le") return run_setp<Le, T>;
  if (name == "gt") return run_setp<Gt, T>;
  if (name == "ge") return run_setp<Ge, T>;
  if (name == "equ") return run_setp<Unordered<Eq>, T>;
  if (name == "neu") return run_setp<Unordered<Ne>, T>;
  if (name == "ltu") return run_setp<Unordered<Lt>, T>;
  if (name == "leu") return run_setp<Unordered<Le>, T>;
  if (name == "gtu") return run_setp<Unordered<Gt>, T>;
  if (name == "geu") return run_setp<Unordered<Ge>, T>;
  if (name == "num") return run_setp<Num, T>;
  if (name == "nan") return run_setp<Nan, T>;
  op.fail("unknown comparison");
}
Handler compare_integer(Op& op, Type type, std::string_view name) {
  const bool unsigned_name = name == "lo" || name == "ls" || name == "hi" || name == "hs";
  if (unsigned_name && is_signed(type)) op.fail("an unsigned comparison of signed values");
  return for_integer(op, type, [&](auto t) -> Handler {
    using T = decltype(t);
    if (name == "eq") return run_setp<Eq, T>;
    if (name == "ne") return run_setp<NeInt, T>;
    if (name == "lt" || name == "lo") return run_setp<Lt, T>;
    if (name == "le" || name == "ls") return run_setp<Le, T>;
    if (name == "gt" || name == "hi") return run_setp<Gt, T>;
    if (name == "ge" || name == "hs") return run_setp<Ge, T>;
    op.fail("unknown comparison");
  });
}

void row_setp(Op& op) {
  const Type type = op.type();
  const std::string_view name = op.pick({"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu",
                                         "num", "nan", "lo", "ls", "hi", "hs"});
  const std::string_view with = op.pick({"and", "or", "xor"});
  op.out.flag = op.take("ftz");
  op.done();
  op.expect(with.empty() ? 3 : 4, with.empty() ? 3 : 4);
  op.out.dst[0] = op.dst(0, 1);
  if (op.at(0).partner >= 0) {
    ptx::Operand second;
    second.kind = ptx::Operand::Kind::reg;
    second.reg = op.at(0).partner;
    op.out.dst[1] = op.dst(second, 1);
  }
  op.out.src[0] = op.src(1, bits_of(type));
  op.out.src[1] = op.src(2, bits_of(type));
  if (!with.empty()) {
    op.out.mode = with == "and" ? 1 : with == "or" ? 2 : 3;
    op.out.src[2] = op.src(3, 1);
    op.out.sign = op.at(3).negated;
  }
  if (op.out.flag && type != Type::f32) op.fail(".ftz needs .f32");
  op.out.run = type == Type::f32   ? compare_float<float>(op, name)
               : type == Type::f64 ? compare_float<double>(op, name)
                                   : compare_integer(op, type, name);
}

template <class T>
void run_selp(Warp& w, const Instr& i) {
  const T *a = cells<T>(w, i.src[0]), *b = cells<T>(w, i.src[1]);
  const u32 bits = predicate(w, i.src[2]) ^ (i.sign ? kFull : 0);
  each_lane<T>(w, i.dst[0], [=](u32 l) { return bits >> l & 1 ? a[l] : b[l]; });
}
void row_selp(Op& op) {
  const u32 bits = bits_of(op.type());
  op.done();
  op.expect(4, 4);
  op.out.dst[0] = op.dst(0, bits);
  op.out.src[0] = op.src(1, bits);
  op.out.src[1] = op.src(2, bits);
  op.out.src[2] = op.src(3, 1);
  op.out.sign = op.at(3).negated;
  op.out.run = bits == 64 ? run_selp<u64> : run_selp<u32>;
}

/** a if c >= 0, else b; a NaN chooses b. */
template <class T, class C>
void run_slct(Warp& w, const Instr& i) {
  const T *a = cells<T>(w, i.src[0]), *b = cells<T>(w, i.src[1]);
  const C* c = cells<C>(w, i.src[2]);
  each_lane<T>(w, i.dst[0], [=](u32 l) { return c[l] >= 0 ? a[l] : b[l]; });
}
void row_slct(Op& op) {
  const Type by = op.type({Type::s32, Type::f32});
  const u32 bits = bits_of(op.type());
  op.done();
  op.expect(4, 4);
  op.out.dst[0] = op.dst(0, bits);
  op.out.src[0] = op.src(1, bits);
  op.out.src[1] = op.src(2, bits);
  op.out.src[2] = op.src(3, 32);
  op.out.run = by == Type::s32 ? (bits == 64 ? Handler(run_slct<u64, i32>) : Handler(run_slct<u32, i32>))
                               : (bits == 64 ? Handler(run_slct<u64, float>) : Handler(run_slct<u32, float>));
}

}  // namespace

void add_compare_ops(OpTable& table) {
  table["setp"] = row_setp;
  table["selp"] = row_selp;
  table["slct"] = row_slct;
}

}  // namespace softcuda
