// Reads a pooled map off the features that a local objective makes anyway. A mean over space and a pointwise
// convolution commute, so src/objectives/features.ts pools the convolution's input; who pools its output the same way
// gets those features instead of a second pass over the map:
//
//   y = conv2d(u, w); a = avgPool(y); ...; p = avgPool(u); f = conv2d(p, w)
//   becomes   y = conv2d(u, w); p = avgPool(u); f = conv2d(p, w); ...       readers of a read f
//
// Runs before the convolutions are joined. The rule easy to break: p and f are to be what y was made of, so nothing
// from y on may write u or w.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

bool pools_alike(const Node& a, const Node& b) {
  const auto same = [&](const char* key) { return a.number(key) == b.number(key); };
  return same("kernelH") && same("kernelW") && same("strideH") && same("strideW") && same("padTop") && same("padLeft");
}

bool pointwise(const Plan& plan, const Node& node) {
  if (node.op != "conv2d" || node.inputs.size() != 2) return false;
  const auto shape = [&](int32_t id) -> const Shape& { return plan.graph.tensors[id].shape; };
  return is_pointwise(node, shape(node.inputs[0]), shape(node.inputs[1]), shape(node.outputs[0]));
}

struct Match {
  size_t pool = kNone, features = kNone;  // p and f
};

Match match_of(const Plan& plan, size_t a) {
  const Node& pool = plan.steps[a].node;
  const size_t made = pool.op == "avgPool" ? maker_of(plan, pool.inputs[0]) : kNone;
  if (made == kNone || !pointwise(plan, plan.steps[made].node)) return {};
  const Node& product = plan.steps[made].node;
  const Shape& wanted = plan.graph.tensors[pool.outputs[0]].shape;
  for (size_t f = a + 1; f < plan.steps.size(); ++f) {
    const Node& node = plan.steps[f].node;
    if (node.op != "conv2d" || node.inputs.size() != 2 || node.inputs[1] != product.inputs[1]) continue;
    if (!pointwise(plan, node) || plan.graph.tensors[node.outputs[0]].shape != wanted) continue;
    const size_t p = maker_of(plan, node.inputs[0]);
    if (p == kNone || p < a || plan.steps[p].node.op != "avgPool") continue;
    if (plan.steps[p].node.inputs[0] != product.inputs[0] || !pools_alike(plan.steps[p].node, pool)) continue;
    if (written_between(plan, product.inputs, plan.steps[made].append, plan.steps[f].append)) continue;
    return {p, f};
  }
  return {};
}

bool is_output(const Plan& plan, int32_t id) {
  const auto& outputs = plan.graph.outputs;
  return std::find(outputs.begin(), outputs.end(), id) != outputs.end();
}

}  // namespace

void share_pools(Plan& plan) {
  for (size_t a = 0; a < plan.steps.size(); ++a) {
    const Match match = match_of(plan, a);
    if (match.pool == kNone || is_output(plan, plan.steps[a].node.outputs[0])) continue;
    const int32_t pooled = plan.steps[a].node.outputs[0], features = plan.steps[match.features].node.outputs[0];
    plan.fused.push_back(
        cat("avgPool \"", plan.steps[a].node.name, "\" is \"", plan.steps[match.features].node.name, "\""));
    const int32_t append = plan.steps[a].append;
    plan.steps[a] = std::move(plan.steps[match.pool]);
    Step moved = std::move(plan.steps[match.features]);
    plan.steps[a].append = moved.append = append;
    plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(match.features));
    plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(match.pool));
    plan.steps.insert(plan.steps.begin() + static_cast<std::ptrdiff_t>(a) + 1, std::move(moved));
    for (Step& step : plan.steps)
      for (int32_t& id : step.node.inputs)
        if (id == pooled) id = features;
  }
}

}  // namespace gramian
