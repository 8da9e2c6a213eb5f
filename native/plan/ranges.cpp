// Finds where labels and indices come from, so that their values can be checked before the first launch of a step: a
// step that fails leaves every parameter as it was.
//
//   labels input[32] -> slice -> crossEntropy with 7 classes      check: labels in 0..6 at the start of each step
//   topK of 5 rows -> gather from 5 rows                          nothing to check
//   maxPool of 48x48 -> maxPoolGrad into 48x48                    nothing to check
//
// The rule easy to break: an op that makes i32 values must be known here, or its result cannot be used as an index.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

/** Input position and limit of an op that addresses memory by i32 data. */
bool addresses(const Plan& plan, const Node& node, size_t& position, int64_t& limit) {
  const auto shape = [&](int32_t id) -> const Shape& { return plan.graph.tensors[id].shape; };
  position = 1;
  if (node.op == "crossEntropy") {
    limit = shape(node.inputs[0])[1];
  } else if (node.op == "gather") {
    limit = shape(node.inputs[0])[1];
  } else if (node.op == "gatherGrad") {
    limit = shape(node.outputs[0])[1];
  } else if (node.op == "maxPoolGrad") {
    limit = shape(node.outputs[0])[1] * shape(node.outputs[0])[2];
  } else {
    return false;
  }
  return true;
}

class Tracer {
 public:
  explicit Tracer(Plan& plan) : plan_(plan), producer_(plan.graph.tensors.size(), nullptr) {
    for (const Step& step : plan.steps)
      for (int32_t id : step.node.outputs)
        if (plan.graph.tensors[id].kind == Kind::temp) producer_[id] = &step.node;
  }

  void trace(int32_t id, int64_t limit, const std::string& op) {
    const Node* node = producer_[id];
    if (!node) {
      add(id, limit, op);
    } else if (is(*node, {"reshape", "slice", "stopGradient"})) {
      trace(node->inputs[0], limit, op);
    } else if (node->op == "concat") {
      for (int32_t input : node->inputs) trace(input, limit, op);
    } else if (node->op == "datasetBatch" && node->outputs[1] == id) {
      trace(node->inputs[1], limit, op);
    } else if (node->op == "topK" || node->op == "maxPool") {
      const Shape& x = plan_.graph.tensors[node->inputs[0]].shape;
      const int64_t bound = node->op == "topK" ? x[1] : x[1] * x[2];
      if (bound > limit)
        throw Error(Code::shape,
                    cat("[", op, "] indices of ", node->op, " reach ", bound - 1, ", expected below ", limit));
    } else {
      throw Error(Code::graph, cat("[", op,
                                   "] labels and indices come from an input, a const, a state, topK, maxPool or "
                                   "datasetBatch, got the result of ",
                                   node->op));
    }
  }

 private:
  static bool is(const Node& node, std::initializer_list<const char*> ops) {
    return std::any_of(ops.begin(), ops.end(), [&](const char* op) { return node.op == op; });
  }

  void add(int32_t id, int64_t limit, const std::string& op) {
    for (RangeCheck& check : plan_.checks)
      if (check.tensor == id) {
        if (limit < check.limit) check = {id, limit, op};
        return;
      }
    plan_.checks.push_back({id, limit, op});
  }

  Plan& plan_;
  std::vector<const Node*> producer_;
};

}  // namespace

void find_range_checks(Plan& plan) {
  Tracer tracer(plan);
  const std::vector<char> written = written_persistents(plan);
  for (const Step& step : plan.steps) {
    size_t position;
    int64_t limit;
    if (addresses(plan, step.node, position, limit)) tracer.trace(step.node.inputs[position], limit, step.node.op);
  }
  for (const RangeCheck& check : plan.checks)
    if (written[check.tensor])
      throw Error(Code::graph, cat("[", check.op, "] labels and indices cannot come from \"",
                                   plan.graph.tensors[check.tensor].name, "\", which the graph updates"));
}

}  // namespace gramian
