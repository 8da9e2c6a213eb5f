// Gives every tensor a storage, and turns views into places instead of launches: a reshape of contiguous rows or one
// that keeps the last dimension, and a slice of rows and columns.
//
//   x[4,6] in storage s: offset 0, pitch 6
//   y = slice(x, [1,2], [3,4])   y in s: offset 8, pitch 6       no launch
//   z = reshape(y, [12])         y is not contiguous             a launch
//
// The rule easy to break: a view of a persistent tensor that this plan writes must be a copy, since the view's readers
// expect the value from before.
#include <algorithm>

#include "plan/plan.h"

namespace gramian {
namespace {

bool contiguous(const Tensor& tensor, const Place& place) { return place.pitch == tensor.cols() || tensor.rows() == 1; }

bool view_reshape(const Plan& plan, const Node& node, Place& place) {
  const Tensor& x = plan.graph.tensors[node.inputs[0]];
  const Tensor& y = plan.graph.tensors[node.outputs[0]];
  place = plan.places[node.inputs[0]];
  if (x.cols() == y.cols()) return true;
  if (!contiguous(x, place)) return false;
  place.pitch = y.cols();
  return true;
}

bool view_slice(const Plan& plan, const Node& node, Place& place) {
  const Tensor& x = plan.graph.tensors[node.inputs[0]];
  const std::vector<double>&begin = node.list("begin"), &size = node.list("size");
  const size_t last = x.shape.size() - 1;
  for (size_t axis = 1; axis < last; ++axis)
    if (static_cast<int64_t>(size[axis]) != x.shape[axis]) return false;
  place = plan.places[node.inputs[0]];
  if (last > 0) place.offset += static_cast<int64_t>(begin[0]) * (x.rows() / x.shape[0]) * place.pitch;
  place.offset += static_cast<int64_t>(begin[last]);
  return true;
}

bool view_of(const Plan& plan, const Node& node, Place& place) {
  if (node.op == "stopGradient") {
    place = plan.places[node.inputs[0]];
    return true;
  }
  if (node.op == "reshape") return view_reshape(plan, node, place);
  return node.op == "slice" && view_slice(plan, node, place);
}

}  // namespace

void place_alone(Plan& plan, int32_t id) {
  const Tensor& tensor = plan.graph.tensors[id];
  Storage storage;
  storage.kind = tensor.kind;
  storage.dtype = tensor.dtype;
  storage.rows = tensor.rows();
  storage.cols = tensor.cols();
  storage.tensor = id;
  storage.members = {id};
  plan.places[id] = {static_cast<int32_t>(plan.storages.size()), 0, storage.cols};
  plan.storages.push_back(std::move(storage));
}

void place_aliases(Plan& plan) {
  const std::vector<char> written = written_persistents(plan);
  plan.places.assign(plan.graph.tensors.size(), Place{});
  for (size_t id = 0; id < plan.graph.tensors.size(); ++id)
    if (plan.graph.tensors[id].kind != Kind::temp) place_alone(plan, static_cast<int32_t>(id));
  std::erase_if(plan.steps, [&](Step& step) {
    Node& node = step.node;
    Place place;
    if (view_of(plan, node, place) && !written[plan.storages[place.storage].tensor]) {
      plan.places[node.outputs[0]] = place;
      plan.storages[place.storage].members.push_back(node.outputs[0]);
      return true;
    }
    if (node.op == "stopGradient") node.op = "copy";
    for (int32_t id : node.outputs)
      if (plan.graph.tensors[id].kind == Kind::temp) place_alone(plan, id);
    return false;
  });
}

}  // namespace gramian
