// Which work may rely on which: vector clocks of streams, events and the host, and for each page of device memory who
// touched which word at what time. Filled by device.cpp after every operation.
// The rule easy to break: everything runs at once in the order of submission, so results are always those of one
// serial order; only this check says whether the program asked for an order at all.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "findings.h"
#include "memory.h"

namespace softcuda {

/** How far each line (a stream, or a branch of a graph launch) is known to be done. */
using Clock = std::vector<u32>;

inline void join(Clock& to, const Clock& from) {
  if (to.size() < from.size()) to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) to[i] = std::max(to[i], from[i]);
}
inline u32 time_of(const Clock& clock, u32 line) { return line < clock.size() ? clock[line] : 0; }

/** One operation: its line, its tick on it, and what it knows to be done. */
struct Stamp {
  u32 line = 0, tick = 0;
  Clock clock;
  std::shared_ptr<const std::string> name;
};

struct Sectors {
  u64 unique = 0, read = 0, written = 0;
};

class Order {
 public:
  u32 new_line() { return lines_++; }
  /** Advances the line's tick in the clock and makes the stamp of an operation. */
  Stamp next(u32 line, Clock& clock, std::string name) const;
  /**
   * Takes the flags that an operation left in the shadow, compares them with what operations not ordered before it
   * touched, and counts 32-byte sectors. `host` is what the host has waited for: older records can go.
   */
  Sectors commit(DeviceMemory& memory, Findings& findings, const Stamp& stamp, const Clock& host, bool check);

 private:
  static constexpr size_t kChunks = DeviceMemory::kWordsOfPage / 64;
  using Bits = std::array<u64, kChunks>;
  struct Record {
    u32 line, tick;
    Bits read, written, atomic;  // atomic: by atomic operations, which clash with plain accesses only
    std::shared_ptr<const std::string> name;
  };
  bool compare(const Record& old, const Record& now, u64 page, const Stamp& stamp, DeviceMemory& memory,
               Findings& findings) const;

  u32 lines_ = 0;
  std::unordered_map<u32, std::vector<Record>> pages_;
};

}  // namespace softcuda
