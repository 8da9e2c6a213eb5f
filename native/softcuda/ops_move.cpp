// mov, its packing and unpacking forms, and the clocks. Rows of the opcode table.
// The rule easy to break: mov.b32 d, {a, b} puts a into the low half.
#include "decode.h"
#include "dispatch.h"

namespace softcuda {
namespace {

template <class T>
void run_mov(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  each_lane<T>(w, i.dst[0], [=](u32 l) { return a[l]; });
}
void run_mov_predicate(Warp& w, const Instr& i) { set_predicate(w, i.dst[0], predicate(w, i.src[0])); }

/** A clock that ticks once an instruction of the launch: it rises, and is the same for every run. */
template <class T>
void run_clock(Warp& w, const Instr& i) {
  const u64 now = ++w.launch->instructions;
  each_lane<T>(w, i.dst[0], [=](u32) { return static_cast<T>(now); });
}

void run_pack32(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.list[0]), *b = cells<u32>(w, i.list[1]);
  each_lane<u32>(w, i.dst[0], [=](u32 l) { return (a[l] & 0xffff) | b[l] << 16; });
}
void run_pack64(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.list[0]), *b = cells<u32>(w, i.list[1]);
  each_lane<u64>(w, i.dst[0], [=](u32 l) { return static_cast<u64>(b[l]) << 32 | a[l]; });
}
void run_pack64_quarters(Warp& w, const Instr& i) {
  const u32* part[4];
  for (u32 n = 0; n < 4; ++n) part[n] = cells<u32>(w, i.list[n]);
  each_lane<u64>(w, i.dst[0], [=](u32 l) {
    u64 value = 0;
    for (u32 n = 0; n < 4; ++n) value |= static_cast<u64>(part[n][l] & 0xffff) << (16 * n);
    return value;
  });
}
template <class Whole>
void run_unpack(Warp& w, const Instr& i) {
  const Whole* a = cells<Whole>(w, i.src[0]);
  const u32 bits = sizeof(Whole) * 8 / i.elements;
  const Whole low = static_cast<Whole>((1ull << bits) - 1);
  Whole value[32];
  for (u32 l = 0; l < 32; ++l) value[l] = a[l];
  for (u32 n = 0; n < i.elements; ++n)
    each_lane<u32>(w, i.list[n], [&](u32 l) { return static_cast<u32>(value[l] >> (bits * n) & low); });
}

void row_mov(Op& op) {
  const Type type = op.type();
  const u32 bits = bits_of(type);
  op.done();
  op.expect(2, 2);
  const ptx::Operand &to = op.at(0), &from = op.at(1);
  if (to.kind == ptx::Operand::Kind::list) {
    op.out.elements = static_cast<u8>(to.list.size());
    if ((bits != 32 && bits != 64) || (bits / op.out.elements != 16 && bits / op.out.elements != 32))
      op.fail("expected halves or quarters of 16 or 32 bits");
    op.out.src[0] = op.src(1, bits);
    op.slots(to, bits / op.out.elements, true);
    op.out.run = bits == 64 ? run_unpack<u64> : run_unpack<u32>;
    return;
  }
  op.out.dst[0] = op.dst(0, bits);
  if (from.kind == ptx::Operand::Kind::list) {
    const u32 parts = static_cast<u32>(from.list.size());
    if (!((bits == 32 && parts == 2) || (bits == 64 && (parts == 2 || parts == 4)))) op.fail("unknown packing");
    op.slots(from, bits / parts, false);
    op.out.run = bits == 32 ? run_pack32 : parts == 2 ? run_pack64 : run_pack64_quarters;
    return;
  }
  if (from.kind == ptx::Operand::Kind::special &&
      (from.name == "%clock" || from.name == "%clock64" || from.name == "%globaltimer")) {
    op.out.run = bits == 64 ? run_clock<u64> : run_clock<u32>;
    return;
  }
  op.out.src[0] = op.src(1, bits);
  op.out.run = type == Type::pred ? run_mov_predicate : bits == 64 ? run_mov<u64> : run_mov<u32>;
}

}  // namespace

void add_move_ops(OpTable& table) { table["mov"] = row_mov; }

}  // namespace softcuda
