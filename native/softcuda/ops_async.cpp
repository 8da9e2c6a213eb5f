// cp.async and its groups. Rows of the opcode table.
// The rule easy to break: the bytes arrive in shared memory when the thread waits for their group, not before, so a
// forgotten wait reads what was there.
#include <algorithm>
#include <cstring>

#include "decode.h"
#include "memory_access.h"

namespace softcuda {
namespace {

void run_copy(Warp& w, const Instr& i) {
  u64 from[32], to[32];
  lane_addresses(w, i, from);
  const u32 *shared = cells<u32>(w, i.src[1]), *size = cells<u32>(w, i.src[2]);
  const u64* shared64 = cells<u64>(w, i.src[1]);
  const u32 bytes = i.width, group = w.mask;
  for (u32 l = 0; l < 32; ++l) to[l] = (i.sign ? shared64[l] & ~kWindowMask : shared[l]) + i.target;
  u32 lanes = check_shared(w, i, to, bytes, Access::store);
  u32 reading = 0;
  for_lanes(lanes, [&](u32 l) { reading |= static_cast<u32>(size[l] > 0) << l; });
  w.mask = reading;
  // Fewer source bytes than the copy's size leave zeros behind them; the source is still aligned to the whole.
  const u32 good = reading ? check_global(w, i, from, bytes, Access::load).lanes : 0;
  w.mask = group;
  for_lanes(lanes & (good | ~reading), [&](u32 l) {
    AsyncCopy copy{l, static_cast<u32>(to[l]), bytes, {0, 0}, w.async_group[l], i.index};
    const u32 valid = std::min(size[l], bytes);
    if (valid > 0) std::memcpy(copy.data, w.launch->memory->host(from[l]), valid);
    w.async.push_back(copy);
  });
}

void run_commit(Warp& w, const Instr&) {
  for_lanes(w.mask, [&](u32 l) { ++w.async_group[l]; });
}

/** Instr::target: groups that may stay open; flag: everything, committed or not. */
void run_wait(Warp& w, const Instr& i) {
  const auto waited = [&](const AsyncCopy& copy) {
    return (w.mask >> copy.lane & 1) && (i.flag || copy.group + i.target < w.async_group[copy.lane]);
  };
  for (const AsyncCopy& copy : w.async)
    if (waited(copy)) {
      Instr origin = i;
      origin.index = copy.index;
      store_shared(w, origin, copy.lane, copy.shared, copy.bytes, reinterpret_cast<const u8*>(copy.data));
    }
  std::erase_if(w.async, waited);
}

void row_cp(Op& op) {
  if (!op.take("async")) op.fail("only cp.async is supported");
  if (op.take("commit_group")) {
    op.done();
    op.out.run = run_commit;
    return;
  }
  const bool group = op.take("wait_group");
  op.out.flag = op.take("wait_all");
  if (group || op.out.flag) {
    op.done();
    if (group) op.out.target = static_cast<u32>(op.literal(0));
    op.out.run = run_wait;
    return;
  }
  if (op.pick({"ca", "cg"}).empty()) op.fail("expected .ca or .cg");
  if (!op.take("shared") && !op.take("shared::cta")) op.fail("expected .shared");
  if (!op.take("global")) op.fail("expected .global");
  op.pick({"L2::64B", "L2::128B", "L2::256B"});
  op.done();
  op.expect(3, 4);
  const u64 bytes = op.literal(2);
  if (bytes != 4 && bytes != 8 && bytes != 16) op.fail("expected 4, 8 or 16 bytes");
  const ptx::Operand& to = op.at(0);
  op.address(0, ptx::Space::shared);
  op.out.src[1] = op.out.src[0];
  op.out.sign = op.out.wide;  // the width of the shared address
  op.out.target = static_cast<u32>(to.offset);
  op.address(1, ptx::Space::global);
  op.out.src[2] = op.count() == 4 ? op.src(3, 32) : op.immediate(bytes, false);
  op.out.width = static_cast<u8>(bytes);
  op.info.space = ptx::Space::global;
  op.info.kind = InstrInfo::Kind::load;
  op.out.run = run_copy;
}

}  // namespace

void add_async_ops(OpTable& table) { table["cp"] = row_cp; }

}  // namespace softcuda
