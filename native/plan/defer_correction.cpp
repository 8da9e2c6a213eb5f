// Subtracts what mean and variance contribute to a gradient once for all batchNorms of a dense block, not once for
// each. Such a term is linear in x, channel by channel, so it is two vectors until the gradient is read:
//
//   ..., dz = depthwiseBackward(..., x, ...); s = batchNormGradInput(dz, x, ..., other)
//   becomes   ..., d = depthwiseBackward(..., x, ..., other)     d = other + scale*dz, in the pass that made dz
//             shift, slope = batchNormGradTerms(...)
//             s = batchNormGradCorrect(d, x, mean, shift, slope)
//
// In a dense block s is read by parts: the earlier channels are `other` of the layer before, and the last ones are the
// gradient of that layer's output. The earlier channels' terms then travel on as vectors, and only the last channels
// are corrected, when they are:
//
//   o = slice(s, first), read by depthwiseBackward as other; g = slice(s, last)
//   becomes   o = slice(d, first), with slices of shift and slope added to its layer's own
//             g = batchNormGradCorrect(slice(d, last), slice(x, last), ...)
//
// The layer applies them with its own x and mean, so these must be what lies in those columns.
//
// Runs behind fuse_residual, which gave the batchNormGradInput its ninth input. The rule easy to break: `other` is then
// read where the depthwiseBackward stands, so it must have been made before.
#include <algorithm>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

std::vector<size_t> readers_of(const Plan& plan, int32_t id) {
  std::vector<size_t> readers;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    for (int32_t input : plan.steps[i].node.inputs)
      if (input == id) readers.push_back(i);
  for (int32_t output : plan.graph.outputs)
    if (output == id) readers.push_back(kNone);
  return readers;
}

/** Steps of a pass, which stand together at the place of the step that they replace. */
struct Maker {
  Plan& plan;
  const Step& replaced;
  std::vector<Step> steps;

  void add(const char* op, std::vector<int32_t> inputs, std::vector<int32_t> outputs, std::vector<Attribute> attrs) {
    Step step;
    step.append = replaced.append;
    step.node.op = op;
    step.node.unit = replaced.node.unit;
    step.node.name = replaced.node.name;
    step.node.inputs = std::move(inputs);
    step.node.outputs = std::move(outputs);
    step.node.attrs = std::move(attrs);
    steps.push_back(std::move(step));
  }

  int32_t temp(int32_t like, int64_t cols, const char* what) {
    return add_temp(plan, like, cols, cat(replaced.node.name, "/", what));
  }

  /** Columns [begin, begin + count) of a tensor. */
  int32_t columns(int32_t id, int64_t begin, int64_t count) {
    const Tensor& tensor = plan.graph.tensors[id];
    if (begin == 0 && count == tensor.cols()) return id;
    Attribute first, size;
    first.key = "begin", size.key = "size";
    first.type = size.type = Attribute::Type::list;
    for (int64_t extent : tensor.shape) first.list.push_back(0), size.list.push_back(static_cast<double>(extent));
    first.list.back() = static_cast<double>(begin);
    size.list.back() = static_cast<double>(count);
    const int32_t part = temp(id, count, "columns");
    add("slice", {id}, {part}, {first, size});
    return part;
  }
};

void replace(Plan& plan, size_t at, std::vector<Step> steps) {
  const auto place = plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(at));
  plan.steps.insert(place, std::make_move_iterator(steps.begin()), std::make_move_iterator(steps.end()));
}

/** The depthwiseBackward that made dz for this batchNormGradInput alone, when it can add to `other` itself. */
size_t backward_of(const Plan& plan, size_t norm) {
  const Step& step = plan.steps[norm];
  if (step.node.op != "batchNormGradInput" || step.node.inputs.size() != 9) return kNone;
  const int32_t dz = step.node.inputs[0], other = step.node.inputs[8];
  const size_t back = maker_of(plan, dz), made = maker_of(plan, other);
  if (back == kNone || plan.steps[back].node.op != "depthwiseBackward" || dz == other) return kNone;
  if (readers_of(plan, dz).size() != 1 || (made != kNone && made > back)) return kNone;
  // It stays where it is, and reads `other` there.
  const int32_t first = std::min(plan.steps[back].append, step.append);
  return written_between(plan, {other}, first, step.append) ? kNone : back;
}

/** Lets the depthwiseBackward add to `other`; what is left to subtract is made where the batchNormGradInput stood. */
void split(Plan& plan, size_t back, size_t norm) {
  const Node node = plan.steps[norm].node;
  const int32_t dz = node.inputs[0], x = node.inputs[1], mean = node.inputs[2];
  Node& backward = plan.steps[back].node;
  backward.inputs.push_back(node.inputs[8]);
  backward.attrs.push_back(number_attribute("addTo", 1));
  plan.fused.push_back(cat("the sum of \"", node.name, "\" into depthwiseBackward \"", backward.name, "\""));
  if (node.number("training") == 0) {
    backward.outputs.back() = node.outputs[0];
    plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(norm));
    return;
  }
  Maker maker{plan, plan.steps[norm], {}};
  const int64_t cols = plan.graph.tensors[mean].cols();
  const int32_t shift = maker.temp(mean, cols, "shift"), slope = maker.temp(mean, cols, "slope");
  const double rows = static_cast<double>(plan.graph.tensors[x].rows());
  maker.add("batchNormGradTerms", {node.inputs[3], node.inputs[4], node.inputs[6], node.inputs[7]}, {shift, slope},
            {renamed(node, "eps", "eps"), number_attribute("rows", rows)});
  maker.add("batchNormGradCorrect", {dz, x, mean, shift, slope}, {node.outputs[0]}, {});
  replace(plan, norm, std::move(maker.steps));
}

