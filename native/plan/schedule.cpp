// Orders the steps. A step may run when what it reads is made and when no earlier access to a persistent tensor is
// overtaken; among those that may, the lowest unit goes first, then the one appended first. So a unit's objective,
// gradients and updates run right after its forward pass, whatever the order they were appended in, and its
// activations die before the next unit begins.
//
//   appended:  fwd0 fwd1 loss0 grad0 update0 loss1 grad1 update1
//   run:       fwd0 loss0 grad0 update0 fwd1 loss1 grad1 update1
//
// The rule easy to break: reading a persistent tensor before an update appended after it, and the reverse.
#include <queue>
#include <utility>

#include "plan/plan.h"

namespace gramian {
namespace {

struct Edges {
  std::vector<std::vector<size_t>> next;
  std::vector<int> waiting;

  explicit Edges(size_t count) : next(count), waiting(count) {}
  void add(size_t before, size_t after) {
    if (before == after) return;
    next[before].push_back(after);
    ++waiting[after];
  }
};

Edges dependencies(const Plan& plan) {
  const size_t none = plan.steps.size();
  Edges edges(plan.steps.size());
  std::vector<size_t> writer(plan.graph.tensors.size(), none);          // the last step that made or wrote the tensor
  std::vector<std::vector<size_t>> readers(plan.graph.tensors.size());  // of a persistent tensor, since that write
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Node& node = plan.steps[i].node;
    for (int32_t id : node.inputs) {
      if (writer[id] != none) edges.add(writer[id], i);
      if (plan.graph.tensors[id].persistent()) readers[id].push_back(i);
    }
    for (int32_t id : node.outputs) {
      if (writer[id] != none) edges.add(writer[id], i);
      for (size_t reader : readers[id]) edges.add(reader, i);
      readers[id].clear();
      writer[id] = i;
    }
  }
  return edges;
}

}  // namespace

void schedule(Plan& plan) {
  Edges edges = dependencies(plan);
  using Key = std::pair<int32_t, size_t>;  // (unit, position in append order)
  std::priority_queue<Key, std::vector<Key>, std::greater<>> ready;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    if (edges.waiting[i] == 0) ready.push({plan.steps[i].node.unit, i});
  std::vector<Step> ordered;
  ordered.reserve(plan.steps.size());
  while (!ready.empty()) {
    const size_t i = ready.top().second;
    ready.pop();
    ordered.push_back(std::move(plan.steps[i]));
    for (size_t after : edges.next[i])
      if (--edges.waiting[after] == 0) ready.push({plan.steps[after].node.unit, after});
  }
  plan.steps = std::move(ordered);
}

}  // namespace gramian
