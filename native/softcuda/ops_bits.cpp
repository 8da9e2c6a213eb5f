// Bits: and or xor not lop3 shl shr shf bfe bfi bfind brev clz popc prmt. Rows of the opcode table.
// The rule easy to break: shl and shr clamp their amount at the width, shf wraps or clamps as spelled.
#include <algorithm>

#include "decode.h"
#include "dispatch.h"

namespace softcuda {
namespace {

struct And {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <class T>
  static T of(T a) {
    return static_cast<T>(~a);
  }
};

/** The logic of a whole warp's predicates is that of one word. */
template <class F>
void run_predicates(Warp& w, const Instr& i) {
  set_predicate(w, i.dst[0], F::template of<u32>(predicate(w, i.src[0]), predicate(w, i.src[1])));
}
void run_not_predicate(Warp& w, const Instr& i) { set_predicate(w, i.dst[0], ~predicate(w, i.src[0])); }

template <class F>
void row_logic(Op& op) {
  const Type type = op.type({Type::pred, Type::b16, Type::b32, Type::b64});
  op.done();
  op.operands(2, bits_of(type));
  op.out.run = type == Type::pred ? run_predicates<F> : integer2<F>(op, type);
}
void row_not(Op& op) {
  const Type type = op.type({Type::pred, Type::b16, Type::b32, Type::b64});
  op.done();
  op.operands(1, bits_of(type));
  op.out.run = type == Type::pred ? run_not_predicate : integer1<Not>(op, type);
}

/** lop3.b32: result bit = table bit number (a << 2 | b << 1 | c). */
void run_lop3(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.src[0]), *b = cells<u32>(w, i.src[1]), *c = cells<u32>(w, i.src[2]);
  const u32 table = i.target;
  each_lane<u32>(w, i.dst[0], [=](u32 l) {
    u32 bits = 0;
    for (u32 row = 0; row < 8; ++row)
      if (table >> row & 1) bits |= (row & 4 ? a[l] : ~a[l]) & (row & 2 ? b[l] : ~b[l]) & (row & 1 ? c[l] : ~c[l]);
    return bits;
  });
}
void row_lop3(Op& op) {
  op.type({Type::b32});
  op.done();
  op.expect(5, 5);
  op.out.dst[0] = op.dst(0, 32);
  for (u32 n = 0; n < 3; ++n) op.out.src[n] = op.src(n + 1, 32);
  op.out.target = static_cast<u32>(op.literal(4) & 255);
  op.out.run = run_lop3;
}

template <class T, bool left>
void run_shift(Warp& w, const Instr& i) {
  const Cell<T>* a = cells<Cell<T>>(w, i.src[0]);
  const u32* amount = cells<u32>(w, i.src[1]);
  constexpr u32 width = sizeof(T) * 8;
  each_lane<Cell<T>>(w, i.dst[0], [=](u32 l) -> Cell<T> {
    const T value = static_cast<T>(a[l]);
    const u32 n = amount[l];
    if (left) return static_cast<Cell<T>>(n >= width ? T(0) : static_cast<T>(static_cast<u64>(value) << n));
    return static_cast<Cell<T>>(n >= width ? static_cast<T>(std::is_signed_v<T> && value < 0 ? -1 : 0)
                                           : static_cast<T>(value >> n));
  });
}
template <bool left>
void row_shift(Op& op) {
  const Type type = op.type();
  op.done();
  op.expect(3, 3);
  op.out.dst[0] = op.dst(0, bits_of(type));
  op.out.src[0] = op.src(1, bits_of(type));
  op.out.src[1] = op.src(2, 32);
  op.out.run = for_integer(op, type, [](auto t) -> Handler { return run_shift<decltype(t), left>; });
}

/** shf.l: the upper word of (b:a) << n; shf.r: the lower word of (b:a) >> n. mode: bit 0 left, bit 1 clamp. */
void run_funnel(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.src[0]), *b = cells<u32>(w, i.src[1]), *c = cells<u32>(w, i.src[2]);
  const bool left = i.mode & 1, clamp = i.mode & 2;
  each_lane<u32>(w, i.dst[0], [=](u32 l) {
    const u64 both = static_cast<u64>(b[l]) << 32 | a[l];
    const u32 n = clamp ? std::min(c[l], 32u) : c[l] & 31;
    return static_cast<u32>(left ? both << n >> 32 : both >> n);
  });
}
void row_shf(Op& op) {
  const std::string_view way = op.pick({"l", "r"}), bound = op.pick({"wrap", "clamp"});
  op.type({Type::b32});
  op.done();
  if (way.empty() || bound.empty()) op.fail("expected .l or .r and .wrap or .clamp");
  op.operands(3, 32);
  op.out.mode = static_cast<u8>((way == "l") | (bound == "clamp") << 1);
  op.out.run = run_funnel;
}

