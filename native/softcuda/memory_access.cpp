// Checks of global and local accesses, see memory_access.h. The shadow of a word says what was written ever and touched
// in this launch; order.cpp reads it after the launch.
// The rule easy to break: the fast way (all lanes, one behind the other) must find exactly what the slow way finds.
#include "memory_access.h"

#include <algorithm>
#include <cstring>

namespace softcuda {

using ptx::Space;

void lane_addresses(Warp& w, const Instr& i, u64* out) {
  if (i.wide) {
    const u64* base = cells<u64>(w, i.src[0]);
    for (u32 l = 0; l < 32; ++l) out[l] = base[l] + static_cast<u64>(i.offset);
  } else {
    const u32* base = cells<u32>(w, i.src[0]);
    for (u32 l = 0; l < 32; ++l) out[l] = base[l] + static_cast<u32>(i.offset);
  }
}

Space resolve_space(Warp& w, const Instr& i, u64* a) {
  if (i.space != Space::generic) return i.space;
  const u64 window = a[std::countr_zero(w.mask)] & kWindowMask;
  bool mixed = false;
  for_lanes(w.mask, [&](u32 l) { mixed |= (a[l] & kWindowMask) != window; });
  if (mixed) {
    report(w, i, Check::bounds, std::countr_zero(w.mask), "lanes address different state spaces in one instruction");
    w.mask = 0;
    return Space::global;
  }
  const Space space = window == kSharedWindow  ? Space::shared
                      : window == kLocalWindow ? Space::local
                      : window == kParamWindow ? Space::param
                                               : Space::global;
  if (space != Space::global)
    for (u32 l = 0; l < 32; ++l) a[l] &= ~kWindowMask;
  return space;
}

namespace {

/** Different 32-byte sectors of a scattered access. */
u32 count_sectors(const u64* a, u32 mask, u32 bytes) {
  u64 seen[64];
  u32 count = 0;
  for_lanes(mask, [&](u32 l) {
    for (u64 sector = a[l] / 32; sector <= (a[l] + bytes - 1) / 32; ++sector) {
      u32 i = count;
      while (i > 0 && seen[i - 1] != sector) --i;
      if (i == 0 && count < 64) seen[count++] = sector;
    }
  });
  return count;
}

/** False, with a finding, unless [address, address + bytes) lies in one live allocation that may be used so. */
bool inside(Warp& w, const Instr& i, u32 lane, u64 address, u32 bytes, Access access) {
  Allocation& cache = w.launch->cache[i.index];
  const DeviceMemory& memory = *w.launch->memory;
  if (address < cache.lo || address + bytes > cache.hi) {
    const Allocation* found = memory.find(address);
    if (found == nullptr || address + bytes > found->hi) {
      const bool freed = found == nullptr && memory.was_freed(address);
      const std::string what = access == Access::load ? "load" : access == Access::store ? "store" : "atomic";
      const std::string place =
          found ? "the last bytes of an allocation of " + std::to_string(found->hi - found->lo) + " bytes and beyond"
                : memory.describe(address);
      report(w, i, freed ? Check::freed : Check::bounds, lane,
             "a global " + what + " of " + std::to_string(bytes) + " bytes at " + place);
      return false;
    }
    cache = *found;
  }
  if (cache.constant && access != Access::load) {
    report(w, i, Check::read_only, lane, "a store into constant memory");
    return false;
  }
  return true;
}

/** Marks a lane's words and says whether a load found all its bytes written. */
bool mark_scattered(DeviceMemory& memory, u64 address, u32 bytes, Access access, u8 flags) {
  if (bytes < 4) {
    u8& word = *memory.shadow(address);
    const u8 part = static_cast<u8>(((1u << bytes) - 1) << (address % 4));
    const bool known = (word & part) == part;
    word |= flags;
    if (access != Access::load) word |= part;
    return known;
  }
  u8* words = memory.shadow(address);
  u8 all = kInitialised;
  for (u32 k = 0; k < bytes / 4; ++k) {
    all &= words[k];
    words[k] |= flags;
    if (access == Access::store) words[k] |= kInitialised;
  }
  return all == kInitialised;
}

u8 flags_of(const Instr& i, Access access) {
  if (access == Access::load) return i.flag ? kRead | kNonCoherent : kRead;
  return access == Access::store ? kWritten : kCounted;
}

/** All 32 lanes, contiguous and inside: marks `count` words at once. */
bool mark_contiguous(u8* words, u32 count, Access access, u8 flags) {
  u8 all = kInitialised;
  const u8 set = access == Access::store ? flags | kInitialised : flags;
  for (u32 k = 0; k < count; ++k) {
    all &= words[k];
    words[k] |= set;
  }
  return all == kInitialised;
}

void report_uninitialised(Warp& w, const Instr& i, u32 lane) {
  if (w.launch->options->check_uninitialised)
    report(w, i, Check::uninitialised, lane, "a load of global memory that nothing has written");
}

u32 check_scattered(Warp& w, const Instr& i, const u64* a, u32 bytes, Access access) {
  DeviceMemory& memory = *w.launch->memory;
  const u8 flags = flags_of(i, access);
  u32 good = 0;
  for_lanes(w.mask, [&](u32 l) {
    if (a[l] & (bytes - 1)) {
      report(w, i, Check::alignment, l,
             "a global access of " + std::to_string(bytes) + " bytes at an address that is " +
                 std::to_string(a[l] % bytes) + " beyond a multiple");
      return;
    }
    if (!inside(w, i, l, a[l], bytes, access)) return;
    good |= 1u << l;
    memory.touch(a[l], a[l] + bytes);
    if (!mark_scattered(memory, a[l], bytes, access, flags) && access != Access::store) report_uninitialised(w, i, l);
  });
  return good;
}

}  // namespace

GlobalAccess check_global(Warp& w, const Instr& i, const u64* a, u32 bytes, Access access) {
  InstrCounts& counts = w.launch->program->counts[i.index];
  u64 gap = kFull ^ w.mask;
  for (u32 l = 0; l < 32; ++l) gap |= a[l] ^ (a[0] + static_cast<u64>(l) * bytes);
  const u32 lanes = static_cast<u32>(std::popcount(w.mask));
  counts.ideal += (lanes * bytes + 31) / 32;
  if (gap == 0 && bytes >= 4 && access != Access::atomic && a[0] % bytes == 0 && inside(w, i, 0, a[0], bytes, access)) {
    const u64 end = a[31] + bytes;
    if (end <= w.launch->cache[i.index].hi) {
      DeviceMemory& memory = *w.launch->memory;
      counts.cost += (end - 1) / 32 - a[0] / 32 + 1;
      memory.touch(a[0], end);
      const bool known = mark_contiguous(memory.shadow(a[0]), 8 * bytes, access, flags_of(i, access));
      if (!known && access == Access::load) {
        u32 first = 0;
        while (memory.initialised(a[first], a[first] + bytes)) ++first;
        report_uninitialised(w, i, first);
      }
      return {kFull, true};
    }
  } else if (gap == 0 && a[0] % bytes == 0 && bytes >= 4 && access != Access::atomic) {
    // inside() has reported lane 0; the others are judged below without it.
    const u32 group = w.mask;
    w.mask &= ~1u;
    const u32 good = check_scattered(w, i, a, bytes, access);
    w.mask = group;
    counts.cost += count_sectors(a, good, bytes);
    return {good, false};
  }
  const u32 good = check_scattered(w, i, a, bytes, access);
  counts.cost += count_sectors(a, good, bytes);
  return {good, false};
}

u8* local_pointer(Warp& w, const Instr& i, u32 lane, u64 offset, u32 bytes, Access access) {
  const u32 size = w.launch->program->local_bytes;
  if (offset % bytes != 0) {
    report(w, i, Check::alignment, lane, "a misaligned access of local memory");
    return nullptr;
  }
  if (offset + bytes > size) {
    report(w, i, Check::bounds, lane,
           "an access of local memory at byte " + std::to_string(offset) + " of " + std::to_string(size));
    return nullptr;
  }
  u8* written = w.local_init.data() + static_cast<size_t>(lane) * size + offset;
  if (access == Access::store)
    std::memset(written, 1, bytes);
  else if (w.launch->options->check_uninitialised && std::memchr(written, 0, bytes) != nullptr)
    report(w, i, Check::uninitialised, lane, "a load of local memory that nothing has written");
  return w.local.data() + static_cast<size_t>(lane) * size + offset;
}

}  // namespace softcuda
