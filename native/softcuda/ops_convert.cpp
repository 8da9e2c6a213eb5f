// cvt and cvta. Rows of the opcode table.
// The rule easy to break: .rni .rzi .rmi .rpi round to an integer, .rn .rz .rm .rp to a format; a float becomes an
// integer saturated to its range and a NaN becomes 0, as the PTX ISA says.
#include <algorithm>
#include <cmath>

#include "decode.h"
#include "dispatch.h"
#include "formats.h"

namespace softcuda {
namespace {

/** What a cvt does, packed into Instr::target. */
struct Conversion {
  Type to, from;
  u8 mode;
  bool sat, ftz, relu, wide_in, wide_out;
  u32 pack() const {
    return static_cast<u32>(to) | static_cast<u32>(from) << 8 | static_cast<u32>(mode) << 16 |
           static_cast<u32>(sat) << 20 | static_cast<u32>(ftz) << 21 | static_cast<u32>(relu) << 22 |
           static_cast<u32>(wide_in) << 23 | static_cast<u32>(wide_out) << 24;
  }
  static Conversion unpack(u32 bits) {
    return {static_cast<Type>(bits & 255),
            static_cast<Type>(bits >> 8 & 255),
            static_cast<u8>(bits >> 16 & 15),
            (bits >> 20 & 1) != 0,
            (bits >> 21 & 1) != 0,
            (bits >> 22 & 1) != 0,
            (bits >> 23 & 1) != 0,
            (bits >> 24 & 1) != 0};
  }
};

/** Every value of every type is a long double: 64 bits of mantissa. */
long double read(u64 bits, Type type, bool ftz) {
  switch (type) {
    case Type::u8:
      return static_cast<u8>(bits);
    case Type::u16:
      return static_cast<u16>(bits);
    case Type::u32:
      return static_cast<u32>(bits);
    case Type::u64:
      return bits;
    case Type::s8:
      return static_cast<i8>(bits);
    case Type::s16:
      return static_cast<i16>(bits);
    case Type::s32:
      return static_cast<i32>(bits);
    case Type::s64:
      return static_cast<i64>(bits);
    case Type::f16:
      return float_from_half(bits & 0xffff);
    case Type::bf16:
      return float_from_bfloat(bits & 0xffff);
    case Type::f64:
      return std::bit_cast<double>(bits);
    default: {
      const float value = std::bit_cast<float>(static_cast<u32>(bits));
      return ftz ? flush(value) : value;
    }
  }
}

u64 to_integer(long double x, Type type) {
  const u32 bits = bits_of(type);
  const long double low = is_signed(type) ? -std::ldexp(1.0L, static_cast<int>(bits) - 1) : 0;
  const long double high = std::ldexp(1.0L, static_cast<int>(bits - is_signed(type))) - 1;
  if (std::isnan(x)) return 0;
  x = std::min(std::max(x, low), high);
  return x < 0 ? static_cast<u64>(static_cast<i64>(x)) : static_cast<u64>(x);
}

u64 to_double(long double x, u32 mode) {
  double value = static_cast<double>(x);
  if (mode == 1 && std::fabs(static_cast<long double>(value)) > std::fabs(x)) value = std::nextafter(value, 0.0);
  if (mode == 2 && value > x) value = std::nextafter(value, -INFINITY);
  if (mode == 3 && value < x) value = std::nextafter(value, INFINITY);
  return std::bit_cast<u64>(value);
}

u64 write_float(long double x, const Conversion& c) {
  if (c.sat) x = x > 0 ? std::min(x, 1.0L) : 0.0L;
  if (c.relu && x < 0) x = 0;
  if (c.relu && std::isnan(x)) return encode(x, c.to == Type::bf16 ? kBfloat : kHalf, 0);
  switch (c.to) {
    case Type::f16:
      return encode(x, kHalf, c.mode);
    case Type::bf16:
      return encode(x, kBfloat, c.mode);
    case Type::tf32:
      return static_cast<u64>(encode(x, kTf32, c.mode)) << 13;
    case Type::f64:
      return to_double(x, c.mode);
    default: {
      const u32 bits = encode(x, kSingle, c.mode);
      return c.ftz ? std::bit_cast<u32>(flush(std::bit_cast<float>(bits))) : bits;
    }
  }
}

u64 convert(u64 bits, const Conversion& c) {
  if (!is_float(c.from) && !is_float(c.to) && !c.sat) {
    // Plain truncation or extension by the source's sign.
    const u64 value = static_cast<u64>(static_cast<i64>(read(bits, c.from, false)));
    return c.from == Type::u64 || c.from == Type::s64 ? bits : value;
  }
  long double x = read(bits, c.from, c.ftz);
  if (!is_float(c.to)) return to_integer(is_float(c.from) ? round_integer(x, c.mode) : x, c.to);
  // Between equal formats the mode rounds to an integer.
  if (c.from == c.to && c.mode < 8 && !std::isnan(x) && !std::isinf(x)) {
    const long double whole = round_integer(x, c.mode);
    x = whole == 0 ? std::copysign(0.0L, x) : whole;
  }
  Conversion exact = c;
  if (c.from == c.to || c.mode >= 8) exact.mode = 0;
  return write_float(x, exact);
}

void run_convert(Warp& w, const Instr& i) {
  const Conversion c = Conversion::unpack(i.target);
  for_lanes(w.mask, [&](u32 l) {
    const u64 in = c.wide_in ? cells<u64>(w, i.src[0])[l] : cells<u32>(w, i.src[0])[l];
    const u64 out = convert(in, c);
    if (c.wide_out)
      cells<u64>(w, i.dst[0])[l] = out;
    else
      cells<u32>(w, i.dst[0])[l] = static_cast<u32>(out);
  });
}

template <class To, class From>
void run_fast(Warp& w, const Instr& i) {
  const Cell<From>* a = cells<Cell<From>>(w, i.src[0]);
  each_lane<Cell<To>>(w, i.dst[0],
                      [=](u32 l) { return static_cast<Cell<To>>(static_cast<To>(static_cast<From>(a[l]))); });
}
void run_saturate(Warp& w, const Instr& i) {
  unary<float>(w, i, [](float x) { return x > 0.0f ? std::min(x, 1.0f) : 0.0f; });
}

/** The pairs that kernels use in loops; null if the general way has to do. */
Handler fast(const Conversion& c) {
  if (c.ftz || c.relu) return nullptr;
  if (c.sat) return c.to == Type::f32 && c.from == Type::f32 && c.mode >= 8 ? run_saturate : nullptr;
  if (c.to == Type::f32 && c.mode == 0) {
    if (c.from == Type::s32) return run_fast<float, i32>;
    if (c.from == Type::u32) return run_fast<float, u32>;
  }
  const bool to64 = c.to == Type::s64 || c.to == Type::u64, to32 = c.to == Type::s32 || c.to == Type::u32;
  if (to64 && c.from == Type::s32) return run_fast<u64, i32>;
  if (to64 && c.from == Type::u32) return run_fast<u64, u32>;
  if (to32 && (c.from == Type::u64 || c.from == Type::s64)) return run_fast<u32, u64>;
  if (to32 && c.from == Type::u16) return run_fast<u32, u16>;
  if (to32 && c.from == Type::s16) return run_fast<u32, i16>;
  return nullptr;
}

/** cvt.rn.f16x2.f32 d, a, b: a becomes the upper half. */
void run_convert_pair(Warp& w, const Instr& i) {
  Conversion c = Conversion::unpack(i.target);
  c.to = c.to == Type::f16x2 ? Type::f16 : Type::bf16;
  const u32 *a = cells<u32>(w, i.src[0]), *b = cells<u32>(w, i.src[1]);
  for_lanes(w.mask,
            [&](u32 l) { cells<u32>(w, i.dst[0])[l] = static_cast<u32>(convert(a[l], c) << 16 | convert(b[l], c)); });
}

/** Rounding to a format, to an integer, or none (15). */
u8 conversion_mode(Op& op, const Conversion& c) {
  const bool to_whole = op.ptx.parts.size() > 1 && op.ptx.parts[1].size() == 3 && op.ptx.parts[1].ends_with('i');
  const std::string_view whole = op.pick({"rni", "rzi", "rmi", "rpi"});
  const std::string_view format = op.pick({"rn", "rz", "rm", "rp", "rna"});
  if (whole.empty() && format.empty()) return 15;
  if (to_whole != !whole.empty() || (!whole.empty() && !format.empty())) op.fail("two roundings");
  if (!whole.empty() && !(is_float(c.from) && (!is_float(c.to) || c.to == c.from)))
    op.fail("rounding to an integer is for floats into integers or into the same format");
  if (!format.empty() && !is_float(c.to)) op.fail("expected .rni, .rzi, .rmi or .rpi");
  const std::string_view name = whole.empty() ? format : whole;
  return name == "rna" ? 4 : name[1] == 'n' ? 0 : name[1] == 'z' ? 1 : name[1] == 'm' ? 2 : 3;
}

void row_cvt(Op& op) {
  Conversion c{};
  c.from = op.type();
  c.to = op.type();
  c.mode = conversion_mode(op, c);
  c.sat = op.take("sat");
  c.ftz = op.take("ftz");
  c.relu = op.take("relu");
  if (op.take("satfinite") && c.to != Type::tf32) op.fail(".satfinite is supported for .tf32 only");
  op.done();
  const bool packed = c.to == Type::f16x2 || c.to == Type::bf16x2;
  const bool narrows = is_float(c.to) && c.to != c.from &&
                       !(c.to == Type::f32 && bits_of(c.from) == 16 && is_float(c.from)) &&
                       !(c.to == Type::f64 && is_float(c.from));
  if (c.mode == 15 && (narrows || (is_float(c.from) && !is_float(c.to)))) op.fail("a rounding is missing");
  if (packed) {
    if (c.from != Type::f32) op.fail("packed results need .f32");
    op.operands(2, 32);
    op.out.target = c.pack();
    op.out.run = run_convert_pair;
    return;
  }
  op.expect(2, 2);
  // Registers may be wider than the types: an integer is then taken from or extended to the whole register.
  const auto bits = [&](size_t operand, Type type) {
    const ptx::Operand& at = op.at(operand);
    return at.kind == ptx::Operand::Kind::reg ? op.width_of(at) : std::max(16u, bits_of(type));
  };
  const u32 in = bits(1, c.from), out = bits(0, c.to);
  if (in < bits_of(c.from) || out < bits_of(c.to)) op.fail("a register is narrower than its type");
  op.out.dst[0] = op.dst(0, out);
  op.out.src[0] = op.src(1, in);
  c.wide_in = in == 64;
  c.wide_out = out == 64;
  op.out.target = c.pack();
  const bool usual = c.wide_in == (bits_of(c.from) == 64) && c.wide_out == (bits_of(c.to) == 64);
  op.out.run = usual ? fast(c) : nullptr;
  if (op.out.run == nullptr) op.out.run = run_convert;
}

/** A generic address is the address itself for global memory and window + offset for the others. */
void run_to_generic(Warp& w, const Instr& i) {
  const u64 window = static_cast<u64>(i.offset);
  const u64* a = cells<u64>(w, i.src[0]);
  each_lane<u64>(w, i.dst[0], [=](u32 l) { return a[l] | window; });
}
void run_to_space(Warp& w, const Instr& i) {
  const u64* a = cells<u64>(w, i.src[0]);
  const u64 keep = i.space == ptx::Space::global || i.space == ptx::Space::constant ? ~0ull : ~kWindowMask;
  each_lane<u64>(w, i.dst[0], [=](u32 l) { return a[l] & keep; });
}
void row_cvta(Op& op) {
  const bool to = op.take("to");
  op.out.space = op.space();
  op.type({Type::u64});
  op.done();
  op.operands(1, 64);
  op.out.offset = static_cast<i64>(op.out.space == ptx::Space::shared  ? kSharedWindow
                                   : op.out.space == ptx::Space::local ? kLocalWindow
                                   : op.out.space == ptx::Space::param ? kParamWindow
                                                                       : 0);
  op.out.run = to ? run_to_space : run_to_generic;
}

}  // namespace

void add_convert_ops(OpTable& table) {
  table["cvt"] = row_cvt;
  table["cvta"] = row_cvta;
}

}  // namespace softcuda
