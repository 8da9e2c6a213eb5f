// Concatenation on the last axis by placement: the inputs are written straight into their columns of the result, and
// the concat needs no launch. Concats nest: the buffer of one becomes columns of the next.
//
//   c = concat(a[8,2], b[8,3])   a: c's storage, offset 0, pitch 5;  b: the same, offset 2, pitch 5
//   d = concat(c, e[8,1])        a, b, c move to d's storage, pitch 6;  e: offset 5
//
// An input that cannot move (fed, persistent, already part of another buffer, or seen through a reshape that needs it
// contiguous) is copied into its columns by a `copy` launch.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

/** Whether the input is all of a storage whose rows may be spread out. */
bool can_move(const Plan& plan, int32_t id, int32_t target) {
  const Tensor& tensor = plan.graph.tensors[id];
  const Place& place = plan.places[id];
  const Storage& storage = plan.storages[place.storage];
  if (place.storage == target || storage.kind != Kind::temp || storage.rows != plan.storages[target].rows) return false;
  if (place.offset != 0 || tensor.cols() != storage.cols || tensor.rows() != storage.rows) return false;
  return std::all_of(storage.members.begin(), storage.members.end(),
                     [&](int32_t member) { return plan.places[member].pitch == storage.cols; });
}

void move_into(Plan& plan, int32_t from, int32_t target, int64_t column) {
  Storage& storage = plan.storages[from];
  const int64_t pitch = plan.storages[target].cols;
  for (int32_t id : storage.members) {
    Place& place = plan.places[id];
    place = {target, place.offset / storage.cols * pitch + column + place.offset % storage.cols, pitch};
    plan.storages[target].members.push_back(id);
  }
  storage.members.clear();
  storage.merged = true;
}

/** A temp that stands for columns of the result, and the copy that fills it. */
Step copy_into(Plan& plan, const Step& concat, int32_t from, int64_t column) {
  const auto id = static_cast<int32_t>(plan.graph.tensors.size());
  const Place target = plan.places[concat.node.outputs[0]];
  Tensor columns = plan.graph.tensors[from];
  columns.kind = Kind::temp;
  columns.name = cat(concat.node.name, "[", column, "]");
  columns.has_data = false;
  columns.data = nullptr;
  plan.graph.tensors.push_back(std::move(columns));
  plan.places.push_back({target.storage, target.offset + column, target.pitch});
  plan.storages[target.storage].members.push_back(id);
  Step step;
  step.append = concat.append;
  step.line = concat.line;
  step.node = {"copy", {from}, {id}, {}, concat.node.unit, cat(concat.node.name, "[", column, "]")};
  return step;
}

}  // namespace

void place_concats(Plan& plan) {
  std::vector<Step> steps;
  steps.reserve(plan.steps.size());
  for (Step& step : plan.steps) {
    const Node& node = step.node;
    if (!is_last_axis_concat(plan, node)) {
      steps.push_back(std::move(step));
      continue;
    }
    int64_t column = 0;
    for (int32_t id : node.inputs) {
      const int64_t cols = plan.graph.tensors[id].cols();
      const int32_t target = plan.places[node.outputs[0]].storage;
      if (can_move(plan, id, target)) {
        move_into(plan, plan.places[id].storage, target, column);
        plan.fused.push_back(cat("\"", plan.graph.tensors[id].name, "\" placed in concat \"", node.name, "\""));
      } else {
        steps.push_back(copy_into(plan, step, id, column));
      }
      column += cols;
    }
  }
  plan.steps = std::move(steps);
}

}  // namespace gramian
