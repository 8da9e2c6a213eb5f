// Joins a depthwise convolution, the pointwise one that reads it and what else is read off the two on the way into one
// launch, whose tile of depthwise results never leaves the cache:
//
//   u = conv2d(x, d, ...) depthwise (a batchNorm perhaps folded in); y = conv2d(u, w) pointwise
//   p = avgPool(u) of tiles that cover the map; m, v = moments(y)
//   becomes   y, u?, p?, m?, v? = separable(x, d, ..., w)    u only when something else reads it
//
// The joined launch stands where the depthwise convolution stood. Runs after fuse_backward.
// The rule easy to break: w is then read earlier, so it must be there, and nothing between may write it.
#include <algorithm>

#include "core/text.h"
#include "plan/uses.h"

namespace gramian {
namespace {

struct Match {
  size_t depthwise, pointwise, pool = kNone, moments = kNone;
  bool store = false;  // u is read by others too
};

bool depthwise(const Plan& plan, const Node& node) {
  if (node.op != "conv2d") return false;
  const int64_t channels = plan.graph.tensors[node.inputs[0]].cols();
  return channels > 1 && node.number("groups") == static_cast<double>(channels) &&
         plan.graph.tensors[node.outputs[0]].cols() == channels;
}

bool pointwise(const Plan& plan, const Node& node, int32_t u) {
  if (node.op != "conv2d" || node.inputs.size() != 2 || node.inputs[0] != u || node.inputs[1] == u) return false;
  const auto shape = [&](int32_t id) -> const Shape& { return plan.graph.tensors[id].shape; };
  return is_pointwise(node, shape(u), shape(node.inputs[1]), shape(node.outputs[0]));
}

/** A pooling whose windows tile the map and leave no cell out. */
bool tiles_map(const Plan& plan, const Node& node, int32_t map) {
  if (node.op != "avgPool") return false;
  const Shape &cells = plan.graph.tensors[node.outputs[0]].shape, &image = plan.graph.tensors[map].shape;
  const auto tiles = [&](int axis, const char* stride, const char* kernel, const char* pad) {
    return node.number(stride) == node.number(kernel) &&
           static_cast<double>(cells[axis]) * node.number(kernel) - node.number(pad) >=
               static_cast<double>(image[axis]) &&
           (static_cast<double>(cells[axis]) - 1) * node.number(kernel) - node.number(pad) <
               static_cast<double>(image[axis]) &&
           node.number(pad) < node.number(kernel);
  };
  return tiles(1, "strideH", "kernelH", "padTop") && tiles(2, "strideW", "kernelW", "padLeft");
}

bool find_match(const Plan& plan, const Uses& uses, size_t first, Match* match) {
  const Step& step = plan.steps[first];
  if (!depthwise(plan, step.node)) return false;
  const int32_t u = step.node.outputs[0];
  match->depthwise = first;
  match->pointwise = kNone;
  for (size_t i : uses.readers[u]) {
    const Node* node = i == kNone ? nullptr : &plan.steps[i].node;
    if (node && match->pointwise == kNone && node->unit == step.node.unit && pointwise(plan, *node, u)) {
      match->pointwise = i;
    } else if (node && match->pool == kNone && tiles_map(plan, *node, u)) {
      match->pool = i;
    } else {
      match->store = true;
    }
  }
  if (match->pointwise == kNone) return false;
  const Node& product = plan.steps[match->pointwise].node;
  if (written_between(plan, {product.inputs[1]}, step.append, plan.steps[match->pointwise].append)) return false;
  for (size_t i : uses.readers[product.outputs[0]])
    if (i != kNone && plan.steps[i].node.op == "moments") match->moments = i;
  return true;
}

Node joined(const Plan& plan, const Match& match) {
  const Node& product = plan.steps[match.pointwise].node;
  Node node = plan.steps[match.depthwise].node;
  const int32_t u = node.outputs[0];
  node.op = "separable";
  node.name = product.name;
  node.inputs.push_back(product.inputs[1]);
  node.outputs = product.outputs;
  if (match.store) {
    node.outputs.push_back(u);
    node.attrs.push_back(number_attribute("storeDepthwise", 1));
  }
  if (match.pool != kNone) {
    const Node& pool = plan.steps[match.pool].node;
    node.outputs.push_back(pool.outputs[0]);
    node.attrs.push_back(number_attribute("poolKernelH", pool.number("kernelH")));
    node.attrs.push_back(number_attribute("poolKernelW", pool.number("kernelW")));
    node.attrs.push_back(number_attribute("poolPadTop", pool.number("padTop")));
    node.attrs.push_back(number_attribute("poolPadLeft", pool.number("padLeft")));
  }
  if (match.moments != kNone) {
    const Node& moments = plan.steps[match.moments].node;
    node.outputs.insert(node.outputs.end(), moments.outputs.begin(), moments.outputs.end());
    node.attrs.push_back(number_attribute("moments", 1));
  }
  return node;
}

}  // namespace

void fuse_separable(Plan& plan) {
  const Uses uses(plan);
  std::vector<char> gone(plan.steps.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    Match match;
    if (!find_match(plan, uses, i, &match)) continue;
    plan.steps[i].node = joined(plan, match);
    for (size_t part : {match.pointwise, match.pool, match.moments})
      if (part != kNone) gone[part] = 1;
    plan.fused.push_back(cat("the convolutions of \"", plan.steps[i].node.name, "\" into one separable"));
  }
  size_t index = 0;
  std::erase_if(plan.steps, [&](const Step&) { return gone[index++] != 0; });
}

}  // namespace gramian
