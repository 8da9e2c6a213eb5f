// Adds what a gradient is summed with as a batchNorm's input gradient is written, instead of in a launch of its own:
//
//   dx = batchNormGradInput(dy, x, ...); sum = add(dx, other)    becomes   sum = batchNormGradInput(dy, x, ..., other)
//
// Done when nothing else reads dx. The joined launch stands where the add stood.
// The rule easy to break: the batchNorm's inputs are then read later, so nothing in between may write them.
#include <algorithm>

#include "core/text.h"
#include "plan/uses.h"

namespace gramian {
namespace {

/** The gradient that operand number `side` of the add is, when nobody else reads it. */
size_t gradient_step(const Plan& plan, const Uses& uses, const Step& add, size_t side) {
  const int32_t dx = add.node.inputs[side], other = add.node.inputs[1 - side];
  const size_t maker = uses.maker[dx];
  if (maker == kNone || uses.readers[dx].size() != 1 || dx == other) return kNone;
  const Step& step = plan.steps[maker];
  const bool plain = step.node.op == "batchNormGradInput" && step.node.inputs.size() == 8;
  const bool same = plan.graph.tensors[dx].shape == plan.graph.tensors[other].shape;
  return plain && same && !written_between(plan, step.node.inputs, step.append, add.append) ? maker : kNone;
}

}  // namespace

void fuse_residual(Plan& plan) {
  const Uses uses(plan);
  std::vector<char> gone(plan.steps.size());
  for (Step& add : plan.steps) {
    if (add.node.op != "add") continue;
    for (size_t side : {0, 1}) {
      const size_t maker = gradient_step(plan, uses, add, side);
      if (maker == kNone || gone[maker]) continue;
      Node node = plan.steps[maker].node;
      node.inputs.push_back(add.node.inputs[1 - side]);
      node.outputs = add.node.outputs;
      plan.fused.push_back(cat("add \"", add.node.name, "\" into batchNormGradInput \"", node.name, "\""));
      add.node = std::move(node);
      gone[maker] = 1;
      break;
    }
  }
  size_t index = 0;
  std::erase_if(plan.steps, [&](const Step&) { return gone[index++] != 0; });
}

}  // namespace gramian