template <class T>
T extract(T value, u32 position, u32 length) {
  constexpr u32 top = sizeof(T) * 8 - 1;
  using Bits = std::make_unsigned_t<T>;
  position &= 255;
  length &= 255;
  const u32 sign_bit = std::min(position + length - 1, top);
  const bool sign = std::is_signed_v<T> && length != 0 && (static_cast<Bits>(value) >> sign_bit & 1);
  Bits result = 0;
  for (u32 bit = 0; bit <= top; ++bit) {
    const bool inside = bit < length && position + bit <= top;
    if (inside ? static_cast<Bits>(value) >> (position + bit) & 1 : sign) result |= Bits(1) << bit;
  }
  return static_cast<T>(result);
}
template <class T>
void run_bfe(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  const u32 *position = cells<u32>(w, i.src[1]), *length = cells<u32>(w, i.src[2]);
  each_lane<T>(w, i.dst[0], [=](u32 l) { return extract<T>(a[l], position[l], length[l]); });
}
void row_bfe(Op& op) {
  const Type type = op.type({Type::u32, Type::s32, Type::u64, Type::s64});
  op.done();
  op.expect(4, 4);
  op.out.dst[0] = op.dst(0, bits_of(type));
  op.out.src[0] = op.src(1, bits_of(type));
  for (u32 n = 1; n < 3; ++n) op.out.src[n] = op.src(n + 1, 32);
  op.out.run = type == Type::u32   ? Handler(run_bfe<u32>)
               : type == Type::s32 ? Handler(run_bfe<i32>)
               : type == Type::u64 ? Handler(run_bfe<u64>)
                                   : Handler(run_bfe<i64>);
}

template <class T>
void run_bfi(Warp& w, const Instr& i) {
  const T *a = cells<T>(w, i.src[0]), *b = cells<T>(w, i.src[1]);
  const u32 *c = cells<u32>(w, i.src[2]), *d = cells<u32>(w, i.src[3]);
  each_lane<T>(w, i.dst[0], [=](u32 l) {
    constexpr u32 width = sizeof(T) * 8;
    const u32 position = c[l] & 255, length = d[l] & 255;
    if (position >= width || length == 0) return b[l];
    const T ones = length >= width ? ~T(0) : (T(1) << length) - 1, field = static_cast<T>(ones << position);
    return static_cast<T>((b[l] & ~field) | (static_cast<T>(a[l] << position) & field));
  });
}
void row_bfi(Op& op) {
  const Type type = op.type({Type::b32, Type::b64});
  op.done();
  op.expect(5, 5);
  op.out.dst[0] = op.dst(0, bits_of(type));
  for (u32 n = 0; n < 2; ++n) op.out.src[n] = op.src(n + 1, bits_of(type));
  for (u32 n = 2; n < 4; ++n) op.out.src[n] = op.src(n + 1, 32);
  op.out.run = type == Type::b32 ? run_bfi<u32> : run_bfi<u64>;
}

