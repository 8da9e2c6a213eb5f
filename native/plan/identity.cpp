// Removes stopGradient nodes: their readers read the original. One stays, and becomes a copy later, when it preserves
// a value: of a persistent tensor that the plan writes, or as an output of the plan.
//
//   y = stopGradient(x); z = relu(y)      becomes      z = relu(x)
#include <algorithm>

#include "plan/plan.h"

namespace gramian {

void bypass_identities(Plan& plan) {
  const std::vector<char> written = written_persistents(plan);
  std::vector<int32_t> original(plan.graph.tensors.size());
  for (size_t i = 0; i < original.size(); ++i) original[i] = static_cast<int32_t>(i);
  const auto& outputs = plan.graph.outputs;
  std::erase_if(plan.steps, [&](Step& step) {
    Node& node = step.node;
    for (int32_t& id : node.inputs) id = original[id];
    if (node.op != "stopGradient") return false;
    const int32_t from = node.inputs[0], to = node.outputs[0];
    if (written[from] || std::find(outputs.begin(), outputs.end(), to) != outputs.end()) return false;
    original[to] = from;
    return true;
  });
}

}  // namespace gramian
