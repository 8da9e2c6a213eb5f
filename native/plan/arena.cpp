// Lifetimes, and one block of memory for all temps and workspaces: two storages may overlap in it when no launch needs
// both. Largest first, each goes into the smallest gap that fits between those alive at the same time.
//
//   launches    0  1  2  3          a: 100 bytes, launches 0-1;  b: 60, 1-2;  c: 90, 2-3
//   a           ####                offset 0
//   c                 ####          offset 0, where a was
//   b              ####             offset 128 (100 rounded up to 64), beside both
//   arenaBytes = 192
#include <algorithm>

#include "plan/plan.h"

namespace gramian {
namespace {

constexpr int64_t kAlign = 64;

int64_t aligned(int64_t bytes) { return checked_add(bytes, kAlign - 1) / kAlign * kAlign; }

struct Block {
  int64_t bytes;  // a multiple of kAlign
  int32_t first, last;
  int64_t* offset;
};

void find_lifetimes(Plan& plan) {
  const std::vector<int32_t> last_use = last_uses(plan);
  std::vector<int32_t> first(plan.graph.tensors.size(), static_cast<int32_t>(plan.steps.size()));
  for (size_t i = plan.steps.size(); i-- > 0;)
    for (int32_t id : plan.steps[i].node.outputs) first[id] = static_cast<int32_t>(i);
  for (Storage& storage : plan.storages) {
    storage.first = static_cast<int32_t>(plan.steps.size());
    storage.last = -1;
    for (int32_t id : storage.members) {
      storage.first = std::min(storage.first, first[id]);
      storage.last = std::max(storage.last, last_use[id]);
    }
  }
}

/**
 * By step, the last one that may run beside it: for a step of a queue of its own, the one before that queue goes on.
 * What it touches keeps its place until then, else the others would have to wait for it.
 */
std::vector<int32_t> ends_of(const Plan& plan) {
  const auto count = static_cast<int32_t>(plan.steps.size());
  std::vector<int32_t> ends(plan.steps.size());
  std::vector<int32_t> begins(1, count);  // by line, of its next run
  for (int32_t i = count; i-- > 0;) {
    const int32_t line = plan.steps[i].line;
    ends[i] = i;
    if (line == 0) continue;
    if (static_cast<size_t>(line) >= begins.size()) begins.resize(line + 1, count);
    const bool last_of_run = i + 1 == count || plan.steps[i + 1].line != line;
    ends[i] = last_of_run ? begins[line] - 1 : ends[i + 1];
    if (i == 0 || plan.steps[i - 1].line != line) begins[line] = i;
  }
  return ends;
}

/** Offset of the smallest gap of at least `block.bytes` between the placed blocks alive at the same time. */
int64_t best_gap(const std::vector<Block>& placed, const Block& block,
                 std::vector<std::pair<int64_t, int64_t>>& taken) {
  taken.clear();
  for (const Block& other : placed)
    if (other.first <= block.last && block.first <= other.last)
      taken.push_back({*other.offset, *other.offset + other.bytes});
  std::sort(taken.begin(), taken.end());
  int64_t end = 0, best = -1, best_size = 0;
  for (const auto& [begin, stop] : taken) {
    const int64_t gap = begin - end;
    if (gap >= block.bytes && (best < 0 || gap < best_size)) {
      best = end;
      best_size = gap;
    }
    end = std::max(end, stop);
  }
  return best < 0 ? end : best;
}

}  // namespace

void lay_out_arena(Plan& plan) {
  find_lifetimes(plan);
  const std::vector<int32_t> ends = ends_of(plan);
  for (Storage& storage : plan.storages)
    if (storage.last >= 0 && static_cast<size_t>(storage.last) < ends.size()) storage.last = ends[storage.last];
  std::vector<Block> blocks, placed;
  for (Storage& storage : plan.storages)
    if (storage.kind == Kind::temp && !storage.merged && storage.last >= 0)
      blocks.push_back({aligned(storage.bytes()), storage.first, storage.last, &storage.arena_offset});
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const int64_t bytes = plan.steps[i].launch->workspace_bytes;
    const auto at = static_cast<int32_t>(i);
    if (bytes > 0) blocks.push_back({aligned(bytes), at, ends[i], &plan.steps[i].workspace_offset});
  }
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) { return a.bytes > b.bytes; });
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (const Block& block : blocks) {
    *block.offset = best_gap(placed, block, taken);
    plan.arena_bytes = std::max(plan.arena_bytes, checked_add(*block.offset, block.bytes));
    placed.push_back(block);
  }
}

}  // namespace gramian
