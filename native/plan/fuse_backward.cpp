// Joins a unit's local backward into one launch that reads x once and keeps no map-sized gradient:
//
//   du = avgPoolGrad(g)                                     (when the objective pooled the features; else du is a temp)
//   da = conv2dGradInput(du, w) depthwise 3x3
//   dw = conv2dGradFilter(x, du, m, v, gamma, beta)         (its batchNorm already folded in by fuse.cpp)
//   dgamma, dbeta = batchNormGradParams(da, x, m, v, gamma, beta)
//   becomes   dw, dgamma, dbeta = depthwiseBackward(g or du, w, x, m, v, gamma, beta)
//
// A du that a pointwise convolution's gradient made for these two alone is not written either:
//
//   du = conv2dGradInput(dy, v) pointwise    then dw, dgamma, dbeta = depthwiseBackward(dy, w, x, ..., v)
//
// Done when nothing else reads da, nor du in the pooled case, and nothing reads dw before the last of the parts.
// Under back-propagation da also leads to dx. The joined launch then leaves dz = da * act'(pre) in its place, and
//
//   dx = batchNormGradInput(da, x, ..., dgamma, dbeta)   reads dz, its activation being undone already.
//
// The rule easy to break: the joined launch reads w, gamma and beta where the last of the parts did.
#include <algorithm>

#include "core/text.h"
#include "plan/uses.h"

