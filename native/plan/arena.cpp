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

/** From the first step that writes a storage to the last that may run beside one that touches it. */
void find_lifetimes(Plan& plan, const std::vector<int32_t>& ends) {
  const auto count = static_cast<int32_t>(plan.steps.size());
  std::vector<int32_t> first(plan.graph.tensors.size(), count), last(plan.graph.tensors.size(), -1);
  for (int32_t i = count; i-- > 0;) {
    const Node& node = plan.steps[i].node;
    for (int32_t id : node.outputs) first[id] = i;
    for (const std::vector<int32_t>* ids : {&node.inputs, &node.outputs})
      for (int32_t id : *ids) last[id] = std::max(last[id], ends[i]);
  }
  for (int32_t id : plan.graph.outputs) last[id] = count;
  for (Storage& storage : plan.storages) {
    storage.first = count;
    storage.last = -1;
    for (int32_t id : storage.members) {
      storage.first = std::min(storage.first, first[id]);
      storage.last = std::max(storage.last, last[id]);
    }
  }
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
  const std::vector<int32_t> ends = ends_of(plan);
  find_lifetimes(plan, ends);
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
