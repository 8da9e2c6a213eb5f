// What the checks found, kept once per place with a count. Filled by kernels, copies and host calls; printed by
// report.cpp. The rule easy to break: every finding carries the driver error it becomes, so a launch that found
// something can never look like success.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "types.h"

namespace softcuda {

enum class Check : u8 {
  bounds,
  freed,
  read_only,
  alignment,
  uninitialised,
  race,
  barrier,
  warp_sync,
  deadlock,
  order,
  non_coherent,
  host,
  trap
};
inline constexpr const char* kCheckNames[] = {"bounds",       "freed",   "read-only", "alignment", "uninitialised",
                                              "race",         "barrier", "warp-sync", "deadlock",  "order",
                                              "non-coherent", "host",    "trap"};

/** CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_MISALIGNED_ADDRESS or CUDA_ERROR_LAUNCH_FAILED. */
inline int error_of(Check check) {
  if (check == Check::bounds || check == Check::freed || check == Check::read_only) return 700;
  return check == Check::alignment ? 716 : 719;
}

struct Finding {
  Check check;
  std::string where;    // kernel, or the driver call
  std::string message;  // of the first time
  std::string instruction, file;
  int ptx_line = 0, line = 0;
  u32 block[3] = {0, 0, 0};
  u32 thread = 0;
  u64 count = 0;
};

class Findings {
 public:
  /** Counts a finding under its place; the first one is kept whole. */
  void add(Finding finding) {
    ++total_;
    if (first_error_ == 0) first_error_ = error_of(finding.check);
    std::string key =
        finding.where + '\n' + std::to_string(finding.ptx_line) + '\n' + kCheckNames[static_cast<int>(finding.check)];
    if (finding.ptx_line == 0) key += '\n' + finding.message;
    const auto [at, added] = index_.emplace(std::move(key), list_.size());
    if (added) {
      if (list_.size() >= kMost) return void(index_.erase(at));
      list_.push_back(std::move(finding));
    }
    ++list_[at->second].count;
  }
  const std::vector<Finding>& list() const { return list_; }
  u64 total() const { return total_; }
  /** The driver error of the first finding since the last call, 0 if there was none. */
  int take_error() {
    const int error = first_error_;
    first_error_ = 0;
    return error;
  }

 private:
  static constexpr size_t kMost = 1000;
  std::vector<Finding> list_;
  std::map<std::string, size_t> index_;
  u64 total_ = 0;
  int first_error_ = 0;
};

}  // namespace softcuda
