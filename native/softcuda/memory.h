// Device memory: allocations between redzones, and one shadow byte for each 4-byte word. Used by kernels
// (memory_access.cpp), copies (copies.cpp) and the order check (order.cpp).
// The rule easy to break: a device address is no host address (kBase lies outside what a process can map), so host code
// that follows one crashes as it would with a GPU; go through host().
#pragma once
#include <map>
#include <string>
#include <vector>

#include "types.h"

namespace softcuda {

/** Of a word since the launch began: read, written, read through the non-coherent path. The low four bits say which of
 * its bytes were ever written. */
inline constexpr u8 kInitialised = 0x0f, kRead = 0x10, kWritten = 0x20, kNonCoherent = 0x40, kCounted = 0x80,
                    kTouched = 0xf0;

struct Allocation {
  u64 lo = 1, hi = 0;  // [lo, hi), empty unless found
  bool constant = false;
};

class DeviceMemory {
 public:
  static constexpr u64 kBase = 1ull << 50, kReserved = 1ull << 38, kPage = 4096, kWordsOfPage = kPage / 4;

  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /** A new range aligned to 256 bytes, never one used before; 0 if it would exceed the limit. */
  u64 allocate(u64 bytes, bool constant = false);
  /** False if no live allocation starts there. */
  bool release(u64 address);
  /** The live allocation that holds the address, or null. */
  const Allocation* find(u64 address) const;
  /** Half a sentence about an address outside every live allocation. */
  std::string describe(u64 address) const;
  bool was_freed(u64 address) const;

  u8* host(u64 address) const { return reinterpret_cast<u8*>(host_offset() + address); }
  /** What makes a host address of a device address, as integers since the sum may wrap. */
  uintptr_t host_offset() const { return reinterpret_cast<uintptr_t>(data_) - kBase; }
  u8* shadow(u64 address) const { return shadow_ + (address - kBase) / 4; }

  /** Notes that flags of words in [lo, hi) were set. */
  void touch(u64 lo, u64 hi) {
    for (u64 page = (lo - kBase) / kPage; page <= (hi - 1 - kBase) / kPage; ++page)
      if (!dirty_[page]) {
        dirty_[page] = 1;
        dirty_list_.push_back(static_cast<u32>(page));
      }
  }
  /** Sets read or written for whole bytes of [lo, hi); writing also initialises them. */
  void mark(u64 lo, u64 hi, u8 flag);
  /** False if a byte of [lo, hi) was never written. */
  bool initialised(u64 lo, u64 hi) const;
  /** Copies which bytes are initialised from one range to another of the same length. */
  void copy_initialised(u64 to, u64 from, u64 bytes);
  void forget_initialised(u64 lo, u64 hi);

  const std::vector<u32>& dirty_pages() const { return dirty_list_; }
  u8* page_shadow(u32 page) const { return shadow_ + page * kWordsOfPage; }
  /** Forgets the pages; the caller has cleared their flags. */
  void clean() {
    for (const u32 page : dirty_list_) dirty_[page] = 0;
    dirty_list_.clear();
  }

  u64 limit = 8ull << 30;
  u64 used() const { return used_; }
  u64 peak() const { return peak_; }
  u64 live_count() const { return live_.size(); }

 private:
  u8 *data_, *shadow_, *dirty_;
  std::vector<u32> dirty_list_;
  std::map<u64, Allocation> live_, freed_;
  u64 top_ = kPage, used_ = 0, peak_ = 0;
};

}  // namespace softcuda