namespace gramian {
namespace {

/**
 * Indices into plan.steps; kNone: `pool` when the gradient was not pooled, `product` when it came from no pointwise
 * convolution, `onward` when x needs no gradient.
 */
struct Match {
  size_t pool, product, input, filter, norm, onward;
};

bool made_by(const Plan& plan, const Uses& uses, int32_t id, const char* op, size_t* step) {
  *step = uses.maker[id];
  return *step != kNone && plan.steps[*step].node.op == op;
}

bool depthwise3x3(const Plan& plan, const Node& input) {
  const Shape& w = plan.graph.tensors[input.inputs[1]].shape;
  const int64_t channels = plan.graph.tensors[input.outputs[0]].cols();
  return w[0] == 3 && w[1] == 3 && w[2] == 1 && w[3] == channels && channels > 1 &&
         input.number("groups") == static_cast<double>(channels) && input.number("dilationH") == 1 &&
         input.number("dilationW") == 1;
}

/** Whether the two are gradients of convolutions with the same window and filters of the same shape. */
bool same_window(const Plan& plan, const Node& input, const Node& filter) {
  constexpr const char* kKeys[] = {"strideH",  "strideW",   "padTop",    "padBottom", "padLeft",
                                   "padRight", "dilationH", "dilationW", "groups"};
  return plan.graph.tensors[filter.outputs[0]].shape == plan.graph.tensors[input.inputs[1]].shape &&
         std::all_of(std::begin(kKeys), std::end(kKeys),
                     [&](const char* key) { return input.number(key) == filter.number(key); });
}

/** The folded filter gradient of the same convolution as `input`, with the same x and statistics as `norm`. */
size_t filter_step(const Plan& plan, const Uses& uses, const Node& input, const Node& norm) {
  const int32_t du = input.inputs[0];
  for (size_t i : uses.readers[du]) {
    if (i == kNone) continue;
    const Node& node = plan.steps[i].node;
    if (node.op != "conv2dGradFilter" || node.inputs.size() != 6 || node.inputs[1] != du) continue;
    if (!same_window(plan, input, node)) continue;
    const bool same = node.inputs[0] == norm.inputs[1] &&
                      std::equal(node.inputs.begin() + 2, node.inputs.end(), norm.inputs.begin() + 2);
    if (same && node.number("bnEps") == norm.number("eps") && node.number("bnAlpha") == norm.number("alpha") &&
        node.string("bnActivation") == norm.string("activation"))
      return i;
  }
  return kNone;
}

/** The one other reader of da = norm's first input: the gradient by the same batchNorm's input. */
size_t onward_step(const Plan& plan, const Uses& uses, const Node& norm) {
  const auto& readers = uses.readers[norm.inputs[0]];
  for (size_t i : readers) {
    if (i == kNone || readers.size() != 2) return kNone;
    const Node& node = plan.steps[i].node;
    if (node.op == "batchNormGradInput" && std::equal(norm.inputs.begin(), norm.inputs.end(), node.inputs.begin()) &&
        std::equal(norm.outputs.begin(), norm.outputs.end(), node.inputs.begin() + 6) &&
        node.number("eps") == norm.number("eps") && node.number("alpha") == norm.number("alpha") &&
        node.string("activation") == norm.string("activation"))
      return i;
  }
  return kNone;
}

/** A pooling whose windows tile the map and leave no cell out, read by the two convolution gradients alone. */
size_t pool_step(const Plan& plan, const Uses& uses, int32_t du) {
  size_t pool;
  if (!made_by(plan, uses, du, "avgPoolGrad", &pool) || uses.readers[du].size() != 2) return kNone;
  const Node& node = plan.steps[pool].node;
  const Shape &cells = plan.graph.tensors[node.inputs[0]].shape, &map = plan.graph.tensors[du].shape;
  const auto tiles = [&](int axis, const char* stride, const char* kernel, const char* pad) {
    return node.number(stride) == node.number(kernel) &&
           static_cast<double>(cells[axis]) * node.number(kernel) - node.number(pad) >= static_cast<double>(map[axis]);
  };
  return tiles(1, "strideH", "kernelH", "padTop") && tiles(2, "strideW", "kernelW", "padLeft") ? pool : kNone;
}

/** The gradient of a pointwise convolution that made du for its two readers. */
size_t product_step(const Plan& plan, const Uses& uses, int32_t du) {
  size_t product;
  if (!made_by(plan, uses, du, "conv2dGradInput", &product) || uses.readers[du].size() != 2) return kNone;
  const Node& node = plan.steps[product].node;
  const auto shape = [&](int32_t id) -> const Shape& { return plan.graph.tensors[id].shape; };
  return is_pointwise(node, shape(du), shape(node.inputs[1]), shape(node.inputs[0])) ? product : kNone;
}

/** Whether a step before `last` reads the tensor: the joined launch, which stands there, would make it too late. */
bool read_before(const Uses& uses, int32_t id, size_t last) {
  return std::any_of(uses.readers[id].begin(), uses.readers[id].end(), [&](size_t reader) { return reader < last; });
}

bool find_match(const Plan& plan, const Uses& uses, size_t norm, Match* match) {
  const Node& node = plan.steps[norm].node;
  if (node.op != "batchNormGradParams") return false;
  match->norm = norm;
  const int32_t da = node.inputs[0];
  if (!made_by(plan, uses, da, "conv2dGradInput", &match->input)) return false;
  match->onward = kNone;
  if (uses.readers[da].size() > 1 && (match->onward = onward_step(plan, uses, node)) == kNone) return false;
  const Node& input = plan.steps[match->input].node;
  if (!depthwise3x3(plan, input)) return false;
  match->filter = filter_step(plan, uses, input, node);
  if (match->filter == kNone || read_before(uses, plan.steps[match->filter].node.outputs[0], norm)) return false;
  match->pool = pool_step(plan, uses, input.inputs[0]);
  match->product = match->pool == kNone ? product_step(plan, uses, input.inputs[0]) : kNone;
  return true;
}

Node joined(const Plan& plan, const Match& match) {
  const Node &input = plan.steps[match.input].node, &filter = plan.steps[match.filter].node;
  const Node& norm = plan.steps[match.norm].node;
  Node node;
  node.op = "depthwiseBackward";
  node.unit = norm.unit;
  node.name = filter.name;
  node.attrs = filter.attrs;
  const int32_t du = input.inputs[0];
  node.inputs = {du, input.inputs[1]};
  if (match.pool != kNone) {
    const Node& pool = plan.steps[match.pool].node;
    const Shape& map = plan.graph.tensors[du].shape;
    node.inputs[0] = pool.inputs[0];
    node.attrs.push_back(number_attribute("poolKernelH", pool.number("kernelH")));
    node.attrs.push_back(number_attribute("poolKernelW", pool.number("kernelW")));
    node.attrs.push_back(number_attribute("poolPadTop", pool.number("padTop")));
    node.attrs.push_back(number_attribute("poolPadLeft", pool.number("padLeft")));
    node.attrs.push_back(number_attribute("outHeight", static_cast<double>(map[1])));
    node.attrs.push_back(number_attribute("outWidth", static_cast<double>(map[2])));
  }
  node.inputs.insert(node.inputs.end(), norm.inputs.begin() + 1, norm.inputs.end());
  if (match.product != kNone) {
    const Node& product = plan.steps[match.product].node;
    node.inputs[0] = product.inputs[0];
    node.inputs.push_back(product.inputs[1]);
    node.attrs.push_back(number_attribute("pointwise", 1));
  }
  node.outputs = {filter.outputs[0], norm.outputs[0], norm.outputs[1]};
  if (match.onward != kNone) {
    node.outputs.push_back(norm.inputs[0]);
    node.attrs.push_back(number_attribute("storeGradient", 1));
  }
  return node;
}

/** Whether a step between the parts writes in place what the joined launch reads. */
bool overtaken(const Plan& plan, const Match& match, const std::vector<int32_t>& reads) {
  const int32_t input = plan.steps[match.input].append, filter = plan.steps[match.filter].append;
  const int32_t norm = plan.steps[match.norm].append;
  const size_t source = match.pool != kNone ? match.pool : match.product != kNone ? match.product : match.input;
  // What leads on to x undoes nothing any more, so the batchNorm must be the same for it as well.
  const int32_t onward = match.onward == kNone ? norm : plan.steps[match.onward].append;
  const int32_t first = std::min({plan.steps[source].append, input, filter, norm});
  const int32_t last = std::max({input, filter, norm, onward});
  return written_between(plan, reads, first, last);
}

}  // namespace

void fuse_backward(Plan& plan) {
  const Uses uses(plan);
  std::vector<char> gone(plan.steps.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    Match match;
    if (!find_match(plan, uses, i, &match)) continue;
    Node node = joined(plan, match);
    if (overtaken(plan, match, node.inputs)) continue;
    Step& step = plan.steps[i];
    step.append = std::max({step.append, plan.steps[match.filter].append, plan.steps[match.input].append});
    step.node = std::move(node);
    gone[match.input] = gone[match.filter] = 1;
    if (match.onward != kNone)
      for (Attribute& attr : plan.steps[match.onward].node.attrs)
        if (attr.key == "activation") attr.string = "none";
    for (size_t source : {match.pool, match.product})
      if (source != kNone) gone[source] = 1;
    plan.fused.push_back(cat("the backward of \"", step.node.name, "\" into one depthwiseBackward"));
  }
  size_t index = 0;
  std::erase_if(plan.steps, [&](const Step&) { return gone[index++] != 0; });
}

}  // namespace gramian
