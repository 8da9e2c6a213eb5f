// Deals the steps out to the queues of a device that has several. Queue 0 has the longest way through the plan; what it
// does not need runs beside it: filter gradients and updates of back-propagation, the objective and the update of a
// unit whose output the next unit takes as it is.
//
//   unit 0:  a -> b -> loss0 -> grad0 -> update0
//                 \-> c -> loss1 -> grad1 -> update1     unit 1
//   queue 0: a b c loss1 grad1 update1;  queue 1: loss0 grad0 update0
//
// With more queues each such run of steps takes the next. The rule easy to break: this only says who needs what is
// made. Who may overwrite what is the device's to find out, because places are given to tensors later.
#include <algorithm>

#include "plan/plan.h"

namespace gramian {
namespace {

/** By step, whether the longest way needs what it makes. */
std::vector<bool> longest_way(const Plan& plan) {
  std::vector<std::vector<size_t>> needed(plan.steps.size());  // what each step reads the results of
  std::vector<int32_t> depth(plan.steps.size(), 0);
  std::vector<int32_t> writer(plan.graph.tensors.size(), -1);
  size_t deepest = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (int32_t id : plan.steps[i].node.inputs) {
      if (writer[id] < 0) continue;
      const auto from = static_cast<size_t>(writer[id]);
      needed[i].push_back(from);
      depth[i] = std::max(depth[i], depth[from] + 1);
    }
    for (int32_t id : plan.steps[i].node.outputs) writer[id] = static_cast<int32_t>(i);
    if (depth[i] >= depth[deepest]) deepest = i;
  }
  std::vector<bool> on_way(plan.steps.size(), false);
  if (!plan.steps.empty()) on_way[deepest] = true;
  for (size_t i = plan.steps.size(); i-- > 0;)
    if (on_way[i])
      for (size_t from : needed[i]) on_way[from] = true;
  return on_way;
}

}  // namespace

void deal_out(Plan& plan, int queues) {
  if (queues <= 1) return;
  const std::vector<bool> on_way = longest_way(plan);
  int32_t line = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (on_way[i]) continue;
    if (i == 0 || on_way[i - 1]) line = line % (queues - 1) + 1;
    plan.steps[i].line = line;
  }
}

}  // namespace gramian
