// See turns.h.
#include "cuda/turns.h"

#include "cuda/recording.h"

namespace gramian::cuda {
namespace {

/** Rows of bytes that a launch touches. */
struct Rows {
  uintptr_t first, end;
  int64_t width, pitch;
  bool written;
};

Rows rows_of(const View& view, bool written) {
  const auto first = reinterpret_cast<uintptr_t>(view.data);
  const int64_t item = item_bytes(view.dtype), width = view.cols * item, pitch = view.pitch * item;
  return {first, first + static_cast<uintptr_t>((view.rows - 1) * pitch + width), width, pitch, written};
}

const CudaLaunch& launch_at(const StepSpec& spec, size_t i) {
  return static_cast<const CudaLaunch&>(*spec.launches[i]);
}

std::vector<Rows> touched_by(const StepSpec& spec, const Turn& turn) {
  std::vector<Rows> all;
  for (size_t i = turn.first; i < turn.end; ++i) {
    const Call& call = launch_at(spec, i).call;
    for (const View& view : call.in) all.push_back(rows_of(view, false));
    for (const View& view : call.out) all.push_back(rows_of(view, true));
    const auto at = reinterpret_cast<uintptr_t>(call.workspace);
    const int64_t bytes = call.workspace_bytes;
    if (bytes > 0) all.push_back({at, at + static_cast<uintptr_t>(bytes), bytes, bytes, true});
  }
  return all;
}

/** False also for different columns of one buffer, as concatenations lay them out. */
bool overlap(const Rows& a, const Rows& b) {
  if (a.first > b.first) return overlap(b, a);
  if (a.end <= b.first) return false;
  if (a.pitch != b.pitch) return true;
  const auto column = static_cast<int64_t>(b.first - a.first) % a.pitch;
  return column < a.width || column + b.width > a.pitch;
}

bool clash(const std::vector<Rows>& some, const std::vector<Rows>& others) {
  for (const Rows& a : some)
    for (const Rows& b : others)
      if ((a.written || b.written) && overlap(a, b)) return true;
  return false;
}

std::vector<Turn> group(const StepSpec& spec, bool two_streams) {
  std::vector<Turn> turns;
  for (size_t i = 0; i < spec.launches.size(); ++i) {
    const Kernel* kernel = launch_at(spec, i).kernel;
    const bool aside = two_streams && spec.aside[i];
    if (!turns.empty() && kernel->run_many && launch_at(spec, turns.back().first).kernel == kernel) {
      turns.back().end = i + 1;
      turns.back().aside &= aside;
      continue;
    }
    Turn turn;
    turn.first = i, turn.end = i + 1, turn.aside = aside;
    turns.push_back(turn);
  }
  return turns;
}

}  // namespace

std::vector<Turn> take_turns(const StepSpec& spec, bool two_streams) {
  std::vector<Turn> turns = group(spec, two_streams);
  if (!two_streams) return turns;
  std::vector<std::vector<Rows>> touched;
  size_t known[2] = {0, 0};  // by stream: the turns before this one that are known to be done on the other
  for (size_t i = 0; i < turns.size(); ++i) {
    Turn& turn = turns[i];
    touched.push_back(touched_by(spec, turn));
    size_t& done = known[turn.aside];
    for (size_t j = i; j-- > done;) {
      if (turns[j].aside == turn.aside || !clash(touched[i], touched[j])) continue;
      turn.after = j, turns[j].awaited = true;
      done = j + 1;
      break;
    }
  }
  return turns;
}

}  // namespace gramian::cuda
