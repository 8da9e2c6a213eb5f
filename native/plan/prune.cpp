// Drops nodes whose results nobody needs. A node stays when it writes a persistent tensor or leads to an output.
//
//   a = relu(x); b = exp(x); c = adam(p, a, ...); outputs []      keeps relu and adam, drops exp
#include <algorithm>

#include "plan/plan.h"

namespace gramian {

void prune(Plan& plan) {
  std::vector<char> needed(plan.graph.tensors.size());
  for (int32_t id : plan.graph.outputs) needed[id] = 1;
  std::vector<char> keep(plan.steps.size());
  for (size_t i = plan.steps.size(); i-- > 0;) {
    const Node& node = plan.steps[i].node;
    for (int32_t id : node.outputs)
      if (needed[id] || plan.graph.tensors[id].persistent()) keep[i] = 1;
    if (!keep[i]) continue;
    for (int32_t id : node.inputs) needed[id] = 1;
  }
  size_t kept = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (!keep[i]) continue;
    if (kept != i) plan.steps[kept] = std::move(plan.steps[i]);
    ++kept;
  }
  plan.steps.resize(kept);
}

}  // namespace gramian
