// Groups of lanes, see groups.h. The rule easy to break: a waiting group stands at the instruction itself, a ready one
// at the next to run.
#include "groups.h"

#include <algorithm>

namespace softcuda {

Group& park(Warp& warp, u32 pc, u32 mask, const std::vector<u32>& stack, Group::State state, u32 need) {
  for (Group& group : warp.groups)
    if (group.pc == pc && group.state == state && group.need == need && group.stack == stack) {
      group.mask |= mask;
      return group;
    }
  warp.groups.push_back({pc, mask, state, need, stack});
  return warp.groups.back();
}

void pick(Warp& warp) {
  Group* best = nullptr;
  for (Group& group : warp.groups) {
    const bool complete = group.state == Group::State::sync && (group.need & warp.alive & ~group.mask) == 0;
    if (group.state != Group::State::ready && !complete) continue;
    if (best == nullptr || group.pc < best->pc) best = &group;
  }
  if (best == nullptr) {
    warp.mask = 0;
    warp.yield = true;
    return;
  }
  warp.pc = best->pc;
  warp.mask = best->mask;
  warp.stack = std::move(best->stack);
  *best = std::move(warp.groups.back());
  warp.groups.pop_back();
}

bool reconverge(Warp& warp) {
  bool behind = false;
  for (const Group& group : warp.groups) behind |= group.state == Group::State::ready && group.pc <= warp.pc;
  if (!behind) return false;
  const u32 pc = warp.pc, mask = warp.mask;
  park(warp, pc, mask, warp.stack);
  pick(warp);
  return warp.pc != pc || warp.mask != mask;
}

namespace {

/** Lanes that already wait here for the same mask. */
u32 collect_waiting(Warp& warp, u32 pc, u32 need) {
  for (size_t i = 0; i < warp.groups.size(); ++i) {
    Group& group = warp.groups[i];
    if (group.state != Group::State::sync || group.pc != pc || group.need != need || group.stack != warp.stack)
      continue;
    const u32 mask = group.mask;
    group = std::move(warp.groups.back());
    warp.groups.pop_back();
    return mask;
  }
  return 0;
}

}  // namespace

void with_members(Warp& warp, const Instr& instr, u32 mask_slot, void (*execute)(Warp&, const Instr&)) {
  const u32* need_of = cells<u32>(warp, mask_slot);
  const u32 pc = warp.pc - 1, arrived = guarded(warp, instr);
  u32 done = warp.mask & ~arrived;
  for (u32 open = arrived; open != 0;) {
    const u32 need = need_of[std::countr_zero(open)];
    u32 same = 0;
    for_lanes(open, [&](u32 l) { same |= static_cast<u32>(need_of[l] == need) << l; });
    open &= ~same;
    if ((same & ~need) != 0)
      report(warp, instr, Check::warp_sync, std::countr_zero(same & ~need),
             "a lane executes with a mask that lacks it");
    const u32 lanes = same | collect_waiting(warp, pc, need);
    if ((need & warp.alive & ~lanes) != 0) {
      park(warp, pc, lanes, warp.stack, Group::State::sync, need);
      continue;
    }
    warp.mask = lanes;
    execute(warp, instr);
    done |= lanes;
  }
  warp.mask = done;
  if (done == 0) pick(warp);
}

}  // namespace softcuda
