// Checks of shared memory: bounds, alignment, initialisation, races, bank conflicts. See memory_access.h.
// A race is two accesses of one word by different threads, one a write, in one epoch (between two barriers) and not
// ordered by a bar.warp.sync that both threads took part in after the first. Equal values written twice are none.
// The rule easy to break: epochs only grow, so the words need no clearing between blocks.
#include <algorithm>
#include <cstring>

#include "memory_access.h"

namespace softcuda {
namespace {

/** Whether a bar.warp.sync stands between an access of `other` at `stamp` and what lane l does now. */
inline bool ordered(const Warp& w, u16 other, u32 stamp, u32 l) {
  if (w.lane_sync[l] < stamp) return false;
  if (other >= kAtomic) return false;
  if (other & kManyOfWarp) return (other & 0x7fff) == w.id;
  return other / 32u == w.id && w.lane_sync[other % 32] >= stamp;
}

std::string thread_name(u16 thread) {
  if (thread == kManyThreads) return "several threads";
  if (thread == kAtomic) return "an atomic operation";
  if (thread & kManyOfWarp) return "several threads of warp " + std::to_string(thread & 0x7fff);
  return "thread " + std::to_string(thread);
}

void race(Warp& w, const Instr& i, u32 lane, const char* what, u16 other, u64 address) {
  if (w.launch->options->check_races)
    report(w, i, Check::race, lane,
           std::string(what) + " by " + thread_name(other) + " with no barrier between, shared byte " +
               std::to_string(address));
}

inline u8 byte_mask(u64 address, u32 bytes) {
  return bytes >= 4 ? kInitialised : static_cast<u8>(((1u << bytes) - 1) << (address % 4));
}

inline void note_reader(const Warp& w, SharedWord& word, u32 epoch, u16 thread) {
  if (word.read_epoch != epoch) {
    word.read_epoch = epoch;
    word.reader = thread;
  } else if (word.reader == kManyThreads) {
    return;  // says all there is to say
  } else if (word.reader != thread) {
    const u16 warp_mark = static_cast<u16>(kManyOfWarp | w.id);
    const bool same_warp = word.reader == warp_mark || (word.reader < kManyOfWarp && word.reader / 32u == w.id);
    word.reader = same_warp ? warp_mark : kManyThreads;
  }
  word.read_stamp = w.syncs;
}

void check_load(Warp& w, const Instr& i, u32 l, u64 address, u32 bytes) {
  Block& block = *w.block;
  const u16 thread = static_cast<u16>(w.id * 32 + l);
  const u8 part = byte_mask(address, bytes);
  const u32 epoch = block.epoch;
  for (u32 k = 0; k < bytes; k += 4) {
    const u64 at = (address + k) / 4;
    SharedWord& word = block.words[at];
    if ((block.shared_init[at] & part) != part && w.launch->options->check_uninitialised)
      report(w, i, Check::uninitialised, l,
             "a load of shared memory that nothing has written, byte " + std::to_string(address + k));
    if (word.write_epoch == epoch && word.writer != thread && (word.write_mask & part) &&
        !ordered(w, word.writer, word.write_stamp, l))
      race(w, i, l, "a read of what was written", word.writer, address + k);
    note_reader(w, word, epoch, thread);
  }
}

}  // namespace

u32 shared_passes(const u64* a, u32 mask, u32 bytes) {
  const u32 unit = std::max(4u, bytes), banks = 128 / unit, group = 128 / unit;
  u32 total = 0;
  for (u32 first = 0; first < 32; first += group) {
    u32 lanes = mask >> first & (group == 32 ? kFull : (1u << group) - 1), used = 0, most = lanes ? 1 : 0;
    u64 held[32];
    u8 depth[32];
    u64 others[32];  // units that did not get their bank at once
    u32 waiting = 0;
    for (; lanes != 0; lanes &= lanes - 1) {
      const u64 at = a[first + static_cast<u32>(std::countr_zero(lanes))] / unit;
      const u32 bank = at % banks;
      if (!(used >> bank & 1)) {
        used |= 1u << bank;
        held[bank] = at;
        depth[bank] = 1;
      } else if (held[bank] != at && std::find(others, others + waiting, at) == others + waiting) {
        others[waiting++] = at;
        most = std::max<u32>(most, ++depth[bank]);
      }
    }
    total += most;
  }
  return total;
}

u32 check_shared(Warp& w, const Instr& i, const u64* a, u32 bytes, Access access) {
  const u64 size = w.launch->shared_bytes;
  u32 good = 0;
  for_lanes(w.mask, [&](u32 l) {
    if (a[l] & (bytes - 1)) {
      report(w, i, Check::alignment, l,
             "a shared access of " + std::to_string(bytes) + " bytes at byte " + std::to_string(a[l]));
    } else if (a[l] + bytes > size || a[l] > size) {
      report(w, i, Check::bounds, l, "a shared access at byte " + std::to_string(a[l]) + " of " + std::to_string(size));
    } else {
      good |= 1u << l;
      if (access == Access::load) check_load(w, i, l, a[l], bytes);
    }
  });
  InstrCounts& counts = w.launch->program->counts[i.index];
  counts.cost += shared_passes(a, good, bytes);
  counts.ideal += (static_cast<u32>(std::popcount(good)) * bytes + 127) / 128;
  return good;
}

void store_shared(Warp& w, const Instr& i, u32 l, u64 address, u32 bytes, const u8* value) {
  Block& block = *w.block;
  const u16 thread = static_cast<u16>(w.id * 32 + l);
  const u8 part = byte_mask(address, bytes);
  const u32 epoch = block.epoch, step = std::min(bytes, 4u);
  for (u32 k = 0; k < bytes; k += 4) {
    SharedWord& word = block.words[(address + k) / 4];
    const bool again = word.write_epoch == epoch, other = again && word.writer != thread;
    if (other && (word.write_mask & part) && !ordered(w, word.writer, word.write_stamp, l) &&
        std::memcmp(block.shared.data() + address + k, value + k, step) != 0)
      race(w, i, l, "a write over what was written", word.writer, address + k);
    if (word.read_epoch == epoch && word.reader != thread && !ordered(w, word.reader, word.read_stamp, l))
      race(w, i, l, "a write over what was read", word.reader, address + k);
    // Two threads may write different bytes of a word.
    const bool beside = other && !(word.write_mask & part);
    word.write_mask = again ? word.write_mask | part : part;
    word.write_epoch = epoch;
    word.writer = beside ? kManyThreads : thread;
    word.write_stamp = w.syncs;
    block.shared_init[(address + k) / 4] |= part;
  }
  std::memcpy(block.shared.data() + address, value, bytes);
}

void touch_shared_atomic(Warp& w, const Instr& i, u32 l, u64 address, u32 bytes) {
  Block& block = *w.block;
  const u16 thread = static_cast<u16>(w.id * 32 + l);
  for (u32 k = 0; k < bytes; k += 4) {
    SharedWord& word = block.words[(address + k) / 4];
    if (block.shared_init[(address + k) / 4] != kInitialised && w.launch->options->check_uninitialised)
      report(w, i, Check::uninitialised, l, "an atomic on shared memory that nothing has written");
    if (word.write_epoch == block.epoch && word.writer != thread && word.writer != kAtomic &&
        !ordered(w, word.writer, word.write_stamp, l))
      race(w, i, l, "an atomic on what was written", word.writer, address + k);
    if (word.read_epoch == block.epoch && word.reader != thread && !ordered(w, word.reader, word.read_stamp, l))
      race(w, i, l, "an atomic on what was read", word.reader, address + k);
    word.write_epoch = block.epoch;
    word.writer = kAtomic;
    word.write_mask = kInitialised;
    word.write_stamp = w.syncs;
  }
}

}  // namespace softcuda
