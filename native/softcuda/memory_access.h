// Checks and counts one access of a warp, space by space. Used by ld, st, atom, cp.async and ldmatrix.
// The rule easy to break: a lane that fails a check is taken out of the returned mask and must not touch memory.
#pragma once
#include "exec.h"
#include "lanes.h"

namespace softcuda {

enum class Access : u8 { load, store, atomic };

/** The address of every lane; of lanes outside the mask any value. */
void lane_addresses(Warp& warp, const Instr& instr, u64* out);
/** The space a generic access goes to, with the addresses made relative to it. */
ptx::Space resolve_space(Warp& warp, const Instr& instr, u64* addresses);

struct GlobalAccess {
  u32 lanes;        // that may go on
  bool contiguous;  // all 32, one behind the other
};
GlobalAccess check_global(Warp& warp, const Instr& instr, const u64* addresses, u32 bytes, Access access);

/** Bounds and alignment, then for loads also initialisation and races. Counts passes. */
u32 check_shared(Warp& warp, const Instr& instr, const u64* addresses, u32 bytes, Access access);
/** One lane's store: race check, then the bytes. The lane has passed check_shared. */
void store_shared(Warp& warp, const Instr& instr, u32 lane, u64 address, u32 bytes, const u8* value);
/** One lane's atomic access: it races with plain ones only. */
void touch_shared_atomic(Warp& warp, const Instr& instr, u32 lane, u64 address, u32 bytes);

/** Host pointer of a lane's local bytes, or null with a finding. */
u8* local_pointer(Warp& warp, const Instr& instr, u32 lane, u64 offset, u32 bytes, Access access);

/** Passes that shared memory needs: 32 banks of 4 bytes, wider accesses in halves and quarters of a warp. */
u32 shared_passes(const u64* addresses, u32 mask, u32 bytes);

/** What makes a host address of a global or shared address. */
inline uintptr_t global_base(Warp& warp) { return warp.launch->memory->host_offset(); }
inline uintptr_t shared_base(Warp& warp) { return reinterpret_cast<uintptr_t>(warp.block->shared.data()); }

}  // namespace softcuda
