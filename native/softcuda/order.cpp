// The order check and the count of touched sectors, page by page, see order.h.
#include "order.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace softcuda {
namespace {

/** Bit k of the result is bit `bit` of byte k. */
inline u64 gather_bit(const u8* bytes, u32 bit) {
  u64 word, result = 0;
  for (u32 part = 0; part < 8; ++part) {
    std::memcpy(&word, bytes + part * 8, 8);
    result |= ((word >> bit & 0x0101010101010101ull) * 0x0102040810204080ull >> 56) << (8 * part);
  }
  return result;
}

/** Bytes of the word that are not zero: each stands for the eight words of a sector. */
inline u32 nonzero_bytes(u64 bits) {
  u32 count = 0;
  for (; bits != 0; bits >>= 8) count += (bits & 255) != 0;
  return count;
}

template <class Bits>
bool subset(const Bits& a, const Bits& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] & ~b[i]) return false;
  return true;
}

}  // namespace

Stamp Order::next(u32 line, Clock& clock, std::string name) const {
  if (clock.size() <= line) clock.resize(line + 1);
  Stamp stamp{line, ++clock[line], {}, std::make_shared<const std::string>(std::move(name))};
  stamp.clock = clock;
  return stamp;
}

bool Order::compare(const Record& old, const Record& now, u64 page, const Stamp& stamp, DeviceMemory& memory,
                    Findings& findings) const {
  if (time_of(stamp.clock, old.line) >= old.tick) return false;
  for (size_t i = 0; i < kChunks; ++i) {
    const u64 both = (now.written[i] & (old.written[i] | old.atomic[i])) | (now.atomic[i] & old.written[i]),
              after = now.read[i] & (old.written[i] | old.atomic[i]),
              before = (now.written[i] | now.atomic[i]) & old.read[i];
    const u64 clash = both | after | before;
    if (clash == 0) continue;
    const u64 bit = static_cast<u64>(std::countr_zero(clash));
    const u64 address = DeviceMemory::kBase + page * DeviceMemory::kPage + (i * 64 + bit) * 4;
    const char* what = both >> bit & 1 ? "writes what '" : after >> bit & 1 ? "reads what '" : "writes what '";
    const char* did = (old.written[i] | old.atomic[i]) >> bit & 1 ? "' writes" : "' reads";
    const Allocation* range = memory.find(address);
    const std::string place = range == nullptr
                                  ? memory.describe(address)
                                  : "byte " + std::to_string(address - range->lo) + " of an allocation of " +
                                        std::to_string(range->hi - range->lo) + " bytes";
    Finding finding{Check::order,
                    *stamp.name,
                    std::string(what) + *old.name + did + ", with no order between them",
                    "",
                    "",
                    0,
                    0,
                    {},
                    0,
                    0};
    finding.instruction = place;
    findings.add(std::move(finding));
    return true;
  }
  return false;
}

Sectors Order::commit(DeviceMemory& memory, Findings& findings, const Stamp& stamp, const Clock& host, bool check) {
  Sectors sectors;
  bool reported = false;
  for (const u32 page : memory.dirty_pages()) {
    u8* shadow = memory.page_shadow(page);
    Record now{stamp.line, stamp.tick, {}, {}, {}, stamp.name};
    bool mixed = false;
    for (size_t i = 0; i < kChunks; ++i) {
      u8* words = shadow + i * 64;
      now.read[i] = gather_bit(words, 4);
      now.written[i] = gather_bit(words, 5);
      now.atomic[i] = gather_bit(words, 7);
      const u64 changed = now.written[i] | now.atomic[i];
      mixed |= (gather_bit(words, 6) & changed) != 0;
      for (u32 k = 0; k < 64; ++k) words[k] &= kInitialised;
      sectors.unique += nonzero_bytes(now.read[i] | changed);
      sectors.read += nonzero_bytes(now.read[i] | now.atomic[i]);
      sectors.written += nonzero_bytes(changed);
    }
    if (mixed && !reported)
      findings.add({Check::non_coherent,
                    *stamp.name,
                    "memory read by ld.global.nc is written in the same launch",
                    "",
                    "",
                    0,
                    0,
                    {},
                    0,
                    0});
    reported |= mixed;
    std::vector<Record>& records = pages_[page];
    for (const Record& old : records)
      if (check && compare(old, now, page, stamp, memory, findings)) break;
    std::erase_if(records, [&](const Record& old) {
      if (time_of(host, old.line) >= old.tick) return true;
      // What this record covers on its own line says all that the older one could.
      return old.line == now.line && subset(old.written, now.written) && subset(old.atomic, now.atomic) &&
             (subset(old.read, now.read) || subset(old.read, now.written));
    });
    records.push_back(std::move(now));
  }
  memory.clean();
  return sectors;
}

}  // namespace softcuda
