// Runs elementwise steps in place: when the first input is read for the last time there, the output takes its storage.
//
//   h = matmul(x, w); y = relu(h); z = matmul(y, v)       y lives where h did
//
// The rule easy to break: an input or output of a last-axis concat keeps its values for the concat's readers, so its
// storage is never overwritten.
#include <algorithm>
#include <string_view>

#include "plan/plan.h"

namespace gramian {
namespace {

constexpr std::string_view kInPlace[] = {"relu",
                                         "tanh",
                                         "sigmoid",
                                         "exp",
                                         "log",
                                         "sqrt",
                                         "square",
                                         "abs",
                                         "leakyRelu",
                                         "elu",
                                         "reluGrad",
                                         "tanhGrad",
                                         "sigmoidGrad",
                                         "leakyReluGrad",
                                         "eluGrad",
                                         "absGrad",
                                         "affine",
                                         "add",
                                         "sub",
                                         "mul",
                                         "div",
                                         "maximum",
                                         "minimum",
                                         "batchNormGradInput",
                                         "batchNormGradCorrect"};

/** Whether the step's output may overwrite its first input. */
bool may_overwrite(const Plan& plan, const Node& node, int32_t step, const std::vector<int32_t>& last_use,
                   const std::vector<char>& keeps) {
  const Tensor& x = plan.graph.tensors[node.inputs[0]];
  const Tensor& y = plan.graph.tensors[node.outputs[0]];
  const Place& place = plan.places[node.inputs[0]];
  const Storage& storage = plan.storages[place.storage];
  if (storage.kind != Kind::temp || y.kind != Kind::temp || x.dtype != y.dtype || x.shape != y.shape) return false;
  if (place.offset != 0 || place.pitch != x.cols() || x.count() != storage.rows * storage.cols) return false;
  // x fills its storage, so another input of the same shape that shares it is the same elements.
  for (size_t i = 1; i < node.inputs.size(); ++i)
    if (plan.graph.tensors[node.inputs[i]].shape != x.shape && plan.places[node.inputs[i]].storage == place.storage)
      return false;
  return std::all_of(storage.members.begin(), storage.members.end(),
                     [&](int32_t id) { return last_use[id] <= step && !keeps[id]; });
}

}  // namespace

void reuse_inputs(Plan& plan) {
  const std::vector<int32_t> last_use = last_uses(plan);
  std::vector<char> keeps(plan.graph.tensors.size());
  for (const Step& step : plan.steps) {
    if (!is_last_axis_concat(plan, step.node)) continue;
    for (int32_t id : step.node.inputs) keeps[id] = 1;
    for (int32_t id : step.node.outputs) keeps[id] = 1;
  }
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Node& node = plan.steps[i].node;
    if (std::find(std::begin(kInPlace), std::end(kInPlace), node.op) == std::end(kInPlace)) continue;
    if (!may_overwrite(plan, node, static_cast<int32_t>(i), last_use, keeps)) continue;
    const int32_t target = plan.places[node.inputs[0]].storage;
    Storage& emptied = plan.storages[plan.places[node.outputs[0]].storage];
    for (int32_t id : emptied.members) {
      plan.places[id].storage = target;
      plan.storages[target].members.push_back(id);
    }
    emptied.members.clear();
    emptied.merged = true;
  }
}

}  // namespace gramian