/** Position of the highest bit that differs from the sign, or of its distance from the top; all ones if none. */
template <class T>
void run_bfind(Warp& w, const Instr& i) {
  using Bits = std::make_unsigned_t<T>;
  const T* a = cells<T>(w, i.src[0]);
  const bool distance = i.flag;
  each_lane<u32>(w, i.dst[0], [=](u32 l) {
    const Bits bits = static_cast<Bits>(std::is_signed_v<T> && a[l] < 0 ? ~a[l] : a[l]);
    if (bits == 0) return ~0u;
    const u32 zeros = static_cast<u32>(std::countl_zero(bits));
    return distance ? zeros : static_cast<u32>(sizeof(T) * 8 - 1 - zeros);
  });
}
template <class T>
void run_clz(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  each_lane<u32>(w, i.dst[0], [=](u32 l) { return static_cast<u32>(std::countl_zero(a[l])); });
}
template <class T>
void run_popc(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  each_lane<u32>(w, i.dst[0], [=](u32 l) { return static_cast<u32>(std::popcount(a[l])); });
}
template <class T>
void run_brev(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  each_lane<T>(w, i.dst[0], [=](u32 l) {
    T result = 0;
    for (u32 bit = 0; bit < sizeof(T) * 8; ++bit) result |= (a[l] >> bit & 1) << (sizeof(T) * 8 - 1 - bit);
    return result;
  });
}
void counting(Op& op, u32 bits) {
  op.done();
  op.expect(2, 2);
  op.out.dst[0] = op.dst(0, 32);
  op.out.src[0] = op.src(1, bits);
}
void row_bfind(Op& op) {
  const Type type = op.type({Type::u32, Type::s32, Type::u64, Type::s64});
  op.out.flag = op.take("shiftamt");
  counting(op, bits_of(type));
  op.out.run = type == Type::u32   ? Handler(run_bfind<u32>)
               : type == Type::s32 ? Handler(run_bfind<i32>)
               : type == Type::u64 ? Handler(run_bfind<u64>)
                                   : Handler(run_bfind<i64>);
}
void row_clz(Op& op) {
  const Type type = op.type({Type::b32, Type::b64});
  counting(op, bits_of(type));
  op.out.run = type == Type::b32 ? run_clz<u32> : run_clz<u64>;
}
void row_popc(Op& op) {
  const Type type = op.type({Type::b32, Type::b64});
  counting(op, bits_of(type));
  op.out.run = type == Type::b32 ? run_popc<u32> : run_popc<u64>;
}
void row_brev(Op& op) {
  const Type type = op.type({Type::b32, Type::b64});
  op.done();
  op.operands(1, bits_of(type));
  op.out.run = type == Type::b32 ? run_brev<u32> : run_brev<u64>;
}

/** prmt.b32: four bytes chosen from (b:a) by the low nibbles of c; bit 3 of a nibble spreads the byte's sign. */
void run_prmt(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.src[0]), *b = cells<u32>(w, i.src[1]), *c = cells<u32>(w, i.src[2]);
  each_lane<u32>(w, i.dst[0], [=](u32 l) {
    const u64 both = static_cast<u64>(b[l]) << 32 | a[l];
    u32 result = 0;
    for (u32 byte = 0; byte < 4; ++byte) {
      const u32 select = c[l] >> (4 * byte) & 15;
      u32 value = static_cast<u32>(both >> (8 * (select & 7))) & 255;
      if (select & 8) value = value & 128 ? 255 : 0;
      result |= value << (8 * byte);
    }
    return result;
  });
}
void row_prmt(Op& op) {
  op.type({Type::b32});
  op.done();
  op.operands(3, 32);
  op.out.run = run_prmt;
}

}  // namespace

void add_bit_ops(OpTable& table) {
  table["and"] = row_logic<And>;
  table["or"] = row_logic<Or>;
  table["xor"] = row_logic<Xor>;
  table["not"] = row_not;
  table["lop3"] = row_lop3;
  table["shl"] = row_shift<true>;
  table["shr"] = row_shift<false>;
  table["shf"] = row_shf;
  table["bfe"] = row_bfe;
  table["bfi"] = row_bfi;
  table["bfind"] = row_bfind;
  table["clz"] = row_clz;
  table["popc"] = row_popc;
  table["brev"] = row_brev;
  table["prmt"] = row_prmt;
}

}  // namespace softcuda
