// See turns.h.
#include "cuda/turns.h"

#include <algorithm>

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

std::vector<Turn> group(const StepSpec& spec, size_t lines) {
  std::vector<Turn> turns;
  std::vector<Rows> touched;  // by the last of them, where it may grow
  for (size_t i = 0; i < spec.launches.size(); ++i) {
    const Kernel* kernel = launch_at(spec, i).kernel;
    Turn turn;
    turn.first = i, turn.end = i + 1, turn.line = std::min<size_t>(spec.lines[i], lines - 1);
    const std::vector<Rows> own = kernel->run_many ? touched_by(spec, turn) : std::vector<Rows>();
    const bool joins = kernel->run_many && !turns.empty() && turns.back().line == turn.line &&
                       launch_at(spec, turns.back().first).kernel == kernel && !clash(touched, own);
    if (joins) {
      turns.back().end = i + 1;
      touched.insert(touched.end(), own.begin(), own.end());
    } else {
      turns.push_back(turn);
      touched = own;
    }
  }
  return turns;
}

/** By line, how many of the turns are known to be done. */
using Clock = std::vector<size_t>;

}  // namespace

std::vector<Turn> take_turns(const StepSpec& spec, size_t lines) {
  std::vector<Turn> turns = group(spec, lines);
  if (lines == 1) return turns;
  std::vector<std::vector<Rows>> touched;
  std::vector<Clock> clocks;  // by turn, when it is done
  std::vector<Clock> now(lines, Clock(lines, 0));
  for (size_t i = 0; i < turns.size(); ++i) {
    Turn& turn = turns[i];
    Clock& clock = now[turn.line];
    touched.push_back(touched_by(spec, turn));
    // The newest first: what it has waited for need not be waited for again.
    for (size_t j = i; j-- > 0;) {
      if (turns[j].line == turn.line || j < clock[turns[j].line] || !clash(touched[i], touched[j])) continue;
      turn.after.push_back(j);
      turns[j].awaited = true;
      for (size_t line = 0; line < lines; ++line) clock[line] = std::max(clock[line], clocks[j][line]);
    }
    clock[turn.line] = i + 1;
    clocks.push_back(clock);
  }
  return turns;
}

}  // namespace gramian::cuda
