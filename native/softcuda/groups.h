// How the lanes of a warp part and meet again. Used by the scheduler and by handlers of branches, calls, barriers and
// warp synchronisation. The rule easy to break: the group with the lowest pc runs, so loops and branches reconverge
// without knowing the control flow; only instructions marked `leader` are places to meet.
#pragma once
#include "exec.h"
#include "lanes.h"

namespace softcuda {

/** Lanes of the running group whose guard holds. */
inline u32 guarded(Warp& warp, const Instr& instr) {
  if (instr.guard == kNone) return warp.mask;
  const u32 bits = predicate(warp, instr.guard);
  return warp.mask & (instr.guard_negated ? ~bits : bits);
}

/** Adds lanes to the group that waits at the same place in the same way, or makes one. */
Group& park(Warp& warp, u32 pc, u32 mask, const std::vector<u32>& stack, Group::State state = Group::State::ready,
            u32 need = 0);
/** Makes the ready group with the lowest pc the running one; yields if there is none. */
void pick(Warp& warp);
/** At a leader: gives way to groups at or before this place. True if another group runs now. */
bool reconverge(Warp& warp);
/** Ends the running group's turn: its lanes have been parked or have left. */
inline void switch_group(Warp& warp) {
  warp.mask = 0;
  pick(warp);
}

/**
 * Runs `execute(lanes)` for every set of lanes whose member mask has arrived in full; the others wait at this
 * instruction. The member mask is per lane, in the register at `mask_slot`.
 */
void with_members(Warp& warp, const Instr& instr, u32 mask_slot, void (*execute)(Warp&, const Instr&));

}  // namespace softcuda
