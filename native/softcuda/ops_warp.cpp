// Warp-wide operations: shfl vote match redux activemask and bar.warp.sync. Rows of the opcode table.
// The rule easy to break: each waits until every lane its member mask names (and that has not left) has arrived, so all
// go through with_members and own their guard.
#include <algorithm>

#include "decode.h"
#include "groups.h"

namespace softcuda {
namespace {

/** Source lane and predicate as the PTX ISA's shfl.sync defines them; mode 0 up, 1 down, 2 bfly, 3 idx. */
void shuffle(Warp& w, const Instr& i) {
  const u32 *a = cells<u32>(w, i.src[0]), *b = cells<u32>(w, i.src[1]), *c = cells<u32>(w, i.src[2]);
  u32 result[32] = {}, valid = 0;
  for_lanes(w.mask, [&](u32 l) {
    const u32 step = b[l] & 31, clamp = c[l] & 31, segment = c[l] >> 8 & 31;
    const u32 most = (l & segment) | (clamp & ~segment), least = l & segment;
    i32 from = 0;
    bool inside = false;
    switch (i.mode) {
      case 0:
        from = static_cast<i32>(l - step);
        inside = from >= static_cast<i32>(most);
        break;
      case 1:
        from = static_cast<i32>(l + step);
        inside = from <= static_cast<i32>(most);
        break;
      case 2:
        from = static_cast<i32>(l ^ step);
        inside = from <= static_cast<i32>(most);
        break;
      default:
        from = static_cast<i32>(least | (step & ~segment));
        inside = from <= static_cast<i32>(most);
    }
    if (!inside) from = static_cast<i32>(l);
    if (!(w.mask >> (from & 31) & 1))
      report(w, i, Check::warp_sync, l, "a shuffle reads lane " + std::to_string(from) + ", which takes no part");
    result[l] = a[from & 31];
    valid |= static_cast<u32>(inside) << l;
  });
  each_lane<u32>(w, i.dst[0], [&](u32 l) { return result[l]; });
  set_predicate(w, i.dst[1], valid);
}
void run_shuffle(Warp& w, const Instr& i) { with_members(w, i, i.src[3], shuffle); }

void row_shfl(Op& op) {
  if (!op.take("sync")) op.fail("expected .sync");
  const std::string_view names[] = {"up", "down", "bfly", "idx"};
  u8 mode = 255;
  for (u8 n = 0; n < 4; ++n)
    if (op.take(names[n])) mode = n;
  op.type({Type::b32});
  op.done();
  if (mode == 255) op.fail("expected .up, .down, .bfly or .idx");
  op.expect(5, 5);
  op.out.mode = mode;
  op.out.dst[0] = op.dst(0, 32);
  if (op.at(0).partner >= 0) {
    ptx::Operand second;
    second.kind = ptx::Operand::Kind::reg;
    second.reg = op.at(0).partner;
    op.out.dst[1] = op.dst(second, 1);
  }
  for (u32 n = 0; n < 4; ++n) op.out.src[n] = op.src(n + 1, 32);
  op.out.own_guard = op.out.leader = true;
  op.out.run = run_shuffle;
}

/** mode 0 all, 1 any, 2 uni, 3 ballot. */
void vote(Warp& w, const Instr& i) {
  const u32 yes = (predicate(w, i.src[0]) ^ (i.sign ? kFull : 0)) & w.mask;
  if (i.mode == 3) return each_lane<u32>(w, i.dst[0], [=](u32) { return yes; });
  const bool answer = i.mode == 0 ? yes == w.mask : i.mode == 1 ? yes != 0 : yes == 0 || yes == w.mask;
  set_predicate(w, i.dst[0], answer ? kFull : 0);
}
void run_vote(Warp& w, const Instr& i) { with_members(w, i, i.src[3], vote); }

void row_vote(Op& op) {
  if (!op.take("sync")) op.fail("expected .sync");
  const std::string_view names[] = {"all", "any", "uni", "ballot"};
  u8 mode = 255;
  for (u8 n = 0; n < 4; ++n)
    if (op.take(names[n])) mode = n;
  if (mode == 255) op.fail("expected .all, .any, .uni or .ballot");
  op.type({mode == 3 ? Type::b32 : Type::pred});
  op.done();
  op.expect(3, 3);
  op.out.mode = mode;
  op.out.dst[0] = op.dst(0, mode == 3 ? 32 : 1);
  op.out.src[0] = op.src(1, 1);
  op.out.sign = op.at(1).negated;
  op.out.src[3] = op.src(2, 32);
  op.out.own_guard = op.out.leader = true;
  op.out.run = run_vote;
}

/** match.any: the lanes with the same value; match.all: every lane if all agree, else none. */
template <class T>
void match(Warp& w, const Instr& i) {
  const T* a = cells<T>(w, i.src[0]);
  u32 result[32] = {};
  bool agree = true;
  for_lanes(w.mask, [&](u32 l) {
    for_lanes(w.mask, [&](u32 other) { result[l] |= static_cast<u32>(a[other] == a[l]) << other; });
    agree &= result[l] == w.mask;
  });
  if (i.mode == 1)
    for (u32& bits : result) bits = agree ? w.mask : 0;
  each_lane<u32>(w, i.dst[0], [&](u32 l) { return result[l]; });
  set_predicate(w, i.dst[1], agree ? kFull : 0);
}
template <class T>
void run_match(Warp& w, const Instr& i) {
  with_members(w, i, i.src[3], match<T>);
}
void row_match(Op& op) {
  const std::string_view kind = op.pick({"any", "all"});
  if (!op.take("sync") || kind.empty()) op.fail("expected .any.sync or .all.sync");
  const Type type = op.type({Type::b32, Type::b64});
  op.done();
  op.expect(3, 3);
  op.out.mode = kind == "all";
  op.out.dst[0] = op.dst(0, 32);
  if (op.at(0).partner >= 0) {
    ptx::Operand second;
    second.kind = ptx::Operand::Kind::reg;
    second.reg = op.at(0).partner;
    op.out.dst[1] = op.dst(second, 1);
  }
  op.out.src[0] = op.src(1, bits_of(type));
  op.out.src[3] = op.src(2, 32);
  op.out.own_guard = op.out.leader = true;
  op.out.run = type == Type::b32 ? run_match<u32> : run_match<u64>;
}

/** mode 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor; Instr::sign: signed. */
void reduce(Warp& w, const Instr& i) {
  const u32* a = cells<u32>(w, i.src[0]);
  u32 value = a[std::countr_zero(w.mask)];
  for_lanes(w.mask & (w.mask - 1), [&](u32 l) {
    const u32 x = a[l];
    const bool less = i.sign ? static_cast<i32>(x) < static_cast<i32>(value) : x < value;
    switch (i.mode) {
      case 0:
        value += x;
        break;
      case 1:
        value = less ? x : value;
        break;
      case 2:
        value = less ? value : x;
        break;
      case 3:
        value &= x;
        break;
      case 4:
        value |= x;
        break;
      default:
        value ^= x;
    }
  });
  each_lane<u32>(w, i.dst[0], [=](u32) { return value; });
}
void run_reduce(Warp& w, const Instr& i) { with_members(w, i, i.src[3], reduce); }
void row_redux(Op& op) {
  if (!op.take("sync")) op.fail("expected .sync");
  const std::string_view names[] = {"add", "min", "max", "and", "or", "xor"};
  u8 mode = 255;
  for (u8 n = 0; n < 6; ++n)
    if (op.take(names[n])) mode = n;
  const Type type = op.type({Type::u32, Type::s32, Type::b32});
  op.done();
  if (mode == 255) op.fail("expected an operation");
  if ((mode < 3) == (type == Type::b32)) op.fail("the operation does not have this type");
  op.expect(3, 3);
  op.out.mode = mode;
  op.out.sign = type == Type::s32;
  op.out.dst[0] = op.dst(0, 32);
  op.out.src[0] = op.src(1, 32);
  op.out.src[3] = op.src(2, 32);
  op.out.own_guard = op.out.leader = true;
  op.out.run = run_reduce;
}

void run_activemask(Warp& w, const Instr& i) {
  const u32 mask = w.mask;
  each_lane<u32>(w, i.dst[0], [=](u32) { return mask; });
}
void row_activemask(Op& op) {
  op.type({Type::b32});
  op.done();
  op.expect(1, 1);
  op.out.dst[0] = op.dst(0, 32);
  op.out.run = run_activemask;
}

/** Orders the shared accesses of its lanes, which the race check reads from lane_sync. */
void sync_warp(Warp& w, const Instr&) {
  for_lanes(w.mask, [&](u32 l) { w.lane_sync[l] = w.syncs; });
  ++w.syncs;
}
void run_sync_warp(Warp& w, const Instr& i) { with_members(w, i, i.src[3], sync_warp); }

}  // namespace

void row_bar_warp(Op& op) {
  if (!op.take("sync")) op.fail("expected .sync");
  op.done();
  op.expect(1, 1);
  op.out.src[3] = op.src(0, 32);
  op.out.own_guard = op.out.leader = true;
  op.info.kind = InstrInfo::Kind::barrier;
  op.out.run = run_sync_warp;
}

void add_warp_ops(OpTable& table) {
  table["shfl"] = row_shfl;
  table["vote"] = row_vote;
  table["match"] = row_match;
  table["redux"] = row_redux;
  table["activemask"] = row_activemask;
}

}  // namespace softcuda
