// Device memory on the host: three sparse mappings (data, shadow, dirty pages), bump allocation. Used through memory.h.
// The rule easy to break: released ranges give their pages back to the system but their addresses are never handed out
// again, so that every use after a free is seen.
#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace softcuda {
namespace {

constexpr u64 kRedzone = 256, kAlign = 256;

u8* reserve(u64 bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return static_cast<u8*>(at);
}

}  // namespace

DeviceMemory::DeviceMemory()
    : data_(reserve(kReserved)), shadow_(reserve(kReserved / 4)), dirty_(reserve(kReserved / kPage)) {}

DeviceMemory::~DeviceMemory() {
  munmap(data_, kReserved);
  munmap(shadow_, kReserved / 4);
  munmap(dirty_, kReserved / kPage);
}

u64 DeviceMemory::allocate(u64 bytes, bool constant) {
  const u64 next = round_up(top_ + bytes + kRedzone, kAlign);
  if (bytes > limit || used_ + bytes > limit || next > kReserved) return 0;
  const u64 address = kBase + top_;
  live_[address] = {address, address + bytes, constant};
  top_ = next;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return address;
}

bool DeviceMemory::release(u64 address) {
  const auto at = live_.find(address);
  if (at == live_.end()) return false;
  const Allocation range = at->second;
  freed_[address] = range;
  live_.erase(at);
  used_ -= range.hi - range.lo;
  // Only whole pages inside the range: its neighbours live on.
  const u64 lo = round_up(range.lo, kPage), hi = range.hi / kPage * kPage;
  if (lo < hi) madvise(host(lo), hi - lo, MADV_DONTNEED);
  return true;
}

const Allocation* DeviceMemory::find(u64 address) const {
  auto at = live_.upper_bound(address);
  if (at == live_.begin()) return nullptr;
  --at;
  return address < at->second.hi ? &at->second : nullptr;
}

bool DeviceMemory::was_freed(u64 address) const {
  auto at = freed_.upper_bound(address);
  if (at == freed_.begin()) return false;
  --at;
  return address < at->second.hi;
}

std::string DeviceMemory::describe(u64 address) const {
  const auto size = [](const Allocation& range) { return std::to_string(range.hi - range.lo) + " bytes"; };
  if (was_freed(address)) {
    const Allocation& range = std::prev(freed_.upper_bound(address))->second;
    return "byte " + std::to_string(address - range.lo) + " of a freed allocation of " + size(range);
  }
  if (const auto after = live_.upper_bound(address); after != live_.begin()) {
    const Allocation& range = std::prev(after)->second;
    return std::to_string(address - range.hi) + " bytes past the end of an allocation of " + size(range);
  }
  return "no device memory";
}

void DeviceMemory::mark(u64 lo, u64 hi, u8 flag) {
  if (lo >= hi) return;
  const bool write = flag == kWritten;
  for (u64 at = lo; at < hi && at % 4 != 0; ++at) *shadow(at) |= flag | (write ? 1 << (at % 4) : 0);
  const u64 first = std::min(hi, round_up(lo, 4)), last = std::max(first, hi / 4 * 4);
  u8* words = shadow(first);
  const u8 set = flag | (write ? kInitialised : 0);
  for (u64 i = 0; i < (last - first) / 4; ++i) words[i] |= set;
  for (u64 at = last; at < hi; ++at) *shadow(at) |= flag | (write ? 1 << (at % 4) : 0);
  touch(lo, hi);
}

bool DeviceMemory::initialised(u64 lo, u64 hi) const {
  u8 all = kInitialised;
  u64 at = lo;
  for (; at < hi && at % 4 != 0; ++at)
    if (!(*shadow(at) >> (at % 4) & 1)) return false;
  const u8* words = shadow(at);
  for (u64 i = 0; i < (std::max(hi, at) - at) / 4; ++i) all &= words[i];
  for (u64 tail = std::max(at, hi / 4 * 4); tail < hi; ++tail)
    if (!(*shadow(tail) >> (tail % 4) & 1)) return false;
  return all == kInitialised;
}

void DeviceMemory::copy_initialised(u64 to, u64 from, u64 bytes) {
  std::vector<u8> bits(bytes);
  for (u64 i = 0; i < bytes; ++i) bits[i] = *shadow(from + i) >> ((from + i) % 4) & 1;
  for (u64 i = 0; i < bytes; ++i) {
    const u64 at = to + i;
    u8& word = *shadow(at);
    word = static_cast<u8>((word & ~(1u << (at % 4))) | static_cast<u32>(bits[i]) << (at % 4));
  }
}

void DeviceMemory::forget_initialised(u64 lo, u64 hi) {
  for (u64 at = lo; at < hi; ++at) *shadow(at) &= static_cast<u8>(~(1u << (at % 4)));
}

}  // namespace softcuda
