// Runs the passes over a validated graph. Called by binding/ for compile() and analyze(). See plan.h.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {

std::vector<char> written_persistents(const Plan& plan) {
  std::vector<char> written(plan.graph.tensors.size());
  for (const Step& step : plan.steps)
    for (int32_t id : step.node.outputs)
      if (plan.graph.tensors[id].persistent()) written[id] = 1;
  return written;
}

std::vector<int32_t> last_uses(const Plan& plan) {
  std::vector<int32_t> last(plan.graph.tensors.size(), -1);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (int32_t id : plan.steps[i].node.inputs) last[id] = static_cast<int32_t>(i);
    for (int32_t id : plan.steps[i].node.outputs) last[id] = static_cast<int32_t>(i);
  }
  for (int32_t id : plan.graph.outputs) last[id] = static_cast<int32_t>(plan.steps.size());
  return last;
}

Operand operand_of(const Plan& plan, int32_t id) {
  const Tensor& tensor = plan.graph.tensors[id];
  // A single row is contiguous whatever buffer it is a part of.
  const int64_t pitch = tensor.rows() == 1 ? tensor.cols() : plan.places[id].pitch;
  return {tensor.dtype, tensor.shape, pitch, nullptr};
}

bool written_between(const Plan& plan, const std::vector<int32_t>& tensors, int32_t from, int32_t to) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [&](const Step& step) {
    const auto& outputs = step.node.outputs;
    return step.append > from && step.append < to &&
           std::find_first_of(outputs.begin(), outputs.end(), tensors.begin(), tensors.end()) != outputs.end();
  });
}

bool is_pointwise(const Node& node, const Shape& x, const Shape& filter, const Shape& y) {
  return filter[0] == 1 && filter[1] == 1 && node.number("groups") == 1 && x[1] == y[1] && x[2] == y[2] &&
         node.number("strideH") == 1 && node.number("strideW") == 1 && node.number("padTop") == 0 &&
         node.number("padLeft") == 0 && filter[2] * filter[3] <= kMostPointwiseWeights;
}

size_t maker_of(const Plan& plan, int32_t id) {
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto& outputs = plan.steps[i].node.outputs;
    if (std::find(outputs.begin(), outputs.end(), id) != outputs.end()) return i;
  }
  return kNone;
}

bool is_product(const Plan& plan, const Node& node) {
  if (node.op == "matmul") return true;
  if (node.op != "conv2d") return false;
  const double groups = node.number("groups");
  const auto channels = static_cast<double>(plan.graph.tensors[node.inputs[0]].cols());
  return groups < channels || (groups == 1 && plan.graph.tensors[node.outputs[0]].cols() > 1);
}

bool is_last_axis_concat(const Plan& plan, const Node& node) {
  return node.op == "concat" &&
         static_cast<size_t>(node.number("axis")) + 1 == plan.graph.tensors[node.outputs[0]].shape.size();
}

bool is_activation(const Node& node) {
  static constexpr const char* kNames[] = {"relu", "leakyRelu", "elu", "tanh", "sigmoid"};
  return std::any_of(std::begin(kNames), std::end(kNames), [&](const char* name) { return node.op == name; });
}

void push_activation(Node& node, const Node& activation, const char* name, const char* alpha) {
  Attribute attr;
  attr.type = Attribute::Type::string;
  attr.key = name;
  attr.string = activation.op;
  node.attrs.push_back(std::move(attr));
  node.attrs.push_back(number_attribute(alpha, activation.find("alpha") ? activation.number("alpha") : 0));
}

Attribute renamed(const Node& node, const char* key, const char* name) {
  Attribute attr = *node.find(key);
  attr.key = name;
  return attr;
}

int32_t add_temp(Plan& plan, int32_t like, int64_t cols, const std::string& name) {
  Tensor tensor;
  tensor.shape = plan.graph.tensors[like].shape;
  tensor.shape.back() = cols;
  tensor.name = name;
  plan.graph.tensors.push_back(std::move(tensor));
  return static_cast<int32_t>(plan.graph.tensors.size()) - 1;
}

Attribute number_attribute(const char* key, double value) {
  Attribute attr;
  attr.key = key;
  attr.number = value;
  return attr;
}

void keep_images_apart(Plan& plan) {
  if (plan.graph.training) return;
  Attribute attr;
  attr.key = "perImage";
  attr.number = 1;
  for (Step& step : plan.steps)
    if (step.node.op == "conv2d" || step.node.op == "matmul") step.node.attrs.push_back(attr);
}

void choose_kernels(Plan& plan, Backend& backend) {
  for (Step& step : plan.steps) {
    const Node& node = step.node;
    LaunchSpec spec;
    spec.op = node.op.c_str();
    spec.name = node.name.c_str();
    spec.attrs = &node.attrs;
    for (int32_t id : node.inputs) spec.inputs.push_back(operand_of(plan, id));
    for (int32_t id : node.outputs) spec.outputs.push_back(operand_of(plan, id));
    step.launch = backend.find_kernel(spec);
    for (int32_t id : node.inputs) step.bytes += plan.graph.tensors[id].bytes();
    for (int32_t id : node.outputs) step.bytes += plan.graph.tensors[id].bytes();
  }
}

Plan make_plan(Graph graph, Backend& backend) {
  Plan plan;
  plan.graph = std::move(graph);
  for (size_t i = 0; i < plan.graph.nodes.size(); ++i) {
    Step step;
    step.node = std::move(plan.graph.nodes[i]);
    step.append = static_cast<int32_t>(i);
    plan.steps.push_back(std::move(step));
  }
  plan.graph.nodes.clear();
  prune(plan);
  find_range_checks(plan);
  bypass_identities(plan);
  share_pools(plan);
  if (backend.fuses(Fusion::fold_batch_norms)) fold_batch_norms(plan);
  if (backend.fuses(Fusion::fold_activations)) fold_activations(plan);
  if (backend.fuses(Fusion::backward)) fuse_backward(plan);
  if (backend.fuses(Fusion::separable)) fuse_separable(plan);
  if (backend.fuses(Fusion::finish)) fuse_finish(plan);
  if (backend.fuses(Fusion::sums)) fuse_sums(plan);
  if (backend.fuses(Fusion::residual)) fuse_residual(plan);
  defer_correction(plan);  // of what fuse_backward and fuse_residual have joined
  schedule(plan);
  deal_out(plan, backend.queues());
  place_aliases(plan);
  reuse_inputs(plan);
  place_concats(plan);
  keep_images_apart(plan);
  choose_kernels(plan, backend);
  lay_out_arena(plan);
  return plan;
}

}  // namespace gramian
