// Who makes and who reads each tensor, as the plan stands when it is asked. Included by the passes that join steps.
// The rule easy to break: these are indices into plan.steps, so steps may be rewritten meanwhile, but not moved.
#pragma once
#include <vector>

#include "plan/plan.h"

namespace gramian {

struct Uses {
  std::vector<size_t> maker;  // by tensor id: the step that makes a temp; kNone for other tensors
  std::vector<std::vector<size_t>>
      readers;  // by tensor id, in order, once per reading; kNone for an output of the plan

  explicit Uses(const Plan& plan) : maker(plan.graph.tensors.size(), kNone), readers(plan.graph.tensors.size()) {
    for (size_t i = 0; i < plan.steps.size(); ++i) {
      for (int32_t id : plan.steps[i].node.outputs)
        if (!plan.graph.tensors[id].persistent()) maker[id] = i;
      for (int32_t id : plan.steps[i].node.inputs) readers[id].push_back(i);
    }
    for (int32_t id : plan.graph.outputs) readers[id].push_back(kNone);
  }
};

}  // namespace gramian
