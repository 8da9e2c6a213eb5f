// Joins a batchNorm to the product that makes its input, which normalises each row as it writes it:
//
//   y = conv2d(x, w) or matmul(x, w); z = batchNorm(y, m, v, g, b)
//   becomes   z = conv2d(x, w, m, v, g, b)   with outEps, outActivation, outAlpha
//
// Done when nothing else reads y, so in training, where the statistics are y's own, never. A depthwise convolution is
// no product. The joined launch stands where the batchNorm stood. Runs after fuse_separable. The rule easy to break: x
// and w are then read later, so nothing in between may write them.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

/** By tensor id: the product that makes it, when only one step reads it and the plan does not return it. */
std::vector<size_t> products_read_once(const Plan& plan) {
  std::vector<int> readers(plan.graph.tensors.size());
  for (const Step& step : plan.steps)
    for (int32_t id : step.node.inputs) ++readers[id];
  for (int32_t id : plan.graph.outputs) ++readers[id];
  std::vector<size_t> products(plan.graph.tensors.size(), kNone);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Node& node = plan.steps[i].node;
    if (is_product(plan, node) && node.inputs.size() == 2 && readers[node.outputs[0]] == 1)
      products[node.outputs[0]] = i;
  }
  return products;
}

Node joined(Node product, const Node& norm) {
  product.inputs.insert(product.inputs.end(), norm.inputs.begin() + 1, norm.inputs.end());
  product.outputs = norm.outputs;
  product.attrs.push_back(renamed(norm, "eps", "outEps"));
  product.attrs.push_back(renamed(norm, "activation", "outActivation"));
  product.attrs.push_back(renamed(norm, "alpha", "outAlpha"));
  return product;
}

}  // namespace

void fuse_finish(Plan& plan) {
  const std::vector<size_t> products = products_read_once(plan);
  std::vector<char> gone(plan.steps.size());
  for (Step& norm : plan.steps) {
    if (norm.node.op != "batchNorm") continue;
    const size_t product = products[norm.node.inputs[0]];
    if (product == kNone) continue;
    const Step& step = plan.steps[product];
    if (written_between(plan, step.node.inputs, step.append, norm.append)) continue;
    plan.fused.push_back(cat("batchNorm \"", norm.node.name, "\" behind ", step.node.op, " \"", step.node.name, "\""));
    norm.node = joined(step.node, norm.node);
    gone[product] = 1;
  }
  size_t index = 0;
  std::erase_if(plan.steps, [&](const Step&) { return gone[index++] != 0; });
}

}  // namespace gramian