/** Whether the step takes some columns of all rows of its input. */
bool takes_columns(const Plan& plan, const Node& node) {
  if (node.op != "slice") return false;
  const Tensor &x = plan.graph.tensors[node.inputs[0]], &y = plan.graph.tensors[node.outputs[0]];
  return x.rows() == y.rows() && x.shape.size() == y.shape.size();
}

/** The step that makes the vectors of this depthwiseBackward's own correction. */
size_t terms_of(const Plan& plan, const Node& backward) {
  for (size_t i : readers_of(plan, backward.outputs[1]))
    if (i != kNone && plan.steps[i].node.op == "batchNormGradTerms" && plan.steps[i].node.inputs.size() == 4) return i;
  return kNone;
}

/** Whether `part` is what lies in columns [begin, begin + count) of `whole`, which concats have made of it. */
bool lies_in(const Plan& plan, int32_t part, int32_t whole, int64_t begin, int64_t count) {
  if (plan.graph.tensors[part].persistent()) return false;  // may have been written since
  while (whole != part) {
    const size_t made = maker_of(plan, whole);
    if (made == kNone || !is_last_axis_concat(plan, plan.steps[made].node)) return false;
    for (int32_t operand : plan.steps[made].node.inputs) {
      whole = operand;
      const int64_t cols = plan.graph.tensors[operand].cols();
      if (begin < cols) break;
      begin -= cols;
    }
  }
  return begin == 0 && count == plan.graph.tensors[part].cols();
}

/**
 * The depthwiseBackward that alone reads `o`, columns [begin, begin + count) of the corrected gradient, and adds them
 * to its own, when it normalises the same columns of x by the same means and has vectors that can take more.
 */
size_t layer_before(const Plan& plan, const Node& correct, int32_t o, int64_t begin, int64_t count) {
  const std::vector<size_t> readers = readers_of(plan, o);
  if (readers.size() != 1 || readers[0] == kNone) return kNone;
  const Node& onward = plan.steps[readers[0]].node;
  if (!onward.find("addTo") || onward.inputs.back() != o) return kNone;
  const bool alike = lies_in(plan, onward.inputs[2], correct.inputs[1], begin, count) &&
                     lies_in(plan, onward.inputs[3], correct.inputs[2], begin, count);
  return alike && terms_of(plan, onward) != kNone ? readers[0] : kNone;
}

/** Corrects the columns that are read, when they are read, and lets those that are only added to travel on. */
bool push_on(Plan& plan, size_t correct) {
  const Node node = plan.steps[correct].node;
  const std::vector<size_t> slices = readers_of(plan, node.outputs[0]);
  const auto usable = [&](size_t i) { return i != kNone && takes_columns(plan, plan.steps[i].node); };
  if (slices.empty() || !std::all_of(slices.begin(), slices.end(), usable)) return false;
  const int32_t sum = node.inputs[0], x = node.inputs[1], mean = node.inputs[2];
  const int32_t last = plan.steps[*std::max_element(slices.begin(), slices.end())].append;
  if (written_between(plan, node.inputs, plan.steps[correct].append, last)) return false;
  // Behind first, so that indices stay.
  for (size_t at : std::vector<size_t>(slices.rbegin(), slices.rend())) {
    const Node slice = plan.steps[at].node;
    const int64_t begin = static_cast<int64_t>(slice.list("begin").back());
    const int64_t count = plan.graph.tensors[slice.outputs[0]].cols();
    Maker maker{plan, plan.steps[at], {}};
    const int32_t d = maker.columns(sum, begin, count);
    const int32_t shift = maker.columns(node.inputs[3], begin, count);
    const int32_t slope = maker.columns(node.inputs[4], begin, count);
    const size_t before = layer_before(plan, node, slice.outputs[0], begin, count);
    if (before == kNone) {
      maker.add("batchNormGradCorrect",
                {d, maker.columns(x, begin, count), maker.columns(mean, begin, count), shift, slope}, slice.outputs,
                {});
    } else {
      Node& onward = plan.steps[before].node;
      onward.inputs.back() = d;
      Node& own = plan.steps[terms_of(plan, onward)].node;
      own.inputs.push_back(shift);
      own.inputs.push_back(slope);
    }
    replace(plan, at, std::move(maker.steps));
  }
  return true;
}

}  // namespace

void defer_correction(Plan& plan) {
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const size_t back = backward_of(plan, i);
    if (back != kNone) split(plan, back, i);
  }
  for (size_t i = 0; i < plan.steps.size();) {
    if (plan.steps[i].node.op == "batchNormGradCorrect" && push_on(plan, i))
      plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
  }
}

}  // namespace gramian
