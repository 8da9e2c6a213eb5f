// Finds the steps that the longest way through a plan does not need. A device with two queues runs them aside: filter
// gradients and updates of back-propagation, whole objectives of units whose output the next unit takes as it is.
//
//   unit 0:  a -> b -> loss0 -> grad0 -> update0
//                 \-> c -> loss1 -> grad1 -> update1     unit 1
//   longest: a b c loss1 grad1 update1;  aside: loss0 grad0 update0
//
// The rule easy to break: it only says who needs what is made. Who may overwrite what is the device's to find out,
// because places are given to tensors later.
#include <algorithm>

#include "plan/plan.h"

namespace gramian {

void find_asides(Plan& plan) {
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
  for (Step& step : plan.steps) step.aside = true;
  if (!plan.steps.empty()) plan.steps[deepest].aside = false;
  for (size_t i = plan.steps.size(); i-- > 0;)
    if (!plan.steps[i].aside)
      for (size_t from : needed[i]) plan.steps[from].aside = false;
}

}  // namespace gramian
