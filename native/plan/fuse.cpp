// Folds a batchNorm into the depthwise convolutions that read it, so that its output is never written to memory: the
// kernels normalise as they load. Done when every reader is a depthwise conv2d or conv2dGradFilter that has it as x.
//
//   y = batchNorm(x, m, v, g, b); u = conv2d(y, w) depthwise; dw = conv2dGradFilter(y, du) depthwise
//   becomes   u = conv2d(x, w, m, v, g, b); dw = conv2dGradFilter(x, du, m, v, g, b)   with bnEps, bnActivation,
//   bnAlpha
//
// The rule easy to break: the readers now read g and b themselves, so no update of them may stand in between.
#include <algorithm>

#include "core/text.h"
#include "plan/uses.h"

namespace gramian {
namespace {

bool depthwise(const Plan& plan, const Node& node) {
  if (node.op != "conv2d" && node.op != "conv2dGradFilter") return false;
  const int64_t channels = plan.graph.tensors[node.inputs[0]].cols();
  return node.inputs.size() == 2 && channels > 1 && node.number("groups") == static_cast<double>(channels);
}

bool can_fold(const Plan& plan, const Step& norm, const std::vector<size_t>& readers) {
  const int32_t y = norm.node.outputs[0];
  if (readers.empty()) return false;
  int32_t last = norm.append;
  for (size_t i : readers) {
    if (i == kNone) return false;
    const Step& reader = plan.steps[i];
    if (!depthwise(plan, reader.node) || reader.node.inputs[0] != y || reader.node.inputs[1] == y) return false;
    last = std::max(last, reader.append);
  }
  return !written_between(plan, norm.node.inputs, norm.append, last);
}

void fold(Plan& plan, const Node& norm, const std::vector<size_t>& readers) {
  for (size_t i : readers) {
    Node& reader = plan.steps[i].node;
    reader.inputs[0] = norm.inputs[0];
    reader.inputs.insert(reader.inputs.end(), norm.inputs.begin() + 1, norm.inputs.end());
    reader.attrs.push_back(renamed(norm, "eps", "bnEps"));
    reader.attrs.push_back(renamed(norm, "activation", "bnActivation"));
    reader.attrs.push_back(renamed(norm, "alpha", "bnAlpha"));
    plan.fused.push_back(cat("batchNorm \"", norm.name, "\" into ", reader.op, " \"", reader.name, "\""));
  }
}

}  // namespace

void fold_batch_norms(Plan& plan) {
  const Uses uses(plan);
  std::vector<char> gone(plan.steps.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    if (step.node.op != "batchNorm") continue;
    const auto& mine = uses.readers[step.node.outputs[0]];
    if (!can_fold(plan, step, mine)) continue;
    fold(plan, step.node, mine);
    gone[i] = 1;
  }
  size_t index = 0;
  std::erase_if(plan.steps, [&](const Step&) { return gone[index++] != 0; });
}

// An activation whose output only depthwise convolutions read as x is computed by them as they load:
//
//   y = relu(x); u = conv2d(y, w) depthwise   becomes   u = conv2d(x, w)   with inActivation, inAlpha
void fold_activations(Plan& plan) {
  const Uses uses(plan);
  std::vector<char> gone(plan.steps.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    if (!is_activation(step.node)) continue;
    const auto& mine = uses.readers[step.node.outputs[0]];
    const auto folds = [&](size_t reader) { return plan.steps[reader].node.op == "conv2d"; };
    if (!can_fold(plan, step, mine) || !std::all_of(mine.begin(), mine.end(), folds)) continue;
    for (size_t at : mine) {
      Node& reader = plan.steps[at].node;
      reader.inputs[0] = step.node.inputs[0];
      push_activation(reader, step.node, "inActivation", "inAlpha");
      plan.fused.push_back(cat(step.node.op, " \"", step.node.name, "\" into ", reader.op, " \"", reader.name, "\""));
    }
    gone[i] = 1;
  }
  size_t index = 0;
  std::erase_if(plan.steps, [&](const Step&) { return gone[index++] != 0; });
}

}  // namespace gramian
