// Structural checks of a graph on arrival: a graph that passes can be planned and run without reading or writing
// outside memory. Called once per compile, before the planner. Errors name the node or the tensor.
// The rule easy to break: append order is an order of execution, so an input must already have been produced.
#include <unordered_set>

#include "core/text.h"
#include "graph/graph.h"

namespace gramian {
namespace {

constexpr size_t kMaxTensors = 1 << 22;

[[noreturn]] void fail(const std::string& message) { throw Error(Code::graph, "[graph] " + message); }

void check_tensor(const Tensor& tensor) {
  if (tensor.name.empty()) fail("a tensor has an empty name");
  const std::string what = cat("tensor \"", tensor.name, "\"");
  if (tensor.shape.empty() || tensor.shape.size() > 6)
    throw Error(Code::shape, cat("[graph] ", what, " has rank ", tensor.shape.size(), ", expected 1 to 6"));
  int64_t count = 1;
  for (int64_t extent : tensor.shape) {
    if (extent < 1)
      throw Error(Code::shape, cat("[graph] ", what, " has a dimension ", extent, ", expected 1 or more"));
    count = checked_mul(count, extent);
  }
  if (count > kMaxElements) throw Error(Code::shape, cat("[graph] ", what, " has more than 2^40 elements"));
  const bool holds_data = tensor.persistent() || tensor.kind == Kind::constant;
  if (tensor.has_data && !holds_data) fail(cat(what, " is a ", kind_name(tensor.kind), " and cannot carry data"));
  if (tensor.kind == Kind::constant && !tensor.has_data) fail(cat(what, " is a const without data"));
  if (tensor.data && tensor.data_bytes != tensor.bytes())
    fail(cat(what, " of shape ", tensor.shape, " needs ", tensor.bytes(), " bytes of data, got ", tensor.data_bytes));
}

bool writes_persistent(const std::string& op) {
  return op == "adam" || op == "sgd" || op == "ema" || op == "increment" || op == "schedule";
}

void check_node(const Graph& graph, const Node& node, std::vector<char>& ready) {
  const std::string what = cat("node \"", node.name, "\" (", node.op, ")");
  const auto size = static_cast<int64_t>(graph.tensors.size());
  for (int32_t id : node.inputs) {
    if (id < 0 || id >= size) fail(cat(what, " reads tensor ", id, ", there are ", size));
    if (!ready[id]) fail(cat(what, " reads \"", graph.tensors[id].name, "\" before a node makes it"));
  }
  std::unordered_set<int32_t> written;
  for (int32_t id : node.outputs) {
    if (id < 0 || id >= size) fail(cat(what, " writes tensor ", id, ", there are ", size));
    const Tensor& tensor = graph.tensors[id];
    if (!written.insert(id).second) fail(cat(what, " writes \"", tensor.name, "\" twice"));
    if (tensor.kind == Kind::temp) {
      if (ready[id]) fail(cat("\"", tensor.name, "\" is made by two nodes, the second is ", what));
    } else if (!tensor.persistent() || !writes_persistent(node.op)) {
      fail(cat(what, " cannot write \"", tensor.name, "\", a ", kind_name(tensor.kind)));
    }
  }
  for (int32_t id : node.outputs) ready[id] = 1;
}

}  // namespace

void validate(const Graph& graph) {
  if (graph.tensors.size() > kMaxTensors) fail(cat("more than ", kMaxTensors, " tensors"));
  std::unordered_set<std::string_view> names;
  std::vector<char> ready(graph.tensors.size());
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& tensor = graph.tensors[i];
    check_tensor(tensor);
    if (!names.insert(tensor.name).second) fail(cat("two tensors are named \"", tensor.name, "\""));
    ready[i] = tensor.kind != Kind::temp;
  }
  for (const Node& node : graph.nodes) {
    check_node(graph, node, ready);
    check_contract(graph, node);
  }
  for (int32_t id : graph.outputs) {
    if (id < 0 || id >= static_cast<int64_t>(graph.tensors.size()))
      fail(cat("output ", id, " is not a tensor, there are ", graph.tensors.size()));
    if (!ready[id]) fail(cat("output \"", graph.tensors[id].name, "\" is made by no node"));
  }
}

}  // namespace gramian
