// How a step's launches share two streams. Used by recording.cpp when it captures.
// The rule easy to break: launches keep their order on each stream, and whoever touches bytes that a launch on the
// other stream writes, or writes what it touches, waits for it; that also covers memory that tensors share one after
// the other.
#pragma once
#include <cstddef>
#include <vector>

#include "backend.h"

namespace gramian::cuda {

/** Launches that are enqueued at once, on one stream. */
struct Turn {
  static constexpr size_t kNone = static_cast<size_t>(-1);

  size_t first = 0, end = 0;  // launches of the step
  bool aside = false;         // on the second stream
  size_t after = kNone;       // the turn of the other stream that must be done before; kNone: none, or known to be
  bool awaited = false;       // a turn of the other stream waits for this one
};

/** All launches in order, neighbours of one kernel that can be joined as one turn; `spec.aside` may be ignored. */
std::vector<Turn> take_turns(const StepSpec& spec, bool two_streams);

}  // namespace gramian::cuda
