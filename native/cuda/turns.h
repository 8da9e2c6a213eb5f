// How a step's launches share some streams. Used by recording.cpp when it captures.
// The rule easy to break: launches keep their order on each stream, and whoever touches bytes that a launch on another
// stream writes, or writes what it touches, waits for it; that also covers memory that tensors share one after the
// other.
#pragma once
#include <cstddef>
#include <vector>

#include "backend.h"

namespace gramian::cuda {

/** Launches that are enqueued at once, on one stream. */
struct Turn {
  size_t first = 0, end = 0;  // launches of the step
  size_t line = 0;            // its stream; 0 is the plan's own
  std::vector<size_t> after;  // turns of other streams that must be done before, but for what they imply
  bool awaited = false;       // a turn of another stream waits for this one
};

/** All launches in order, on at most `lines` streams; neighbours that run_many takes, and of which none touches what
 * another writes, are one turn. */
std::vector<Turn> take_turns(const StepSpec& spec, size_t lines);

}  // namespace gramian::cuda
