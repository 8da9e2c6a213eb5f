// Joins what is added to a product, and an activation of the sum, to the launch that makes it, which adds and activates
// each row as it writes it:
//
//   y = conv2d(x, w); a = add(y, bias[C]); s = add(other, a); z = relu(s)
//   becomes   z = conv2d(x, w, bias, other)   with outBias, outAdd, outSumActivation, outSumAlpha
//
// Each of the three may be missing; they come in this order, behind a joined batchNorm. The product is a matmul, a
// convolution that is not depthwise, or a separable one of which nothing else is read. Done where nothing else reads
// what is in between. The joined launch stands where the last of them stood. Runs after fuse_finish. The rule easy to
// break: the product's inputs are then read later, so nothing in between may write them.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

/** What was joined last; only later ones may follow. */
enum class Stage { product, bias, sum, activation };

struct Product {
  size_t step = kNone;
  Stage stage = Stage::product;
};

bool takes_sums(const Plan& plan, const Node& node) {
  return node.op == "separable" ? node.outputs.size() == 1 : is_product(plan, node);
}

class Joiner {
 public:
  explicit Joiner(Plan& plan) : plan_(plan), products_(plan.graph.tensors.size()), readers_(products_.size()) {
    for (const Step& step : plan.steps)
      for (int32_t id : step.node.inputs) ++readers_[id];
    for (int32_t id : plan.graph.outputs) ++readers_[id];
  }

  void run() {
    std::vector<char> gone(plan_.steps.size());
    for (size_t i = 0; i < plan_.steps.size(); ++i) {
      const size_t product = join(i);
      if (product != kNone) gone[product] = 1;
      const Node& node = plan_.steps[i].node;
      if (product == kNone && takes_sums(plan_, node)) products_[node.outputs[0]] = {i, Stage::product};
    }
    size_t index = 0;
    std::erase_if(plan_.steps, [&](const Step&) { return gone[index++] != 0; });
  }

 private:
  /** The product that step i was joined to, which it replaces; kNone if there is none. */
  size_t join(size_t i) {
    const Node& node = plan_.steps[i].node;
    if (is_activation(node)) return join_to(i, node.inputs[0], -1, Stage::activation);
    if (node.op != "add") return kNone;
    for (int side : {0, 1}) {
      const int32_t y = node.inputs[side], other = node.inputs[1 - side];
      const Shape &shape = shape_of(y), &more = shape_of(other);
      if (y == other || shape != shape_of(node.outputs[0])) continue;
      const bool bias = more.back() == shape.back() && plan_.graph.tensors[other].rows() == 1;
      if (!bias && more != shape) continue;
      const size_t product = join_to(i, y, other, bias ? Stage::bias : Stage::sum);
      if (product != kNone) return product;
    }
    return kNone;
  }

  size_t join_to(size_t i, int32_t y, int32_t other, Stage stage) {
    const Product product = products_[y];
    if (product.step == kNone || product.stage >= stage || readers_[y] != 1) return kNone;
    Step &maker = plan_.steps[product.step], &step = plan_.steps[i];
    if (written_between(plan_, maker.node.inputs, maker.append, step.append)) return kNone;
    Node node = maker.node;
    if (stage == Stage::activation) {
      push_activation(node, step.node, "outSumActivation", "outSumAlpha");
    } else {
      node.inputs.push_back(other);
      node.attrs.push_back(number_attribute(stage == Stage::bias ? "outBias" : "outAdd", 1));
    }
    plan_.fused.push_back(cat(step.node.op, " \"", step.node.name, "\" behind ", node.op, " \"", node.name, "\""));
    node.outputs = step.node.outputs;
    products_[node.outputs[0]] = {i, stage};
    step.node = std::move(node);
    return product.step;
  }

  const Shape& shape_of(int32_t id) const { return plan_.graph.tensors[id].shape; }

  Plan& plan_;
  std::vector<Product> products_;  // by tensor id: what makes it
  std::vector<int> readers_;
};

}  // namespace

void fuse_sums(Plan& plan) { Joiner(plan).run(); }

}  // namespace gramian
